//! Batch normalisation and its statistics.

use super::super::Cuda;
use super::missing;
use crate::backend::images::{BatchNorm, ChannelStats};
use crate::backend::tensor::Tensor;
use crate::backend::vision::LayerGrads;
use crate::error::Result;

type T = Tensor<Cuda>;

pub(in crate::backend::cuda) fn stats(x: &T) -> Result<ChannelStats<Cuda>> {
    let _ = x;
    missing("batch_norm::stats")
}

pub(in crate::backend::cuda) fn running(
    running: &ChannelStats<Cuda>,
    batch: &ChannelStats<Cuda>,
    count: usize,
    momentum: f32,
) -> Result<ChannelStats<Cuda>> {
    let _ = (running, batch, count, momentum);
    missing("batch_norm::running")
}

pub(in crate::backend::cuda) fn forward(op: &BatchNorm<Cuda>) -> Result<T> {
    let _ = op;
    missing("batch_norm::forward")
}

pub(in crate::backend::cuda) fn backward(op: &BatchNorm<Cuda>, dy: &T, grads: LayerGrads<'_, Cuda>) -> Result<()> {
    let _ = (op, dy, grads);
    missing("batch_norm::backward")
}
