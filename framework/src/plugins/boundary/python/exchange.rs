//! A worker with the memory that it shares: arrays go to it, scores come back and are read where it left them.

use super::arrays::Arrays;
use super::memory::{Layout, Memory};
use super::worker::Worker;
use crate::error::Result;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Whether the worker reads the arrays of a target while those of the next ones are written: it looks at a number that
/// says how many are there, behind which it must not have read anything before. Loads of this processor have an order.
const WHILE_WRITING: bool = cfg!(target_arch = "x86_64");

/// The worker, and what both map.
#[derive(Debug)]
pub(super) struct Exchange {
    worker: Worker,
    /// What it is shown.
    shown: Option<Memory>,
    /// Where its last scores lie.
    scores: Option<Arc<Memory>>,
}

impl Exchange {
    /// Starts a worker for a file.
    ///
    /// # Errors
    /// There is no interpreter.
    pub fn start(path: &Path, timeout: Duration) -> Result<Self> {
        Ok(Self { worker: Worker::start(path, timeout)?, shown: None, scores: None })
    }

    /// Sends a message, and waits for its answer.
    ///
    /// # Errors
    /// As of [`Worker::ask`].
    pub fn ask(&self, request: &Value) -> Result<Value> {
        self.worker.ask(request)
    }

    /// Puts arrays where the worker sees them, and sends it what it is to do with them. The message goes first, where it
    /// can: the worker wakes meanwhile, and begins with what is there.
    ///
    /// # Errors
    /// As of [`Worker::ask`]; there is no room for the arrays.
    pub fn show(&mut self, arrays: &Arrays<'_>, mut request: Value) -> Result<Value> {
        let shown = self.shown.take().filter(|memory| memory.size() >= arrays.size());
        let mut shown = shown.map_or_else(|| roomy(arrays.size()), Ok)?;
        shown.publish(0);
        if let Some(path) = shown.path() {
            request["memory"] = json!(path);
        }
        if !WHILE_WRITING {
            arrays.write(&mut shown)?;
        }
        self.worker.send(&request)?;
        if WHILE_WRITING {
            arrays.write(&mut shown)?;
        }
        let answer = self.worker.answer(&request);
        shown.found();
        self.shown = Some(shown);
        answer
    }

    /// As [`show`](Self::show), for scores that are to lie where `places` has room for them; with the memory that has them.
    ///
    /// # Errors
    /// As there.
    pub fn score(&mut self, arrays: &Arrays<'_>, places: &Layout, mut request: Value) -> Result<(Value, Arc<Memory>)> {
        let free = self.scores.take().and_then(|last| free(last, places.size()));
        let mut scores = free.map_or_else(|| roomy(places.size()), Ok)?;
        if let Some(path) = scores.path() {
            request["scores"] = json!(path);
        }
        let answer = self.show(arrays, request);
        scores.found();
        let scores = Arc::new(scores);
        self.scores = Some(Arc::clone(&scores));
        Ok((answer?, scores))
    }
}

/// The memory of the last scores, if it is large enough and nobody holds any of them: they stay as they are.
fn free(last: Arc<Memory>, size: u64) -> Option<Memory> {
    Arc::into_inner(last).filter(|memory| memory.size() >= size)
}

/// At least so many bytes. Half as much again: sizes that grow a little find room.
fn roomy(size: u64) -> Result<Memory> {
    Memory::new(size + size / 2)
}

#[cfg(test)]
mod tests {
    use super::super::memory::Lasting;
    use super::*;

    #[test]
    fn scores_that_somebody_holds_are_not_written_over() {
        let memory = || Arc::new(Memory::new(128).unwrap());
        let (held, other) = (memory(), memory());
        let scores = Lasting::of(&held, 64, 3).unwrap();
        assert!(free(held, 128).is_none());
        assert_eq!(scores.as_ref(), [0.0; 3]);
        assert!(free(other, 128).is_some());
        assert!(free(memory(), 129).is_none(), "it has no room");
    }
}
