//! The arguments of `compare`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::experiments::figures::Kind;

/// What its help ends with.
pub const EXAMPLES: &str = "\
Examples:
  secateur compare runs/mnist-criteria
  secateur compare runs/mnist-criteria --baseline random --html report.html
  secateur compare runs/a runs/b --by train.lr --metric test_loss --json -
  secateur compare runs/methods --figure accuracy.pdf --latex tables.tex
  secateur compare runs/methods --keep methods.jsonl     and later: secateur compare methods.jsonl

Runs that differ in the seed alone form a group. Groups are compared seed by seed: mean difference with its 95 % interval, paired t-test
(both for all comparisons of a table at once), Wilcoxon's signed-rank test, Cohen's d. Runs on other data or of another length are not
compared; --ranks says how settings rank over several data sets.";

/// How intervals are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum IntervalKind {
    /// By Student's t
    T,
    /// By resampling
    Bootstrap,
}

/// Arguments of `compare`.
#[derive(Debug, Args)]
pub struct CompareArgs {
    /// Folders of runs or sweeps, or tables that --keep wrote (they end in .jsonl)
    #[arg(value_name = "DIR", required = true)]
    pub folders: Vec<PathBuf>,
    /// Group by this config key; by all that differ, seeds aside, unless given
    #[arg(long, value_name = "KEY")]
    pub by: Vec<String>,
    /// What to compare: test_accuracy, seconds, validation_accuracy, or any other number of summary.json, by its dotted key
    #[arg(long, value_name = "KEY")]
    pub metric: Option<String>,
    /// Keep of each group the value of this key that is best on validation data: then test data is asked once
    #[arg(long, value_name = "KEY")]
    pub choose: Option<String>,
    /// Differences of less than this do not matter, in points where the metric is a percentage: says better, worse, the
    /// same within it, or undecided and how many more seeds would settle it
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    pub margin: Option<f64>,
    /// How intervals and their probabilities are found: Student's t, or 9999 resamples of the seeds (bias-corrected and accelerated)
    #[arg(long, value_name = "HOW", value_enum, default_value_t = IntervalKind::T)]
    pub interval: IntervalKind,
    /// Rank the settings over the values of this key, data.name unless given: Friedman's test and Nemenyi's critical difference
    #[arg(long, value_name = "KEY", num_args = 0..=1, require_equals = true, default_missing_value = "data.name")]
    pub ranks: Option<String>,
    /// Write the critical-difference picture of the ranks as SVG
    #[arg(long, value_name = "FILE", requires = "ranks")]
    pub ranks_svg: Option<PathBuf>,
    /// The value of the first key that the others are compared with; magnitude, or the first, unless given
    #[arg(long, value_name = "VALUE")]
    pub baseline: Option<String>,
    /// Keep the final figures of all runs that ended as one table of JSON lines, with the claims of their sweep: it can be compared when
    /// the folders are gone
    #[arg(long, value_name = "FILE")]
    pub keep: Option<PathBuf>,
    /// Write one page with tables, charts and every run
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Write everything as JSON; `-` for standard output
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write means and intervals as CSV; `-` for standard output
    #[arg(long, value_name = "FILE")]
    pub csv: Option<PathBuf>,
    /// Write a figure for a paper; the name ends in .svg or .pdf
    #[arg(long, value_name = "FILE")]
    pub figure: Vec<PathBuf>,
    /// What the figure shows; the first of these that there is, unless given
    #[arg(long, value_name = "KIND", requires = "figure")]
    pub plot: Option<Kind>,
    /// Write the tables as LaTeX, for the package booktabs; `-` for standard output
    #[arg(long, value_name = "FILE")]
    pub latex: Option<PathBuf>,
    /// Write tables and sentences as Markdown; `-` for standard output
    #[arg(long, value_name = "FILE")]
    pub markdown: Option<PathBuf>,
}
