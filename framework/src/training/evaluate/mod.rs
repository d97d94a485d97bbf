//! Loss and accuracy on held-out data, and the cost of a forward pass.

mod activations;
mod fit;
mod predict;

pub(super) use activations::layers_of_neurons;
pub use fit::Fit;
pub use predict::{Answer, Prediction, Predictor};

use super::Loss;
use super::reporter::{Reporter, metrics};
use super::setting::{Setting, at_least_one};
use super::step::next_batch;
use crate::backend::Backend;
use crate::data::{Dataset, Order, Split, SplitName};
use crate::error::{Error, Result};
use crate::network::compressor::Compressor;
use crate::network::forward::{Compressed, Cost, Forward, LayerRecord};
use crate::network::model::{Batch, Model, Output};
use crate::network::model_file::ModelFile;
use crate::network::params::ParamStore;
use crate::options::Table;
use crate::pruning::measure::ActivationInformation;
use crate::pruning::schedule::Step;
use crate::tensor::Tensor;
use crate::training::event::{EvalAt, Event};
use std::collections::BTreeMap;
use std::time::Instant;
use toml::Value;

/// A network without its parameters, and what it is to minimise: enough to measure it outside a run.
pub struct Task<'a, B: Backend> {
    /// The network.
    pub model: &'a dyn Model<B>,
    /// What makes fewer tokens of many.
    pub compressor: &'a dyn Compressor<B>,
    /// Loss of a classifier.
    pub loss: Loss,
}

/// What was measured on a split.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Evaluation {
    /// Mean loss over the examples, without label smoothing.
    pub loss: f64,
    /// Fraction classified rightly, for classifiers.
    pub accuracy: Option<f64>,
    /// Share of the variance of real-valued targets that is explained, R² = 1 - Σ (f - y)² / Σ (y - mean y)²; below 0 where
    /// the mean would be nearer. None where there are classes, or all targets are equal.
    pub r2: Option<f64>,
    /// Number of examples.
    pub examples: usize,
}

/// What a forward pass of one example shows of a network.
#[derive(Debug, Clone, Default)]
pub(super) struct Look {
    /// Its multiplications.
    pub cost: Cost,
    /// How often each weight of a parameter is multiplied.
    pub uses: BTreeMap<String, u64>,
    /// The layers in the order of their calls.
    pub layers: Vec<LayerRecord>,
    /// Whether the model has a loss of its own.
    pub own_loss: bool,
    /// What became of its tokens.
    pub compressed: Compressed,
}

/// Runs a split through the network in batches of `batch_size`, without gradients and augmentation.
///
/// # Errors
/// What the model reports.
pub fn evaluate<B: Backend>(
    task: &Task<'_, B>,
    params: &ParamStore<B>,
    data: &Dataset,
    split: SplitName,
    batch_size: usize,
) -> Result<Evaluation> {
    let device = params.device();
    let whole =
        evaluate_unless(device, data, (split, batch_size), task.loss, &|batch| task.forward(params, batch), &|| false)?;
    whole.ok_or_else(|| Error::Other("an evaluation that nobody stops was stopped".into()))
}

/// Metrics of a batch, and whether the loss is the model's own.
type Measure<'a, B> = &'a dyn Fn(&Batch<B>) -> Result<(Tensor<B>, bool)>;

/// The same by what measures a batch, unless it is to be left before one of them: then nothing.
fn evaluate_unless<B: Backend>(
    device: &B,
    data: &Dataset,
    (split, batch_size): (SplitName, usize),
    loss_kind: Loss,
    measure: Measure<'_, B>,
    leave: &dyn Fn() -> bool,
) -> Result<Option<Evaluation>> {
    let mut batches = data.batches(split, at_least_one(batch_size), Order::Stored);
    let mut found = vec![];
    while let Some(batch) = next_batch(device, data, &mut batches)? {
        if leave() {
            return Ok(None);
        }
        found.push((measure(&batch)?, batch.len()));
    }
    let own_loss = found.iter().any(|((_, own_loss), _)| *own_loss);
    let values = B::host_all(&found.iter().map(|((metrics, _), _)| metrics).collect::<Vec<_>>());
    let (mut total, mut correct, mut examples) = (0.0, None, 0);
    for (values, (_, count)) in values.into_iter().zip(&found) {
        let (loss, right) = metrics(&values);
        total += loss * *count as f64;
        correct = right.map(|r| r + correct.unwrap_or(0));
        examples += count;
    }
    let n = examples.max(1) as f64;
    let loss = total / n;
    // A loss of the model's own says nothing of the targets.
    let squares = loss_kind == Loss::SquaredError && !own_loss;
    let r2 = Some(loss).filter(|_| squares).and_then(|loss| explained(loss, data.split(split)));
    Ok(Some(Evaluation { loss, accuracy: correct.map(|c: usize| c as f64 / n), r2, examples }))
}

