//! The arguments of `fork`.

use std::path::PathBuf;

use clap::Args;

use super::HowArgs;

pub const EXAMPLES: &str = "\
Examples:
  secateur fork runs/mnist-rank-1f2e3d4c --at prune:3 --set criterion.name=contribution-rank,magnitude,random
  secateur fork runs/s/*-* --at epoch:20 --set train.lr=0.1,0.01 --set schedule.to=0.8     one run for each seed
  secateur compare runs/mnist-rank-at-prune-3

PLACE is `prune:N` for the pruning step N, the first one that the new settings make; `epoch:N` after N epochs; `step:N` before
the step N, from 0. Every combination of the values goes on from the state there, on the same batches in the same order. Where
the run left no checkpoint of that step, it is repeated up to it, once for all of them.

The forks are run folders in OUT/NAME-at-PLACE. Stop with ctrl-C, and start again with the same command.";

/// Arguments of `fork`.
#[derive(Debug, Args)]
pub struct ForkArgs {
    /// Folders of runs, finished or not; of several, each is forked
    #[arg(value_name = "RUN", required = true)]
    pub runs: Vec<PathBuf>,
    /// Where: prune:3, epoch:5 or step:340
    #[arg(long, value_name = "PLACE")]
    pub at: String,
    /// What goes on otherwise, one value or several with commas between them: criterion.name=magnitude,random
    #[arg(long = "set", value_name = "KEY=VALUE,...")]
    pub sets: Vec<String>,
    /// The folder that holds the folder of the forks; the one that holds the run's, unless given
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// How they are run.
    #[command(flatten)]
    pub how: HowArgs,
}
