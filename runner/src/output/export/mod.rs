//! Networks in the forms of other programs. What was written is read again, and must compute what the network does.

mod check;
mod onnx;
mod python;
mod safetensors;
mod torch;

use std::fmt;

use secateur::network::model_file::ModelFile;
use serde_json::json;

use crate::engine::Exportable;
use crate::failure::Failure;

pub use check::agree;

/// A form in which a network is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A file in Python, of PyTorch's modules, and its weights.
    Torch,
    /// A graph of operators.
    Onnx,
    /// Weights by name.
    Safetensors,
}

impl Format {
    /// Every form.
    pub const ALL: [Self; 3] = [Self::Torch, Self::Onnx, Self::Safetensors];

    /// How its file's name ends.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Torch => "py",
            Self::Onnx => "onnx",
            Self::Safetensors => "safetensors",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Torch => "torch",
            Self::Onnx => "onnx",
            Self::Safetensors => "safetensors",
        })
    }
}

/// Files of a network, by how their names end; and how they were checked.
#[derive(Clone, Debug)]
pub struct Exported {
    /// Extensions and contents.
    pub files: Vec<(&'static str, Vec<u8>)>,
    /// What was checked, in words; empty where the caller is to check.
    pub checks: Vec<String>,
}

/// How stored values become inputs: a pair for each channel.
#[derive(Clone, Debug)]
pub struct Preprocessing {
    scale: Vec<f32>,
    shift: Vec<f32>,
    /// Factor from stored values to the scale of mean and standard deviation: 1/255 for images in bytes.
    unit: f64,
}

impl Preprocessing {
    fn of(network: &Exportable) -> Self {
        let (scale, shift) = network.about.normalization.iter().copied().unzip();
        Self { scale, shift, unit: if network.bytes { 1.0 / 255.0 } else { 1.0 } }
    }

    /// Standard deviation and mean of each channel, by which (x unit - mean) / std is the input.
    fn statistics(&self) -> (Vec<f64>, Vec<f64>) {
        let std: Vec<f64> = self.scale.iter().map(|&scale| self.unit / f64::from(scale)).collect();
        let mean = self.shift.iter().zip(&std).map(|(&shift, std)| -f64::from(shift) * std).collect();
        (mean, std)
    }

    /// What readers of a file must know, as texts by key.
    fn metadata(&self, about: &ModelFile, inside: bool) -> Vec<(String, String)> {
        let (mean, std) = self.statistics();
        let stored = if self.unit == 1.0 { "as the data stores them" } else { "0 to 255" };
        let expects = if inside {
            format!("values {stored}; they are normalised in the graph")
        } else {
            format!("(values - mean) / std, with values {}", if self.unit == 1.0 { stored } else { "from 0 to 1" })
        };
        [
            ("input_shape", json!(about.input.shape)),
            ("input", json!(expects)),
            ("mean", json!(mean)),
            ("std", json!(std)),
            ("classes", json!(about.classes)),
            ("model", json!(about.model.get("name"))),
            ("units", json!(about.units)),
        ]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
        .collect()
    }
}

/// Writes a network, read from the file `own`, in another form, and checks what was written; with `inside` the graph normalises its input.
///
/// # Errors
/// What was written does not compute what the network does.
pub fn export(network: &Exportable, own: &[u8], format: Format, inside: bool) -> Result<Exported, Failure> {
    let preprocessing = Preprocessing::of(network);
    let graph = || network.graph.as_ref().ok_or_else(|| Failure::Failed("the network's graph was not read".into()));
    match format {
        Format::Safetensors => {
            let file = safetensors::write(network, own, &preprocessing.metadata(&network.about, false))?;
            Ok(Exported { files: vec![(format.extension(), file)], checks: vec![] })
        }
        Format::Onnx => {
            let graph = graph()?;
            let classifies = graph.output.extents.rest == [network.about.input.classes];
            let output = if classifies { "logits" } else { "prediction" };
            let mut model = onnx::lower(graph, output, inside.then_some(&preprocessing));
            model.metadata = preprocessing.metadata(&network.about, inside);
            let file = model.write();
            let checks = check::onnx(network, &file, inside)?;
            Ok(Exported { files: vec![(format.extension(), file)], checks })
        }
        Format::Torch => {
            let graph = graph()?;
            let written = torch::write(graph, network, &preprocessing);
            let checks = check::torch(network, graph, &written)?;
            let torch::Written { text, weights } = written;
            Ok(Exported { files: vec![("bin", weights), (format.extension(), text.into_bytes())], checks })
        }
    }
}
