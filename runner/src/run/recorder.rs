//! Takes in a run's events: whole lines in `events.jsonl`, progress for the person who waits, pictures and checkpoints.

use std::time::{Duration, Instant};

use secateur::Error;
use secateur::data::LoadProgress;
use secateur::options::Table;
use secateur::pruning::LatencyTable;
use secateur::training::event::Event;
use secateur::training::picture::Picture;
use secateur::training::{Checkpoint, Evaluation, KeptWeights, Observer};

use super::best::Best;
use super::checkpoints::Checkpoints;
use super::error::RunDirError;
use super::event_log::EventLog;
use super::folder::{BEST, RunDir, TENSORBOARD};
use super::interrupt::{Interrupt, Stage};
use super::survival::Survival;
use crate::config::{Row, RunConfig};
use crate::failure::Failure;
use crate::output::{Ended, EventFile, KeptEvents, Mask, Progress, Shown, mask, png};

/// Optimizer steps that are recorded in a run: more would make no curve finer.
const STEPS: u64 = 2000;

/// Writes and shows what happens in a run.
pub struct Recorder<'a> {
    folder: &'a RunDir,
    /// The name under which checkpoints are taken.
    name: String,
    log: EventLog,
    progress: Progress,
    checkpoints: Checkpoints,
    pictures: usize,
    survival: bool,
    /// How many checkpoints stay.
    keep: usize,
    best: Option<Best>,
    /// Steps that were made.
    steps: u64,
    interrupt: Interrupt,
    /// The step before which the run ends, where it is not to go on to its own end.
    until: Option<u64>,
    stage: &'a Stage,
    /// One in this many optimizer steps is recorded.
    stride: u64,
    /// Writes the report of the run so far.
    report: Option<Report<'a>>,
    /// The event file for TensorBoard.
    tensorboard: Option<KeptEvents>,
    /// The shape of an example.
    input: Vec<usize>,
    /// The step and the epoch of the last pruning step, where its mask is to be drawn.
    masked: Option<(u64, u64)>,
}

/// A report while its run goes on: from the first epoch, and then so seldom that it costs next to nothing.
struct Report<'a> {
    write: Box<dyn Fn() -> Result<(), Failure> + Send + 'a>,
    /// When it may be written next.
    due: Instant,
}

/// Time between two reports, in times of what one takes, and at least.
const REPORT_SHARE: u32 = 200;
const REPORT_PAUSE: Duration = Duration::from_secs(10);

impl<'a> Recorder<'a> {
    /// Records in a run's folder and on a display, as the config's `[output]` says, until it is interrupted; `stage` is
    /// told when the run comes to its steps.
    ///
    /// # Errors
    /// The log cannot be opened.
    pub fn new(
        folder: &'a RunDir,
        name: String,
        config: &RunConfig,
        progress: Progress,
        interrupt: Interrupt,
        stage: &'a Stage,
    ) -> Result<Self, RunDirError> {
        let output = &config.output;
        Ok(Self {
            folder,
            name,
            log: folder.events()?,
            progress,
            checkpoints: Checkpoints::new(output.checkpoint_every, Instant::now()),
            pictures: output.pictures,
            survival: output.survival,
            keep: output.keep,
            best: output.best.then(|| Best::new(config.network())),
            steps: 0,
            interrupt,
            until: None,
            stage,
            stride: 1,
            report: None,
            tensorboard: None,
            input: Vec::new(),
            masked: None,
        })
    }

    /// Has an event file written for TensorBoard too, with these settings.
    pub fn for_tensorboard(mut self, settings: Vec<Row>) -> Self {
        self.tensorboard = Some(KeptEvents::new(self.folder.path().join(TENSORBOARD), settings));
        self
    }

    /// The run has failed.
    pub fn failed(&mut self) {
        self.told_tensorboard(|file, step| file.end(step, Ended::Failed));
    }

    fn told_tensorboard(&mut self, write: impl FnOnce(&mut EventFile, u64) -> std::io::Result<()>) {
        if let Some(kept) = &mut self.tensorboard {
            kept.write(|file| write(file, self.steps));
        }
    }

    /// Has the report written at the end of the first epoch, and of later ones every now and then.
    pub fn reporting(mut self, write: impl Fn() -> Result<(), Failure> + Send + 'a) -> Self {
        self.report = Some(Report { write: Box::new(write), due: Instant::now() });
        self
    }

    /// The name under which checkpoints are taken.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether the run ended because it was to end after so many epochs.
    pub fn is_paused(&self) -> bool {
        self.until.is_some_and(|until| self.steps >= until) && !self.stop_asked()
    }

