//! `model.safetensors`: a pruned network in a file, with what a reader must know to compute with it.
//!
//! Every parameter stands in f32 under its name, as the forward pass uses it (pruned weights are zero), and
//! `<name>.mask` in u8 (1: kept) beside each masked one. Images are `[channels, rows, columns]`, row by row; weights
//! are in PyTorch's order. The metadata key `secateur` holds a [`ModelFile`] as JSON.

use crate::backend::Backend;
use crate::data::Normalizer;
use crate::error::{Error, Result};
use crate::network::forward::LayerRecord;
use crate::network::layout::Sizes;
use crate::network::model::{InputSpec, Model};
use crate::network::params::{Masking, Param, ParamStore};
use crate::options::Table;
use crate::seed::Seed;
use crate::state::Archive;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};

/// The name of such a file in the folder of a run.
pub const NAME: &str = "model.safetensors";
/// The version of this format that is written, and the only one that is read.
pub const FORMAT: u32 = 1;
/// The metadata key of the description.
const KEY: &str = "secateur";

/// What a reader must know beside the tensors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelFile {
    /// Version of this format.
    pub format: u32,
    /// Version of the program that wrote the file.
    pub version: String,
    /// The model's config section: its name, and the options that were set.
    pub model: Table,
    /// The compressor's config section, where one takes part: without it the network computes something else.
    #[serde(default, skip_serializing_if = "Table::is_empty")]
    pub compressor: Table,
    /// Units in use in every group: masked ones do not count.
    pub units: Sizes,
    /// Units that the tensors have room for in every group; what [`Model::layout`] is to be asked for.
    pub sizes: Sizes,
    /// What one example looks like.
    pub input: InputSpec,
    /// One name a class.
    pub classes: Vec<String>,
    /// How a stored value becomes an input: `input = stored * scale + shift`, a pair for each channel; bytes of images
    /// are 0 to 255.
    pub normalization: Vec<(f32, f32)>,
    /// The layers in the order of their calls, with strides, paddings, activations and pooling.
    pub layers: Vec<LayerRecord>,
}

impl ModelFile {
    /// The description of a network: `model` is its config section, `layers` what [`Forward::layers`] gave.
    ///
    /// [`Forward::layers`]: crate::network::forward::Forward::layers
    pub fn new<B: Backend>(
        model: Table,
        params: &ParamStore<B>,
        input: InputSpec,
        classes: &[String],
        normalizer: &Normalizer,
        layers: Vec<LayerRecord>,
    ) -> Self {
        let groups = &params.layout().groups;
        Self {
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION").into(),
            model,
            compressor: Table::new(),
            units: Sizes(groups.iter().map(|g| (g.name.clone(), params.units(&g.name))).collect()),
            sizes: params.layout().sizes(),
            input,
            classes: classes.to_vec(),
            normalization: normalizer.channels().collect(),
            layers,
        }
    }

    /// The same network behind a compressor, given as its config section.
    #[must_use]
    pub fn behind(self, compressor: Table) -> Self {
        Self { compressor, ..self }
    }

    /// The description in a file's metadata, if there is one.
    ///
    /// # Errors
    /// If it is damaged, or of another version of this format.
    pub(crate) fn described(metadata: Option<&HashMap<String, String>>) -> Result<Option<Self>> {
        let Some(about) = metadata.and_then(|all| all.get(KEY)) else { return Ok(None) };
        let found: serde_json::Value = serde_json::from_str(about).map_err(|e| refused(e.to_string()))?;
        let format = found.get("format").and_then(serde_json::Value::as_u64);
        if format != Some(u64::from(FORMAT)) {
            let format = format.map_or("none, as earlier versions wrote it".to_string(), |f| f.to_string());
            return Err(refused(format!("the version of its format is {format}; this program reads {FORMAT}")));
        }
        serde_json::from_value(found).map(Some).map_err(|e| refused(e.to_string()))
    }

    /// The file: the same network gives the same bytes.
    ///
    /// # Errors
    /// If a value cannot be read back from the device.
    pub fn write<B: Backend>(&self, params: &ParamStore<B>) -> Result<Vec<u8>> {
        self.write_stored(&params.iter().map(Stored::of).collect::<Result<Vec<_>>>()?)
    }

