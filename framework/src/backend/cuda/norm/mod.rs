//! Normalisation.

mod batch;
mod layer;

use super::Cuda;
use crate::backend::{BatchNorm, ChannelStats, LayerGrads, NormOps};
use crate::error::Result;
use crate::tensor::Tensor;

type T = Tensor<Cuda>;

impl NormOps for Cuda {
    fn channel_stats(x: &T) -> Result<ChannelStats<Self>> {
        batch::stats(x)
    }
    fn running_stats(
        running: &ChannelStats<Self>,
        batch: &ChannelStats<Self>,
        count: usize,
        momentum: f32,
    ) -> Result<ChannelStats<Self>> {
        batch::running(running, batch, count, momentum)
    }
    fn batch_norm(op: &BatchNorm<Self>) -> Result<T> {
        batch::forward(op)
    }
    fn batch_norm_backward(op: &BatchNorm<Self>, dy: &T, grads: LayerGrads<'_, Self>) -> Result<()> {
        batch::backward(op, dy, grads)
    }
    fn layer_norm(x: &T, gamma: &T, beta: &T, eps: f32) -> Result<(T, T)> {
        layer::forward(x, gamma, beta, eps)
    }
    fn layer_norm_backward(x: &T, gamma: &T, stats: &T, dy: &T, grads: LayerGrads<'_, Self>) -> Result<()> {
        layer::backward(x, gamma, stats, dy, grads)
    }
}
