//! One forward and backward pass.

use super::{Loss, Run};
use crate::autograd::Grads;
use crate::backend::Backend;
use crate::data::{Batches, Dataset};
use crate::error::{Error, Result};
use crate::network::forward::Needs;
use crate::network::forward::{Forward, Taps};
use crate::network::model::{Batch, Output};
use crate::network::params::ParamStore;
use crate::pruning::criterion::Criterion;
use crate::pruning::schedule::Step;
use crate::seed::Seed;
use crate::tensor::Tensor;

/// What a pass leaves.
pub(super) struct Pass<B: Backend> {
    /// The loss and, of a classifier, the number of examples classified rightly.
    pub figures: Tensor<B>,
    pub grads: Grads<B>,
    pub taps: Taps<B>,
    /// Running statistics that the pass moved.
    pub buffers: Vec<(String, Tensor<B>)>,
}

/// The next batch on the device, or `None` at the end of the split.
pub(super) fn next_batch<B: Backend>(
    device: &B,
    data: &Dataset,
    batches: &mut Batches<'_>,
) -> Result<Option<Batch<B>>> {
    let (mut values, mut classes) = (vec![], vec![]);
    if let Some(examples) = device.examples(batches.values())? {
        let Some(picks) = batches.next_picks(&mut classes) else { return Ok(None) };
        return Ok(Some(Batch { input: device.draw(&examples, &picks)?, classes }));
    }
    let Some(count) = batches.next_into(&mut values, &mut classes) else { return Ok(None) };
    let axes: Vec<usize> = std::iter::once(count).chain(data.shape.iter().copied()).collect();
    Ok(Some(Batch { input: Tensor::from_vec(device, values, &axes[..])?, classes }))
}

impl<B: Backend> Pass<B> {
    pub fn run(run: &Run<'_, B>, params: &ParamStore<B>, batch: &Batch<B>, needs: Needs, noise: Seed) -> Result<Self> {
        let mut cx = Forward::training(params, needs, noise).with_compressor(run.compressor.as_deref());
        let output = run.model.forward(&mut cx, batch)?;
        let buffers = cx.take_buffers();
        let (tape, taps, _) = cx.finish();
        let (figures, root, seed) = match output {
            Output::Logits(logits) => {
                let found = loss(run, &logits, &batch.classes, true)?;
                let seed = found.grad.ok_or_else(|| Error::Other("the loss has no gradient".into()))?;
                (found.figures, logits, seed)
            }
            Output::Loss { loss, .. } => {
                let seed = Tensor::from_vec(&run.device, vec![1.0], loss.shape())?;
                (loss.detach(), loss, seed)
            }
        };
        Ok(Self { figures, grads: tape.backward(&root, seed)?, taps, buffers })
    }

    /// Adds the criterion's penalty to the gradients; returns its value.
    pub fn penalise(&mut self, criterion: &mut dyn Criterion<B>, params: &ParamStore<B>) -> Result<Option<f64>> {
        if !criterion.needs().has(Needs::PENALTY) {
            return Ok(None);
        }
        let mut total = 0.0;
        for p in params.iter().filter(|p| !p.spec().buffer) {
            if let Some((value, gradient)) = criterion.penalty(&p.spec().name, p.value())? {
                total += value;
                self.grads.add(p.value(), gradient)?;
            }
        }
        Ok(Some(total))
    }

    /// What gradients are multiplied by so that their norm does not exceed `limit`.
    pub fn clip_scale(&self, limit: Option<f64>, params: &ParamStore<B>, step: Step) -> Result<Option<Tensor<B>>> {
        let Some(limit) = limit else { return Ok(None) };
        let grads: Vec<&Tensor<B>> = params.iter().filter_map(|p| self.grads.get(p.value())).collect();
        let scale = B::clip_scale(&grads, limit)?;
        if B::LOSSES_AT_ONCE == 1 {
            let norm = f64::from(scale.host()[1]);
            if !norm.is_finite() {
                return Err(Error::NotFinite { what: "the norm of the gradients".into(), value: norm, step: step.0 });
            }
        }
        Ok(Some(scale))
    }
}

/// The configured loss of a classifier.
pub(super) fn loss<B: Backend>(
    run: &Run<'_, B>,
    logits: &Tensor<B>,
    classes: &[u32],
    grad: bool,
) -> Result<crate::backend::LossValue<B>> {
    let smoothing = if grad { run.train.label_smoothing as f32 } else { 0.0 };
    match run.train.loss {
        Loss::CrossEntropy => B::cross_entropy(logits, classes, smoothing, grad),
        Loss::Binary => B::binary_cross_entropy(logits, classes, grad),
    }
}
