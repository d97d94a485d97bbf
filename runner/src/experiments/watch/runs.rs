//! The runs below a folder, and what became of each.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde_json::{Map, Value};

use super::tail::Tail;
use crate::experiments::cluster::{State, state_of};
use crate::experiments::sweep::CELLS;
use crate::run::{CLAIM, CONFIG, EVENTS, SUMMARY, SWEEP};

/// Runs lie in folders of sweeps, and these in one of everything.
const DEPTH: usize = 3;

/// What is looked at.
pub struct Watched {
    /// The folder that was named.
    pub folder: PathBuf,
    /// The runs there, by folder.
    pub runs: BTreeMap<PathBuf, Run>,
    /// Cells of sweeps that have not begun.
    pub waiting: Vec<String>,
}

/// A run.
pub struct Run {
    /// What a person calls it: its cell, or its folder's name.
    pub label: String,
    /// Whose control it is, where it is one: the kind.
    pub control: Option<String>,
    /// What became of it.
    pub state: State,
    /// Its figures.
    pub tail: Tail,
    /// Accuracy on test data, at the end.
    pub test_accuracy: Option<f64>,
    /// When its summary was written, as it was last read: it is not read again.
    settled: Option<SystemTime>,
}

impl Watched {
    /// Everything below a folder, which may be a run's own.
    pub fn new(folder: &Path) -> Self {
        let mut watched = Self { folder: folder.to_owned(), runs: BTreeMap::new(), waiting: Vec::new() };
        watched.look();
        watched
    }

    /// Looks again.
    pub fn look(&mut self) {
        let (mut found, mut cells) = (Vec::new(), Vec::new());
        find(&self.folder, DEPTH, &mut found, &mut cells);
        let there: HashSet<&PathBuf> = found.iter().collect();
        self.runs.retain(|folder, _| there.contains(folder));
        for folder in found {
            self.runs.entry(folder.clone()).or_insert_with(|| Run::new(&folder)).look(&folder);
        }
        let begun: HashSet<(&Path, &str)> = (self.runs.iter())
            .filter(|(_, run)| run.control.is_none())
            .filter_map(|(folder, run)| Some((folder.parent()?, run.label.as_str())))
            .collect();
        let waiting = cells.into_iter().filter(|(sweep, label)| !begun.contains(&(sweep.as_path(), label.as_str())));
        let waiting = waiting.map(|(_, label)| label).collect();
        self.waiting = waiting;
    }

    /// How many there are of each state, in the order in which a cell goes through them.
    pub fn counts(&self) -> Vec<(&'static str, usize)> {
        let mut counts: Vec<_> = ["waiting", "running", "stopped", "failed", "done"].map(|name| (name, 0)).into();
        counts[0].1 = self.waiting.len();
        for run in self.runs.values() {
            if let Some((_, count)) = counts.iter_mut().find(|(name, _)| *name == run.state.name()) {
                *count += 1;
            }
        }
        counts.retain(|(_, count)| *count > 0);
        counts
    }

    /// Seconds until everything that runs, and what waits for it, is done, as fast as it goes now.
    pub fn seconds_left(&self) -> Option<f64> {
        let running: Vec<f64> = self.runs.values().filter_map(Run::seconds_left).collect();
        let longest = running.iter().copied().reduce(f64::max)?;
        let waiting = self.waiting.len() + self.runs.values().filter(|run| matches!(run.state, State::Waiting)).count();
        let took: Vec<f64> = self
            .runs
            .values()
            .filter_map(|run| if let State::Done(seconds) = run.state { seconds } else { None })
            .collect();
        match took.len() {
            _ if waiting == 0 => Some(longest),
            0 => None,
            count => {
                let each = took.iter().sum::<f64>() / count as f64;
                Some((running.iter().sum::<f64>() + each * waiting as f64) / running.len() as f64)
            }
        }
    }
}

impl Run {
    fn new(folder: &Path) -> Self {
        let read = |name: &str| fs::read(folder.join(name)).ok();
        let part: Map<String, Value> =
            read(SWEEP).and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
        let text = |key: &str| part.get(key).and_then(Value::as_str).map(str::to_owned);
        let name = || folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Self {
            label: text("cell").unwrap_or_else(name),
            control: text("control"),
            state: State::Waiting,
            tail: Tail::default(),
            test_accuracy: None,
            settled: None,
        }
    }

    fn look(&mut self, folder: &Path) {
        let written = fs::metadata(folder.join(SUMMARY)).and_then(|about| about.modified()).ok();
        if written.is_some() && written == self.settled {
            return;
        }
        // What it is in a sweep is written once it has begun.
        let Self { label, control, .. } = Self::new(folder);
        (self.label, self.control) = (label, control);
        self.tail.read_on(&folder.join(EVENTS));
        self.state = state_of(folder).0;
        if matches!(self.state, State::Done(_)) {
            self.settled = written;
            let summary = fs::read(folder.join(SUMMARY)).ok();
            let summary: Option<Map<String, Value>> = summary.and_then(|text| serde_json::from_slice(&text).ok());
            self.test_accuracy = summary.and_then(|summary| summary.get("test_accuracy")?.as_f64());
        }
    }