/// R² of a mean squared error.
fn explained(loss: f64, split: &Split) -> Option<f64> {
    let targets = split.responses();
    let n = targets.len().max(1) as f64;
    let mean = targets.iter().map(|&y| f64::from(y)).sum::<f64>() / n;
    let variance = targets.iter().map(|&y| (f64::from(y) - mean).powi(2)).sum::<f64>() / n;
    (variance > 0.0).then(|| 1.0 - loss / variance)
}

impl<B: Backend> Task<'_, B> {
    /// The loss and, of a classifier, the number of examples classified rightly; whether the loss is the model's own.
    fn forward(&self, params: &ParamStore<B>, batch: &Batch<B>) -> Result<(Tensor<B>, bool)> {
        let mut cx = Forward::evaluation(params).with_compressor(self.compressor).over_nonzeros(false);
        Ok(match self.model.forward(&mut cx, batch)? {
            Output::Logits(logits) => (self.loss.of(&logits, batch, 0.0, false)?.metrics, false),
            Output::Loss { loss, .. } => (loss, true),
        })
    }
}

impl<B: Backend> Setting<'_, B> {
    /// Measures on held-out data and reports it; where there is no validation split, on the test split, and says so.
    ///
    /// # Errors
    /// [`Error::Stopped`] where the observer asks for an end and the reporter may leave it; what the model reports.
    pub fn evaluate(
        &self,
        params: &ParamStore<B>,
        step: Step,
        split: SplitName,
        at: EvalAt,
        reporter: &mut Reporter<'_, B>,
    ) -> Result<Evaluation> {
        let empty = self.data.validation.is_empty();
        let split = if split == SplitName::Validation && empty { SplitName::Test } else { split };
        let clock = Instant::now();
        let leave = || reporter.leave_asked();
        let of = (split, self.train.eval_batch_size);
        let task = self.task();
        let measure = |batch: &Batch<B>| task.forward(params, batch);
        let found = evaluate_unless(params.device(), self.data, of, task.loss, &measure, &leave)?;
        let took = clock.elapsed();
        reporter.clock.eval += took;
        let found = found.ok_or(Error::Stopped { step: step.0 })?;
        reporter.evaluation = Some(took);
        let (epoch, Evaluation { loss, accuracy, .. }) = (self.length.nth_epoch(step), found);
        reporter.event(&Event::Eval { step: step.0, epoch, split, loss, accuracy, at })?;
        Ok(found)
    }

    /// How well the training examples are fitted, where that is asked for.
    pub fn fit(&self, params: &ParamStore<B>, reporter: &mut Reporter<'_, B>) -> Result<Option<Fit>> {
        if !self.train.eval_train {
            return Ok(None);
        }
        let clock = Instant::now();
        let found = self.task().fit(params, self.data, self.train.eval_batch_size);
        reporter.clock.eval += clock.elapsed();
        found
    }

    /// What the activations of the neurons tell of test examples, where that is asked for; of every single one in an event.
    pub fn activations(
        &self,
        params: &ParamStore<B>,
        step: Step,
        reporter: &mut Reporter<'_, B>,
    ) -> Result<Option<ActivationInformation>> {
        let asked = self.train.eval_activations;
        if asked == 0 {
            return Ok(None);
        }
        let clock = Instant::now();
        let of = (asked, self.train.eval_batch_size);
        let (examples, layers) = self.task().activations(params, self.data, of)?;
        reporter.clock.eval += clock.elapsed();
        let found = ActivationInformation::of(examples, &layers);
        reporter.event(&Event::Activations { step: step.0, examples, layers })?;
        Ok(found)
    }

    /// The file of the network, which the sections `model` and `compressor` of a config describe.
    pub fn network(&self, params: &ParamStore<B>, mut sections: Table) -> Result<Vec<u8>> {
        let mut section = |name: &str| match sections.remove(name) {
            Some(Value::Table(section)) => section,
            _ => Table::new(),
        };
        let (input, data, layers) = (self.input.clone(), self.data, self.look(params)?.layers);
        ModelFile::new(section("model"), params, input, &data.class_names, &data.normalizer, layers)
            .behind(section("compressor"))
            .write(params)
    }

    /// What the forward pass of one example shows.
    pub fn look(&self, params: &ParamStore<B>) -> Result<Look> {
        let split = if self.data.test.is_empty() { SplitName::Train } else { SplitName::Test };
        let mut batches = self.data.batches(split, at_least_one(1), Order::Stored);
        let Some(batch) = next_batch(&self.device, self.data, &mut batches)? else { return Ok(Look::default()) };
        let mut cx = Forward::evaluation(params).with_compressor(self.compressor.as_ref()).listing_layers();
        let own_loss = matches!(self.model.forward(&mut cx, &batch)?, Output::Loss { .. });
        let (layers, uses, compressed) = (cx.layers().to_vec(), cx.uses().clone(), cx.compressed());
        Ok(Look { cost: cx.finish().2, uses, layers, own_loss, compressed })
    }
}
