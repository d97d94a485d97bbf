//! How well a network fits the examples that it was trained on (`train.eval_train`).

use super::Task;
use crate::backend::Backend;
use crate::data::{Dataset, Order, SplitName};
use crate::error::Result;
use crate::network::forward::Forward;
use crate::network::model::{Batch, Output};
use crate::network::params::ParamStore;
use crate::training::setting::at_least_one;
use crate::training::{Loss, next_batch};

/// What was measured on the training split, in evaluation mode, without augmentation, label smoothing and penalties.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fit {
    /// Mean loss over the examples.
    pub loss: f64,
    /// The largest loss of an example: the set is memorised where that is small.
    pub worst: f64,
    /// Fraction classified rightly, for classifiers.
    pub accuracy: Option<f64>,
    /// `(1/n) Σ (f(x_i) - mean f) z_i`, where a generator says what noise z it added to the targets (Bubeck & Sellke 2021;
    /// "No Free Prune", arXiv 2402.01089). The mean of f is that over the training examples.
    pub noise_correlation: Option<f64>,
}

impl<B: Backend> Task<'_, B> {
    /// Measures on the training split in batches of `batch_size`; nothing where the model has a loss of its own, which is
    /// known for whole batches alone.
    ///
    /// # Errors
    /// What the model reports.
    pub fn fit(&self, params: &ParamStore<B>, data: &Dataset, batch_size: usize) -> Result<Option<Fit>> {
        let mut batches = data.batches(SplitName::Train, at_least_one(batch_size), Order::Stored);
        let (mut losses, mut right, mut outputs) = (vec![], 0, vec![]);
        while let Some(batch) = next_batch(params.device(), data, &mut batches)? {
            let mut cx = Forward::evaluation(params).with_compressor(self.compressor).over_nonzeros(false);
            let Output::Logits(logits) = self.model.forward(&mut cx, &batch)? else { return Ok(None) };
            let values = logits.host();
            let each = values.len() / batch.len().max(1);
            for (row, found) in values.chunks(each.max(1)).enumerate() {
                let (loss, is_right) = example(self.loss, found, &batch, row);
                losses.push(loss);
                right += usize::from(is_right);
            }
            outputs.extend_from_slice(&values);
        }
        let n = losses.len().max(1) as f64;
        let classifies = !data.train.is_regression();
        Ok(Some(Fit {
            loss: losses.iter().sum::<f64>() / n,
            // One that is not a number is the largest: nothing that holds it is memorised.
            worst: losses.iter().copied().fold(f64::NEG_INFINITY, |a, b| if a >= b { a } else { b }),
            accuracy: classifies.then(|| right as f64 / n),
            noise_correlation: data.train.target_noise().map(|noise| correlation(&outputs, &noise)),
        }))
    }
}

/// The loss of one example in f64, and whether it is classified rightly.
fn example<B: Backend>(loss: Loss, found: &[f32], batch: &Batch<B>, row: usize) -> (f64, bool) {
    let class = batch.classes[row];
    let first = f64::from(found[0]);
    match loss {
        Loss::CrossEntropy => {
            let most = found.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let sum: f64 = found.iter().map(|&z| f64::from(z - most).exp()).sum();
            let own = found.get(class as usize).copied().unwrap_or(f32::NEG_INFINITY);
            // The lowest of equal ones is what counts as said.
            let said = found.iter().position(|z| *z == most);
            (sum.ln() - f64::from(own - most), said == Some(class as usize))
        }
        Loss::Binary => {
            let against = if class == 1 { -first } else { first };
            (against.max(0.0) + (-against.abs()).exp().ln_1p(), (first > 0.0) == (class == 1))
        }
        Loss::SquaredError => {
            let target = batch.responses.get(row).map_or(2.0 * f64::from(class) - 1.0, |&y| f64::from(y));
            ((first - target).powi(2), (first > 0.0) == (class == 1))
        }
    }
}

fn correlation(outputs: &[f32], noise: &[f32]) -> f64 {
    let n = outputs.len().max(1) as f64;
    let mean = outputs.iter().map(|&f| f64::from(f)).sum::<f64>() / n;
    outputs.iter().zip(noise).map(|(&f, &z)| (f64::from(f) - mean) * f64::from(z)).sum::<f64>() / n
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::Cpu;
    use crate::tensor::Tensor;

    fn batch(classes: Vec<u32>, responses: Vec<f32>) -> Batch<Cpu> {
        Batch { input: Tensor::zeros(&Cpu::default(), [classes.len(), 1]).unwrap(), classes, responses }
    }

    #[test]
    fn the_losses_of_single_examples_have_the_mean_that_trains() {
        let device = Cpu::default();
        for (loss, columns, batch) in [
            (Loss::CrossEntropy, 3, batch(vec![0, 2, 1, 1], vec![])),
            (Loss::Binary, 1, batch(vec![0, 1, 1, 0], vec![])),
            (Loss::SquaredError, 1, batch(vec![0, 1, 1, 0], vec![])),
            (Loss::SquaredError, 1, batch(vec![0; 4], vec![0.5, -2.0, 1.0, 3.0])),
        ] {
            let values: Vec<f32> = (0..4 * columns).map(|i| (i * 37 % 11) as f32 / 4.0 - 1.0).collect();
            let logits = Tensor::from_vec(&device, values.clone(), [4, columns]).unwrap();
            let trains = loss.of(&logits, &batch, 0.0, false).unwrap().metrics.to_vec();
            let all: Vec<_> = (0..4).map(|i| example(loss, &values[i * columns..][..columns], &batch, i)).collect();
            let mean = all.iter().map(|(loss, _)| loss).sum::<f64>() / 4.0;
            assert!((mean - f64::from(trains[0])).abs() < 1e-6, "{loss:?}: {mean} and {trains:?}");
            if let Some(right) = trains.get(1) {
                assert_eq!(all.iter().filter(|(_, right)| *right).count(), *right as usize, "{loss:?}");
            }
        }
    }

    #[test]
    fn the_correlation_with_noise_is_that_about_the_mean() {
        // Mean 2: (-1 * 1 + 1 * 0.5 + 0 * 9) / 3.
        assert!((correlation(&[1.0, 3.0, 2.0], &[1.0, 0.5, 9.0]) + 0.5 / 3.0).abs() < 1e-12);
    }
}
