//! What became of a sweep's cells, as their folders tell it.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use rayon::prelude::*;
use serde_json::{Map, Value};

use crate::config::Layer;
use crate::engine::Workbench;
use crate::experiments::index::seconds;
use crate::experiments::sweep::{Facts, SweepPlan, fails_again};
use crate::failure::Failure;
use crate::run::{Damage, Held, JOB, STEP, paused_after, read_summary};

/// A cell, or a control of one.
pub struct Entry {
    /// What a person calls it.
    pub label: String,
    /// The cell, by its number in the plan; a control's is the first one that it belongs to.
    pub cell: usize,
    /// The name of its folder.
    pub run: String,
    /// Whether it is a control.
    pub control: bool,
    /// The scheduler's job that ran it last, where one did.
    pub job: Option<String>,
    /// What became of it.
    pub state: State,
}

/// What became of a run.
pub enum State {
    /// It is finished, and took so many seconds.
    Done(Option<f64>),
    /// A process has it.
    Running(Box<Held>),
    /// It was begun, and nobody goes on with it; how many steps were made, where that is known.
    Stopped(Option<u64>),
    /// It ended with an error, which would come again where the second value says so.
    Failed(String, bool),
    /// It has not begun.
    Waiting,
}

/// Looks at all cells of a plan, and at the controls of those that are finished: the others are not known yet.
///
/// # Errors
/// A cell that cannot be resolved; data that is not here.
pub fn look(plan: &SweepPlan, workbench: &Workbench) -> Result<Vec<Entry>, Failure> {
    let numbers: Vec<usize> = (0..plan.cells.len()).collect();
    let found: Vec<(Entry, Vec<(String, String)>)> =
        numbers.par_iter().map(|cell| of_cell(plan, *cell, workbench)).collect::<Result<_, Failure>>()?;
    let mut known: HashSet<String> = found.iter().map(|(entry, _)| entry.run.clone()).collect();
    let (mut cells, mut controls) = (Vec::new(), Vec::new());
    for (entry, own) in found {
        for (label, run) in own {
            if known.insert(run.clone()) {
                controls.push(at(&plan.folder, label, entry.cell, run, true));
            }
        }
        cells.push(entry);
    }
    cells.extend(controls);
    Ok(cells)
}

/// A cell, and the label and the folder of each of its controls where they are known.
fn of_cell(plan: &SweepPlan, number: usize, workbench: &Workbench) -> Result<(Entry, Vec<(String, String)>), Failure> {
    let (cell, own) = (&plan.cells[number], Layer::default());
    let config = plan.run_of(cell, None, &own, workbench)?;
    let mut entry = at(&plan.folder, plan.label(cell), number, config.folder_name(), false);
    // In a search a cell may be done with before its end.
    let epochs = plan.leg().and_then(|leg| leg.epochs);
    if epochs.is_some_and(|epochs| paused_after(&plan.folder.join(&entry.run)) >= Some(epochs)) {
        entry.state = State::Done(None);
        return Ok((entry, Vec::new()));
    }
    if !matches!(entry.state, State::Done(_)) || plan.controls().is_empty() {
        return Ok((entry, Vec::new()));
    }
    let facts = match Facts::read(&plan.folder.join(&entry.run)) {
        Ok(facts) => facts,
        Err(damage) => {
            entry.state = State::Failed(damage.message().to_owned(), false);
            return Ok((entry, Vec::new()));
        }
    };
    let controls = plan.controls_of(number, &config, &facts, &own, workbench)?;
    let label = |name: &str| format!("control {name} of {}", entry.label);
    let all = controls.iter().map(|(control, _, run)| (label(control.name()), run.folder_name())).collect();
    Ok((entry, all))
}

fn at(sweep: &Path, label: String, cell: usize, run: String, control: bool) -> Entry {
    let (state, job) = state_of(&sweep.join(&run));
    Entry { label, cell, run, control, job, state }
}

