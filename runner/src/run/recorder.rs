//! Takes in a run's events: whole lines in `events.jsonl`, progress for the person who waits, pictures and checkpoints.

use std::time::Instant;

use secateur::Error;
use secateur::data::LoadProgress;
use secateur::pruning::LatencyTable;
use secateur::training::event::Event;
use secateur::training::picture::Picture;
use secateur::training::{KeptWeights, Observer};

use super::checkpoints::Checkpoints;
use super::error::RunDirError;
use super::event_log::EventLog;
use super::folder::RunDir;
use super::interrupt::Interrupt;
use super::survival::Survival;
use crate::config::OutputConfig;
use crate::output::{Progress, Shown, png};

/// Optimizer steps that are recorded in a run: more would make no curve finer.
const STEPS: u64 = 2000;

/// Writes and shows what happens in a run.
pub struct Recorder<'a> {
    folder: &'a RunDir,
    /// The name under which checkpoints are taken.
    identity: String,
    log: EventLog,
    progress: Progress,
    checkpoints: Checkpoints,
    pictures: usize,
    survival: bool,
    interrupt: Interrupt,
    /// One in this many optimizer steps is recorded.
    stride: u64,
}

impl<'a> Recorder<'a> {
    /// Records in a run's folder and on a display, as the config's `[output]` says, until it is interrupted.
    ///
    /// # Errors
    /// The log cannot be opened.
    pub fn new(
        folder: &'a RunDir,
        identity: String,
        output: &OutputConfig,
        progress: Progress,
        interrupt: Interrupt,
    ) -> Result<Self, RunDirError> {
        let (log, pictures, survival) = (folder.events()?, output.pictures, output.survival);
        let checkpoints = Checkpoints::new(output.checkpoint_every, Instant::now());
        Ok(Self { folder, identity, log, progress, checkpoints, pictures, survival, interrupt, stride: 1 })
    }

    /// Shows how far loading the data has come.
    pub fn loading(&mut self, progress: Option<LoadProgress>) {
        self.progress.loading(progress);
    }

    /// Takes the progress display off the screen.
    pub fn clear_screen(&self) {
        self.progress.clear();
    }

    /// Appends one event to the log. Where the run begins or goes on, what an earlier process recorded of the steps
    /// that follow is dropped.
    fn record(&mut self, event: &Event) -> Result<(), RunDirError> {
        if let Event::Start { step, steps, .. } = event {
            self.stride = steps.div_ceil(STEPS).max(1);
            self.log.drop_from(*step)?;
        }
        if let Event::Latency { table, .. } = event {
            // Text and numbers are JSON.
            let text = format!("{:#}\n", serde_json::to_value(table).unwrap_or_default());
            self.folder.write(LatencyTable::FILE, text.as_bytes())?;
        }
        self.log.append(event)
    }

    /// Draws a picture into the run's folder, and records that it is there.
    fn draw(&mut self, picture: &Picture) -> Result<(), RunDirError> {
        let shown = Shown::of(picture);
        self.folder.write_picture(shown.name(), &png(picture))?;
        self.log.append(&shown)
    }

    /// Writes a checkpoint that took since `began` to make; events up to here are on the disk before it.
    fn checkpoint(&mut self, began: Instant, bytes: &[u8]) -> Result<(), RunDirError> {
        self.log.sync()?;
        self.folder.write_checkpoint(bytes)?;
        self.checkpoints.written(began, Instant::now());
        Ok(())
    }
}

impl Observer for Recorder<'_> {
    fn event(&mut self, event: &Event) -> secateur::Result<()> {
        // Most optimizer steps are not recorded, and cost nothing.
        if matches!(event, Event::Step { step, .. } if !step.is_multiple_of(self.stride)) {
            return Ok(());
        }
        self.record(event).map_err(ended)?;
        self.progress.event(event);
        Ok(())
    }

    fn should_stop(&self) -> bool {
        self.interrupt.asked()
    }

    fn pictures(&self) -> usize {
        self.pictures
    }

    fn picture(&mut self, picture: &Picture) -> secateur::Result<()> {
        self.draw(picture).map_err(ended)
    }

    fn pruned(&mut self, nth: usize, kept: &mut dyn Iterator<Item = KeptWeights<'_>>) -> secateur::Result<()> {
        if !self.survival {
            return Ok(());
        }
        Survival::record(self.folder, nth, kept).map_err(ended)
    }

    /// Always takes a checkpoint before a stop, else as often as agreed.
    fn boundary(&mut self, stopping: bool, take: &dyn Fn(&str) -> secateur::Result<Vec<u8>>) -> secateur::Result<()> {
        if !stopping && !self.checkpoints.after_epoch(Instant::now()) {
            return Ok(());
        }
        let began = Instant::now();
        let bytes = take(&self.identity)?;
        self.checkpoint(began, &bytes).map_err(ended)
    }
}

/// A log or a checkpoint that cannot be written ends the run: it must not go on unnoticed.
fn ended(error: RunDirError) -> Error {
    Error::Other(error.to_string())
}
