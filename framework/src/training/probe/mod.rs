//! Gradients at other weights, inputs or objectives, for criteria that ask for them.

mod asked;
mod difference;
mod squares;

pub(crate) use asked::Asked;

use super::setting::{Setting, at_least_one};
use super::step::next_batch;
use crate::backend::Backend;
use crate::data::{Order, SplitName};
use crate::error::{Error, Result};
use crate::network::model::Batch;
use crate::network::params::ParamStore;
use crate::pruning::criterion::{Probe, ProbeInput, Question, add_to, squares_one_by_one};
use crate::pruning::schedule::Step;
use crate::seed::Seed;
use crate::tensor::Tensor;
use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::ops::Range;

/// Answers out of a run under way; changes nothing in it.
pub(super) struct RunProbe<'e, 'a, B: Backend> {
    pub setting: &'e Setting<'a, B>,
    pub params: &'e ParamStore<B>,
    pub step: Step,
}

impl<B: Backend> RunProbe<'_, '_, B> {
    fn batch(&self, input: ProbeInput) -> Result<Batch<B>> {
        let Setting { data, device, .. } = self.setting;
        let (per_epoch, seed) = (self.setting.length.steps_per_epoch, self.seed("probe"));
        let mut batches = match input {
            ProbeInput::Ones => return ones(device, &data.shape),
            ProbeInput::Batch(n) => {
                let (size, epoch) = (at_least_one(self.setting.train.batch_size), n / per_epoch);
                let mut batches = data.batches(SplitName::Train, size, Order::Shuffled { seed, epoch });
                batches.skip((n % per_epoch) as usize);
                batches
            }
            ProbeInput::Balanced { per_class, nth } => {
                let none = || Error::Config("a balanced probe needs at least one example of each class".into());
                let per_class = NonZeroUsize::new(per_class).ok_or_else(none)?;
                data.balanced(SplitName::Train, per_class, nth, Order::Shuffled { seed, epoch: 0 })?
            }
            ProbeInput::Example(n) => {
                let mut batches = data.batches(SplitName::Train, NonZeroUsize::MIN, Order::Stored);
                batches.skip(scattered(n, batches.left(), seed));
                batches
            }
        };
        next_batch(device, data, &mut batches)?.ok_or_else(|| Error::Other("the training split is empty".into()))
    }

    /// Single examples as one batch.
    fn examples(&self, which: Range<u64>) -> Result<Batch<B>> {
        let singles = which.map(|n| self.batch(ProbeInput::Example(n))).collect::<Result<Vec<_>>>()?;
        let axes: Vec<usize> = std::iter::once(singles.len()).chain(self.setting.data.shape.iter().copied()).collect();
        let values = singles.iter().flat_map(|one| one.input.to_vec()).collect();
        let input = Tensor::from_vec(&self.setting.device, values, &axes[..])?;
        let responses = singles.iter().flat_map(|one| one.responses.iter().copied()).collect();
        Ok(Batch { input, classes: singles.into_iter().flat_map(|one| one.classes).collect(), responses })
    }

    fn seed(&self, purpose: &str) -> u64 {
        self.setting.seeds.pruner.derive(purpose, &[&self.step.0.to_string()]).0
    }

    fn asked(&self) -> Asked<'_, B> {
        let Setting { model, compressor, train, seeds, .. } = self.setting;
        Asked {
            params: self.params,
            model: model.as_ref(),
            compressor: compressor.as_ref(),
            loss: train.loss,
            smoothing: train.label_smoothing,
            noise: seeds.pruner.derive("probe noise", &[&self.step.0.to_string()]),
        }
    }
}

/// The `n`-th of `len` places in an order that visits all of them, in strides that share no factor with `len`: drawing
/// one example costs no shuffling of all.
fn scattered(n: u64, len: usize, seed: u64) -> usize {
    let len = len.max(1) as u64;
    let common = |mut a: u64, mut b: u64| {
        while b > 0 {
            (a, b) = (b, a % b);
        }
        a
    };
    let first = 1 + Seed(seed).derive("stride", &[]).0 % len;
    let stride = (first..).find(|stride| common(*stride, len) == 1).unwrap_or(1);
    ((u128::from(seed % len) + u128::from(n) * u128::from(stride)) % u128::from(len)) as usize
}

/// One example of ones.
pub(crate) fn ones<B: Backend>(device: &B, shape: &[usize]) -> Result<Batch<B>> {
    let axes: Vec<usize> = std::iter::once(1).chain(shape.iter().copied()).collect();
    let input = Tensor::from_vec(device, vec![1.0; axes.iter().product()], &axes[..])?;
    Ok(Batch { input, classes: vec![0], responses: vec![] })
}

impl<B: Backend> Probe<B> for RunProbe<'_, '_, B> {
    fn params(&self) -> &ParamStore<B> {
        self.params
    }

    fn gradients(&mut self, question: &Question<'_, B>) -> Result<BTreeMap<String, Tensor<B>>> {
        self.asked().gradients(&self.batch(question.input)?, question)
    }

    fn hessian_vector(
        &mut self,
        question: &Question<'_, B>,
        vector: &BTreeMap<String, Tensor<B>>,
    ) -> Result<BTreeMap<String, Tensor<B>>> {
        self.asked().hessian_vector(&self.batch(question.input)?, question, vector)
    }

    fn squared_gradients(&mut self, examples: u64) -> Result<BTreeMap<String, Tensor<B>>> {
        let mut sums = BTreeMap::new();
        for from in (0..examples).step_by(self.setting.train.batch_size.max(1)) {
            let to = examples.min(from + self.setting.train.batch_size.max(1) as u64);
            let Some(part) = self.asked().squared_gradients(&self.examples(from..to)?)? else {
                return squares_one_by_one(self, examples);
            };
            part.into_iter().try_for_each(|(name, squares)| add_to(&mut sums, name, squares))?;
        }
        Ok(sums)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_examples_are_all_different_before_any_comes_again() {
        for len in [1, 2, 12, 97, 1000] {
            let order = |seed| (0..len as u64).map(|n| scattered(n, len, seed)).collect::<Vec<_>>();
            let mut places = order(7);
            assert!(len < 12 || places != order(8), "another step draws another order");
            assert_eq!(scattered(len as u64, len, 7), places[0]);
            places.sort_unstable();
            assert_eq!(places, (0..len).collect::<Vec<_>>());
        }
    }
}
