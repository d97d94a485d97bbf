//! Which run is the control of which cell.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use super::keys::{self, Flat};
use crate::experiments::index::Record;
use crate::experiments::ties::Ties;

/// A control's kind, and what it is made from: equal for controls that are the same run.
type Made<'a> = (String, Vec<(&'a str, String)>);

/// Sections that a control without pruning makes alike in all cells.
const PRUNING: [&str; 4] = ["criterion.", "prune.", "schedule.", "grow."];

/// The controls of cells: a run, by the cell and the kind of control. A control is never that of its own run.
#[derive(Clone, Debug, Default)]
pub struct Controls(BTreeMap<(usize, String), usize>);

impl Controls {
    /// Finds them: as the sweep noted them, or the table in which it was kept; else by what a control's summary says of its owner, which shares it with cells
    /// that have none of their own and agree with the owner in everything that makes the control.
    ///
    /// What is said of a folder that holds a copy is said of the run that counts.
    pub fn of(records: &[Record], configs: &[Flat], copies: &[(PathBuf, PathBuf)]) -> Self {
        let mut all = BTreeMap::new();
        let mut places: HashMap<&Path, usize> =
            records.iter().enumerate().map(|(i, record)| (record.folder.as_path(), i)).collect();
        let copies: Vec<(&Path, usize)> =
            copies.iter().filter_map(|(copy, kept)| Some((copy.as_path(), *places.get(kept.as_path())?))).collect();
        places.extend(copies);
        let sweeps: BTreeSet<&Path> = places.keys().filter_map(|folder| folder.parent()).collect();
        for sweep in sweeps {
            Ties::read(sweep).each(|cell, kind, control| {
                let place = |name: &str| places.get(sweep.join(name).as_path()).copied();
                if let (Some(cell), Some(control)) = (place(cell), place(control)) {
                    all.insert((cell, kind.to_owned()), control);
                }
            });
        }
        for (i, record) in records.iter().enumerate() {
            for (kind, name) in &record.controls {
                let control = record.folder.parent().and_then(|sweep| places.get(sweep.join(name).as_path()).copied());
                all.extend(control.map(|control| ((i, kind.clone()), control)));
            }
        }
        let mut shared: HashMap<Made<'_>, usize> = HashMap::new();
        for (i, record) in records.iter().enumerate() {
            let Some(kind) = &record.control else { continue };
            let owner = record.summary.get("control_of").and_then(|of| of.as_str());
            let owner = owner.and_then(|of| Some(*places.get(record.folder.parent()?.join(of).as_path())?));
            if let Some(owner) = owner {
                all.entry((owner, kind.clone())).or_insert(i);
                shared.entry((kind.clone(), made_from(kind, &configs[owner], &records[owner]))).or_insert(i);
            }
        }
        let kinds: BTreeSet<String> = shared.keys().map(|(kind, _)| kind.clone()).collect();
        for (i, record) in records.iter().enumerate().filter(|(_, record)| record.control.is_none()) {
            for kind in kinds.iter().filter(|kind| *kind != "shuffled" && record.status == "finished") {
                if let Some(control) = shared.get(&(kind.clone(), made_from(kind, &configs[i], &records[i]))) {
                    all.entry((i, kind.clone())).or_insert(*control);
                }
            }
        }
        // A random order at the counts of a random order, and one that is shuffled, is the same run, unless something
        // else chooses what grows.
        let itself = |cell: usize, kind: &str| {
            let value = |key: &str| keys::value(&configs[cell], key);
            let grows = value("grow.fraction").parse::<f64>().is_ok_and(|fraction| fraction > 0.0);
            let random =
                value("criterion.name") == "random" && (!grows || value("grow.criterion.name").starts_with("random"));
            ["random", "shuffled"].contains(&kind) && random
        };
        all.retain(|(cell, kind), control| cell != control && !itself(*cell, kind));
        Self(all)
    }

    /// The kinds that there are.
    pub fn kinds(&self) -> BTreeSet<&str> {
        self.0.keys().map(|(_, kind)| kind.as_str()).collect()
    }

    /// The control of a cell.
    pub fn get(&self, cell: usize, kind: &str) -> Option<usize> {
        self.0.get(&(cell, kind.to_owned())).copied()
    }
}

/// What makes a control: what it leaves alone of its owner's config, and, where it has the owner's counts, these.
fn made_from<'a>(kind: &str, config: &'a Flat, record: &Record) -> Vec<(&'a str, String)> {
    let changed = if kind == "unpruned" { &PRUNING[..] } else { &PRUNING[..1] };
    let kept = config.iter().filter(|(key, _)| !changed.iter().any(|section| key.starts_with(section)));
    let mut all: Vec<(&str, String)> = kept.map(|(key, value)| (key.as_str(), value.clone())).collect();
    if kind != "unpruned" {
        let count = |key: &'static str| (key, record.summary.get(key).map_or_else(String::new, ToString::to_string));
        all.extend(["params_kept", "nnz", "units"].map(count));
    }
    all
}
