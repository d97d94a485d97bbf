//! One cell of a sweep, or a control of one: from its part in the plan to what became of it.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value as Json};
use toml::Value;

use super::control::{self, Control};
use super::failed;
use super::table::Table;
use super::workers::{Workers, Written, locked};
use crate::config::{Layer, Resolved, SetBy};
use crate::failure::Failure;
use crate::forks;
use crate::output::Progress;
use crate::run::{self, Held, Interrupt, JOB, Opened, Owner, RunDir, RunDirError, SWEEP};

/// One run: a cell, or a control of one.
pub(super) struct Job {
    /// The cell, by its number in the plan.
    pub cell: usize,
    /// For a control: the kind, what it changes, and the folder of the cell it belongs to.
    pub control: Option<(Control, Layer, String)>,
}

/// What became of a run.
pub(super) enum Done {
    /// It was run now.
    Now(Map<String, Json>),
    /// It was run before.
    Before,
    /// It was run for the epochs that it was to have now, and can go on.
    Paused,
    /// It failed before, and would again.
    Untried(String),
    /// Another process has it.
    Elsewhere(String),
    /// Whether another process has it will be known later: it was silent for some time, or is this one.
    Later,
}

impl Workers<'_> {
    /// What a person calls it.
    pub(super) fn label(&self, job: &Job) -> String {
        let cell = self.plan.label(&self.plan.cells[job.cell]);
        job.control
            .as_ref()
            .map_or_else(|| cell.clone(), |(control, ..)| format!("control {} of {cell}", control.name()))
    }

    /// In a sweep, runs are in its folder, and have the threads of a worker.
    pub(super) fn own(&self) -> Layer {
        let mut own = Layer::default();
        let origin = SetBy::Flag("the sweep".to_owned());
        own.insert(&["threads".to_owned()], Value::Integer(self.threads as i64), &origin);
        let folder = self.plan.folder.to_string_lossy();
        own.insert(&["output".to_owned(), "dir".to_owned()], folder.as_ref().into(), &origin);
        own
    }

    /// Its whole config, and with it the name of its folder.
    pub(super) fn config(&self, job: &Job) -> Result<Resolved, Failure> {
        let control = job.control.as_ref().map(|(control, layer, _)| (*control, layer));
        self.plan.run_of(&self.plan.cells[job.cell], control, &self.own(), self.workbench)
    }

    /// Runs it, unless it was run before.
    pub(super) fn cell(
        &self,
        worker: usize,
        job: &Job,
        config: &Resolved,
        table: &Arc<Table>,
    ) -> Result<Done, Failure> {
        let name = config.folder_name();
        let path = self.plan.folder.join(&name);
        let epochs = self.plan.leg().and_then(|leg| leg.epochs);
        if epochs.is_some_and(|epochs| run::paused_after(&path) >= Some(epochs)) {
            return Ok(Done::Before);
        }
        if let (Some(reason), false) = (failed::reason(&path), self.retry_failed) {
            self.note(&path);
            return Ok(Done::Untried(reason));
        }
        let ended = match RunDir::open(&self.plan.folder, &name, false) {
            Ok(Opened::Finished(path)) => {
                self.note(&path);
                return Ok(Done::Before);
            }
            // A control that is a cell of the sweep too, and runs as that just now.
            Err(RunDirError::Busy(held)) if held.is_ours() && job.control.is_some() => return Ok(Done::Before),
            Err(RunDirError::Busy(held)) => return Ok(elsewhere(&held)),
            Err(error) => return Err(error.into()),
            Ok(Opened::Ready(folder)) => done(self.anew(worker, job, config, &folder, table), &folder),
            Ok(Opened::Interrupted(folder)) => self.resumed(worker, job, config, folder, table),
        };
        if matches!(ended, Err(Failure::Stopped(_))) && epochs.is_some() && run::paused_after(&path) == epochs {
            self.note(&path);
            return Ok(Done::Paused);
        }
        if let Err(failure) = &ended
            && failed::is_certain(failure, &config.run.top.device)
        {
            failed::note(&path)?;
        }
        self.note(&path);
        ended
    }

    /// Goes on with a cell. Only a checkpoint that nobody could go on from is begun anew, and that is said; it is kept
    /// aside until the cell is finished. Whatever else stands in the way, the checkpoint waits for.
    fn resumed(
        &self,
        worker: usize,
        job: &Job,
        config: &Resolved,
        folder: RunDir,
        table: &Arc<Table>,
    ) -> Result<Done, Failure> {
        let go_on = || {
            let saved = folder.saved()?;
            run::same_or_accepted(config, &folder, &saved, self.accept)?;
            self.take_part(job, &folder)?;
            run::execute(config, &folder, Some(&saved), progress(table, worker), &self.interrupt(), self.workbench)
        };
        let ended = done(go_on(), &folder);
        drop(folder);
        let Err(Failure::Checkpoint(reason)) = ended else { return ended };
        table.anew(&self.label(job), &reason);
        match RunDir::open(&self.plan.folder, &config.folder_name(), true)? {
            Opened::Ready(folder) => done(self.anew(worker, job, config, &folder, table), &folder),
            _ => Err(Failure::Checkpoint(reason)),
        }
    }

    fn anew(
        &self,
        worker: usize,
        job: &Job,
        config: &Resolved,
        folder: &RunDir,
        table: &Arc<Table>,
    ) -> Result<Map<String, Json>, Failure> {
        run::begin(config, folder, self.workbench)?;
        self.take_part(job, folder)?;
        let progress = || progress(table, worker);
        let (interrupt, workbench, accept) = (&self.interrupt(), self.workbench, self.accept);
        forks::execute(config, folder, &forks::With { progress: &progress, interrupt, workbench, accept })
    }

    /// Whether the run is to end: where somebody asks for it, and after the epochs that it is to have now.
    fn interrupt(&self) -> Interrupt {
        self.interrupt.after(self.plan.leg().and_then(|leg| leg.epochs))
    }

    /// Notes in a run's folder what it is in the sweep, and forgets what was noted of how it ended before.
    fn take_part(&self, job: &Job, folder: &RunDir) -> Result<(), RunDirError> {
        let mut part = Map::from_iter([
            ("sweep".to_owned(), self.plan.name.clone().into()),
            ("cell".to_owned(), self.plan.label(&self.plan.cells[job.cell]).into()),
            ("jobs".to_owned(), self.jobs.into()),
        ]);
        // A scheduler's job says where the log is.
        part.extend(Owner::here().job.map(|job| (JOB.to_owned(), job.into())));
        if let Some((control, _, of)) = &job.control {
            part.extend(control::mark(*control, of));
        }
        folder.write(SWEEP, Json::Object(part).to_string().as_bytes())
    }

    /// The index only repeats what the folders hold: it may lag, and is brought up to date when it is read.
    fn note(&self, folder: &Path) {
        if let Written::Whole(index) = &self.written {
            _ = locked(index).add(folder);
        }
    }
}

