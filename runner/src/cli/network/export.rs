//! The arguments of `export`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::Args;

use super::OfNetwork;
use crate::output::Format;

/// What `export --help` ends with.
pub const EXAMPLES: &str = "\
Examples:
  secateur export runs/mnist-rank-1f2e3d4c5b6a --format torch           network.py, of plain torch.nn, and network.bin
  secateur export RUN --format onnx --out small.onnx
  secateur export RUN --format onnx --with-preprocessing                takes what the data stores: 0 to 255 of images
  secateur export RUN/best.safetensors --format safetensors --out best.pt.safetensors

Units that were cut out are gone from every shape, and pruned weights are zero. What was written is read again, and must give the
network's outputs on held-out examples to 1e-5 of the largest; where the Python at hand (SECATEUR_PYTHON, the active environment,
python3) has PyTorch or onnxruntime, that must too. Else nothing is left.";

/// Arguments of `export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// The network, and the data that it is checked with.
    #[command(flatten)]
    pub of: OfNetwork,
    /// torch, onnx or safetensors
    #[arg(long, value_name = "FORMAT", value_parser = format)]
    pub format: Format,
    /// The file to write; network.py, network.onnx or network.safetensors beside the network, unless given. torch writes
    /// the weights beside it, under the same name with .bin
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Normalise in the graph, so that it takes values as the data stores them (onnx)
    #[arg(long)]
    pub with_preprocessing: bool,
    /// Held-out examples to check what was written with
    #[arg(long, value_name = "N", default_value = "8")]
    pub examples: NonZeroUsize,
    /// Replace files that are there
    #[arg(long)]
    pub force: bool,
}

fn format(text: &str) -> Result<Format, String> {
    let found = Format::ALL.into_iter().find(|format| format.to_string() == text);
    found.ok_or_else(|| "must be torch, onnx or safetensors".to_owned())
}
