//! A criterion made of another one's scores.

use super::PluginSpec;
use crate::backend::Backend;
use crate::error::{Error, Result};
use crate::network::forward::Needs;
use crate::options;
use crate::pruning::criterion::{Criterion, Observation, Probe, Rounding, Scores, Setup, Target, Window};
use crate::state::State;
use crate::tensor::Tensor;
use std::marker::PhantomData;

/// What becomes of another criterion's scores.
pub trait Rescore<B: Backend> {
    /// The name it is registered under, for messages.
    const NAME: &'static str;

    /// New scores of a parameter's weights, in the same shape.
    ///
    /// # Errors
    /// Whatever the tensors report.
    fn weights(scores: Tensor<B>, target: &Target<'_, B>) -> Result<Tensor<B>>;

    /// New scores of a group's units, as many.
    fn units(scores: Vec<f32>, target: &Target<'_, B>) -> Vec<f32>;
}

options! {
    /// Which criterion's scores are changed.
    pub struct RescoredOptions {
        /// The criterion, with its options: `{ name = "contribution-rank", lambda1 = 1.0 }`.
        #[acts(always)]
        pub of: PluginSpec = PluginSpec::named("magnitude"),
    }
}

/// Another criterion, asked and shown everything that it needs, with its scores changed by `R`.
pub struct Rescored<B: Backend, R> {
    of: PluginSpec,
    inner: Option<Box<dyn Criterion<B>>>,
    how: PhantomData<fn() -> R>,
}

impl<B: Backend, R> From<RescoredOptions> for Rescored<B, R> {
    fn from(options: RescoredOptions) -> Self {
        Self { of: options.of, inner: None, how: PhantomData }
    }
}

impl<B: Backend, R: Rescore<B>> Rescored<B, R> {
    fn inner(&mut self) -> Result<&mut (dyn Criterion<B> + 'static)> {
        self.inner.as_deref_mut().ok_or_else(|| Error::Other(format!("{} was used before its setup", R::NAME)))
    }
}

impl<B: Backend, R: Rescore<B>> Criterion<B> for Rescored<B, R> {
    fn needs(&self) -> Needs {
        self.inner.as_ref().map_or(Needs::WEIGHTS, |c| c.needs())
    }

    fn window(&self) -> Window {
        self.inner.as_ref().map_or(Window::LastStep, |c| c.window())
    }

    fn rounding(&self) -> Rounding {
        self.inner.as_ref().map_or(Rounding::default(), |c| c.rounding())
    }

    fn setup(&mut self, run: &Setup<'_, B>) -> Result<()> {
        let inner = self.of.name().and_then(|name| (run.make_criterion)(name, &self.of.options()));
        let mut inner = inner.map_err(|error| error.under("of"))?;
        inner.setup(run).map_err(|error| error.under("of"))?;
        self.inner = Some(inner);
        Ok(())
    }

    fn observe(&mut self, seen: &Observation<'_, B>) -> Result<()> {
        self.inner()?.observe(seen)
    }

    fn prepare(&mut self, probe: &mut dyn Probe<B>) -> Result<()> {
        self.inner()?.prepare(probe)
    }

    fn score(&mut self, target: &Target<'_, B>) -> Result<Scores<B>> {
        match self.inner()?.score(target)? {
            Scores::Weights(scores) => Ok(R::weights(scores, target)?.into()),
            Scores::Units(scores) => Ok(Scores::Units(R::units(scores, target))),
            Scores::Keep(_) => Err(Error::Config(format!(
                "{} needs a criterion that scores; this one decides weight by weight",
                R::NAME
            ))),
        }
    }

    fn penalty(&mut self, name: &str, weight: &Tensor<B>) -> Result<Option<(f64, Tensor<B>)>> {
        self.inner()?.penalty(name, weight)
    }

    fn reset(&mut self) -> Result<()> {
        self.inner()?.reset()
    }

    fn save(&self) -> Result<State> {
        self.inner.as_ref().map_or_else(|| Ok(State::default()), |c| c.save())
    }

    fn load(&mut self, state: State) -> Result<()> {
        self.inner()?.load(state)
    }
}