    /// Steps that were made, of how many, where that is known.
    pub fn steps(&self) -> Option<(u64, u64)> {
        let (step, steps) = match &self.state {
            State::Running(held) => (self.tail.step.max(held.beat.step), self.tail.steps.max(held.beat.steps)),
            _ => (self.tail.step, self.tail.steps),
        };
        (steps > 0).then_some((step, steps))
    }

    /// Seconds until it is done, by the pace of the process that has it.
    pub fn seconds_left(&self) -> Option<f64> {
        let State::Running(held) = &self.state else { return None };
        let beat = held.beat;
        let pace = (beat.step > beat.from && beat.seconds > 0.0)
            .then(|| (beat.step - beat.from) as f64 / beat.seconds)
            .filter(|pace| pace.is_finite() && *pace > 0.0)?;
        let (step, steps) = self.steps()?;
        Some(steps.saturating_sub(step) as f64 / pace)
    }

    /// The newest accuracy, and what it is of.
    pub fn accuracy(&self) -> Option<(f64, String)> {
        if let Some(accuracy) = self.test_accuracy {
            return Some((accuracy, "test".to_owned()));
        }
        let held_out = self.tail.accuracy.newest().zip(self.tail.split.map(|split| split.to_string()));
        held_out.or_else(|| Some((self.tail.train_accuracy.newest()?, "training".to_owned())))
    }
}

/// The folders of runs, and the cells of sweeps with the folder of the sweep.
fn find(folder: &Path, depth: usize, runs: &mut Vec<PathBuf>, cells: &mut Vec<(PathBuf, String)>) {
    if [CONFIG, EVENTS, CLAIM].iter().any(|name| folder.join(name).exists()) {
        return runs.push(folder.to_owned());
    }
    if let Ok(text) = fs::read(folder.join(CELLS)) {
        let labels: Vec<String> = serde_json::from_slice(&text).unwrap_or_default();
        cells.extend(labels.into_iter().map(|label| (folder.to_owned(), label)));
    }
    if depth == 0 {
        return;
    }
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let hidden = entry.file_name().to_string_lossy().starts_with('.');
        // Links are not followed: one to a folder above would lead round and round.
        if !hidden && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            find(&entry.path(), depth - 1, runs, cells);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::Claim;

    const START: &str = r#"{"event":"start","step":0,"log":2,"name":"a","steps":40,"steps_per_epoch":10,"examples":100,"params":9,"layers":[]}"#;

    #[test]
    fn cells_fill_as_their_runs_begin_and_end() {
        let out = tempfile::tempdir().unwrap();
        let sweep = out.path().join("s");
        fs::create_dir(&sweep).unwrap();
        fs::write(sweep.join(CELLS), r#"["seed=0", "seed=1", "seed=2"]"#).unwrap();
        let mut watched = Watched::new(out.path());
        assert_eq!((watched.counts(), watched.seconds_left()), (vec![("waiting", 3)], None));
        let run = |name: &str, part: &str| {
            let folder = sweep.join(name);
            fs::create_dir(&folder).unwrap();
            fs::write(folder.join(SWEEP), part).unwrap();
            fs::write(folder.join(EVENTS), format!("{START}\n")).unwrap();
            folder
        };
        let first = run("s-1", r#"{"cell": "seed=0"}"#);
        run("s-2", r#"{"cell": "seed=0", "control": "random"}"#);
        let claim = Claim::take(&first).unwrap();
        claim.begin(0, 40);
        watched.look();
        assert_eq!(watched.counts(), [("waiting", 2), ("running", 1), ("stopped", 1)]);
        assert_eq!(watched.runs[&first].steps(), Some((0, 40)));
        drop(claim);
        let summary = r#"{"status": "finished", "seconds_train": 8.0, "test_accuracy": 0.75}"#;
        fs::write(first.join(SUMMARY), summary).unwrap();
        watched.look();
        assert_eq!(watched.counts(), [("waiting", 2), ("stopped", 1), ("done", 1)]);
        assert_eq!(watched.runs[&first].accuracy(), Some((0.75, "test".to_owned())));
        fs::remove_dir_all(&first).unwrap();
        watched.look();
        assert_eq!(watched.counts(), [("waiting", 3), ("stopped", 1)]);
        assert_eq!(Watched::new(&sweep.join("s-2")).runs.len(), 1, "a run's own folder");
    }
}
