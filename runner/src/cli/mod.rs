//! The command line.

mod cluster;
mod compare;
mod data;
mod fit;
mod fork;
mod information;
mod layers;
mod network;
mod of_run;
mod plugin_kind;
mod shell;
mod sparsest;
mod watch;
mod wrong;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use network::{compress, export, latency, predict};

pub use cluster::{ClusterArgs, Share};
pub use compare::{CompareArgs, IntervalKind};
pub use data::DataCommand;
pub use fit::{AutosparseArgs, FitCommand};
pub use fork::ForkArgs;
pub use information::{InformationArgs, ToyArgs};
pub use layers::Layers;
pub use network::{CompressArgs, DecompressArgs, ExportArgs, LatencyArgs, OfNetwork, PredictArgs, VerifyArgs};
pub use of_run::OfRun;
pub use plugin_kind::PluginKind;
pub use shell::{CompletionsArgs, ManArgs};
pub use sparsest::{GapArgs, SearchArgs, SparsestCommand};
pub use watch::WatchArgs;
pub use wrong::right_form;

const ABOUT: &str = "Prunes neural networks while they train.";
const EXAMPLES: &str = "\
First steps:
  secateur run experiment/quickstart              a small network, trained and pruned
  secateur config experiment/quickstart           what that run was told, and which file said so
  secateur plugins show criterion                 the criteria to choose from
  secateur run experiment/quickstart criterion=random seed=1
  secateur sweep experiment/quickstart criterion=contribution-rank,random seed=0,1,2";

const CONFIGS: &str = "\
A CONFIG is a file (it ends in .toml) or a name such as `experiment/mnist-rank`: that is ./configs/experiment/mnist-rank.toml,
or the copy inside the program. Beside configs stand
  criterion=taylor       a config of a group (a folder of configs/: model, criterion, schedule, data, ...), a file, or a plugin
  train.lr=0.1           one value, as --set has it
  train.lr=0.1,0.01      with `sweep`: an axis; criterion=taylor,random and seed=0,1,2 too
  ~train.clip_norm       what configs say about a key is taken back: its default holds
Weakest to strongest: defaults, base, what a config `extends` (in the order of its list, each after what it extends itself), the
config, later configs, groups of the command line, SECATEUR_* variables (SECATEUR_TRAIN__LR=0.05), --set, single values.
In files \"${train.epochs}\" is the value of another key, and \"???\" one that must be given.";

const RUN_EXAMPLES: &str = "\
Examples:
  secateur run experiment/mnist-rank data.dir=DIR
  secateur run experiment/mnist-rank criterion=taylor mine.toml 'model.hidden=[100, 50]' train.lr=0.05
  SECATEUR_SEED=3 secateur run experiment/quickstart --out elsewhere
  secateur run --resume runs/mnist-rank-1f2e3d4c            go on where Ctrl-C or a crash ended it

The results are in OUT/NAME-HASH, where HASH stands for everything that can change them: open report.html there.
Ctrl-C, TERM, HUP, USR1 and USR2 finish the step and leave a checkpoint; a second Ctrl-C, a second later, ends at once.
Exit code: 0 finished, 1 the run failed, 2 the command line or a config is wrong, 128 + N where signal N stopped it (130 Ctrl-C).";

