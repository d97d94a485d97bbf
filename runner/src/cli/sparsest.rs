//! The arguments of `sparsest`.

use std::num::{NonZeroU64, NonZeroUsize};
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};
use secateur::pruning::sparsest::{Mode, Optimizer};

use super::Layers;

/// What `sparsest search --help` ends with.
const SEARCH: &str = "\
Examples:
  secateur sparsest search experiment/spiral-turn 'model.hidden=[3, 3]' --dry-run
  secateur sparsest search experiment/spiral-turn 'model.hidden=[3, 3]' --accuracy 0.95 --batch 16 --network sparsest.safetensors
  secateur predict sparsest.safetensors --set data.name=cubist-spiral --set data.cubist-spiral.vertices=9

Of the config, [data] and [model] act: the training examples, and the widths up to which networks are searched. Each network has
one output, ReLU and biases, which are free and not counted, and is trained by the options below, not by [train] and [prune].
Networks whose weights all lie on a path from an input to the output are tried, one of those that differ in the order of their
hidden units alone, fewest weights first. The search ends with the first number of weights at which one of them has --accuracy
on the training examples, from any seed. The paper asks for 0.95 and 0.995 (Zhang & Papyan 2024); 1 unless given.

FILE of --state has everything that was found. Start the same command again to go on where a search was stopped: at most some
seconds are lost. The result is the same on any number of threads.";

/// What `sparsest gap --help` ends with.
const GAP: &str = "\
Examples:
  secateur sweep sweep/evidence/sparsest-small
  secateur sparsest gap runs/sparsest-small --minimum sparsest.json

Runs are grouped by all of their settings but how far they prune (schedule, prune.start and the like) and their seeds. Of each
group and initialisation the fewest weights on a path from an input to the output (nnz_effective) count at which the accuracy is
still that of the search; the gap is what is above the search's minimum.";

/// `sparsest ...`
#[derive(Debug, Subcommand)]
pub enum SparsestCommand {
    /// Train every small network that a mask can make, fewest weights first, until one separates the classes
    #[command(after_help = SEARCH)]
    Search(SearchArgs),
    /// How many more weights than the sparsest network pruned ones need, by criterion, width and initialisation
    #[command(after_help = GAP)]
    Gap(GapArgs),
}

/// Arguments of `sparsest search`.
#[derive(Debug, Args)]
pub struct SearchArgs {
    /// Files, or names such as experiment/spiral-turn, later ones win; values, 'model.hidden=[3, 3]'
    #[arg(value_name = "CONFIG|KEY=VALUE|~KEY", value_hint = ValueHint::AnyPath)]
    pub words: Vec<String>,
    /// Set one value, as the word KEY=VALUE does; a comma is part of the value
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub sets: Vec<String>,
    /// Where the search keeps what it has found, and goes on from
    #[arg(long, value_name = "FILE", default_value = "sparsest.json")]
    pub state: PathBuf,
    /// Write the sparsest network as a model.safetensors
    #[arg(long, value_name = "FILE")]
    pub network: Option<PathBuf>,
    /// Begin anew, and replace what the state has
    #[arg(long)]
    pub force: bool,
    /// Count the networks by their weights; train nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Which of them are tried.
    #[command(flatten)]
    pub which: WhichArgs,
    /// How each is trained.
    #[command(flatten)]
    pub training: TrainingArgs,
}

/// Which networks are tried.
#[derive(Debug, Args)]
pub struct WhichArgs {
    /// Begin with networks of so many weights: what is found is a minimum among those
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub from: usize,
    /// Go on for so many numbers of weights after the first at which one separates the classes
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub beyond: usize,
    /// The most networks of one number of weights; where there are more, the search ends and says so
    #[arg(long, value_name = "N", default_value = "1000000")]
    pub most: NonZeroUsize,
    /// An upper bound, in the paper's two phases: widths without a mask first, then masks of the narrowest alone
    #[arg(long)]
    pub structures: bool,
    /// An upper bound: one weight less at a time, going on from the N best
    #[arg(long, value_name = "N", conflicts_with_all = ["structures", "from", "beyond"])]
    pub beam: Option<NonZeroUsize>,
}

/// How each network is trained.
#[derive(Debug, Args)]
pub struct TrainingArgs {
    /// The accuracy on the training examples at which the classes count as separated
    #[arg(long, value_name = "X", default_value_t = 1.0)]
    pub accuracy: f64,
    /// Seeds that each network is trained from; any number of 16 costs what 16 do
    #[arg(long, value_name = "N", default_value = "64")]
    pub seeds: NonZeroUsize,
    /// Steps at most
    #[arg(long, value_name = "N", default_value = "3000")]
    pub steps: NonZeroU64,
    /// Learning rate; falls to zero as half a cosine
    #[arg(long, value_name = "X", default_value_t = 0.02)]
    pub lr: f64,
    /// adam, or momentum, which is gradient descent with momentum 0.9
    #[arg(long, value_name = "NAME", default_value = "adam", value_parser = optimizer)]
    pub optimizer: Optimizer,
    /// Examples of a step; all of them unless given
    #[arg(long, value_name = "N")]
    pub batch: Option<NonZeroUsize>,
}

/// Arguments of `sparsest gap`.
#[derive(Debug, Args)]
pub struct GapArgs {
    /// Folders of finished runs or sweeps
    #[arg(value_name = "DIR", required = true)]
    pub folders: Vec<PathBuf>,
    /// The state of a search, which has the minimum and the accuracy
    #[arg(long, value_name = "FILE")]
    pub minimum: PathBuf,
    /// The accuracy that counts as separated; that of the search unless given
    #[arg(long, value_name = "X")]
    pub accuracy: Option<f64>,
    /// The figure of the runs that it is compared with
    #[arg(long, value_name = "METRIC", default_value = "train_accuracy")]
    pub metric: String,
    /// Write everything as JSON; `-` for standard output
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

impl SearchArgs {
    /// The configuration.
    pub fn layers(&self) -> Layers {
        Layers { words: self.words.clone(), own: Vec::new(), sets: self.sets.clone(), device: None, out: None }
    }
}

impl WhichArgs {
    /// The kind of search.
    pub fn mode(&self) -> Mode {
        match self.beam {
            Some(width) => Mode::Beam(width.get()),
            None if self.structures => Mode::Structures,
            None => Mode::Every,
        }
    }
}

fn optimizer(text: &str) -> Result<Optimizer, String> {
    match text {
        "adam" => Ok(Optimizer::Adam),
        "momentum" => Ok(Optimizer::Momentum),
        _ => Err("allowed: adam, momentum".to_owned()),
    }
}
