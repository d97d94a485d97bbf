//! The kinds of plugin that can be begun from the command line.

use clap::ValueEnum;

/// What a plugin can be.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum PluginKind {
    /// Scores weights or units
    Criterion,
    /// Says when, and how much
    Schedule,
    /// Makes fewer tokens
    Compressor,
    /// A network
    Model,
    /// A data set
    Data,
}
