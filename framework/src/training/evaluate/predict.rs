//! What a network says of each example, and what a pass of it costs, outside of a run.

use super::{Evaluation, Task};
use crate::backend::Backend;
use crate::data::{Dataset, Order, SplitName};
use crate::error::{Error, Result};
use crate::network::forward::{Cost, Forward};
use crate::network::model::{Batch, Output};
use crate::network::params::ParamStore;
use crate::network::plan::Plan;
use crate::tensor::Tensor;
use crate::training::setting::at_least_one;
use crate::training::{Loss, next_batch};

/// What a network says of an example.
#[derive(Debug, Clone, PartialEq)]
pub struct Prediction {
    /// The example: its position among the examples that its split was drawn from.
    pub example: u32,
    /// Its reading of what the network gives, beside what the data says.
    pub answer: Answer,
    /// What the network gives.
    pub logits: Vec<f32>,
}

/// What a network's output means.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Answer {
    /// One class of several.
    Class {
        /// The class with the highest logit; the lower one of two that are equal. Of one output class 1 where it is above 0.
        class: usize,
        /// Its probability: softmax of the logits, or of a single logit the logistic function. None under a squared
        /// error, whose output is none.
        probability: Option<f64>,
        /// The class by the data.
        target: u32,
    },
    /// A real number, where the data's targets are.
    Value {
        /// The network's only output.
        value: f32,
        /// The number by the data.
        target: f32,
    },
}

impl Answer {
    fn class(loss: Loss, target: u32, logits: &[f32]) -> Self {
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
        Self::Class { class, probability, target }
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
}

/// A network that only answers, by its [`Plan`] where it has one: faster than a pass of its model, and the same but for the
/// last bits.
pub struct Predictor<'a, B: Backend> {
    task: Task<'a, B>,
    params: &'a ParamStore<B>,
    plan: Option<Plan<B>>,
}

impl<'a, B: Backend> Predictor<'a, B> {
    /// Of a network whose examples have this shape.
    ///
    /// # Errors
    /// What the model reports.
    pub fn of(task: Task<'a, B>, params: &'a ParamStore<B>, example: &[usize]) -> Result<Self> {
        let plan = Plan::of(task.model, task.compressor, params, example)?;
        Ok(Self { task, params, plan })
    }

    /// What the network gives for a batch: the logits, or the prediction of a model with a loss of its own.
    ///
    /// # Errors
    /// What the model reports.
    pub fn output(&self, batch: &Batch<B>) -> Result<Tensor<B>> {
        match &self.plan {
            Some(plan) => plan.run(&batch.input),
            None => self.task.output(self.params, batch),
        }
    }

    /// Measures it on a split, as [`evaluate`](super::evaluate()) does.
    ///
    /// # Errors
    /// What the model reports.
    pub fn evaluate(&self, data: &Dataset, split: SplitName, batch_size: usize) -> Result<Evaluation> {
        let Some(plan) = &self.plan else { return super::evaluate(&self.task, self.params, data, split, batch_size) };
        let loss = self.task.loss;
        let measure = |batch: &Batch<B>| Ok((loss.of(&plan.run(&batch.input)?, batch, 0.0, false)?.metrics, false));
        let of = (split, batch_size);
        let found = super::evaluate_unless(self.params.device(), data, of, loss, &measure, &|| false)?;
        found.ok_or_else(|| Error::Other("an evaluation that nobody stops was stopped".into()))
    }

    /// Shows the network a split in batches of `batch_size`, its examples in their stored order.
    ///
    /// # Errors
    /// [`Error::Config`] if the model has a loss of its own, whose output is no answer; what the model reports.
    pub fn predict(&self, data: &Dataset, split: SplitName, batch_size: usize) -> Result<Vec<Prediction>> {
        let mut batches = data.batches(split, at_least_one(batch_size), Order::Stored);
        let mut examples = data.split(split).indices().iter();
        let mut all = vec![];
        while let Some(batch) = next_batch(self.params.device(), data, &mut batches)? {
            let logits = self.logits(&batch)?;
            let each = logits.count() / batch.len().max(1);
            let values = logits.host();
            for ((at, row), &example) in values.chunks(each.max(1)).enumerate().zip(examples.by_ref()) {
                let answer = match batch.responses.get(at) {
                    Some(&target) => Answer::Value { value: row[0], target },
                    None => Answer::class(self.task.loss, batch.classes[at], row),
                };
                all.push(Prediction { example, answer, logits: row.to_vec() });
            }
        }
        Ok(all)
    }

    fn logits(&self, batch: &Batch<B>) -> Result<Tensor<B>> {
        if let Some(plan) = &self.plan {
            return plan.run(&batch.input);
        }
        let mut cx = Forward::evaluation(self.params).with_compressor(self.task.compressor);
        match self.task.model.forward(&mut cx, batch)? {
            Output::Logits(logits) => Ok(logits),
            Output::Loss { .. } => {
                Err(Error::Config("this network has no predictions: it has a loss of its own".into()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_are_those_of_softmax_and_of_the_logistic_function() {
        let said = |loss, logits: &[f32]| match Answer::class(loss, 0, logits) {
            Answer::Class { class, probability, .. } => (class, probability),
            Answer::Value { .. } => panic!("a class was asked for"),
        };
        // e^0 / (e^0 + e^-1 + e^-2) with the largest logit, and a tie that goes to the lower class.
        let (class, probability) = said(Loss::CrossEntropy, &[1.0, 3.0, 2.0]);
        assert_eq!(class, 1);
        assert!((probability.unwrap() - 0.665_240_955_774_821_8).abs() < 1e-12, "{probability:?}");
        assert_eq!(said(Loss::CrossEntropy, &[2.0, 2.0]).0, 0);
        let (yes, no) = (said(Loss::Binary, &[2.0]), said(Loss::Binary, &[-2.0]));
        assert_eq!((yes.0, no.0), (1, 0));
        assert!([yes, no].iter().all(|said| (said.1.unwrap() - 0.880_797_077_977_882_3).abs() < 1e-12));
        let signs = [0.3, -0.3, 0.0].map(|output| said(Loss::SquaredError, &[output]));
        assert_eq!(signs, [(1, None), (0, None), (0, None)]);
    }
}
