//! What a weight, or a unit, is worth.

mod probe;
mod rounding;
mod view;

pub use probe::{Objective, Probe, ProbeInput, ProbeMode, Question};
pub(crate) use probe::{add_to, fits, squares_one_by_one};
pub use rounding::Rounding;
pub use view::{Cut, Observation, Refit, Setup, Target};

use crate::backend::{Backend, Reduce};
use crate::error::Result;
use crate::network::forward::Needs;
use crate::options::Table;
use crate::pruning::Normalizer;
use crate::state::State;
use crate::tensor::Tensor;

/// What a criterion answers for one target.
#[derive(Debug, Clone)]
pub enum Scores<B: Backend> {
    /// One score per weight, in the weight's shape; higher is kept. Where units are pruned, the engine reduces the
    /// scores of each unit's weights to one (`prune.reduce`), so that a weight criterion serves for neurons and filters
    /// too.
    Weights(Tensor<B>),
    /// One score per unit of the target's group; higher is kept.
    Units(Vec<f32>),
    /// The criterion's own decision, weight by weight (thresholds, hysteresis); the schedule then only says when.
    Keep(Vec<bool>),
}

impl<B: Backend> From<Tensor<B>> for Scores<B> {
    fn from(scores: Tensor<B>) -> Self {
        Self::Weights(scores)
    }
}

/// The training steps that a pruning step looks back on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Window {
    /// The step itself.
    LastStep,
    /// The steps of its epoch.
    Epoch,
    /// Every step since the pruning step before it.
    SincePrune,
}

/// Makes a criterion from its name and options, for plugins that wrap others.
pub type MakeCriterion<'a, B> = dyn Fn(&str, &Table) -> Result<Box<dyn Criterion<B>>> + 'a;

/// Scores weights or units; the engine removes the lowest.
///
/// ```
/// use secateur::prelude::*;
///
/// /// |w g|: the first-order change of the loss when w is removed (Molchanov et al. 2017).
/// struct Taylor;
/// impl<B: Backend> Criterion<B> for Taylor {
///     fn needs(&self) -> Needs {
///         Needs::GRADIENTS
///     }
///     fn score(&mut self, target: &Target<'_, B>) -> Result<Scores<B>> {
///         Ok(target.weight()?.mul(&target.grad()?)?.abs()?.into())
///     }
/// }
/// ```
pub trait Criterion<B: Backend>: Send {
    /// What it must be shown. The engine records nothing else; a missing signal is an error, never a silent fallback.
    fn needs(&self) -> Needs {
        Needs::WEIGHTS
    }

    /// The training steps that count for the next pruning step; the engine shows it no others.
    fn window(&self) -> Window {
        Window::SincePrune
    }

    /// How its weights' scores become one score of a unit, where `prune.reduce` does not say.
    fn reduce(&self) -> Reduce {
        Reduce::L1
    }

    /// How its scores of different layers are made comparable where they are ranked together and `prune.normalize` does
    /// not say; where it has no opinion, weights are ranked as they are and units by their layer's mean.
    fn normalizer(&self) -> Option<Normalizer> {
        None
    }

    /// Called once before the first step, and when a run is resumed; where a run goes on from another's checkpoint with this
    /// criterion instead of the other's, once more with the network as it is there.
    ///
    /// # Errors
    /// If its options do not fit the network.
    fn setup(&mut self, _run: &Setup<'_, B>) -> Result<()> {
        Ok(())
    }

    /// Sees a training step: weights, gradients and whatever else it needs, before the optimizer's update.
    ///
    /// # Errors
    /// If a signal it asks for was not declared in [`Criterion::needs`].
    fn observe(&mut self, _seen: &Observation<'_, B>) -> Result<()> {
        Ok(())
    }

    /// Called once in every pruning step, before the scores: asks for gradients at other weights, inputs or objectives
    /// (`Needs::PROBE`).
    ///
    /// # Errors
    /// What the probe reports.
    fn prepare(&mut self, _probe: &mut dyn Probe<B>) -> Result<()> {
        Ok(())
    }

    /// Called in every round of a pruning step with everything that [`Criterion::score`] is then asked for, for one
    /// that answers all of it at once: a worker in another process. A loaded library is not told.
    ///
    /// # Errors
    /// If it cannot score one of them.
    fn announce(&mut self, _targets: &[Target<'_, B>]) -> Result<()> {
        Ok(())
    }

    /// Scores of one parameter's weights, or of a group's units.
    ///
    /// # Errors
    /// If it cannot score this kind of target.
    fn score(&mut self, target: &Target<'_, B>) -> Result<Scores<B>>;

    /// A penalty that it adds to the training loss: for one parameter, the penalty's value and gradient
    /// (`Needs::PENALTY`).
    ///
    /// # Errors
    /// If the device is out of memory.
    fn penalty(&mut self, _name: &str, _weight: &Tensor<B>) -> Result<Option<(f64, Tensor<B>)>> {
        Ok(None)
    }

    /// Changes what stays: weights that take the place of a parameter's own in this pruning step, in its shape (least
    /// squares for the survivors, He et al. 2017). Called after what stays was decided, and before the rest is masked
    /// or cut out; masks hold for what it gives as well, and optimizer state stays as it is.
    ///
    /// # Errors
    /// If what it collected does not fit the network.
    fn refit(&mut self, _plan: &Refit<'_, B>) -> Result<Vec<(String, Tensor<B>)>> {
        Ok(vec![])
    }

    /// Units were cut out: state that goes by a group's units, or by the indices of a weight's axis, follows them.
    /// Called for every group that got smaller, before the next scores and before [`Criterion::reset`].
    ///
    /// # Errors
    /// If its state does not fit; the run ends.
    fn cut(&mut self, _cut: &Cut<'_>) -> Result<()> {
        Ok(())
    }

    /// Forgets what it collected; called after each pruning step.
    ///
    /// # Errors
    /// If it cannot; the run ends.
    fn reset(&mut self) -> Result<()> {
        Ok(())
    }

    /// State that must survive a restart, so that a resumed run is bit-identical.
    ///
    /// # Errors
    /// If it cannot be told; the checkpoint is then not written.
    fn save(&self) -> Result<State> {
        Ok(State::default())
    }

    /// Takes back what [`Criterion::save`] gave; `device` is where the run's tensors are.
    ///
    /// # Errors
    /// If the state is not one of its own.
    fn load(&mut self, _state: State, _device: &B) -> Result<()> {
        Ok(())
    }
}
