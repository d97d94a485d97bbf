//! Convolution with bias, activation and pooling.

use super::super::Cuda;
use super::missing;
use crate::backend::tensor::Tensor;
use crate::backend::vision::{Conv2d, Conv2dSaved, LayerGrads};
use crate::error::Result;

type T = Tensor<Cuda>;

pub(in crate::backend::cuda) fn forward(op: &Conv2d<Cuda>, save: bool) -> Result<(T, Option<Conv2dSaved<Cuda>>)> {
    let _ = (op, save);
    missing("conv::forward")
}

pub(in crate::backend::cuda) fn backward(
    op: &Conv2d<Cuda>,
    saved: &Conv2dSaved<Cuda>,
    dy: &T,
    grads: LayerGrads<'_, Cuda>,
) -> Result<()> {
    let _ = (op, saved, dy, grads);
    missing("conv::backward")
}