/// What became of a run, which another process may have taken over meanwhile: whatever failed here then is nobody's
/// failure, and where the other one has left it again, it may be finished.
fn done(ended: Result<Map<String, Json>, Failure>, folder: &RunDir) -> Result<Done, Failure> {
    match ended {
        Err(_) if folder.is_taken_over() => Ok(Held::read(folder.path()).map_or(Done::Later, |held| elsewhere(&held))),
        ended => ended.map(Done::Now),
    }
}

fn elsewhere(held: &Held) -> Done {
    let later = held.is_ours() || held.is_dead() || held.may_be_dead();
    if later { Done::Later } else { Done::Elsewhere(held.who()) }
}

fn progress(table: &Arc<Table>, worker: usize) -> Progress {
    let table = Arc::clone(table);
    Progress::told(move |event| table.event(worker, event))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_failed_in_a_folder_that_was_taken_over_is_nobodys_failure() {
        let out = tempfile::tempdir().unwrap();
        let Opened::Ready(folder) = RunDir::open(out.path(), "r-1", false).unwrap() else { panic!("it was empty") };
        let failed = || done(Err(Failure::Failed("no space left".to_owned())), &folder);
        assert!(matches!(failed(), Err(Failure::Failed(_))), "it is still ours");
        fs::remove_dir_all(folder.path().join(".claim")).unwrap();
        assert!(matches!(failed(), Ok(Done::Later)), "the other one has left it again");
        fs::create_dir(folder.path().join(".claim")).unwrap();
        assert!(matches!(failed(), Ok(Done::Elsewhere(who)) if who.contains("not said who")));
        assert!(matches!(done(Ok(Map::new()), &folder), Ok(Done::Now(_))));
    }
}
