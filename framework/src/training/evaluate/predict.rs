//! What a network says of each example, and what a pass of it costs, outside of a run.

use super::Task;
use crate::backend::Backend;
use crate::data::{Dataset, Order, SplitName};
use crate::error::{Error, Result};
use crate::network::forward::{Cost, Forward};
use crate::network::model::{Batch, Output};
use crate::network::params::ParamStore;
use crate::tensor::Tensor;
use crate::training::setting::at_least_one;
use crate::training::{Loss, next_batch};

/// What a classifier says of an example.
#[derive(Debug, Clone, PartialEq)]
pub struct Prediction {
    /// The example: its position among the examples that its split was drawn from.
    pub example: u32,
    /// The class it belongs to, by the data.
    pub target: u32,
    /// The class with the highest logit; the lower one of two that are equal. Of one output class 1 where it is above 0.
    pub class: usize,
    /// Its probability: softmax of the logits, or of a single logit the logistic function. None under a squared error,
    /// whose output is none.
    pub probability: Option<f64>,
    /// What the network gives.
    pub logits: Vec<f32>,
}

impl Prediction {
    fn of(loss: Loss, example: u32, target: u32, logits: &[f32]) -> Self {
        let (class, probability) = match (loss, logits) {
            (Loss::Binary, &[logit, ..]) => {
                let second = 1.0 / (1.0 + (-f64::from(logit)).exp());
                if logit > 0.0 { (1, Some(second)) } else { (0, Some(1.0 - second)) }
            }
            (Loss::SquaredError, &[output, ..]) => (usize::from(output > 0.0), None),
            _ => {
                let first = (0, f32::NEG_INFINITY);
                let of_two = |best: (usize, f32), (at, &logit)| if logit > best.1 { (at, logit) } else { best };
                let (class, most) = logits.iter().enumerate().fold(first, of_two);
                let sum: f64 = logits.iter().map(|&logit| f64::from(logit - most).exp()).sum();
                (class, Some(1.0 / sum))
            }
        };
        Self { example, target, class, probability, logits: logits.to_vec() }
    }
}

impl<B: Backend> Task<'_, B> {
    /// What the network gives for a batch: the logits, or the prediction of a model with a loss of its own.
    ///
    /// # Errors
    /// What the model reports.
    pub fn output(&self, params: &ParamStore<B>, batch: &Batch<B>) -> Result<Tensor<B>> {
        let mut cx = Forward::evaluation(params).with_compressor(self.compressor);
        let (Output::Logits(y) | Output::Loss { prediction: y, .. }) = self.model.forward(&mut cx, batch)?;
        Ok(y)
    }

    /// Multiplications of a pass of this batch.
    ///
    /// # Errors
    /// What the model reports.
    pub fn cost(&self, params: &ParamStore<B>, batch: &Batch<B>) -> Result<Cost> {
        let mut cx = Forward::evaluation(params).with_compressor(self.compressor);
        self.model.forward(&mut cx, batch)?;
        Ok(cx.finish().2)
    }

    /// Classifies a split in batches of `batch_size`, its examples in their stored order.
    ///
    /// # Errors
    /// [`Error::Config`] if the model does not classify, or the targets are real-valued; what the model reports.
    pub fn predict(
        &self,
        params: &ParamStore<B>,
        data: &Dataset,
        split: SplitName,
        batch_size: usize,
    ) -> Result<Vec<Prediction>> {
        if data.split(split).is_regression() {
            let text = format!("this network does not classify: the targets of \"{}\" are real-valued", data.name);
            return Err(Error::Config(text));
        }
        let mut batches = data.batches(split, at_least_one(batch_size), Order::Stored);
        let mut examples = data.split(split).indices().iter();
        let mut all = vec![];
        while let Some(batch) = next_batch(params.device(), data, &mut batches)? {
            let mut cx = Forward::evaluation(params).with_compressor(self.compressor);
            let Output::Logits(logits) = self.model.forward(&mut cx, &batch)? else {
                return Err(Error::Config("this network does not classify: it has a loss of its own".into()));
            };
            let each = logits.count() / batch.len().max(1);
            let values = logits.host();
            let rows = values.chunks(each.max(1)).zip(&batch.classes).zip(examples.by_ref());
            all.extend(rows.map(|((row, &target), &example)| Prediction::of(self.loss, example, target, row)));
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_are_those_of_softmax_and_of_the_logistic_function() {
        let said = |loss, logits: &[f32]| Prediction::of(loss, 0, 0, logits);
        // e^0 / (e^0 + e^-1 + e^-2) with the largest logit, and a tie that goes to the lower class.
        let three = said(Loss::CrossEntropy, &[1.0, 3.0, 2.0]);
        assert_eq!(three.class, 1);
        assert!((three.probability.unwrap() - 0.665_240_955_774_821_8).abs() < 1e-12, "{three:?}");
        assert_eq!(said(Loss::CrossEntropy, &[2.0, 2.0]).class, 0);
        let (yes, no) = (said(Loss::Binary, &[2.0]), said(Loss::Binary, &[-2.0]));
        assert_eq!((yes.class, no.class), (1, 0));
        assert!([yes, no].iter().all(|said| (said.probability.unwrap() - 0.880_797_077_977_882_3).abs() < 1e-12));
        let signs = [0.3, -0.3, 0.0].map(|output| said(Loss::SquaredError, &[output]));
        assert_eq!(signs.map(|said| (said.class, said.probability)), [(1, None), (0, None), (0, None)]);
    }
}
