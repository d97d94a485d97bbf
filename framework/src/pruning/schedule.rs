//! When to prune, and how much.

use super::measure::Indicators;
use crate::error::Result;
use crate::state::State;
use serde::{Deserialize, Serialize};

/// One optimizer update, counted from 0 over the whole run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Step(pub u64);

/// How much is to be gone after a pruning step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Amount {
    /// This fraction of the dense network.
    Sparsity(f64),
    /// This fraction of what remains now, in addition to what is gone.
    OfRemaining(f64),
}

/// Where a schedule stands at a pruning step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Position {
    /// How much is to be gone after this step.
    pub amount: Amount,
    /// How much of the way to its largest sparsity the schedule has gone after this step, from 0 to 1; for the table
    /// scope, whose fractions are final ones.
    pub progress: f64,
    /// Pruning steps before this one, for the counts scope.
    pub nth: usize,
}

/// How long a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunLength {
    /// Optimizer updates in the whole run.
    pub steps: u64,
    /// Optimizer updates in one epoch.
    pub steps_per_epoch: u64,
}

impl RunLength {
    /// The epoch a step belongs to, from 0.
    pub fn epoch(&self, step: Step) -> u64 {
        step.0 / self.steps_per_epoch.max(1)
    }

    /// The same from 1, as people and events count.
    pub fn nth_epoch(&self, step: Step) -> u64 {
        self.epoch(step) + 1
    }

    /// The number of whole epochs finished after `step`, if it is the last step of an epoch.
    pub fn epochs_finished(&self, step: Step) -> Option<u64> {
        let done = step.0 + 1;
        (self.steps_per_epoch > 0 && done.is_multiple_of(self.steps_per_epoch)).then(|| done / self.steps_per_epoch)
    }

    /// The step that lies at a fraction of the run: 0 is the first, 1 the last.
    pub fn at_fraction(&self, fraction: f64) -> Step {
        Step((fraction * self.steps.saturating_sub(1) as f64).round() as u64)
    }
}

/// What was measured when a pruning step is due, see [`Schedule::adjust`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measured<'a> {
    /// The step after which something is to be pruned.
    pub step: Step,
    /// How long the run is.
    pub run: RunLength,
    /// Fraction of the weights or units that may be pruned which is gone now.
    pub sparsity: f64,
    /// The burden of every prunable parameter, in the model's order: means over the steps at which it was looked at
    /// since the pruning step before, of the last eight where there are more. The step that is pruned after is always
    /// among them.
    pub burden: &'a [Indicators],
    /// Loss on the validation split, where it was measured right before this pruning step.
    pub validation_loss: Option<f64>,
}

impl Amount {
    /// The fraction.
    pub fn fraction(self) -> f64 {
        let (Self::Sparsity(fraction) | Self::OfRemaining(fraction)) = self;
        fraction
    }
}

/// When to prune, and how much.
///
/// A pure function of the step: the engine asks it ahead of time, to plan evaluation and to let criteria observe only
/// what they will use.
///
/// ```
/// use secateur::prelude::*;
/// /// Half of the weights, once, after the first epoch.
/// struct Halve;
/// impl Schedule for Halve {
///     fn target(&self, step: Step, run: &RunLength) -> Result<Option<Amount>> {
///         Ok((run.epochs_finished(step) == Some(1)).then_some(Amount::Sparsity(0.5)))
///     }
/// }
/// let run = RunLength { steps: 30, steps_per_epoch: 10 };
/// assert_eq!(Halve.target(Step(9), &run)?, Some(Amount::Sparsity(0.5)));
/// # Ok::<(), Error>(())
/// ```
pub trait Schedule: Send {
    /// Called once before anything else is asked: whether the options fit a run of this length.
    ///
    /// # Errors
    /// An option that cannot act in such a run, under its key.
    fn setup(&mut self, _run: &RunLength) -> Result<()> {
        Ok(())
    }

    /// What holds before the first update, where the network is pruned at initialisation (SNIP, GraSP, SynFlow).
    ///
    /// # Errors
    /// If it cannot answer.
    fn at_start(&self, _run: &RunLength) -> Result<Option<Amount>> {
        Ok(None)
    }

    /// Whether a run in which it prunes nothing is what was asked for; elsewhere that is an error.
    fn may_be_idle(&self) -> bool {
        false
    }

    /// What holds after `step`, or `None` where nothing is pruned at this step: the optimizer's update comes first. For
    /// what holds before any update there is [`Schedule::at_start`].
    ///
    /// # Errors
    /// If it cannot answer.
    fn target(&self, step: Step, run: &RunLength) -> Result<Option<Amount>>;

    /// The first step, `from` or a later one, after which something may be pruned; `None` where nothing is from there
    /// on. [`Schedule::target`] is asked at these alone, so that a run of very many steps is laid out at once; who does
    /// not know better says `from`.
    ///
    /// # Errors
    /// If it cannot answer.
    fn next(&self, from: Step, _run: &RunLength) -> Result<Option<Step>> {
        Ok(Some(from))
    }

    /// Whether it goes by what is measured: [`Schedule::adjust`] is then asked at every pruning step after an update,
    /// and what [`Schedule::target`] says is the most that may be asked there.
    fn watches(&self) -> bool {
        false
    }

    /// How much is to be gone after a pruning step that is due now, given what was measured: the plan, or less of the
    /// same kind. Its state belongs into [`Schedule::save`].
    ///
    /// # Errors
    /// If it cannot answer.
    fn adjust(&mut self, planned: Amount, _seen: &Measured<'_>) -> Result<Amount> {
        Ok(planned)
    }

    /// The step whose weights (as they were before its update) are brought back after the pruning at `step`; masks
    /// stay. Lottery tickets rewind to step 0 or to an early step.
    ///
    /// # Errors
    /// If it cannot answer.
    fn rewind(&self, _step: Step, _run: &RunLength) -> Result<Option<Step>> {
        Ok(None)
    }

    /// State that must survive a restart.
    ///
    /// # Errors
    /// If it cannot be told; the checkpoint is then not written.
    fn save(&self) -> Result<State> {
        Ok(State::default())
    }

    /// Takes back what [`Schedule::save`] gave.
    ///
    /// # Errors
    /// If the state is not one of its own.
    fn load(&mut self, _state: State) -> Result<()> {
        Ok(())
    }
}
