//! Operations of networks that make images: from tensors to kernels.

use super::kernels::{Grad, batch_norm, conv, conv_transpose as transposed, pool, regression};
use super::ops::{filled, wanted};
use crate::backend::Slot;
use crate::backend::images::{BatchNorm, ChannelStats, ConvTranspose2d, ImageOps, Pool, Pooling, SumAndGrads, fit};
use crate::backend::tensor::{Shape, Tensor};
use crate::backend::vision::LayerGrads;
use crate::error::Result;
use dfdx::tensor::Cpu;

type T = Tensor<Cpu>;

fn layer(op: &ConvTranspose2d<Cpu>) -> Result<transposed::ConvTranspose<'_>> {
    let (batch, patches, inputs) = fit::conv_transpose2d(op)?;
    let (weight, mask) = (op.w.value.data(), op.w.mask.as_ref().map(Tensor::data));
    let bias = op.b.as_ref().map(Tensor::data);
    Ok(transposed::ConvTranspose { batch, patches, inputs, weight, mask, bias, act: op.act })
}

fn stats_of(s: &ChannelStats<Cpu>) -> (&[f32], &[f32]) {
    (s.mean.data(), s.variance.data())
}

impl ImageOps for Cpu {
    fn conv_transpose2d(op: &ConvTranspose2d<Self>) -> Result<T> {
        let layer = layer(op)?;
        let p = layer.patches;
        let shape = Shape::from([layer.batch, p.channels, p.height, p.width]);
        Ok(filled(op.x.device(), shape, |y| {
            if op.x.count() == 0 {
                y.fill(0.0);
            }
            transposed::forward(&layer, op.x.data(), y);
        }))
    }

    fn conv_transpose2d_backward(op: &ConvTranspose2d<Self>, y: &T, dy: &T, grads: LayerGrads<'_, Self>) -> Result<()> {
        let wanted = conv::ConvGrads {
            dx: wanted(grads.x, Some(&op.x))?,
            dw: wanted(grads.w, Some(&op.w.value))?,
            dense_dw: true,
            db: wanted(grads.b, op.b.as_ref())?,
        };
        transposed::backward(&layer(op)?, op.x.data(), y.data(), dy.data(), wanted);
        Ok(())
    }

    fn pool(x: &T, pool: Pool) -> Result<(T, Option<Vec<u32>>)> {
        let p = fit::pool(x, pool)?;
        let (down, across) = p.windows();
        let shape = Shape::from([x.shape()[0], p.channels, down, across]);
        let mut argmax = (pool.kind == Pooling::Max).then(|| vec![0; shape.count()]);
        let y = filled(x.device(), shape, |y| match &mut argmax {
            Some(argmax) => pool::max_forward(&p, x.data(), y, argmax),
            None => pool::average_forward(&p, x.data(), y),
        });
        Ok((y, argmax))
    }

    fn pool_backward(x: &T, pool: Pool, argmax: Option<&Vec<u32>>, dy: &T, dx: &mut Slot<Self>) -> Result<()> {
        let p = fit::pool(x, pool)?;
        match argmax {
            Some(argmax) => pool::max_backward(&p, dx.grad(x)?, dy.data(), argmax),
            None => pool::average_backward(&p, dx.grad(x)?, dy.data()),
        }
        Ok(())
    }

    fn channel_stats(x: &T) -> Result<ChannelStats<Self>> {
        let shape = fit::channels(x)?;
        let mut stats = ChannelStats { mean: x.zeros_like([shape.1].into()), variance: x.zeros_like([shape.1].into()) };
        batch_norm::statistics(x.data(), shape, stats.mean.data_mut()?, stats.variance.data_mut()?);
        Ok(stats)
    }

    fn running_stats(
        running: &ChannelStats<Self>,
        batch: &ChannelStats<Self>,
        count: usize,
        momentum: f32,
    ) -> Result<ChannelStats<Self>> {
        fit::same("running statistics", &running.mean, &batch.mean)?;
        let mut next = running.clone();
        let into = (next.mean.data_mut()?, next.variance.data_mut()?);
        batch_norm::update_running(into, stats_of(batch), count, momentum);
        Ok(next)
    }

    fn batch_norm(op: &BatchNorm<Self>) -> Result<T> {
        let shape = fit::batch_norm(op)?;
        let affine = (op.gamma.data(), op.beta.data());
        Ok(op.x.like(|y| batch_norm::forward(op.x.data(), shape, stats_of(&op.stats), affine, op.eps, y)))
    }

    fn batch_norm_backward(op: &BatchNorm<Self>, dy: &T, grads: LayerGrads<'_, Self>) -> Result<()> {
        let grads =
            (wanted(grads.x, Some(&op.x))?, wanted(grads.w, Some(&op.gamma))?, wanted(grads.b, Some(&op.beta))?);
        let scale = (op.gamma.data(), op.eps);
        let shape = fit::batch_norm(op)?;
        batch_norm::backward(op.x.data(), dy.data(), shape, stats_of(&op.stats), scale, op.of_batch, grads);
        Ok(())
    }

    fn bce_logits(logits: &T, targets: &T, scale: f32, grad: bool) -> Result<SumAndGrads<Self, 1>> {
        fit::same("binary cross-entropy", logits, targets)?;
        let (x, t) = (logits.data(), targets.data());
        let value = f64::from(scale) * regression::binary_cross_entropy_logits(x, t);
        let backward =
            |dx: &mut [f32]| regression::binary_cross_entropy_logits_backward(Grad::overwrite(dx), x, t, scale);
        Ok((scalar(logits, value)?, grad.then(|| [logits.like(backward)])))
    }

    fn gaussian_kld(mu: &T, logvar: &T, scale: f32, grad: bool) -> Result<SumAndGrads<Self, 2>> {
        fit::same("Gaussian divergence", mu, logvar)?;
        let value = f64::from(scale) * regression::gaussian_kld(mu.data(), logvar.data());
        let grads = grad.then(|| {
            let mut dlogvar = None;
            let dmu = mu.like(|dmu| {
                let both = |dl: &mut [f32]| {
                    let (dmu, dl) = (Grad::overwrite(dmu), Grad::overwrite(dl));
                    regression::gaussian_kld_backward(dmu, dl, mu.data(), logvar.data(), scale);
                };
                dlogvar = Some(logvar.like(both));
            });
            dlogvar.map(|dlogvar| [dmu, dlogvar])
        });
        Ok((scalar(mu, value)?, grads.flatten()))
    }

    fn reparametrise(mu: &T, logvar: &T, noise: &T) -> Result<T> {
        fit::same("reparametrisation", mu, logvar)?;
        fit::same("reparametrisation", mu, noise)?;
        let parts = mu.data().iter().zip(logvar.data()).zip(noise.data());
        let z = parts.map(|((mu, l), e)| mu + (0.5 * l).exp() * e).collect();
        Tensor::from_vec(mu.device(), z, mu.shape())
    }

    fn reparametrise_backward(logvar: &T, noise: &T, dy: &T) -> Result<T> {
        let parts = dy.data().iter().zip(logvar.data()).zip(noise.data());
        let d = parts.map(|((dy, l), e)| dy * 0.5 * (0.5 * l).exp() * e).collect();
        Tensor::from_vec(dy.device(), d, logvar.shape())
    }
}

fn scalar(like: &T, value: f64) -> Result<T> {
    Tensor::from_vec(like.device(), vec![value as f32], [1])
}
