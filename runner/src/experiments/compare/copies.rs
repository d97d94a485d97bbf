//! Runs that are in several folders: each counts once.

use std::collections::HashMap;
use std::path::PathBuf;

use rayon::prelude::*;
use serde_json::Value;

use super::keys::{self, Flat};
use crate::experiments::index::Record;

/// What a run finds, whatever the machine is busy with.
const RESULTS: [&str; 4] = ["test_accuracy", "test_loss", "sparsity", "params_kept"];

/// Runs, each in one folder.
#[derive(Debug, Default)]
pub struct Once {
    /// The runs, by folder.
    pub records: Vec<Record>,
    /// Their configs.
    pub configs: Vec<Flat>,
    /// Folders that do not count, each with the one that does.
    pub copies: Vec<(PathBuf, PathBuf)>,
    /// How many these are, and which of them should not be.
    pub notes: Vec<String>,
}

/// Keeps one folder of each run, and says how many others there are. A run is told by its config, its seed among it, and
/// by what it is a control of; the same run always gives the same results, so that other results are worth a note.
pub fn once(mut records: Vec<Record>) -> Once {
    let mut kept: HashMap<(Flat, Option<String>), usize> = HashMap::new();
    let mut once = Once::default();
    // A finished one stands for one that failed, this version's for another's, then the first by name.
    let here = env!("CARGO_PKG_VERSION");
    records.sort_by_key(|record| (record.status != "finished", record.version != here));
    let configs: Vec<Flat> = records.par_iter().map(|record| keys::flat(&record.config)).collect();
    for (record, config) in records.into_iter().zip(configs) {
        let run = (config, record.control.clone());
        let Some(first) = kept.get(&run) else {
            kept.insert(run, once.records.len());
            once.records.push(record);
            continue;
        };
        let first = &once.records[*first];
        let results = |record: &Record| RESULTS.map(|key| record.summary.get(key).and_then(Value::as_f64));
        if record.status == first.status && results(&record) != results(first) {
            let (one, other) = (first.folder.display(), record.folder.display());
            once.notes.push(format!("{one} and {other} have one config and different results: the first counts"));
        }
        once.copies.push((record.folder, first.folder.clone()));
    }
    match once.copies.len() {
        0 => {}
        1 => once.notes.push("1 folder holds a copy of another's run: it counts once".to_owned()),
        copies => once.notes.push(format!("{copies} folders hold copies of others' runs: each run counts once")),
    }
    let mut configs: Vec<(usize, Flat)> = kept.into_iter().map(|((config, _), place)| (place, config)).collect();
    configs.sort_by_key(|(place, _)| *place);
    let mut all: Vec<(Record, Flat)> =
        once.records.into_iter().zip(configs.into_iter().map(|(_, config)| config)).collect();
    all.sort_by(|(a, _), (b, _)| a.folder.cmp(&b.folder));
    (once.records, once.configs) = all.into_iter().unzip();
    once
}
