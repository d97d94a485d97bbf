//! How often a task was started again, and whether it came any further: one that never does is given up, and does not
//! circle in the queue for ever.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::experiments::ties::Ties;
use crate::failure::Failure;
use crate::run::{STEP, is_finished, read_summary, write_whole};

/// Restarts without progress after which a task is given up.
const MOST: u64 = 3;

/// What is noted of a task's restarts, beside its plan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restarts {
    /// How often it was stopped.
    stops: u64,
    /// How often in a row without progress.
    idle: u64,
    /// Cells and controls of it that were finished then, and steps of those that were not.
    progress: (usize, u64),
    /// Whether it is not started again any more.
    pub given_up: bool,
}

/// What follows when a task was stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restarted {
    /// It is to be started again.
    Again,
    /// It is given up after so many restarts in a row without progress.
    GivenUp(u64),
}

impl Restarts {
    /// What is noted of a task of a plan.
    pub fn read(plan: &Path, task: usize) -> Self {
        let text = fs::read(file(plan, task)).ok();
        text.and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default()
    }

    /// Notes that a task of a plan was stopped; its cells are in these folders of a sweep, and the controls of these
    /// among its own.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn stopped(plan: &Path, task: usize, sweep: &Path, cells: &[String]) -> Result<Restarted, Failure> {
        let path = file(plan, task);
        let before = Self::read(plan, task);
        let progress = progress(sweep, cells);
        // The first start of all was no restart.
        let idle = if before.stops == 0 || progress > before.progress { 0 } else { before.idle + 1 };
        let given_up = idle >= MOST;
        let now = Self { stops: before.stops + 1, idle, progress: progress.max(before.progress), given_up };
        _ = path.parent().map(fs::create_dir_all);
        write_whole(&path, format!("{:#}\n", serde_json::json!(now)).as_bytes())?;
        Ok(if given_up { Restarted::GivenUp(MOST) } else { Restarted::Again })
    }
}

fn file(plan: &Path, task: usize) -> PathBuf {
    plan.with_file_name("restarts").join(format!("{task}.json"))
}

/// Runs that are finished, and the steps of those that are not.
fn progress(sweep: &Path, cells: &[String]) -> (usize, u64) {
    let mut runs: BTreeSet<String> = cells.iter().cloned().collect();
    Ties::read(sweep).each(|cell, _, control| {
        if cells.iter().any(|own| own == cell) {
            runs.insert(control.to_owned());
        }
    });
    let (mut finished, mut steps) = (0, 0);
    for run in runs {
        let folder = sweep.join(run);
        if is_finished(&folder) {
            finished += 1;
        } else if let Ok(Some(summary)) = read_summary(&folder) {
            steps += summary.get(STEP).and_then(Value::as_u64).unwrap_or(0);
        }
    }
    (finished, steps)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_is_given_up_after_three_restarts_without_progress() {
        let sweep = tempfile::tempdir().unwrap();
        let plan = sweep.path().join("slurm/1/plan.toml");
        let cells = ["a", "b"].map(str::to_owned);
        let stopped = || Restarts::stopped(&plan, 3, sweep.path(), &cells).unwrap();
        let at = |cell: &str, summary: &str| {
            fs::create_dir_all(sweep.path().join(cell)).unwrap();
            fs::write(sweep.path().join(cell).join("summary.json"), summary).unwrap();
        };
        // The first start, and two that come no further.
        assert_eq!([stopped(), stopped(), stopped()], [Restarted::Again; 3]);
        at("a", r#"{"status": "interrupted", "step": 4}"#);
        assert_eq!(stopped(), Restarted::Again);
        assert_eq!([stopped(), stopped()], [Restarted::Again; 2]);
        at("a", r#"{"status": "finished"}"#);
        assert_eq!([stopped(), stopped(), stopped()], [Restarted::Again; 3]);
        assert_eq!(stopped(), Restarted::GivenUp(3));
        assert!(Restarts::read(&plan, 3).given_up && !Restarts::read(&plan, 2).given_up);
    }
}
