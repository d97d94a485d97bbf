//! The arguments of `information`.

use std::num::{NonZeroU64, NonZeroUsize};
use std::path::PathBuf;

use clap::Args;
use secateur::information::toy::{Draw, Pruner};

/// What its help ends with.
pub const EXAMPLES: &str = "\
Examples:
  secateur information runs/memorisation
  secateur information runs/memorisation --repeats seeds.order --json bits.json
  secateur information --toy
  secateur information --toy --draw distinct --nnz 4,7,12 --pruners imp,snip --inits 0,1,2,3,4

Runs that differ in the seed of their data alone form a group: hold the initialisation with seeds.init, seeds.order and seeds.pruner,
and let seeds.data or seeds.split differ. All figures are in bits; the effective parameter count is the number of weights kept with
the information added to it, as its authors have it (Kumar, Luo & Sellke 2024). No file is written but that of --json.";

/// Arguments of `information`.
#[derive(Debug, Args)]
pub struct InformationArgs {
    /// Folders of finished runs or sweeps, whose saved networks have the masks
    #[arg(value_name = "DIR", required_unless_present = "toy", conflicts_with = "toy")]
    pub folders: Vec<PathBuf>,
    /// Runs that differ in this key are repetitions with the same data, such as seeds.order; may be given several times
    #[arg(long, value_name = "KEY", conflicts_with = "toy")]
    pub repeats: Vec<String>,
    /// Write everything as JSON; `-` for standard output
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// The exact information of a network 3-4-1 that is trained on every data set there is
    #[arg(long)]
    pub toy: bool,
    /// How the toy is trained.
    #[command(flatten)]
    pub training: ToyArgs,
}

/// How the toy is trained and pruned.
#[derive(Debug, Args)]
#[group(requires = "toy", conflicts_with = "folders", multiple = true)]
pub struct ToyArgs {
    /// Toy: points of a data set, corners of a cube with labels of +-1
    #[arg(long, value_name = "N", default_value_t = 6)]
    pub points: usize,
    /// Toy: `independent` draws of points and labels, a point may come twice; or `distinct` points
    #[arg(long, value_name = "HOW", default_value = "independent", value_parser = draw)]
    pub draw: Draw,
    /// Toy: seeds of the initialisation, each a network of its own
    #[arg(long, value_name = "SEED", default_value = "0,1,2", value_delimiter = ',')]
    pub inits: Vec<u64>,
    /// Toy: steps of gradient descent before every pruning
    #[arg(long, value_name = "N", default_value = "1000")]
    pub steps: NonZeroU64,
    /// Toy: learning rate
    #[arg(long, value_name = "X", default_value_t = 0.05)]
    pub lr: f64,
    /// Toy: how many of the 21 parameters are kept
    #[arg(long, value_name = "N", default_value = "7", value_delimiter = ',')]
    pub nnz: Vec<NonZeroUsize>,
    /// Toy: fraction of the parameters left that goes in a round of iterative magnitude pruning
    #[arg(long, value_name = "X", default_value_t = 0.2)]
    pub rate: f64,
    /// Toy: imp, magnitude, snip, grasp, synflow, random
    #[arg(long, value_name = "NAME", value_delimiter = ',', value_parser = pruner)]
    pub pruners: Vec<Pruner>,
    /// Toy: seed of the pruner `random`
    #[arg(long, value_name = "SEED", default_value_t = 0)]
    pub pruner_seed: u64,
    /// Toy: data sets that are drawn to show what an experiment with so many would estimate; 0 for none
    #[arg(long, value_name = "K", default_value_t = 256)]
    pub sample: usize,
}

fn draw(text: &str) -> Result<Draw, String> {
    match text {
        "independent" => Ok(Draw::Independent),
        "distinct" => Ok(Draw::Distinct),
        _ => Err("allowed: independent, distinct".to_owned()),
    }
}

fn pruner(text: &str) -> Result<Pruner, String> {
    let known = || Pruner::ALL.map(Pruner::name).join(", ");
    Pruner::ALL.into_iter().find(|pruner| pruner.name() == text).ok_or_else(|| format!("allowed: {}", known()))
}