    fn stop_asked(&self) -> bool {
        self.interrupt.asked() || self.folder.is_lost()
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
        if let Event::Start { step, steps, steps_per_epoch, params, first, input, .. } = event {
            self.until = self.interrupt.epochs().map(|epochs| epochs.saturating_mul(*steps_per_epoch));
            self.input.clone_from(input);
            if let Some(kept) = &mut self.tensorboard {
                kept.begin(*step);
            }
            self.stride = steps.div_ceil(STEPS).max(1);
            self.checkpoints.begin(*params, Instant::now());
            self.log.drop_from(*step, *first)?;
            self.steps = *step;
            self.folder.begin(*step, *steps);
            if let Some(best) = &mut self.best {
                best.recall(self.folder.path())?;
            }
        }
        if let Event::Latency { table, .. } = event {
            // Text and numbers are JSON.
            let text = format!("{:#}\n", serde_json::to_value(table).unwrap_or_default());
            self.folder.write(LatencyTable::FILE, text.as_bytes())?;
        }
        self.log.append(event)?;
        self.told_tensorboard(|file, _| file.take(event));
        match event {
            Event::Prune { step, epoch, weights, .. } => self.masked = weights.as_ref().map(|_| (*step, *epoch)),
            Event::Finish { .. } => self.told_tensorboard(|file, step| file.end(step, Ended::Well)),
            _ => {}
        }
        Ok(())
    }

    /// Draws what a pruning step left of the first layer that reads the images, and records that it is there.
    fn draw_mask(&mut self, (step, epoch): (u64, u64), Mask { png, about }: Mask) -> Result<(), RunDirError> {
        let shown = Shown::of_mask(step, epoch, about);
        self.folder.write_picture(shown.name(), &png)?;
        self.log.append(&shown)
    }

    /// Draws a picture into the run's folder, and records that it is there.
    fn draw(&mut self, picture: &Picture) -> Result<(), RunDirError> {
        let shown = Shown::of(picture);
        self.folder.write_picture(shown.name(), &png(picture))?;
        self.log.append(&shown)
    }

    /// Writes a checkpoint that took since `began` to make; events up to here are on the disk before it.
    fn checkpoint(&mut self, began: Instant, checkpoint: &Checkpoint<'_>) -> Result<(), RunDirError> {
        self.log.sync()?;
        self.folder.write_checkpoint(&|file| checkpoint.write(file), self.keep, self.steps)?;
        let now = Instant::now();
        self.checkpoints.written(began, now);
        tracing::debug!("a checkpoint of {} bytes took {:.3} s", checkpoint.size(), (now - began).as_secs_f64());
        Ok(())
    }
}

impl Observer for Recorder<'_> {
    fn event(&mut self, event: &Event) -> secateur::Result<()> {
        if let Event::Step { step, .. } = event {
            self.steps = step + 1;
            self.folder.progress(self.steps);
        }
        // Most optimizer steps are not recorded, and cost nothing.
        if matches!(event, Event::Step { step, .. } if !step.is_multiple_of(self.stride)) {
            return Ok(());
        }
        self.record(event).map_err(ended)?;
        self.progress.event(event);
        if let (Event::Epoch { .. }, Some(report)) = (event, &mut self.report)
            && Instant::now() >= report.due
        {
            let began = Instant::now();
            // A report that cannot be written is told of at the end of the run: it ends no run.
            _ = (report.write)();
            report.due = Instant::now() + REPORT_PAUSE.max(began.elapsed() * REPORT_SHARE);
        }
        Ok(())
    }

    fn should_stop(&self) -> bool {
        self.stage.trains();
        self.stop_asked() || self.is_paused()
    }

    /// The evaluation after the last epoch is made before the run ends there.
    fn should_leave(&self) -> bool {
        self.stage.trains();
        self.stop_asked()
    }

    fn wants_checkpoint(&self) -> bool {
        self.checkpoints.due(Instant::now())
    }

    fn pictures(&self) -> usize {
        self.pictures
    }

    fn picture(&mut self, picture: &Picture) -> secateur::Result<()> {
        self.draw(picture).map_err(ended)
    }

    fn pruned(&mut self, nth: usize, kept: &mut dyn Iterator<Item = KeptWeights<'_>>) -> secateur::Result<()> {
        let due = self.masked.take().filter(|_| self.pictures > 0);
        if !self.survival && due.is_none() {
            return Ok(());
        }
        let all: Vec<KeptWeights<'_>> = kept.collect();
        if let Some(at) = due
            && let Some(mask) = all.iter().find_map(|of| mask(of, &self.input))
        {
            self.draw_mask(at, mask).map_err(ended)?;
        }
        if self.survival { Survival::record(self.folder, nth, &mut all.into_iter()).map_err(ended) } else { Ok(()) }
    }

    fn validated(
        &mut self,
        found: &Evaluation,
        network: &dyn Fn(Table) -> secateur::Result<Vec<u8>>,
    ) -> secateur::Result<()> {
        let Some(best) = &mut self.best else { return Ok(()) };
        if best.beaten_by(found.loss, found.accuracy) {
            let bytes = network(best.sections())?;
            self.folder.write(BEST, &bytes).map_err(ended)?;
        }
        Ok(())
    }

    /// Always takes a checkpoint before a stop, else as often as agreed.
    fn boundary<'a>(
        &mut self,
        stopping: bool,
        take: &dyn Fn(&str) -> secateur::Result<Checkpoint<'a>>,
    ) -> secateur::Result<()> {
        if !stopping && !self.checkpoints.wanted(Instant::now()) {
            return Ok(());
        }
        self.checkpoint(Instant::now(), &take(&self.name)?).map_err(ended)
    }
}

/// A log or a checkpoint that cannot be written ends the run: it must not go on unnoticed.
fn ended(error: RunDirError) -> Error {
    Error::Other(error.to_string())
}
