//! How large the weights are before and after a pruning step.

use crate::backend::Backend;
use crate::network::params::{Param, ParamStore};
use serde::{Deserialize, Serialize};

/// Bars of a histogram.
pub const BARS: usize = 32;
/// Pruning steps of a run with a histogram of their own, about: of more, every nth has one.
const STEPS: usize = 64;
/// Half of the width, in root mean squares of the weights before the step.
const REACH: f64 = 4.0;

/// Prunable weights that are kept, counted by value, right before and right after a pruning step. It takes the same room
/// for networks of any size.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Histogram {
    /// Both go from `-limit` to `limit`, in [`BARS`] bars of one width; what lies beyond is in the outermost bars.
    pub limit: f64,
    /// Weights in each bar before the step.
    pub before: Vec<usize>,
    /// The same after it.
    pub after: Vec<usize>,
}

impl Histogram {
    /// Whether the `nth` of so many pruning steps has one.
    pub fn is_due(nth: usize, count: usize) -> bool {
        nth.is_multiple_of(count.div_ceil(STEPS).max(1)) || nth + 1 == count
    }

    /// Counts the weights before a step; `None` where all that are kept are zero.
    pub fn before<B: Backend>(params: &ParamStore<B>) -> Option<Self> {
        let (mut squares, mut count) = (0.0, 0usize);
        each(params, |weight| {
            squares += weight * weight;
            count += 1;
        });
        let limit = REACH * (squares / count.max(1) as f64).sqrt();
        (limit > 0.0 && limit.is_finite()).then(|| Self { limit, before: counted(params, limit), after: vec![] })
    }

    /// The same with the weights after the step.
    #[must_use]
    pub fn after<B: Backend>(self, params: &ParamStore<B>) -> Self {
        Self { after: counted(params, self.limit), ..self }
    }
}

fn counted<B: Backend>(params: &ParamStore<B>, limit: f64) -> Vec<usize> {
    let mut bars = vec![0; BARS];
    each(params, |weight| bars[bar(weight, limit)] += 1);
    bars
}

/// The bar of a weight. Zero is the lower edge of the upper half.
fn bar(weight: f64, limit: f64) -> usize {
    let at = ((weight / limit + 1.0) / 2.0 * BARS as f64).floor();
    at.clamp(0.0, (BARS - 1) as f64) as usize
}

/// Every prunable weight that is kept, in the model's order.
fn each<B: Backend>(params: &ParamStore<B>, mut take: impl FnMut(f64)) {
    let mut of = |p: &Param<B>| {
        let values = p.value().host();
        match p.mask() {
            Some(mask) => {
                let kept = values.iter().zip(mask.keep()).filter(|(_, keep)| **keep);
                kept.for_each(|(weight, _)| take(f64::from(*weight)));
            }
            None => values.iter().for_each(|weight| take(f64::from(*weight))),
        }
    };
    params.iter().filter(|p| p.spec().prunable).for_each(&mut of);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::Cpu;
    use crate::network::layout::{LayoutBuilder, Sizes, Width};
    use crate::network::params::Masking;
    use crate::seed::Seed;
    use crate::tensor::Tensor;

    #[test]
    fn only_prunable_weights_that_are_kept_are_counted_on_both_sides_alike() {
        let sizes = Sizes::default();
        let mut layout = LayoutBuilder::new(&sizes);
        layout.linear("fc", &Width::from(4), &Width::from(2), true);
        let mut params =
            ParamStore::<Cpu>::new(&Cpu::default(), layout.build().unwrap(), Seed(0), Masking::Held).unwrap();
        let weights = [0.1, -0.1, 0.1, -0.1, 0.1, -0.1, 0.1, 9.0];
        let weights = Tensor::from_vec(&Cpu::default(), weights.to_vec(), [2, 4]).unwrap();
        params.refit(vec![("fc.weight".into(), weights)]).unwrap();
        let before = Histogram::before(&params).unwrap();
        let rms = ((7.0 * 0.01 + 81.0) / 8.0f64).sqrt();
        assert!((before.limit - 4.0 * rms).abs() < 1e-5, "{before:?}");
        assert_eq!((before.before[15], before.before[16], before.before.iter().sum::<usize>()), (3, 4, 8));
        let keep = vec![false, true, true, true, true, true, true, false];
        params.set_masks(vec![("fc.weight".into(), keep)]).unwrap();
        let after = before.clone().after(&params);
        assert_eq!((after.limit, &after.before), (before.limit, &before.before));
        assert_eq!((after.after[15], after.after[16], after.after.iter().sum::<usize>()), (3, 3, 6));
        params.set_masks(vec![("fc.weight".into(), vec![false; 8])]).unwrap();
        assert_eq!(Histogram::before(&params), None, "nothing is left");
    }

    #[test]
    fn bars_share_the_width_and_the_outermost_take_what_lies_beyond() {
        assert_eq!(
            [-9.0, -2.0, -1.9, -0.1, 0.0, 0.1, 1.99, 2.0, 9.0].map(|w| bar(w, 2.0)),
            [0, 0, 0, 15, 16, 16, 31, 31, 31]
        );
    }

    #[test]
    fn few_steps_all_have_one_and_of_many_every_nth_and_the_last() {
        let due = |count: usize| (0..count).filter(|nth| Histogram::is_due(*nth, count)).collect::<Vec<_>>();
        assert_eq!(due(64), (0..64).collect::<Vec<_>>());
        assert_eq!(due(65), (0..65).step_by(2).collect::<Vec<_>>());
        let many = due(1_000_000);
        assert_eq!((many.len(), many.last()), (65, Some(&999_999)));
    }
}
