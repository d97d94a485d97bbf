//! Another criterion's scores, shuffled: does it matter which weights go, or only how many of each layer?

use rand::seq::SliceRandom as _;
use secateur::prelude::*;

options! {
    /// Which criterion is shuffled.
    pub struct ShuffledOptions {
        /// The criterion, with its options: `{ name = "contribution-rank", lambda1 = 1.0 }`.
        pub of: PluginSpec = PluginSpec::named("magnitude"),
    }
}

/// The scores of another criterion, permuted at random among the weights or units of a layer that are still there: each layer loses
/// exactly as many as the criterion would take, but not the same ones (the control of Frankle et al. 2021, "Pruning Neural Networks
/// at Initialization: Why Are We Missing the Mark?").
///
/// A weight criterion under `prune.granularity = "unit"` is shuffled weight by weight before its scores are summed.
pub struct Shuffled<B: Backend> {
    of: PluginSpec,
    inner: Option<Box<dyn Criterion<B>>>,
}

impl<B: Backend> From<ShuffledOptions> for Shuffled<B> {
    fn from(options: ShuffledOptions) -> Self {
        Self { of: options.of, inner: None }
    }
}

impl<B: Backend> Shuffled<B> {
    fn inner(&mut self) -> Result<&mut (dyn Criterion<B> + 'static)> {
        self.inner.as_deref_mut().ok_or_else(|| Error::Other("shuffled was used before its setup".into()))
    }
}

impl<B: Backend> Criterion<B> for Shuffled<B> {
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
        let scores = self.inner()?.score(target)?;
        let mut rng = target.seed().stream("shuffled", &[]);
        let mut shuffle = |scores: Vec<f32>, alive: Option<&[bool]>| permuted(scores, alive, &mut rng);
        Ok(match scores {
            Scores::Weights(t) => {
                let alive = target.param().mask().map(|mask| mask.keep());
                Tensor::from_vec(target.weight().device(), shuffle(t.to_vec(), alive), t.shape())?.into()
            }
            Scores::Units(scores) => {
                let alive = target.group().and_then(|group| target.params().alive(&group.name));
                Scores::Units(shuffle(scores, alive))
            }
            Scores::Keep(_) => {
                return Err(Error::Config(
                    "shuffled needs a criterion that scores; this one decides weight by weight".into(),
                ));
            }
        })
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

/// Permutes the scores of what is alive among themselves; the others stay where they are.
fn permuted(mut scores: Vec<f32>, alive: Option<&[bool]>, rng: &mut impl rand::Rng) -> Vec<f32> {
    let places: Vec<usize> = (0..scores.len()).filter(|&i| alive.is_none_or(|alive| alive[i])).collect();
    let mut values: Vec<f32> = places.iter().map(|&i| scores[i]).collect();
    values.shuffle(rng);
    places.into_iter().zip(values).for_each(|(i, value)| scores[i] = value);
    scores
}

secateur::register!(
    Criterion,
    "shuffled",
    Shuffled<B>,
    "Another criterion's scores, shuffled within each layer: a control.",
    options = ShuffledOptions
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_permuted_among_what_is_alive() {
        let mut rng = Seed(3).stream("test", &[]);
        let scores: Vec<f32> = (0..100).map(|i| i as f32).collect();
        let alive: Vec<bool> = (0..100).map(|i| i % 4 != 0).collect();
        let found = permuted(scores.clone(), Some(&alive), &mut rng);
        assert!((0..100).step_by(4).all(|i| found[i] == scores[i]), "what is gone keeps its score");
        let moved = (0..100).filter(|&i| found[i] != scores[i]).count();
        assert!(moved > 60, "{moved}");
        let mut sorted = found;
        sorted.sort_by(f32::total_cmp);
        assert_eq!(sorted, scores, "the scores are the same");
    }
}