/// What a run's folder says, and which job wrote it.
pub fn state_of(folder: &Path) -> (State, Option<String>) {
    let text = |summary: &Map<String, Value>, key: &str| summary.get(key).and_then(Value::as_str).map(str::to_owned);
    let summary = read_summary(folder);
    let held = Held::read(folder).filter(|held| !held.is_dead());
    match (summary, held) {
        (Ok(Some(summary)), _) if summary.get("status").is_some_and(|status| status == "finished") => {
            (State::Done(seconds(&summary)), text(&summary, JOB))
        }
        (_, Some(held)) => {
            let job = held.owner.as_ref().and_then(|owner| owner.job.clone());
            (State::Running(Box::new(held)), job)
        }
        (Ok(Some(summary)), None) => {
            let job = text(&summary, JOB).or_else(|| noted_job(folder));
            let failed = summary.get("status").is_some_and(|status| status == "failed");
            let error = text(&summary, "error").unwrap_or_default();
            let step = summary.get(STEP).and_then(Value::as_u64);
            let state = if failed { State::Failed(error, fails_again(folder).is_some()) } else { State::Stopped(step) };
            (state, job)
        }
        (Err(Damage { file, reason }), None) => (State::Failed(format!("{file}: {reason}"), false), noted_job(folder)),
        // A process that was killed leaves no word.
        (Ok(None), None) if folder.join(crate::run::EVENTS).exists() => (State::Stopped(None), noted_job(folder)),
        (Ok(None), None) => (State::Waiting, None),
    }
}

/// The job that a sweep noted before the run began.
fn noted_job(folder: &Path) -> Option<String> {
    let text = std::fs::read(folder.join(crate::run::SWEEP)).ok()?;
    let part: Map<String, Value> = serde_json::from_slice(&text).ok()?;
    part.get(JOB)?.as_str().map(str::to_owned)
}

/// How many there are of each state, by its name.
pub fn counts(entries: &[Entry]) -> HashMap<&'static str, usize> {
    let mut counts = HashMap::new();
    entries.iter().for_each(|entry| *counts.entry(entry.state.name()).or_insert(0) += 1);
    counts
}

impl State {
    /// What a person calls it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Done(_) => "done",
            Self::Running(_) => "running",
            Self::Stopped(_) => "stopped",
            Self::Failed(..) => "failed",
            Self::Waiting => "waiting",
        }
    }

    /// Whether somebody must still run it, if nobody is about to.
    pub fn is_open(&self) -> bool {
        matches!(self, Self::Stopped(_) | Self::Waiting | Self::Failed(_, false))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::Claim;
    use std::fs;

    #[test]
    fn a_folder_says_what_became_of_its_run() {
        let sweep = tempfile::tempdir().unwrap();
        let run = sweep.path().join("r");
        let name = || state_of(&run).0.name();
        assert_eq!(name(), "waiting");
        fs::create_dir(&run).unwrap();
        let claim = Claim::take(&run).unwrap();
        claim.begin(5, 90);
        assert_eq!(name(), "running");
        fs::write(run.join("events.jsonl"), "").unwrap();
        drop(claim);
        assert_eq!(name(), "stopped");
        fs::write(run.join("sweep.json"), r#"{"job": "12_3"}"#).unwrap();
        fs::write(run.join("summary.json"), r#"{"status": "interrupted", "step": 17}"#).unwrap();
        let (found, job) = state_of(&run);
        assert!(matches!(found, State::Stopped(Some(17))) && job.as_deref() == Some("12_3"));
        fs::write(run.join("summary.json"), r#"{"status": "failed", "error": "the disk is full"}"#).unwrap();
        assert!(matches!(state_of(&run).0, State::Failed(error, false) if error == "the disk is full"));
        fs::write(run.join("summary.json"), "{").unwrap();
        assert!(matches!(state_of(&run).0, State::Failed(error, false) if error.starts_with("summary.json: ")));
        fs::write(run.join("summary.json"), r#"{"status": "finished", "seconds_train": 1.5}"#).unwrap();
        assert!(matches!(state_of(&run).0, State::Done(Some(seconds)) if seconds == 1.5));
    }
}
