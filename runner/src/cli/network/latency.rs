//! The arguments of `latency`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::Args;

/// What `latency --help` ends with.
pub const EXAMPLES: &str = "\
Examples:
  secateur latency runs/mnist-rank-1f2e3d4c5b6a                       beside the same network before anything was pruned
  secateur latency RUN --vs OTHER --batch 1,128 --threads 1,2
  secateur latency RUN --json -

Both networks run in turns; each line has the median of many readings, and between what the middle half of them lies. Weights
that are masked take as long as others: what is faster has fewer units.";

/// Arguments of `latency`.
#[derive(Debug, Args)]
pub struct LatencyArgs {
    /// The folder of a finished run, or a model.safetensors
    #[arg(value_name = "MODEL")]
    pub model: PathBuf,
    /// Another network, in place of the same one before anything was pruned
    #[arg(long, value_name = "MODEL")]
    pub vs: Option<PathBuf>,
    /// Examples in a batch; several, one after the other
    #[arg(long, value_name = "N,...", value_delimiter = ',', default_value = "1,128")]
    pub batch: Vec<NonZeroUsize>,
    /// Threads, 0 for one for each core; several, one after the other [default: the run's]
    #[arg(long, value_name = "N,...", value_delimiter = ',')]
    pub threads: Vec<usize>,
    /// Where to compute: cpu, or cuda:N; where the run did, unless given
    #[arg(long, value_name = "DEVICE")]
    pub device: Option<String>,
    /// Write the figures as JSON; `-` for standard output
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}