    /// The file of parameters that stand nowhere else.
    pub(crate) fn write_stored(&self, params: &[Stored]) -> Result<Vec<u8>> {
        let mut entries: Vec<(String, Dtype, &[usize], Vec<u8>)> = vec![];
        for Stored { name, shape, values, mask } in params {
            if let Some(mask) = mask {
                let bytes = mask.iter().map(|keep| u8::from(*keep)).collect();
                entries.push((format!("{name}.mask"), Dtype::U8, shape, bytes));
            }
            let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
            entries.push((name.clone(), Dtype::F32, shape, bytes));
        }
        let refused = |e: &dyn std::fmt::Display| Error::Other(format!("model.safetensors cannot be written: {e}"));
        let mut views = vec![];
        for (name, dtype, shape, bytes) in &entries {
            views.push((name, TensorView::new(*dtype, shape.to_vec(), bytes).map_err(|e| refused(&e))?));
        }
        let about = serde_json::to_string(self).map_err(|e| refused(&e))?;
        // One key only: several would be written in no fixed order.
        safetensors::serialize(views, Some([(KEY.to_string(), about)].into())).map_err(|e| refused(&e))
    }
}

/// A parameter as it stands in the file.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub name: String,
    pub shape: Vec<usize>,
    /// Pruned weights are zero.
    pub values: Vec<f32>,
    pub mask: Option<Vec<bool>>,
}

impl Stored {
    /// A parameter of a network.
    pub fn of<B: Backend>(p: &Param<B>) -> Result<Self> {
        let (name, value) = (p.spec().name.clone(), p.effective()?);
        let mask = p.mask().map(|mask| mask.keep().to_vec());
        Ok(Self { name, shape: value.shape().to_vec(), values: value.to_vec(), mask })
    }
}

fn refused(why: impl std::fmt::Display) -> Error {
    Error::Other(format!("this is no model.safetensors of a run: {why}"))
}

/// A network that was read from a file.
pub struct SavedModel {
    /// What the file says of it.
    pub about: ModelFile,
    arrays: Archive<'static>,
    updates: BTreeMap<String, u64>,
}

impl SavedModel {
    /// Reads what [`ModelFile::write`] made.
    ///
    /// # Errors
    /// If it is something else, is cut short, or has another format.
    pub fn read(bytes: &[u8]) -> Result<Self> {
        let tensors = SafeTensors::deserialize(bytes).map_err(|e| refused(e.to_string()))?;
        let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(|e| refused(e.to_string()))?;
        let about = ModelFile::described(metadata.metadata().as_ref())?;
        let about = about.ok_or_else(|| refused(format!("its metadata has no key `{KEY}`")))?;
        let (mut arrays, mut updates) = (Archive::default(), BTreeMap::new());
        for (name, view) in tensors.tensors() {
            match (view.dtype(), name.strip_suffix(".mask")) {
                (Dtype::U8, Some(param)) => {
                    let keep: Vec<bool> = view.data().iter().map(|b| *b != 0).collect();
                    arrays.put_flags(format!("mask/{param}"), &keep);
                }
                (Dtype::F32, _) => {
                    let values: Vec<f32> = view.data().as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
                    arrays.put(format!("value/{name}"), view.shape(), values.into());
                    updates.insert(name, 0);
                }
                (dtype, _) => return Err(refused(format!("`{name}` is of type {dtype:?}"))),
            }
        }
        Ok(Self { about, arrays, updates })
    }

