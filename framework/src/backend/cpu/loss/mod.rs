//! Losses.

mod classes;
mod variational;

pub(super) use classes::softmax_rows;
pub use classes::{CrossEntropy, cross_entropy};

use super::common::Grad;
use super::tensor::filled;
use crate::backend::loss::{check_binary_cross_entropy, check_cross_entropy};
use crate::backend::{LossOps, LossValue, SumAndGrads};
use crate::error::Result;
use crate::tensor::{Tensor, check_same};
use dfdx::tensor::Cpu;

type T = Tensor<Cpu>;

impl LossOps for Cpu {
    fn cross_entropy(logits: &Tensor<Self>, classes: &[u32], smoothing: f32, grad: bool) -> Result<LossValue<Self>> {
        let (_, columns) = check_cross_entropy(logits, classes)?;
        let ids: Vec<usize> = classes.iter().map(|&c| c as usize).collect();
        let mut gradient = grad.then(|| logits.zeros_like(logits.shape()));
        let out = gradient.as_mut().map(Tensor::data_mut).transpose()?;
        let found = cross_entropy(logits.data(), columns, &ids, smoothing, out);
        metrics(logits, found.loss, found.correct, gradient)
    }

    fn binary_cross_entropy(logits: &Tensor<Self>, classes: &[u32], grad: bool) -> Result<LossValue<Self>> {
        let n = check_binary_cross_entropy(logits, classes)?.max(1);
        let targets: Vec<f32> = classes.iter().map(|&c| c as f32).collect();
        let value = variational::binary_cross_entropy_logits(logits.data(), &targets) / n as f64;
        let gradient = grad.then(|| {
            filled(logits.device(), logits.shape(), |dx| {
                variational::binary_cross_entropy_logits_backward(
                    Grad::overwrite(dx),
                    logits.data(),
                    &targets,
                    1.0 / n as f32,
                );
            })
        });
        let correct = logits.data().iter().zip(classes).filter(|(z, c)| (**z > 0.0) == (**c == 1)).count();
        metrics(logits, value as f32, correct, gradient)
    }

    fn bce_logits(logits: &T, targets: &T, scale: f32, grad: bool) -> Result<SumAndGrads<Self, 1>> {
        check_same("binary cross-entropy", logits, targets)?;
        let (x, t) = (logits.data(), targets.data());
        let value = f64::from(scale) * variational::binary_cross_entropy_logits(x, t);
        let backward =
            |dx: &mut [f32]| variational::binary_cross_entropy_logits_backward(Grad::overwrite(dx), x, t, scale);
        Ok((scalar(logits, value)?, grad.then(|| [logits.like(backward)])))
    }

    fn gaussian_kld(mu: &T, logvar: &T, scale: f32, grad: bool) -> Result<SumAndGrads<Self, 2>> {
        check_same("Gaussian divergence", mu, logvar)?;
        let value = f64::from(scale) * variational::gaussian_kld(mu.data(), logvar.data());
        let grads = grad.then(|| {
            let mut dlogvar = None;
            let dmu = mu.like(|dmu| {
                let both = |dl: &mut [f32]| {
                    let (dmu, dl) = (Grad::overwrite(dmu), Grad::overwrite(dl));
                    variational::gaussian_kld_backward(dmu, dl, mu.data(), logvar.data(), scale);
                };
                dlogvar = Some(logvar.like(both));
            });
            dlogvar.map(|dlogvar| [dmu, dlogvar])
        });
        Ok((scalar(mu, value)?, grads.flatten()))
    }

    fn reparametrise(mu: &T, logvar: &T, noise: &T) -> Result<T> {
        check_same("reparametrisation", mu, logvar)?;
        check_same("reparametrisation", mu, noise)?;
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

fn metrics(like: &Tensor<Cpu>, loss: f32, correct: usize, grad: Option<Tensor<Cpu>>) -> Result<LossValue<Cpu>> {
    Ok(LossValue { metrics: Tensor::from_vec(like.device(), vec![loss, correct as f32], [2])?, grad })
}

fn scalar(like: &T, value: f64) -> Result<T> {
    Tensor::from_vec(like.device(), vec![value as f32], [1])
}
