//! The event file of a run that goes on whatever becomes of it.

use std::io;
use std::path::PathBuf;

use super::EventFile;
use crate::config::Row;

/// An event file with the run's settings in front. One that cannot be written is told of once, and ends no run.
pub struct KeptEvents {
    path: PathBuf,
    settings: Vec<Row>,
    file: Option<EventFile>,
}

impl KeptEvents {
    /// Will lie here, with these settings.
    pub fn new(path: PathBuf, settings: Vec<Row>) -> Self {
        Self { path, settings, file: None }
    }

    /// Opens the file of a run that begins, or goes on, at a step (see [`EventFile::open`]).
    pub fn begin(&mut self, step: u64) {
        self.file = self.told(EventFile::open(&self.path, step, &self.settings));
    }

    /// Writes on, where the file is open.
    pub fn write(&mut self, write: impl FnOnce(&mut EventFile) -> io::Result<()>) {
        if let Some(file) = &mut self.file {
            let written = write(file);
            if self.told(written).is_none() {
                self.file = None;
            }
        }
    }

    fn told<T>(&self, done: io::Result<T>) -> Option<T> {
        done.inspect_err(|error| tracing::warn!("{}: cannot write it: {error}", self.path.display())).ok()
    }
}
