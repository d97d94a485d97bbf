//! The states in which runs are left: in `.states` of the folder that holds the forks, one folder for each run that is left,
//! and in it a folder for each step at which that happened, with a checkpoint and the log up to there. All of it can be made again, and
//! may be removed.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use secateur::training::{checkpoint_name, checkpoint_step};

use super::With;
use super::until::Until;
use crate::config::{OutputConfig, Resolved, RunConfig};
use crate::engine::Left;
use crate::failure::Failure;
use crate::run::{self, CHECKPOINT, EVENTS, Interrupt, Made, Recorder, RunDir, RunDirError, Saved, event_lines};

/// The folder's name.
const STATES: &str = ".states";
/// How the names of the folders of states begin.
const STEP: &str = "step-";
/// The file in one.
const STATE: &str = "state.safetensors";
/// How long one run waits between two looks whether another has made the state that both begin with.
const LOOK: Duration = Duration::from_millis(50);

/// The states that a folder of forks has, or gets.
pub(super) struct States<'a> {
    /// The folder that holds the forks.
    pub out: &'a Path,
    /// What runs are repeated with.
    pub with: &'a With<'a>,
}

impl States<'_> {
    /// The state of a run in which it is left; its log up to there goes into the fork's folder. `from` is the folder of that
    /// run, where it is known.
    ///
    /// # Errors
    /// The run cannot be repeated; a file that cannot be written.
    pub fn take(&self, other: &Resolved, from: Option<&Path>, left: Left, fork: &RunDir) -> Result<Saved, Failure> {
        let own = self.out.join(STATES).join(&other.identity()[..16]);
        let folder = locked(&own, self.with.interrupt)?;
        let place = own.join(format!("{STEP}{:012}", left.step));
        let path = place.join(STATE);
        let there = Saved::read(&path).filter(|saved| fits(saved, other) == Some(left.step));
        let saved = match there {
            Some(saved) => saved,
            None => {
                let bytes = self.make(other, from, left.step, &folder)?;
                fs::create_dir_all(&place)
                    .map_err(|error| Failure::Failed(format!("{}: cannot create it: {error}", place.display())))?;
                // The state comes last: where it is, its log is there too.
                run::write_whole(&place.join(EVENTS), log(&own)?.as_bytes())?;
                run::write_whole(&path, &bytes)?;
                Saved { path, bytes, kept: None }
            }
        };
        hand_on(&place, fork)?;
        Ok(Saved { kept: Some(left.kept), ..saved })
    }

    /// Repeats a run up to a step, from the last state of it that is known.
    fn make(&self, other: &Resolved, from: Option<&Path>, step: u64, folder: &RunDir) -> Result<Vec<u8>, Failure> {
        let mut known: Vec<(u64, PathBuf, Saved)> = Vec::new();
        let mut look = |place: PathBuf, log: &Path| {
            let files = fs::read_dir(place).into_iter().flatten().flatten().map(|entry| entry.path());
            for file in files.filter(|file| file.extension().is_some_and(|ending| ending == "safetensors")) {
                let saved = Saved::read(&file).and_then(|saved| Some((fits(&saved, other)?, saved)));
                known.extend(saved.filter(|(at, _)| *at <= step).map(|(at, saved)| (at, log.to_owned(), saved)));
            }
        };
        let states = fs::read_dir(folder.path()).into_iter().flatten().flatten().map(|entry| entry.path());
        for state in states.filter(|path| path.is_dir() && !path.ends_with(CHECKPOINT)) {
            look(state.clone(), &state);
        }
        look(folder.path().join(CHECKPOINT), folder.path());
        let beside = self.out.join(other.folder_name());
        for run in from.into_iter().chain([beside.as_path()]) {
            look(run.join(CHECKPOINT), run);
        }
        // Of equally late ones the last found, which is of the run itself.
        known.sort_by_key(|(at, ..)| *at);
        let begin = match known.pop() {
            Some((at, log, saved)) => {
                if log != folder.path() {
                    hand_on(&log, folder)?;
                }
                if at == step {
                    return Ok(saved.bytes);
                }
                Some(saved)
            }
            None => self.inherited(other, step, folder)?,
        };
        self.repeat(other, begin, step, folder)
    }

    /// The state with which a run begins that is a fork itself.
    fn inherited(&self, other: &Resolved, step: u64, folder: &RunDir) -> Result<Option<Saved>, Failure> {
        let (Some(at), Some(first)) = (other.fork_at(), other.before_fork(self.with.workbench)?) else {
            return Ok(None);
        };
        let left = self.with.workbench.leaves(other, &first, at)?;
        if left.step > step {
            return Err(Failure::Usage(format!(
                "fork.at: {at} of a run that is a fork itself is before step {step}, and that run has a state of its own from step \
                 {} on\n  fix: fork the run that it left, {}",
                left.step,
                first.folder_name()
            )));
        }
        if left.step == 0 {
            return Ok(None);
        }
        self.take(&first, None, left, folder).map(Some)
    }

    fn repeat(&self, other: &Resolved, begin: Option<Saved>, step: u64, folder: &RunDir) -> Result<Vec<u8>, Failure> {
        let With { progress, interrupt, workbench, .. } = self.with;
        // Of what a run leaves, only its log and its state are of use.
        let plain = OutputConfig { pictures: 0, best: false, survival: false, keep: 1, ..other.run.output.clone() };
        let told = RunConfig { output: plain, ..other.run.clone() };
        let name = Made::here(other).name(&other.identity());
        let stage = interrupt.run();
        let recorder = Recorder::new(folder, name, &told, progress(), (*interrupt).clone(), &stage)?;
        let mut until = Until::new(recorder, step);
        let taken = begin.as_ref().map(|saved| run::name_of(saved, other, folder, workbench)).unwrap_or_default();
        let checkpoint = begin.as_ref().map(|saved| saved.checkpoint(&taken));
        let ended = workbench.train(other, checkpoint, &mut until, Until::loading);
        until.clear_screen();
        match (until.taken.take(), ended) {
            (Some(bytes), _) => {
                // What an interrupted repetition left is behind this one.
                _ = fs::remove_dir_all(folder.path().join(CHECKPOINT));
                Ok(bytes)
            }
            (None, Err(failure)) => {
                Err(failure.saying(|why| format!("{why}\n  this was the run that is left, repeated up to step {step}")))
            }
            // Steps that the run was never to make were refused before: this one ended early.
            (None, Ok(_)) => Err(Failure::Failed(format!(
                "the run that is left ended before step {step}, by its train.stop_loss or train.stop_flat\n  \
                 fix: fork it at an earlier step; the last line of its log says where it ended"
            ))),
        }
    }
}

