//! A criterion made of another one's scores.

use super::PluginSpec;
use crate::backend::{Backend, Reduce};
use crate::error::{Error, Result};
use crate::network::forward::Needs;
use crate::options;
use crate::pruning::Normalizer;
use crate::pruning::criterion::{Criterion, Cut, Observation, Probe, Refit, Scores, Setup, Target, Window};
use crate::state::State;
use crate::tensor::Tensor;

/// What becomes of another criterion's scores.
pub trait Rescore<B: Backend>: Default + Send {
    /// The name it is registered under, for messages.
    const NAME: &'static str;

    /// New scores of a parameter's weights, in the same shape.
    ///
    /// # Errors
    /// Whatever the tensors report.
    fn weights(&mut self, scores: Tensor<B>, target: &Target<'_, B>) -> Result<Tensor<B>>;

    /// New scores of a group's units, as many.
    fn units(&mut self, scores: Vec<f32>, target: &Target<'_, B>) -> Vec<f32>;

    /// Units were cut out, see [`Criterion::cut`].
    fn cut(&mut self, _cut: &Cut<'_>) {}

    /// State that must survive a restart.
    fn save(&self) -> State {
        State::default()
    }

    /// Takes back what [`Rescore::save`] gave.
    fn load(&mut self, _state: State) {}
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
    how: R,
}

impl<B: Backend, R: Rescore<B>> From<RescoredOptions> for Rescored<B, R> {
    fn from(options: RescoredOptions) -> Self {
        Self { of: options.of, inner: None, how: R::default() }
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

    fn reduce(&self) -> Reduce {
        self.inner.as_ref().map_or(Reduce::L1, |c| c.reduce())
    }

    fn normalizer(&self) -> Option<Normalizer> {
        self.inner.as_ref().and_then(|c| c.normalizer())
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

    fn announce(&mut self, targets: &[Target<'_, B>]) -> Result<()> {
        self.inner()?.announce(targets)
    }

    fn score(&mut self, target: &Target<'_, B>) -> Result<Scores<B>> {
        match self.inner()?.score(target)? {
            Scores::Weights(scores) => Ok(self.how.weights(scores, target)?.into()),
            Scores::Units(scores) => Ok(Scores::Units(self.how.units(scores, target))),
            Scores::Keep(_) => Err(Error::Config(format!(
                "{} needs a criterion that scores; this one decides weight by weight",
                R::NAME
            ))),
        }
    }

    fn penalty(&mut self, name: &str, weight: &Tensor<B>) -> Result<Option<(f64, Tensor<B>)>> {
        self.inner()?.penalty(name, weight)
    }

    fn refit(&mut self, plan: &Refit<'_, B>) -> Result<Vec<(String, Tensor<B>)>> {
        self.inner()?.refit(plan)
    }

    fn cut(&mut self, cut: &Cut<'_>) -> Result<()> {
        self.how.cut(cut);
        self.inner()?.cut(cut)
    }

    fn reset(&mut self) -> Result<()> {
        self.inner()?.reset()
    }

    fn save(&self) -> Result<State> {
        let inner = self.inner.as_ref().map_or_else(|| Ok(State::default()), |c| c.save())?;
        let under = |part: &'static str| move |(name, values)| (format!("{part}/{name}"), values);
        Ok(State(inner.0.into_iter().map(under("of")).chain(self.how.save().0.into_iter().map(under("own"))).collect()))
    }

    fn load(&mut self, state: State, device: &B) -> Result<()> {
        let (mut inner, mut own) = (State::default(), State::default());
        for (name, values) in state.0 {
            match name.split_once('/') {
                Some(("of", name)) => _ = inner.0.insert(name.to_owned(), values),
                Some(("own", name)) => _ = own.0.insert(name.to_owned(), values),
                _ => return Err(Error::Checkpoint(format!("holds `{name}`, which is no state of {}", R::NAME))),
            }
        }
        self.how.load(own);
        self.inner()?.load(inner, device)
    }
}
