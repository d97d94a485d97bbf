//! Another criterion's scores, shuffled: does it matter which weights go, or only how many of each layer?

use super::order::{Order, draw};
use crate::ascending::ascending;
use secateur::prelude::*;

/// The scores of another criterion, dealt out anew in a random order among the weights or units of a layer that are
/// still there (where weights grow, among those that may): each layer loses exactly as many as the criterion would take,
/// but not the same ones (the control of Frankle et al. 2021, "Pruning Neural Networks at Initialization: Why Are We
/// Missing the Mark?"). The order is one for the whole run: whoever stands first in it gets the highest score at every
/// pruning step.
///
/// A weight criterion under `prune.granularity = "unit"` is shuffled weight by weight before its scores are summed.
#[derive(Default)]
pub struct Permuted(Order);

impl<B: Backend> Rescore<B> for Permuted {
    const NAME: &'static str = "shuffled";

    fn weights(&mut self, scores: Tensor<B>, target: &Target<'_, B>) -> Result<Tensor<B>> {
        deal_weights(scores, target, &Order::weights(target, STREAM))
    }

    fn units(&mut self, scores: Vec<f32>, target: &Target<'_, B>) -> Vec<f32> {
        let Some(group) = target.group() else { return scores };
        deal(scores, units_there(target), self.0.units(target.seed(), STREAM, group))
    }

    fn cut(&mut self, cut: &Cut<'_>) {
        self.0.cut(cut);
    }

    fn save(&self) -> State {
        self.0.save()
    }

    fn load(&mut self, state: State) {
        self.0.load(state);
    }
}

/// [`Permuted`] in an order that is drawn anew at every pruning step.
#[derive(Default)]
pub struct Redrawn;

impl<B: Backend> Rescore<B> for Redrawn {
    const NAME: &'static str = "shuffled-redrawn";

    fn weights(&mut self, scores: Tensor<B>, target: &Target<'_, B>) -> Result<Tensor<B>> {
        let order = draw(step_seed(target), STREAM, scores.count());
        deal_weights(scores, target, &order)
    }

    fn units(&mut self, scores: Vec<f32>, target: &Target<'_, B>) -> Vec<f32> {
        let order = draw(step_seed(target), STREAM, scores.len());
        deal(scores, units_there(target), &order)
    }
}

/// Another criterion, shuffled.
pub type Shuffled<B> = Rescored<B, Permuted>;
/// Another criterion, shuffled anew at every pruning step.
pub type ShuffledRedrawn<B> = Rescored<B, Redrawn>;

const STREAM: &str = "shuffled";

fn step_seed<B: Backend>(target: &Target<'_, B>) -> Seed {
    target.seed().derive("step", &[&target.step().0.to_string()])
}

fn deal_weights<B: Backend>(scores: Tensor<B>, target: &Target<'_, B>, order: &[f32]) -> Result<Tensor<B>> {
    let dealt = deal(scores.to_vec(), target.ranked().as_deref(), order);
    Tensor::from_vec(scores.device(), dealt, scores.shape())
}

fn units_there<'a, B: Backend>(target: &Target<'a, B>) -> Option<&'a [bool]> {
    let held = target.params().masking() == Masking::Held;
    target.group().filter(|_| held).and_then(|group| target.params().alive(&group.name))
}

/// Gives the scores of what is there to the same places in the order of `order`: the highest score to the highest
/// number. The others keep theirs.
fn deal(mut scores: Vec<f32>, there: Option<&[bool]>, order: &[f32]) -> Vec<f32> {
    let places: Vec<usize> = (0..scores.len()).filter(|&i| there.is_none_or(|there| there[i])).collect();
    let mut values: Vec<f32> = places.iter().map(|&i| scores[i]).collect();
    values.sort_unstable_by(f32::total_cmp);
    let dealt = ascending(places.iter().map(|&i| order[i])).map(|nth| places[nth]);
    dealt.zip(values).for_each(|(i, value)| scores[i] = value);
    scores
}

register!(
    Criterion,
    "shuffled",
    Shuffled<B>,
    "Another criterion's scores, shuffled within each layer: a control.",
    options = RescoredOptions
);
register!(
    Criterion,
    "shuffled-redrawn",
    ShuffledRedrawn<B>,
    "Another criterion's scores, shuffled anew at every pruning step.",
    options = RescoredOptions
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_dealt_in_one_order_among_what_is_there() {
        let scores: Vec<f32> = (0..100).map(|i| i as f32).collect();
        let there: Vec<bool> = (0..100).map(|i| i % 4 != 0).collect();
        let order = draw(Seed(3), "test", 100);
        let found = deal(scores.clone(), Some(&there), &order);
        assert!((0..100).step_by(4).all(|i| found[i] == scores[i]), "what is gone keeps its score");
        let moved = (0..100).filter(|&i| found[i] != scores[i]).count();
        assert!(moved > 60, "{moved}");
        let mut sorted = found.clone();
        sorted.sort_by(f32::total_cmp);
        assert_eq!(sorted, scores, "the scores are the same");
        // Other scores, dealt in the same order, put the same places first.
        let ranks = |scores: &[f32]| {
            let mut places: Vec<usize> = (0..100).filter(|&i| there[i]).collect();
            places.sort_by(|&a, &b| scores[a].total_cmp(&scores[b]));
            places
        };
        let others = deal(scores.iter().map(|s| (s * 7.0) % 101.0).collect(), Some(&there), &order);
        assert_eq!(ranks(&found), ranks(&others));
    }
}