impl Saved {
    fn read(path: &Path) -> Option<Self> {
        Some(Self { path: path.to_owned(), bytes: fs::read(path).ok()?, kept: None })
    }
}

/// The step of a checkpoint, where it is whole, of this run, and made as it would be made here.
fn fits(saved: &Saved, run: &Resolved) -> Option<u64> {
    let name = checkpoint_name(&saved.bytes).ok()?;
    let (identity, made) = Made::of(&name);
    let same = identity == run.identity() && Made::here(run).changes(&made).is_empty();
    checkpoint_step(&saved.bytes).ok().filter(|_| same).map(|step| step.0)
}

/// Puts the log of a run into the folder of one that goes on from it; its pictures are not there.
fn hand_on(from: &Path, to: &RunDir) -> Result<(), Failure> {
    Ok(to.write(EVENTS, log(from)?.as_bytes())?)
}

/// The log in a folder, without pictures.
fn log(folder: &Path) -> Result<String, Failure> {
    let lines = event_lines(folder)?.filter(|line| !line.starts_with(r#"{"event":"picture""#));
    Ok(lines.map(|line| line + "\n").collect())
}

/// Waits for the folder of a run's states: another fork may be making the one that this one needs.
fn locked(path: &Path, interrupt: &Interrupt) -> Result<RunDir, Failure> {
    loop {
        match RunDir::shared(path) {
            Err(RunDirError::Busy(_)) if interrupt.asked() => {
                return Err(Failure::Stopped("stopped before its first step".to_owned()));
            }
            Err(RunDirError::Busy(_)) => sleep(LOOK),
            other => return Ok(other?),
        }
    }
}
