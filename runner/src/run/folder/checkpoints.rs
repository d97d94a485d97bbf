//! A run's checkpoints.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::{CHECKPOINT, Content, PAUSED, RunDir, STATE, STEP};
use crate::run::error::{RunDirError, failed};
use crate::run::files::sync_folder;
use crate::run::saved::{STEPS, Saved, kept};
use crate::run::summary::read_summary;

/// In the summary of a run that was ended after some epochs, how many these are.
const AFTER: &str = "stopped_after";

impl RunDir {
    /// The newest checkpoint, or where that is damaged the newest one that is not.
    ///
    /// # Errors
    /// There is none, or it cannot be read.
    pub fn saved(&self) -> Result<Saved, RunDirError> {
        let state = self.state();
        let saved = match fs::read(&state) {
            Ok(bytes) => Saved { path: state, bytes, kept: None },
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let fix = "start the run anew, with --force where its folder is there: secateur run CONFIG... --force";
                let (path, problem) = (self.path.clone(), "this run left no checkpoint");
                return Err(RunDirError::NotResumable { path, problem, fix });
            }
            Err(error) => return Err(failed(&state, "read it")(error)),
        };
        Ok(saved.or_an_earlier_one(&kept(&self.path.join(CHECKPOINT))))
    }

    /// Replaces the newest checkpoint, taken after so many steps; of those before it, `keep` with this one stay.
    ///
    /// # Errors
    /// It cannot be written; the one before is then still there.
    pub fn write_checkpoint(&self, write: Content<'_>, keep: usize, steps: u64) -> Result<(), RunDirError> {
        self.claim.check()?;
        let folder = self.path.join(CHECKPOINT);
        fs::create_dir_all(&folder).map_err(failed(&folder, "create it"))?;
        if keep > 1 {
            // Twelve digits: names sort as numbers do.
            self.put(&folder, &format!("{STEPS}{steps:012}.safetensors"), write)?;
        }
        self.put(&folder, STATE, write)?;
        sync_folder(&folder).map_err(failed(&folder.join(STATE), "write it"))?;
        for old in kept(&folder).iter().rev().skip(if keep > 1 { keep } else { 0 }) {
            _ = fs::remove_file(old);
        }
        Ok(())
    }

    /// Ends a run after so many epochs, with a checkpoint: `summary.json` with the status [`PAUSED`], and what else is told.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn pause(&self, epochs: u64, mut told: Map<String, Value>) -> Result<(), RunDirError> {
        told.insert(AFTER.to_owned(), json!(epochs));
        told.extend(self.claim.step().map(|step| (STEP.to_owned(), json!(step))));
        self.summary(PAUSED, told)
    }
}

/// After how many epochs the run of a folder was ended, where it can go on from there.
pub fn paused_after(folder: &Path) -> Option<u64> {
    let summary = read_summary(folder).ok()??;
    let paused = summary.get("status").is_some_and(|status| status == PAUSED);
    let there = folder.join(CHECKPOINT).join(STATE).is_file();
    summary.get(AFTER).and_then(Value::as_u64).filter(|_| paused && there)
}