    /// The parameters, for the model that the file names, built with the options that it names.
    ///
    /// # Errors
    /// If the model has other parameters, or other shapes.
    pub fn params<B: Backend>(mut self, device: &B, model: &dyn Model<B>) -> Result<ParamStore<B>> {
        let layout = model.layout(&self.about.input, &self.about.sizes)?;
        let mut params = ParamStore::new(device, layout.clone(), Seed(0), Masking::Held)?;
        params.load(layout, &self.updates, &mut self.arrays).map_err(|error| match error {
            Error::Checkpoint(text) => Error::Other(format!("the file {text}")),
            other => other,
        })?;
        match self.arrays.untaken() {
            None => Ok(params),
            Some(name) => Err(Error::Other(format!("the file holds `{name}`, which this model does not have"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::{Act, Cpu};
    use crate::data::{DataConfig, Examples, Normalize, Pool};
    use crate::network::forward::{Forward, LayerOperation};
    use crate::network::layout::{Layout, LayoutBuilder};
    use crate::network::model::{Batch, Output};
    use crate::tensor::Tensor;

    /// Two inputs, three hidden units, two classes.
    struct Net;
    impl Model<Cpu> for Net {
        fn layout(&self, input: &InputSpec, sizes: &Sizes) -> Result<Layout> {
            let mut layout = LayoutBuilder::new(sizes);
            let hidden = layout.units("hidden", 3);
            layout.linear("hidden", &input.features().into(), &hidden, true);
            layout.linear("out", &hidden, &input.classes.into(), true);
            layout.output("out");
            layout.build()
        }
        fn forward(&self, cx: &mut Forward<'_, Cpu>, batch: &Batch<Cpu>) -> Result<Output<Cpu>> {
            let x = cx.linear("hidden", &batch.input, Act::Relu)?;
            Ok(Output::Logits(cx.linear("out", &x, Act::None)?))
        }
    }

    fn input() -> InputSpec {
        InputSpec { shape: vec![2], classes: 2 }
    }

    /// The network with one unit cut out and one weight masked, its logits, and its layers.
    fn network(params: &ParamStore<Cpu>) -> (Vec<f32>, Vec<LayerRecord>) {
        let input = Tensor::from_vec(&Cpu::default(), vec![0.5, -1.0], [1, 2]).unwrap();
        let mut cx = Forward::evaluation(params).listing_layers();
        let Output::Logits(logits) =
            Net.forward(&mut cx, &Batch { input, classes: vec![0], responses: vec![] }).unwrap()
        else {
            unreachable!()
        };
        (logits.to_vec(), cx.layers().to_vec())
    }

    fn saved() -> (Vec<u8>, Vec<f32>) {
        let layout = |sizes: &Sizes| Net.layout(&input(), sizes).unwrap();
        let mut params = ParamStore::new(&Cpu::default(), layout(&Sizes::default()), Seed(3), Masking::Held).unwrap();
        let keep = vec![("hidden".to_string(), vec![true, false, true])];
        params.shrink(keep, layout(&Sizes([("hidden".to_string(), 2)].into()))).unwrap();
        params.set_masks(vec![("hidden.weight".to_string(), vec![true, true, false, true])]).unwrap();
        let (logits, layers) = network(&params);
        let names = ["a".to_string(), "b".to_string()];
        let pool = || Pool::floats(vec![0.0, 1.0], vec![0]);
        let points = Examples::in_memory("one", &[2], &["a", "b"], pool(), pool()).unwrap();
        let points = points.dataset(&DataConfig { normalize: Normalize::None, ..DataConfig::default() }, 0).unwrap();
        let about = ModelFile::new(Table::new(), &params, input(), &names, &points.normalizer, layers);
        (about.write(&params).unwrap(), logits)
    }

    #[test]
    fn a_network_that_was_read_computes_what_was_written() {
        let (bytes, logits) = saved();
        let saved = SavedModel::read(&bytes).unwrap();
        assert_eq!((saved.about.units.0["hidden"], saved.about.classes.len()), (2, 2));
        let relu = LayerOperation::Linear { act: Act::Relu, residual: false };
        assert_eq!(saved.about.layers[0], LayerRecord { name: "hidden".into(), operation: relu });
        let params = saved.params(&Cpu::default(), &Net).unwrap();
        assert_eq!(network(&params).0, logits);
        assert_eq!(params.get("hidden.weight").unwrap().kept(), 3);
        let again = SavedModel::read(&bytes).unwrap().about;
        assert_eq!(again.write(&params).unwrap(), bytes, "what was read is written as it was");
    }

    #[test]
    fn other_files_are_refused_with_the_reason() {
        let text = |bytes: &[u8]| SavedModel::read(bytes).err().unwrap().to_string();
        let (bytes, _) = saved();
        assert!(text(&bytes[..bytes.len() - 1]).contains("no model.safetensors of a run"));
        let other: Vec<(String, TensorView<'_>)> = vec![];
        assert!(text(&safetensors::serialize(other, None).unwrap()).contains("no key `secateur`"));
        let at = bytes.windows(12).position(|w| w == b"\\\"format\\\":1").unwrap();
        let mut newer = bytes.clone();
        newer[at + 11] = b'7';
        assert!(text(&newer).contains("its format is 7; this program reads 1"), "{}", text(&newer));
    }

    #[test]
    fn a_reader_bears_networks_that_nobody_wrote() {
        secateur_fuzz::bears("model", &[saved().0], |bytes| {
            let Ok(saved) = SavedModel::read(bytes) else { return 0 };
            let Ok(params) = saved.params(&Cpu::default(), &Net) else { return 0 };
            params.iter().map(|p| 4 * p.value().to_vec().len()).sum()
        });
    }
}
