//! Losses, as they come: on the device until somebody reads them, then added up over the epoch.

use super::{Engine, Observer};
use crate::backend::Backend;
use crate::error::{Error, Result};
use crate::pruning::schedule::Step;
use crate::tensor::Tensor;
use crate::training::event::Event;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A training step that is over, but for the loss that nobody has read yet.
pub(super) struct Untold<B: Backend> {
    pub step: Step,
    pub examples: usize,
    /// The loss and, of a classifier, the number of examples classified rightly.
    pub figures: Tensor<B>,
    pub lr: f64,
    pub penalty: Option<f64>,
}

/// The loss and the count of right answers, as a forward pass left them.
pub(super) fn figures(values: &[f32]) -> (f64, Option<usize>) {
    (f64::from(values[0]), values.get(1).map(|&c| c as usize))
}

pub(super) fn check_finite(loss: f64, step: Step) -> Result<()> {
    if loss.is_finite() {
        return Ok(());
    }
    Err(Error::NotFinite { what: "the training loss".into(), value: loss, step: step.0 })
}

impl<B: Backend> Engine<'_, B> {
    /// Tells of the steps whose losses were not read yet. Everything that depends on them, or that could not be taken back after a
    /// loss that is not finite, calls this first.
    pub(super) fn tell(&mut self, observer: &mut dyn Observer) -> Result<()> {
        let untold = std::mem::take(&mut self.untold);
        let all = B::host_all(&untold.iter().map(|u| &u.figures).collect::<Vec<_>>());
        for (Untold { step, examples, lr, penalty, .. }, values) in untold.into_iter().zip(all) {
            let (loss, correct) = figures(&values);
            check_finite(loss, step)?;
            self.progress.add(loss, correct, examples);
            let (epoch, accuracy) = (self.length.epoch(step), correct.map(|c| c as f64 / examples as f64));
            observer.event(&Event::Step { step: step.0, epoch, loss, accuracy, lr, penalty })?;
        }
        Ok(())
    }
}

/// Training loss and accuracy of the epoch so far.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(super) struct EpochProgress {
    loss: f64,
    correct: Option<usize>,
    examples: usize,
    before: Duration,
}

impl EpochProgress {
    pub fn add(&mut self, loss: f64, correct: Option<usize>, examples: usize) {
        self.loss += loss * examples as f64;
        self.correct = correct.map(|c| c + self.correct.unwrap_or(0));
        self.examples += examples;
    }

    pub fn take(&mut self) -> (f64, Option<f64>) {
        let n = self.examples.max(1) as f64;
        let found = (self.loss / n, self.correct.map(|c| c as f64 / n));
        *self = Self { before: self.before, ..Self::default() };
        found
    }

    pub fn lap(&mut self, now: Duration) -> f64 {
        let seconds = (now - self.before).as_secs_f64();
        self.before = now;
        seconds
    }
}