const SWEEP: &str = "\
The [sweep] section of a config:
  seeds = 5                                   seeds 0 to 4, or a list
  [sweep.axes]                                every combination of these is a cell
  criterion = [\"criterion/magnitude\", \"mine.toml\"]   whole groups, by name or file
  train.lr = [0.1, 0.01]                      any key
  zip = [[\"train.lr\", \"train.epochs\"]]      axes that advance together
  [[sweep.when]]                              axes or values for some cells only
  if = { criterion.name = \"contribution-rank\" }
  axes = { criterion.lambda1 = [0.0, 1.0] }
  [[sweep.exclude]]                           cells to leave out
  criterion.name = \"random\"
  train.lr = 0.01
  [sweep.search]                              in place of axes: settings proposed by what earlier ones came to
  space.train.lr = { low = 1e-3, high = 0.3, log = true }   a range, or a list of choices
  fork = { at = \"prune:3\" }                  cells leave one run before its third pruning step (secateur fork --help)
  controls = []                               no controls (default: random, shuffled, small-dense, unpruned)";

const SWEEP_EXAMPLES: &str = "\
Examples:
  secateur sweep sweep/mnist-criteria-small --dry-run     the cells, and how long they will take
  secateur sweep sweep/mnist-criteria-small
  secateur sweep experiment/quickstart criterion=magnitude,random train.lr=0.1,0.05 sweep.seeds=5

  secateur sweep mine.toml --task 3/8                     a share of it, in any scheduler's job
  secateur sweep mine.toml --slurm -- --partition=gpu     submit what is missing to Slurm
  secateur sweep mine.toml --status

The cells are run folders in OUT/NAME. Stop with ctrl-C, and start again with the same command.
Exit code: 0 all cells finished (or another process has them, or they failed before and are not tried again),
1 some failed, 2 the command line or a config is wrong, 128 + N where signal N stopped it with cells left.";

const CONFIG_EXAMPLES: &str = "\
Examples:
  secateur config experiment/mnist-rank                     each value, and the layer that set it
  secateur config experiment/mnist-rank --plain > my.toml   a complete config to start from
  secateur config sweep/mnist-criteria                      what all its cells share, and its axes
  secateur config experiment/mnist-rank --diff experiment/mnist-random train.lr=0.05";

/// Parsed arguments.
#[derive(Debug, Parser)]
#[command(name = "secateur", version, about = ABOUT, after_help = EXAMPLES, propagate_version = true)]
#[command(disable_help_subcommand = true, max_term_width = 120)]
pub struct Cli {
    /// Print only results and errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Print more; twice for everything
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// Load the plugins of a library, of every library in a folder, or a criterion in Python; may be given several
    /// times
    #[arg(long = "plugin", value_name = "FILE", global = true)]
    pub plugins: Vec<PathBuf>,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Train, prune and measure a network as the configs say
    #[command(after_help = RUN_EXAMPLES, after_long_help = format!("{CONFIGS}\n\n{RUN_EXAMPLES}"))]
    Run(RunArgs),
    /// Run every cell of a grid, several at a time; finished cells are left alone when it is run again
    #[command(after_help = SWEEP_EXAMPLES, after_long_help = format!("{SWEEP}\n\n{CONFIGS}\n\n{SWEEP_EXAMPLES}"))]
    Sweep(SweepArgs),
    /// Say which setting is better, by how much, how sure that is, and at what cost
    #[command(after_help = compare::EXAMPLES)]
    Compare(CompareArgs),
    /// Go on from a run's state at one of its steps, with other settings: several, side by side, from one state
    #[command(after_help = fork::EXAMPLES)]
    Fork(ForkArgs),
    /// Follow runs and sweeps while they go on: a page on this machine, or the terminal
    #[command(after_help = watch::EXAMPLES)]
    Watch(WatchArgs),
    /// Show a saved network examples: accuracy and loss, or what it says of each
    #[command(after_help = predict::EXAMPLES)]
    Predict(PredictArgs),
    /// Compute the figures of a finished run again from its saved network, and compare
    #[command(after_help = predict::VERIFY_EXAMPLES)]
    Verify(VerifyArgs),
    /// Write a network for other programs, and check what was written
    #[command(after_help = export::EXAMPLES)]
    Export(ExportArgs),
    /// Time a saved network on this machine, beside the same one before it was pruned, or another
    #[command(after_help = latency::EXAMPLES)]
    Latency(LatencyArgs),
    /// Compress the network of a finished run: shared weights, trained on, in one Huffman-coded file
    #[command(after_help = compress::EXAMPLES)]
    Compress(CompressArgs),
    /// Make a model.safetensors of a compressed network
    #[command(after_help = compress::INVERSE_EXAMPLES)]
    Decompress(DecompressArgs),
    /// Bound what masks tell of the data that made them, and count effective parameters
    #[command(after_help = information::EXAMPLES)]
    Information(InformationArgs),
    /// Search for the sparsest network that separates two classes, and measure how far pruned ones are from it
    #[command(subcommand)]
    Sparsest(SparsestCommand),
    /// Learn something from finished runs that others can use
    #[command(subcommand)]
    Fit(FitCommand),
    /// Print the resolved config, each value with the layer that set it
    #[command(after_help = CONFIG_EXAMPLES, after_long_help = format!("{CONFIGS}\n\n{CONFIG_EXAMPLES}"))]
    Config(ConfigArgs),
    /// What can be chosen as criterion, schedule, compressor, model or data set
    #[command(subcommand)]
    Plugins(PluginsCommand),
    /// The data sets: where they are looked for, and how to get them
    #[command(subcommand)]
    Data(DataCommand),
    /// Print what makes a shell complete commands, configs and keys
    #[command(after_help = shell::COMPLETION_EXAMPLES)]
    Completions(CompletionsArgs),
    /// Print the manual page, or write one for each command
    #[command(after_help = shell::MAN_EXAMPLES)]
    Man(ManArgs),
}

/// Arguments of `run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// The configuration.
    #[command(flatten)]
    pub layers: Layers,
    /// Run again although the same run finished before, and replace its results
    #[arg(long)]
    pub force: bool,
    /// Go on with an interrupted run from its checkpoint; without CONFIG, as its folder says
    #[arg(long, value_name = "DIR", conflicts_with = "force")]
    pub resume: Option<PathBuf>,
    /// Go on although the data, the program's build or the processor's vector instructions are not those of the
    /// checkpoint
    #[arg(long, requires = "resume")]
    pub accept_changed: bool,
}

impl RunArgs {
    /// The layers, or those of the run that is resumed where none were named.
    pub fn layers(&self) -> Layers {
        let own = |dir: &PathBuf| dir.join("config.toml").to_string_lossy().into_owned();
        let own = if self.layers.names_configs() { Vec::new() } else { self.resume.iter().map(own).collect() };
        Layers { own, ..self.layers.clone() }
    }
}

/// Arguments of `sweep`.
#[derive(Debug, Args)]
pub struct SweepArgs {
    /// The configuration.
    #[command(flatten)]
    pub layers: Layers,
    /// How its cells are run.
    #[command(flatten)]
    pub how: HowArgs,
    /// Many processes.
    #[command(flatten)]
    pub cluster: ClusterArgs,
}

/// How the cells of a sweep, or the forks of a run, are run.
#[derive(Debug, Args)]
pub struct HowArgs {
    /// List the cells and estimate the time; run nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Try cells again whose failure would come again, such as a loss that became NaN; other failures always are
    #[arg(long)]
    pub retry_failed: bool,
    /// Runs at a time; one for each core (divided by `threads`, where that is set) unless given
    #[arg(long, value_name = "N")]
    pub jobs: Option<std::num::NonZeroUsize>,
    /// Go on with cells that another build of the program began, or a processor with other vector instructions
    #[arg(long)]
    pub accept_changed: bool,
}

/// Arguments of `config`.
#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// The configuration.
    #[command(flatten)]
    pub layers: Layers,
    /// As TOML without origins: a complete config file
    #[arg(long, conflicts_with = "json")]
    pub plain: bool,
    /// As JSON: config, origins, and the name of the run's folder
    #[arg(long)]
    pub json: bool,
    /// What another config says otherwise: its CONFIGs, KEY=VALUEs and ~KEYs; flags hold for both
    #[arg(long, value_name = "CONFIG", num_args = 1.., conflicts_with = "plain")]
    pub diff: Vec<String>,
}

/// `plugins ...`
#[derive(Debug, Subcommand)]
pub enum PluginsCommand {
    /// All plugins, by kind
    List,
    /// The options of a plugin, of every plugin of a kind, or the keys of a config section
    Show {
        /// A plugin (magnitude, criterion/magnitude), a kind (criterion) or a section (train, prune, data)
        name: String,
    },
    /// Every section, key and plugin as one page of Markdown
    Reference,
    /// Write a crate with a working plugin, to start from
    New {
        /// Its name, in lower case with dashes: my-criterion
        name: String,
        /// What it is
        #[arg(long)]
        kind: PluginKind,
        /// The folder `framework` of a checkout to depend on; where absent, the one this program was built from, or the
        /// repository
        #[arg(long, value_name = "DIR")]
        framework: Option<PathBuf>,
    },
    /// Check that a plugin does what every plugin must; exit code 1 if not
    Check {
        /// A library's file, a criterion in Python, or the name of a plugin (magnitude, criterion/magnitude)
        plugin: String,
        /// Set one of its options: norm=l2
        #[arg(long = "set", value_name = "KEY=VALUE")]
        sets: Vec<String>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }
}
