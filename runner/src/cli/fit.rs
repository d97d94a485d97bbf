//! The arguments of `fit`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::OfRun;

/// What `fit autosparse --help` ends with.
const EXAMPLES: &str = "\
Examples:
  secateur run experiment/lottery-lenet-300-100-small --set output.survival=true
  secateur fit autosparse runs/lottery-lenet-300-100-small-1f2e3d4c5b6a --out autosparse.toml
  secateur run experiment/snip-mnist autosparse.toml
  secateur fit autosparse runs/ANOTHER-1f2e3d4c5b6a --beside autosparse.toml --beside criterion/autosparse

The run's initial weights and their gradients are made again, and least squares finds what of them tells how many pruning steps
each weight survived (Liu et al. 2024). FILE is a config: named last, it sets criterion.name to autosparse, with the coefficients
that were found. Coefficients are part of a config and of a run's hash like any other value. --beside says how well coefficients
that were fitted to one network tell the survivors of another one.";

/// `fit ...`
#[derive(Debug, Subcommand)]
pub enum FitCommand {
    /// Learn from a lottery-ticket run which weights survive, for the criterion autosparse
    #[command(after_help = EXAMPLES)]
    Autosparse(AutosparseArgs),
}

impl FitCommand {
    /// The run to learn from.
    pub fn of(&self) -> &OfRun {
        let Self::Autosparse(arguments) = self;
        &arguments.of
    }
}

/// Arguments of `fit autosparse`.
#[derive(Debug, Args)]
pub struct AutosparseArgs {
    /// The run.
    #[command(flatten)]
    pub of: OfRun,
    /// The config to write; its name ends in .toml
    #[arg(short, long, value_name = "FILE", required_unless_present = "beside")]
    pub out: Option<PathBuf>,
    /// A config with the coefficients of another run (or criterion/autosparse): how well they tell this run's survivors;
    /// may be given several times
    #[arg(long, value_name = "CONFIG")]
    pub beside: Vec<String>,
    /// Batches whose gradients are averaged, here and where the config is used
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    pub batches: u64,
    /// Replace a file that is there
    #[arg(long)]
    pub force: bool,
}
