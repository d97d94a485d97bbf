//! The arguments of `compress` and its inverse.

use std::path::PathBuf;

use clap::Args;

use crate::cli::OfRun;
use crate::engine::BitsOf;

/// What `compress --help` ends with.
pub const EXAMPLES: &str = "\
Examples:
  secateur compress runs/mnist-magnitude-weight-1f2e3d4c5b6a
  secateur compress RUN --bits 4                          16 shared values in every layer, zero among them
  secateur compress RUN --bits conv=8,fc=5 --bits 'head*=6' --json -
  secateur compress RUN --epochs 0                        quantise only

Each layer's weights become 2^BITS - 1 shared values by k-means, the shared values are trained on, and Huffman codes of cluster
indices and offsets go into one file (Han, Mao & Dally 2015). `secateur decompress FILE` gives the network back.";

/// What `decompress --help` ends with.
pub const INVERSE_EXAMPLES: &str = "\
Examples:
  secateur decompress runs/mnist-magnitude-weight-1f2e3d4c5b6a/model.compressed
  secateur decompress model.compressed --out model.safetensors";

/// Arguments of `compress`.
#[derive(Debug, Args)]
pub struct CompressArgs {
    /// The run.
    #[command(flatten)]
    pub of: OfRun,
    /// Bits of a cluster's index: for all layers, for a kind (conv=8, fc=5) or by name ('blocks.*=6'); the last word on a
    /// layer holds [default: conv=8,fc=5]
    #[arg(long, value_name = "BITS", value_delimiter = ',')]
    pub bits: Vec<BitsOf>,
    /// Bits of the number of zeros before a weight, told like --bits [default: conv=8,fc=5]
    #[arg(long, value_name = "BITS", value_delimiter = ',')]
    pub offset_bits: Vec<BitsOf>,
    /// Epochs in which the shared values are trained on, with the run's data, loss and batch size
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub epochs: u64,
    /// Learning rate of the shared values [default: a hundredth of the run's train.lr]
    #[arg(long, value_name = "LR", value_parser = learning_rate)]
    pub lr: Option<f64>,
    /// The file to write; RUN/model.compressed unless given
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Write the table of sizes as JSON; `-` for standard output
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

fn learning_rate(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|lr: &f64| *lr > 0.0 && lr.is_finite());
    number.ok_or_else(|| "must be a number above 0".to_owned())
}

/// Arguments of `decompress`.
#[derive(Debug, Args)]
pub struct DecompressArgs {
    /// A file that `compress` wrote
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The file to write; FILE.safetensors unless given
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Replace a file that is there
    #[arg(long)]
    pub force: bool,
}
