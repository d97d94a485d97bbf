//! What a run tells its observer, in order. Losses wait on the device until somebody reads them; every other report
//! reads them first.

use super::{Evaluation, KeptWeights, Observer, TrainConfig};
use crate::backend::Backend;
use crate::data::SplitName;
use crate::error::{Error, Result};
use crate::options::Table;
use crate::pruning::schedule::{RunLength, Step};
use crate::state::Checkpoint;
use crate::tensor::Tensor;
use crate::training::event::Event;
use crate::training::picture::Picture;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A training step whose loss nobody has read yet.
pub(super) struct PendingStep<B: Backend> {
    pub step: Step,
    pub examples: usize,
    /// The loss and, of a classifier, the number of examples classified rightly.
    pub metrics: Tensor<B>,
    /// The factor of the gradients and their norm, where they are clipped.
    pub clip: Option<Tensor<B>>,
    pub lr: f64,
    pub penalty: Option<f64>,
}

/// Where the time goes.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(super) struct Clock {
    pub train: Duration,
    pub prune: Duration,
    pub eval: Duration,
}

/// What was reported so far, as a checkpoint keeps it.
#[derive(Debug, Clone, Default)]
pub(super) struct Reported {
    pub epoch: EpochProgress,
    pub clock: Clock,
    pub notes: Vec<Said>,
}

/// A sentence that was said, and the step before which it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Said {
    pub step: u64,
    pub text: String,
}

/// Stands between a run and its observer.
pub(super) struct Reporter<'o, B: Backend> {
    observer: &'o mut dyn Observer,
    length: RunLength,
    pending: Vec<PendingStep<B>>,
    epoch: EpochProgress,
    pub clock: Clock,
    /// How long the last evaluation took.
    pub evaluation: Option<Duration>,
    /// Whether an evaluation may be left before its end, because a checkpoint can be taken as if it had not begun.
    pub may_leave: bool,
    notes: Vec<Said>,
}

impl<'o, B: Backend> Reporter<'o, B> {
    pub fn new(observer: &'o mut dyn Observer, length: RunLength) -> Self {
        let (epoch, clock) = (EpochProgress::default(), Clock::default());
        Self { observer, length, pending: vec![], epoch, clock, evaluation: None, may_leave: false, notes: vec![] }
    }

    /// Goes on before the step `next` from what a checkpoint kept. What was said from that step on is said again, since
    /// logs drop what they hold of the steps that follow.
    pub fn restore(&mut self, next: Step, reported: Reported) {
        (self.epoch, self.clock, self.notes) = (reported.epoch, reported.clock, reported.notes);
        self.notes.retain(|note| note.step < next.0);
    }

    /// A training step, before its update: on a device that does not run ahead, an update with a loss that is not
    /// finite never happens.
    pub fn step(&mut self, pending: PendingStep<B>) -> Result<()> {
        self.pending.push(pending);
        if self.pending.len() >= B::PENDING_STEPS { self.flush() } else { Ok(()) }
    }

    /// Any other fact.
    pub fn event(&mut self, event: &Event) -> Result<()> {
        self.flush()?;
        self.observer.event(event)
    }

    /// Something a person should know: one whole sentence about these config keys. A sentence is said once in a run.
    pub fn note(
        &mut self,
        step: Step,
        keys: impl IntoIterator<Item = impl Into<String>>,
        text: impl Into<String>,
    ) -> Result<()> {
        let text = text.into();
        if self.notes.iter().any(|said| said.text == text) {
            return Ok(());
        }
        self.notes.push(Said { step: step.0, text: text.clone() });
        let keys = keys.into_iter().map(Into::into).collect();
        self.event(&Event::Note { step: step.0, keys, text })
    }

    /// Every sentence so far.
    pub fn notes(&self) -> Vec<String> {
        self.notes.iter().map(|note| note.text.clone()).collect()
    }

