//! Takes in a run's events: whole lines in `events.jsonl`, and progress for the person who waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;

use crate::event::Event;
use crate::progress::Progress;
use crate::run_dir::{EventLog, RunDirError};

/// Optimizer steps that are recorded in a run: more would make no curve finer.
const STEPS: u64 = 2000;

/// Writes and shows events.
pub struct Recorder {
    log: EventLog,
    progress: Progress,
    /// One in this many optimizer steps is recorded.
    stride: u64,
    stop: Arc<AtomicBool>,
}

impl Recorder {
    /// Records to a log and a display.
    pub fn new(log: EventLog, progress: Progress) -> Self {
        Self { log, progress, stride: 1, stop: Arc::default() }
    }

    /// Ends the run at the next step once the flag is set.
    pub fn stopped_by(mut self, stop: Arc<AtomicBool>) -> Self {
        self.stop = stop;
        self
    }

    /// Whether the run is to end.
    pub fn should_stop(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Whether the event of an optimizer step is recorded. Asked first: most are not, and cost nothing.
    pub fn keeps_step(&self, step: u64) -> bool {
        step.is_multiple_of(self.stride)
    }

    /// Records one event; its JSON is one line of `events.jsonl`.
    ///
    /// # Errors
    /// The log cannot be written: the run must not go on unnoticed.
    pub fn record(&mut self, event: &impl Serialize) -> Result<(), RunDirError> {
        self.log.append(event)?;
        let seen = serde_json::to_value(event).and_then(serde_json::from_value).unwrap_or(Event::Other);
        if let Event::Start { steps, .. } = &seen {
            self.stride = steps.div_ceil(STEPS).max(1);
        }
        self.progress.event(&seen);
        Ok(())
    }

    /// Takes the progress display off the screen.
    pub fn clear_screen(&self) {
        self.progress.clear();
    }
}
