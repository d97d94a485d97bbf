//! A run's checkpoints.

use std::fs;
use std::io::ErrorKind;

use super::{CHECKPOINT, RunDir, STATE};
use crate::run::error::{RunDirError, failed};
use crate::run::saved::{STEPS, Saved, kept};

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
    pub fn write_checkpoint(&self, content: &[u8], keep: usize, steps: u64) -> Result<(), RunDirError> {
        self.claim.check()?;
        let folder = self.path.join(CHECKPOINT);
        fs::create_dir_all(&folder).map_err(failed(&folder, "create it"))?;
        if keep > 1 {
            // Twelve digits: names sort as numbers do.
            self.put(&folder, &format!("{STEPS}{steps:012}.safetensors"), content)?;
        }
        self.replace(&folder, STATE, content)?;
        for old in kept(&folder).iter().rev().skip(if keep > 1 { keep } else { 0 }) {
            _ = fs::remove_file(old);
        }
        Ok(())
    }
}