    /// The epoch of a step is over; returns its mean training loss.
    pub fn epoch(&mut self, step: Step, sparsity: f64) -> Result<f64> {
        self.flush()?;
        let (loss, accuracy) = self.epoch.take();
        let seconds = self.epoch.lap(self.clock.train);
        let (epoch, split) = (self.length.nth_epoch(step), SplitName::Train);
        self.observer.event(&Event::Epoch { step: step.0, epoch, split, loss, accuracy, sparsity, seconds })?;
        Ok(loss)
    }

    /// Looks at the training loss of an epoch: whether training ends with it is then known. `settled` says whether all
    /// pruning steps came before its first step.
    pub fn look_at(&mut self, loss: f64, settled: bool, train: &TrainConfig) {
        self.epoch.trend = if settled { self.epoch.trend.with(loss, train) } else { Trend::default() };
    }

    /// Whether training ended before the last of its epochs.
    pub fn is_over(&self) -> bool {
        self.epoch.trend.over
    }

    pub fn stop_asked(&self) -> bool {
        self.observer.should_stop()
    }

    pub fn leave_asked(&self) -> bool {
        self.may_leave && self.observer.should_leave()
    }

    pub fn validated(&mut self, found: &Evaluation, network: &dyn Fn(Table) -> Result<Vec<u8>>) -> Result<()> {
        self.observer.validated(found, network)
    }

    pub fn checkpoint_wanted(&self) -> bool {
        self.observer.wants_checkpoint()
    }

    /// How many examples the observer wants to see in pictures.
    pub fn pictures(&self) -> usize {
        self.observer.pictures()
    }

    pub fn picture(&mut self, picture: &Picture) -> Result<()> {
        self.flush()?;
        self.observer.picture(picture)
    }

    /// What the `nth` pruning step left.
    pub fn pruned(&mut self, nth: usize, kept: &mut dyn Iterator<Item = KeptWeights<'_>>) -> Result<()> {
        self.observer.pruned(nth, kept)
    }

    /// A point from which the run can go on; `take` makes the checkpoint for a run of that name.
    pub fn boundary<'a>(
        &mut self,
        stopping: bool,
        take: &dyn Fn(&str, Reported) -> Result<Checkpoint<'a>>,
    ) -> Result<()> {
        let reported = self.reported()?;
        self.observer.boundary(stopping, &|name| take(name, reported.clone()))
    }

    /// What was reported so far.
    pub fn reported(&mut self) -> Result<Reported> {
        self.flush()?;
        Ok(Reported { epoch: self.epoch, clock: self.clock, notes: self.notes.clone() })
    }

    fn flush(&mut self) -> Result<()> {
        let pending = std::mem::take(&mut self.pending);
        let waiting = pending.iter().flat_map(|p| std::iter::once(&p.metrics).chain(&p.clip)).collect::<Vec<_>>();
        let mut values = B::host_all(&waiting).into_iter();
        for PendingStep { step, examples, clip, lr, penalty, .. } in pending {
            let (loss, correct) = metrics(&values.next().unwrap_or_default());
            finite("the training loss", loss, step)?;
            if let Some(scale) = clip.and_then(|_| values.next()) {
                finite("the norm of the gradients", f64::from(scale[1]), step)?;
            }
            self.epoch.add(loss, correct, examples);
            let (epoch, accuracy) = (self.length.nth_epoch(step), correct.map(|c| c as f64 / examples as f64));
            let split = SplitName::Train;
            self.observer.event(&Event::Step { step: step.0, epoch, split, loss, accuracy, lr, penalty })?;
        }
        Ok(())
    }
}

/// The loss and the count of right answers, as a forward pass left them.
pub(super) fn metrics(values: &[f32]) -> (f64, Option<usize>) {
    (values.first().copied().map_or(f64::NAN, f64::from), values.get(1).map(|&c| c as usize))
}

fn finite(what: &str, value: f64, step: Step) -> Result<()> {
    if value.is_finite() {
        return Ok(());
    }
    Err(Error::NotFinite { what: what.into(), value, step: step.0 })
}

/// Training loss and accuracy of the epoch so far.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(super) struct EpochProgress {
    loss: f64,
    correct: Option<usize>,
    examples: usize,
    before: Duration,
    #[serde(default)]
    trend: Trend,
}

