//! Loss and accuracy on held-out data, and the cost of a forward pass.

use super::losses::figures;
use super::pass::{loss, next_batch};
use super::{Engine, Run, at_least_one};
use crate::backend::Backend;
use crate::data::{Order, SplitName};
use crate::error::Result;
use crate::network::forward::{Cost, Forward};
use crate::network::model::{Batch, Output};
use crate::network::params::ParamStore;
use crate::tensor::Tensor;

/// What was measured on a split.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Evaluation {
    /// Mean loss over the examples, without label smoothing.
    pub loss: f64,
    /// Fraction classified rightly, for classifiers.
    pub accuracy: Option<f64>,
    /// Number of examples.
    pub examples: usize,
}

/// Runs a split through the network, without gradients and augmentation.
///
/// # Errors
/// What the model reports.
pub fn evaluate<B: Backend>(run: &Run<'_, B>, params: &ParamStore<B>, split: SplitName) -> Result<Evaluation> {
    let mut batches = run.data.batches(split, at_least_one(run.train.eval_batch_size), Order::Stored);
    let mut found = vec![];
    while let Some(batch) = next_batch(&run.device, run.data, &mut batches)? {
        found.push((forward_loss(run, params, &batch)?, batch.len()));
    }
    let values = B::host_all(&found.iter().map(|(figures, _)| figures).collect::<Vec<_>>());
    let (mut total, mut correct, mut examples) = (0.0, None, 0);
    for (values, (_, count)) in values.into_iter().zip(&found) {
        let (loss, right) = figures(&values);
        total += loss * *count as f64;
        correct = right.map(|r| r + correct.unwrap_or(0));
        examples += count;
    }
    let n = examples.max(1) as f64;
    Ok(Evaluation { loss: total / n, accuracy: correct.map(|c: usize| c as f64 / n), examples })
}

/// The loss and, of a classifier, the number of examples classified rightly.
fn forward_loss<B: Backend>(run: &Run<'_, B>, params: &ParamStore<B>, batch: &Batch<B>) -> Result<Tensor<B>> {
    let mut cx = Forward::evaluation(params).with_compressor(run.compressor.as_deref());
    Ok(match run.model.forward(&mut cx, batch)? {
        Output::Logits(logits) => loss(run, &logits, &batch.classes, false)?.figures,
        Output::Loss { loss, .. } => loss,
    })
}

impl<B: Backend> Engine<'_, B> {
    /// Multiplications of one example's forward pass.
    pub(super) fn cost(&self) -> Result<Cost> {
        let split = if self.run.data.test.is_empty() { SplitName::Train } else { SplitName::Test };
        let mut batches = self.run.data.batches(split, at_least_one(1), Order::Stored);
        let Some(batch) = next_batch(&self.run.device, self.run.data, &mut batches)? else {
            return Ok(Cost::default());
        };
        let mut cx = Forward::evaluation(&self.params).with_compressor(self.run.compressor.as_deref());
        self.run.model.forward(&mut cx, &batch)?;
        Ok(cx.finish().2)
    }
}
