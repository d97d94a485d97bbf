//! Takes in a run's events: whole lines in `events.jsonl`, progress for the person who waits, and checkpoints.

use std::time::Instant;

use secateur::data::LoadProgress;
use secateur::training::picture::Picture;
use serde::Serialize;

use crate::checkpoints::Checkpoints;
use crate::event::Event;
use crate::interrupt::Interrupt;
use crate::picture;
use crate::progress::Progress;
use crate::run_dir::{EventLog, RunDir, RunDirError};

/// Optimizer steps that are recorded in a run: more would make no curve finer.
const STEPS: u64 = 2000;

/// Writes and shows what happens in a run.
pub struct Recorder<'a> {
    folder: &'a RunDir,
    log: EventLog,
    progress: Progress,
    checkpoints: Checkpoints,
    interrupt: Interrupt,
    /// One in this many optimizer steps is recorded.
    stride: u64,
}

impl<'a> Recorder<'a> {
    /// Records in a run's folder and on a display, until it is interrupted.
    ///
    /// # Errors
    /// The log cannot be opened.
    pub fn new(
        folder: &'a RunDir,
        progress: Progress,
        checkpoints: Checkpoints,
        interrupt: Interrupt,
    ) -> Result<Self, RunDirError> {
        Ok(Self { folder, log: folder.events()?, progress, checkpoints, interrupt, stride: 1 })
    }

    /// Whether the event of an optimizer step is recorded. Asked first: most are not, and cost nothing.
    pub fn keeps_step(&self, step: u64) -> bool {
        step.is_multiple_of(self.stride)
    }

    /// Whether the run is to stop at the next step.
    pub fn stop_asked(&self) -> bool {
        self.interrupt.asked()
    }

    /// Records one event; its JSON is one line of `events.jsonl`. Where the run begins or goes on, what an earlier process recorded
    /// of the steps that follow is dropped.
    ///
    /// # Errors
    /// The log cannot be written: the run must not go on unnoticed.
    pub fn record(&mut self, event: &impl Serialize) -> Result<(), RunDirError> {
        let seen = serde_json::to_value(event).and_then(serde_json::from_value).unwrap_or(Event::Other);
        if let Event::Start { step, steps, .. } = &seen {
            self.stride = steps.div_ceil(STEPS).max(1);
            self.log.drop_from(*step)?;
        }
        self.log.append(event)?;
        self.progress.event(&seen);
        Ok(())
    }

    /// Draws a picture into the run's folder, and records that it is there.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn picture(&mut self, picture: &Picture) -> Result<(), RunDirError> {
        let shown = picture::Shown::of(picture);
        self.folder.write_picture(shown.name(), &picture::png(picture))?;
        self.record(&Event::Picture(shown))
    }

    /// Shows how far loading the data has come.
    pub fn loading(&mut self, progress: Option<LoadProgress>) {
        self.progress.loading(progress);
    }

    /// Whether a checkpoint is to be written: always before a stop, else as often as agreed.
    pub fn wants_checkpoint(&mut self, stopping: bool) -> bool {
        stopping || self.checkpoints.after_epoch(Instant::now())
    }

    /// Writes a checkpoint that took since `began` to make; events up to here are on the disk before it.
    ///
    /// # Errors
    /// It cannot be written; the one before is then still there.
    pub fn checkpoint(&mut self, began: Instant, bytes: &[u8]) -> Result<(), RunDirError> {
        self.log.sync()?;
        self.folder.write_checkpoint(bytes)?;
        self.checkpoints.written(began, Instant::now());
        Ok(())
    }

    /// Takes the progress display off the screen.
    pub fn clear_screen(&self) {
        self.progress.clear();
    }
}
