//! Normalisation.

mod batch;
mod layer;

use super::tensor::wanted;
use crate::backend::norm::{check_batch_norm, check_channels, check_layer_norm};
use crate::backend::{BatchNorm, ChannelStats, LayerGrads, NormOps};
use crate::error::Result;
use crate::tensor::{Tensor, check_same};
use dfdx::tensor::Cpu;

type T = Tensor<Cpu>;

impl NormOps for Cpu {
    fn channel_stats(x: &T) -> Result<ChannelStats<Self>> {
        let shape = check_channels(x)?;
        let mut stats = ChannelStats { mean: x.zeros_like([shape.1].into()), variance: x.zeros_like([shape.1].into()) };
        batch::statistics(x.data(), shape, stats.mean.data_mut()?, stats.variance.data_mut()?);
        Ok(stats)
    }

    fn running_stats(
        running: &ChannelStats<Self>,
        batch: &ChannelStats<Self>,
        count: usize,
        momentum: f32,
    ) -> Result<ChannelStats<Self>> {
        check_same("running statistics", &running.mean, &batch.mean)?;
        let mut next = running.clone();
        let into = (next.mean.data_mut()?, next.variance.data_mut()?);
        batch::update_running(into, stats_of(batch), count, momentum);
        Ok(next)
    }

    fn batch_norm(op: &BatchNorm<Self>) -> Result<T> {
        let shape = check_batch_norm(op)?;
        let affine = (op.gamma.data(), op.beta.data());
        Ok(op.x.like(|y| batch::forward(op.x.data(), shape, stats_of(&op.stats), affine, op.eps, y)))
    }

    fn batch_norm_backward(op: &BatchNorm<Self>, dy: &T, grads: LayerGrads<'_, Self>) -> Result<()> {
        let grads =
            (wanted(grads.x, Some(&op.x))?, wanted(grads.w, Some(&op.gamma))?, wanted(grads.b, Some(&op.beta))?);
        let scale = (op.gamma.data(), op.eps);
        let shape = check_batch_norm(op)?;
        batch::backward(op.x.data(), dy.data(), shape, stats_of(&op.stats), scale, op.of_batch, grads);
        Ok(())
    }

    fn layer_norm(x: &T, gamma: &T, beta: &T, eps: f32) -> Result<(T, T)> {
        let n = check_layer_norm(x, gamma, beta)?;
        let mut stats = x.zeros_like([x.count() / n, 2].into());
        let out = stats.data_mut()?;
        let y = x.like(|y| layer::forward(x.data(), gamma.data(), beta.data(), eps, y, out));
        Ok((y, stats))
    }

    fn layer_norm_backward(x: &T, gamma: &T, stats: &T, dy: &T, grads: LayerGrads<'_, Self>) -> Result<()> {
        let (dx, dgamma, dbeta) =
            (wanted(grads.x, Some(x))?, wanted(grads.w, Some(gamma))?, wanted(grads.b, Some(gamma))?);
        layer::backward(x.data(), gamma.data(), stats.data(), dy.data(), dx, dgamma, dbeta);
        Ok(())
    }
}

fn stats_of(s: &ChannelStats<Cpu>) -> (&[f32], &[f32]) {
    (s.mean.data(), s.variance.data())
}
