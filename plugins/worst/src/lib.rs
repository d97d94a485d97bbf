//! The most important first: what a criterion must be far better than.

use secateur::prelude::*;

options! {
    /// Which criterion is reversed.
    pub struct WorstOptions {
        /// The criterion, with its options: `{ name = "contribution-rank", lambda1 = 1.0 }`.
        pub of: PluginSpec = PluginSpec::named("magnitude"),
    }
}

/// The scores of another criterion with their sign turned, so that what it holds most important goes first.
///
/// The "randomised" baseline of the contribution-rank report is this one in fact.
pub struct Worst<B: Backend> {
    of: PluginSpec,
    inner: Option<Box<dyn Criterion<B>>>,
}

impl<B: Backend> From<WorstOptions> for Worst<B> {
    fn from(options: WorstOptions) -> Self {
        Self { of: options.of, inner: None }
    }
}

impl<B: Backend> Worst<B> {
    fn inner(&mut self) -> Result<&mut (dyn Criterion<B> + 'static)> {
        self.inner.as_deref_mut().ok_or_else(|| Error::Other("worst was used before its setup".into()))
    }
}

impl<B: Backend> Criterion<B> for Worst<B> {
    fn needs(&self) -> Needs {
        self.inner.as_ref().map_or(Needs::WEIGHTS, |c| c.needs())
    }

    fn window(&self) -> Window {
        self.inner.as_ref().map_or(Window::LastStep, |c| c.window())
    }

    fn rounding(&self) -> Rounding {
        self.inner.as_ref().map_or(Rounding::default(), |c| c.rounding())
    }

    fn setup(&mut self, run: &Setup<'_>) -> Result<()> {
        let mut inner = run.registry.criterion::<B>(self.of.name()?, &self.of.options())?;
        inner.setup(run)?;
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
            Scores::Weights(scores) => Ok(scores.scale(-1.0)?.into()),
            Scores::Units(scores) => Ok(Scores::Units(scores.into_iter().map(|s| -s).collect())),
            Scores::Keep(_) => {
                Err(Error::Config("worst needs a criterion that scores; this one decides weight by weight".into()))
            }
        }
    }

    fn penalty(&mut self, name: &str, weight: &Tensor<B>) -> Result<Option<(f64, Tensor<B>)>> {
        self.inner()?.penalty(name, weight)
    }

    fn reset(&mut self) {
        if let Some(inner) = &mut self.inner {
            inner.reset();
        }
    }

    fn save(&self) -> State {
        self.inner.as_ref().map_or_else(State::default, |c| c.save())
    }

    fn load(&mut self, state: State) -> Result<()> {
        self.inner()?.load(state)
    }
}

secateur::register!(
    Criterion,
    "worst",
    Worst<B>,
    "Another criterion in reverse: its most important first.",
    options = WorstOptions
);
