//! Transposed convolution with bias and activation.

use super::super::Cuda;
use super::missing;
use crate::backend::images::ConvTranspose2d;
use crate::backend::tensor::Tensor;
use crate::backend::vision::LayerGrads;
use crate::error::Result;

type T = Tensor<Cuda>;

pub(in crate::backend::cuda) fn forward(op: &ConvTranspose2d<Cuda>) -> Result<T> {
    let _ = op;
    missing("conv_transpose::forward")
}

pub(in crate::backend::cuda) fn backward(
    op: &ConvTranspose2d<Cuda>,
    y: &T,
    dy: &T,
    grads: LayerGrads<'_, Cuda>,
) -> Result<()> {
    let _ = (op, y, dy, grads);
    missing("conv_transpose::backward")
}
