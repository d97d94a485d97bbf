//! A run's checkpoints.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

use serde_json::{Map, Value, json};

use super::large::LargeFile;
use super::{CHECKPOINT, PAUSED, RunDir, STATE, STEP};
use crate::run::error::{RunDirError, failed};
use crate::run::files::{sync_folder, unfinished};
use crate::run::saved::{STEPS, Saved, kept};
use crate::run::summary::read_summary;

/// In the summary of a run that was ended after some epochs, how many these are.
const AFTER: &str = "stopped_after";

/// What writes a checkpoint piece by piece.
type Large<'a> = &'a dyn Fn(&mut LargeFile<'_>) -> io::Result<()>;

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
    pub fn write_checkpoint(&self, write: Large<'_>, keep: usize, steps: u64) -> Result<(), RunDirError> {
        self.claim.check()?;
        let folder = self.path.join(CHECKPOINT);
        fs::create_dir_all(&folder).map_err(failed(&folder, "create it"))?;
        // Twelve digits: names sort as numbers do.
        let earlier = (keep > 1).then(|| format!("{STEPS}{steps:012}.safetensors"));
        if let Some(earlier) = &earlier {
            self.put_large(&folder, earlier, write)?;
        }
        if earlier.is_none_or(|earlier| !self.link(&folder, &earlier, STATE)) {
            self.put_large(&folder, STATE, write)?;
        }
        sync_folder(&folder).map_err(failed(&folder.join(STATE), "write it"))?;
        for old in kept(&folder).iter().rev().skip(if keep > 1 { keep } else { 0 }) {
            _ = fs::remove_file(old);
        }
        Ok(())
    }

    /// Writes a whole file that may be large.
    fn put_large(&self, folder: &Path, name: &str, write: Large<'_>) -> Result<(), RunDirError> {
        let unfinished = folder.join(unfinished(name));
        self.put(folder, name, &|file| {
            let mut large = LargeFile::new(file, &unfinished);
            write(&mut large)?;
            large.finish()
        })
    }

    /// Gives a whole file a second name, in place of what has that now; not every file system can.
    fn link(&self, folder: &Path, whole: &str, name: &str) -> bool {
        let unfinished = folder.join(unfinished(name));
        let linked = fs::hard_link(folder.join(whole), &unfinished).is_ok() && self.claim.check().is_ok();
        let renamed = linked && fs::rename(&unfinished, folder.join(name)).is_ok();
        if !renamed {
            _ = fs::remove_file(&unfinished);
        }
        renamed
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
    summary.get(AFTER).and_then(Value::as_u64).filter(|_| paused && has_checkpoint(folder))
}

/// Whether the run of a folder can go on from a checkpoint there.
pub fn has_checkpoint(folder: &Path) -> bool {
    folder.join(CHECKPOINT).join(STATE).is_file()
}