/// The training loss of the epochs since the last pruning step.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
struct Trend {
    lowest: Option<f64>,
    /// Epochs since the lowest.
    flat: u64,
    over: bool,
}

impl Trend {
    /// The same after an epoch more.
    fn with(self, loss: f64, train: &TrainConfig) -> Self {
        let lower = self.lowest.is_none_or(|lowest| loss < lowest);
        let flat = if lower { 0 } else { self.flat + 1 };
        let reached = train.stop_loss.is_some_and(|limit| loss <= limit);
        let over = reached || (train.stop_flat > 0 && flat >= train.stop_flat);
        Self { lowest: if lower { Some(loss) } else { self.lowest }, flat, over }
    }
}

impl EpochProgress {
    fn add(&mut self, loss: f64, correct: Option<usize>, examples: usize) {
        self.loss += loss * examples as f64;
        self.correct = correct.map(|c| c + self.correct.unwrap_or(0));
        self.examples += examples;
    }

    fn take(&mut self) -> (f64, Option<f64>) {
        let n = self.examples.max(1) as f64;
        let found = (self.loss / n, self.correct.map(|c| c as f64 / n));
        *self = Self { before: self.before, trend: self.trend, ..Self::default() };
        found
    }

    fn lap(&mut self, now: Duration) -> f64 {
        let seconds = (now - self.before).as_secs_f64();
        self.before = now;
        seconds
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::Cpu;

    #[derive(Default)]
    struct Log(Vec<Event>);
    impl Observer for Log {
        fn event(&mut self, event: &Event) -> Result<()> {
            self.0.push(event.clone());
            Ok(())
        }
    }

    #[test]
    fn training_ends_with_a_loss_low_enough_or_after_flat_epochs() {
        let after = |losses: &[f64], train: &TrainConfig| {
            let mut trend = Trend::default();
            losses.iter().position(|loss| {
                trend = trend.with(*loss, train);
                trend.over
            })
        };
        let losses = [1.0, 0.5, 0.5, 0.6, 0.4, 0.4, 0.41, 0.4, 0.1];
        let with = |stop_loss, stop_flat| TrainConfig { stop_loss, stop_flat, ..TrainConfig::default() };
        assert_eq!(after(&losses, &with(None, 0)), None);
        assert_eq!(after(&losses, &with(Some(0.5), 0)), Some(1));
        assert_eq!(after(&losses, &with(None, 2)), Some(3));
        assert_eq!(after(&losses, &with(None, 3)), Some(7), "an equal loss is no new lowest");
        assert_eq!(after(&losses, &with(Some(0.1), 4)), Some(8));
    }

    #[test]
    fn a_sentence_is_said_once_in_a_run_that_is_resumed() {
        let length = RunLength { steps: 10, steps_per_epoch: 10 };
        let (mut first, mut second) = (Log::default(), Log::default());
        let mut reporter = Reporter::<Cpu>::new(&mut first, length);
        for (step, text) in [(0, "a"), (3, "a"), (3, "b"), (5, "c")] {
            reporter.note(Step(step), ["train.lr"], text).unwrap();
        }
        let kept = Reported { notes: reporter.notes.clone(), ..Reported::default() };
        let said = |log: &Log| -> Vec<(u64, String)> {
            let note = |event: &Event| match event {
                Event::Note { step, keys, text } if keys == &["train.lr"] => (*step, text.clone()),
                other => panic!("{other:?}"),
            };
            log.0.iter().map(note).collect()
        };
        assert_eq!(said(&first), [(0, "a".into()), (3, "b".into()), (5, "c".into())]);
        let mut reporter = Reporter::<Cpu>::new(&mut second, length);
        reporter.restore(Step(5), kept);
        for text in ["a", "b", "c", "d"] {
            reporter.note(Step(5), ["train.lr"], text).unwrap();
        }
        assert_eq!(reporter.notes(), ["a", "b", "c", "d"]);
        assert_eq!(said(&second), [(5, "c".into()), (5, "d".into())], "logs drop what they hold from step 5 on");
    }
}
