//! Operations of networks that make images; each family in a file of its own.

mod batch_norm;
mod conv_transpose;
mod pool;
pub(super) mod products;
mod variational;

use super::{Cuda, Ints};
use crate::backend::Slot;
use crate::backend::images::{BatchNorm, ChannelStats, ConvTranspose2d, ImageOps, Pool, SumAndGrads};
use crate::backend::tensor::Tensor;
use crate::backend::vision::LayerGrads;
use crate::error::Result;

type T = Tensor<Cuda>;

impl ImageOps for Cuda {
    fn conv_transpose2d(op: &ConvTranspose2d<Self>) -> Result<T> {
        conv_transpose::forward(op)
    }
    fn conv_transpose2d_backward(op: &ConvTranspose2d<Self>, y: &T, dy: &T, grads: LayerGrads<'_, Self>) -> Result<()> {
        conv_transpose::backward(op, y, dy, grads)
    }
    fn pool(x: &T, pool: Pool) -> Result<(T, Option<Ints>)> {
        pool::forward(x, pool)
    }
    fn pool_backward(x: &T, pool: Pool, argmax: Option<&Ints>, dy: &T, dx: &mut Slot<Self>) -> Result<()> {
        pool::backward(x, pool, argmax, dy, dx)
    }
    fn channel_stats(x: &T) -> Result<ChannelStats<Self>> {
        batch_norm::stats(x)
    }
    fn running_stats(
        running: &ChannelStats<Self>,
        batch: &ChannelStats<Self>,
        count: usize,
        momentum: f32,
    ) -> Result<ChannelStats<Self>> {
        batch_norm::running(running, batch, count, momentum)
    }
    fn batch_norm(op: &BatchNorm<Self>) -> Result<T> {
        batch_norm::forward(op)
    }
    fn batch_norm_backward(op: &BatchNorm<Self>, dy: &T, grads: LayerGrads<'_, Self>) -> Result<()> {
        batch_norm::backward(op, dy, grads)
    }
    fn bce_logits(logits: &T, targets: &T, scale: f32, grad: bool) -> Result<SumAndGrads<Self, 1>> {
        variational::bce_logits(logits, targets, scale, grad)
    }
    fn gaussian_kld(mu: &T, logvar: &T, scale: f32, grad: bool) -> Result<SumAndGrads<Self, 2>> {
        variational::gaussian_kld(mu, logvar, scale, grad)
    }
    fn reparametrise(mu: &T, logvar: &T, noise: &T) -> Result<T> {
        variational::reparametrise(mu, logvar, noise)
    }
    fn reparametrise_backward(logvar: &T, noise: &T, dy: &T) -> Result<T> {
        variational::reparametrise_backward(logvar, noise, dy)
    }
}
