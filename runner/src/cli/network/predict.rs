//! The arguments of `predict` and `verify`.

use std::path::PathBuf;

use clap::Args;
use secateur::data::SplitName;

use super::OfNetwork;
use crate::cli::OfRun;

/// What `predict --help` ends with.
pub const EXAMPLES: &str = "\
Examples:
  secateur predict runs/mnist-rank-1f2e3d4c5b6a                          accuracy and loss on the run's test split
  secateur predict RUN --split validation
  secateur predict RUN --csv predictions.csv                             example, class, probability, and the class by the data
  secateur predict RUN/model.safetensors --data photos --jsonl -         images of a folder; logits too
  secateur predict network.safetensors --set data.name=mnist --set data.dir=DIR

Inputs are normalised as those that the network was trained on, whatever the data. Examples are named by their files, or by their
position in the data set, from 0.";

/// What `verify --help` ends with.
pub const VERIFY_EXAMPLES: &str = "\
Examples:
  secateur verify runs/mnist-rank-1f2e3d4c5b6a
  secateur verify RUN --device cuda:0 --within 0.001      another device adds up in another order
  secateur verify RUN --json -

Everything is computed again from RUN/model.safetensors and the data: accuracy and loss on the test split, sparsity, parameters,
multiplications. Exit code: 0 it is what summary.json says, 1 it is not.";

/// Arguments of `predict`.
#[derive(Debug, Args)]
pub struct PredictArgs {
    /// The network, and the data.
    #[command(flatten)]
    pub of: OfNetwork,
    /// The part of the data: train, validation or test [default: test; of a folder of images test where it is there, else
    /// all]
    #[arg(long, value_name = "SPLIT", value_parser = split)]
    pub split: Option<SplitName>,
    /// Write each prediction as a line of CSV; `-` for standard output
    #[arg(long, value_name = "FILE")]
    pub csv: Option<PathBuf>,
    /// Write each prediction as a line of JSON, with the logits; `-` for standard output
    #[arg(long, value_name = "FILE")]
    pub jsonl: Option<PathBuf>,
}

/// Arguments of `verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// The run.
    #[command(flatten)]
    pub of: OfRun,
    /// How far accuracy may be off, and the loss as a fraction of itself [default: accuracy 0, loss 0.00001]
    #[arg(long, value_name = "X", value_parser = fraction)]
    pub within: Option<f64>,
    /// Write both columns as JSON; `-` for standard output
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

fn split(text: &str) -> Result<SplitName, String> {
    let found = SplitName::ALL.into_iter().find(|split| split.to_string() == text);
    found.ok_or_else(|| "must be train, validation or test".to_owned())
}

fn fraction(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|x: &f64| (0.0..1.0).contains(x));
    number.ok_or_else(|| "must be a number from 0 to below 1".to_owned())
}
