//! Losses.

mod classes;
mod variational;

use super::Cuda;
use crate::backend::{LossOps, LossValue, SumAndGrads};
use crate::error::Result;
use crate::tensor::Tensor;

type T = Tensor<Cuda>;

impl LossOps for Cuda {
    fn cross_entropy(logits: &Tensor<Self>, classes: &[u32], smoothing: f32, grad: bool) -> Result<LossValue<Self>> {
        classes::cross_entropy(logits, classes, smoothing, grad)
    }

    fn binary_cross_entropy(logits: &Tensor<Self>, classes: &[u32], grad: bool) -> Result<LossValue<Self>> {
        classes::binary_cross_entropy(logits, classes, grad)
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
