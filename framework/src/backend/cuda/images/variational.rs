//! The parts of a variational loss.

use super::super::Cuda;
use super::missing;
use crate::backend::images::SumAndGrads;
use crate::backend::tensor::Tensor;
use crate::error::Result;

type T = Tensor<Cuda>;

pub(in crate::backend::cuda) fn bce_logits(
    logits: &T,
    targets: &T,
    scale: f32,
    grad: bool,
) -> Result<SumAndGrads<Cuda, 1>> {
    let _ = (logits, targets, scale, grad);
    missing("variational::bce_logits")
}

pub(in crate::backend::cuda) fn gaussian_kld(
    mu: &T,
    logvar: &T,
    scale: f32,
    grad: bool,
) -> Result<SumAndGrads<Cuda, 2>> {
    let _ = (mu, logvar, scale, grad);
    missing("variational::gaussian_kld")
}

pub(in crate::backend::cuda) fn reparametrise(mu: &T, logvar: &T, noise: &T) -> Result<T> {
    let _ = (mu, logvar, noise);
    missing("variational::reparametrise")
}

pub(in crate::backend::cuda) fn reparametrise_backward(logvar: &T, noise: &T, dy: &T) -> Result<T> {
    let _ = (logvar, noise, dy);
    missing("variational::reparametrise_backward")
}
