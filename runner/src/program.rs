//! What the command line needs from the framework: the plugins, the data sets, and the training of a run.

use serde_json::{Map, Value};
use toml::Table;

use crate::config::Resolved;
use crate::config::catalog::Catalog;
use crate::failure::Failure;
use crate::recorder::Recorder;
use crate::run_dir::Saved;

/// A data set that can be named in `data.name`.
#[derive(Clone, Debug)]
pub struct DataSet {
    /// `mnist`.
    pub name: String,
    /// What it is, in one sentence.
    pub doc: String,
    /// How to get it; empty for one that is generated.
    pub how_to_get: String,
}

/// Something that took part in a run, for `provenance.toml`.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Part {
    /// `criterion`, `model`.
    pub kind: String,
    /// `magnitude`.
    pub name: String,
    /// The crate or file it comes from, with its version.
    pub origin: String,
    /// Whether it is part of the program, not of a library that a config names.
    #[serde(skip)]
    pub linked: bool,
}

/// What a run leaves.
#[derive(Clone, Debug)]
pub struct Trained {
    /// The final figures.
    pub summary: Map<String, Value>,
    /// The pruned network, as safetensors.
    pub model: Vec<u8>,
}

/// A plugin, and what was found about it.
pub type Checked = (String, Vec<secateur::plugins::conformance::CheckRow>);

/// The framework, seen from the command line.
pub trait Program: Catalog {
    /// All data sets.
    fn data_sets(&self) -> Vec<DataSet>;
    /// Finds and reads the data set of a checked `[data]` section; a report for a person.
    ///
    /// # Errors
    /// It is not there, or not what it should be.
    fn check_data(&self, data: &Table, seed: u64) -> Result<String, Failure>;
    /// Runs the conformance kit on the plugins of a library's file, or on those of a name, with these options.
    ///
    /// # Errors
    /// There is no such file or plugin.
    fn check_plugins(&self, wanted: &str, sets: &[String]) -> Result<Vec<Checked>, Failure>;
    /// The plugins that a config chooses.
    fn parts(&self, config: &Resolved) -> Vec<Part>;
    /// Trains, prunes and measures, from a checkpoint on where one is given, and records every event.
    ///
    /// # Errors
    /// Whatever ends the run early.
    fn train(&self, config: &Resolved, from: Option<&Saved>, recorder: &mut Recorder<'_>) -> Result<Trained, Failure>;
}
