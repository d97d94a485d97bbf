//! Normalisation, by name, and the running statistics that it moves.

use super::{Forward, LayerOperation};
use crate::backend::{Backend, BatchNorm, ChannelStats};
use crate::error::Result;
use crate::tensor::Tensor;

/// What all normalisations of a model have in common; PyTorch's defaults.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Norms {
    /// Added to variances.
    pub eps: f64,
    /// Share of a batch in the running statistics.
    pub momentum: f64,
}

impl Default for Norms {
    fn default() -> Self {
        Self { eps: 1e-5, momentum: 0.1 }
    }
}

impl Norms {
    fn eps(self) -> f32 {
        self.eps as f32
    }
}

impl<B: Backend> Forward<'_, B> {
    /// Other constants for the normalisations that follow.
    pub fn set_norms(&mut self, norms: Norms) {
        self.norms = norms;
    }

    /// Batch normalisation `name` of `x [batch, channels, ...]`: by the batch's statistics while training, which also
    /// move the running ones; by the running ones in evaluation.
    ///
    /// # Errors
    /// If the layer does not exist, or `x` does not fit it.
    pub fn batch_norm(&mut self, name: &str, x: &Tensor<B>) -> Result<Tensor<B>> {
        let operation = self.batch_norm_operation(name, x)?;
        self.tape.batch_norm(operation)
    }

    /// What [`Forward::batch_norm`] computes, before it does.
    pub(super) fn batch_norm_operation(&mut self, name: &str, x: &Tensor<B>) -> Result<BatchNorm<B>> {
        let names = ["running_mean", "running_var"].map(|part| format!("{name}.{part}"));
        let running = ChannelStats { mean: self.param(&names[0])?, variance: self.param(&names[1])? };
        let (gamma, beta) = (self.param(&format!("{name}.weight"))?, self.param(&format!("{name}.bias"))?);
        self.list(name, LayerOperation::BatchNorm { eps: self.norms.eps() });
        let of_batch = self.is_training();
        let stats = if of_batch { B::channel_stats(x)? } else { running.clone() };
        if of_batch {
            let count = x.count() / stats.mean.count().max(1);
            let next = B::running_stats(&running, &stats, count, self.norms.momentum as f32)?;
            self.buffers.extend(names.into_iter().zip([next.mean, next.variance]));
        }
        Ok(BatchNorm { x: x.clone(), gamma, beta, stats, of_batch, eps: self.norms.eps() })
    }

    /// Layer normalisation `name` over the last axis.
    ///
    /// # Errors
    /// If the layer does not exist, or `x` does not fit it.
    pub fn layer_norm(&mut self, name: &str, x: &Tensor<B>) -> Result<Tensor<B>> {
        let (gamma, beta) = (self.param(&format!("{name}.weight"))?, self.param(&format!("{name}.bias"))?);
        let eps = self.norms.eps();
        self.list(name, LayerOperation::LayerNorm { eps });
        self.tape.layer_norm(x, &gamma, &beta, eps)
    }

    /// The buffers (running statistics) that this pass moved: what the parameter store takes over after the step.
    pub fn take_buffers(&mut self) -> Vec<(String, Tensor<B>)> {
        std::mem::take(&mut self.buffers)
    }
}
