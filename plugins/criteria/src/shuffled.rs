//! Another criterion's scores, shuffled: does it matter which weights go, or only how many of each layer?

use rand::seq::SliceRandom as _;
use secateur::prelude::*;

/// The scores of another criterion, permuted at random among the weights or units of a layer that are still there: each
/// layer loses exactly as many as the criterion would take, but not the same ones (the control of Frankle et al. 2021,
/// "Pruning Neural Networks at Initialization: Why Are We Missing the Mark?").
///
/// A weight criterion under `prune.granularity = "unit"` is shuffled weight by weight before its scores are summed.
pub struct Permuted;

impl<B: Backend> Rescore<B> for Permuted {
    const NAME: &'static str = "shuffled";

    fn weights(scores: Tensor<B>, target: &Target<'_, B>) -> Result<Tensor<B>> {
        let alive = target.param().mask().map(|mask| mask.keep());
        let found = permuted(scores.to_vec(), alive, &mut target.seed().stream(STREAM, &[]));
        Tensor::from_vec(scores.device(), found, scores.shape())
    }

    fn units(scores: Vec<f32>, target: &Target<'_, B>) -> Vec<f32> {
        let alive = target.group().and_then(|group| target.params().alive(&group.name));
        permuted(scores, alive, &mut target.seed().stream(STREAM, &[]))
    }
}

/// Another criterion, shuffled.
pub type Shuffled<B> = Rescored<B, Permuted>;

const STREAM: &str = "shuffled";

/// Permutes the scores of what is alive among themselves; the others stay where they are.
fn permuted(mut scores: Vec<f32>, alive: Option<&[bool]>, rng: &mut impl rand::Rng) -> Vec<f32> {
    let places: Vec<usize> = (0..scores.len()).filter(|&i| alive.is_none_or(|alive| alive[i])).collect();
    let mut values: Vec<f32> = places.iter().map(|&i| scores[i]).collect();
    values.shuffle(rng);
    places.into_iter().zip(values).for_each(|(i, value)| scores[i] = value);
    scores
}

register!(
    Criterion,
    "shuffled",
    Shuffled<B>,
    "Another criterion's scores, shuffled within each layer: a control.",
    options = RescoredOptions
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
