//! Attention over short sequences.

use super::super::Cuda;
use super::missing;
use crate::backend::Slot;
use crate::backend::tensor::Tensor;
use crate::backend::vision::Heads;
use crate::error::Result;

type T = Tensor<Cuda>;

pub(in crate::backend::cuda) fn forward(
    shape: Heads,
    qkv: &T,
    sizes: Option<&T>,
    save: bool,
) -> Result<(T, Option<T>)> {
    let _ = (shape, qkv, sizes, save);
    missing("attention::forward")
}

pub(in crate::backend::cuda) fn backward(
    shape: Heads,
    qkv: &T,
    probabilities: &T,
    dy: &T,
    dqkv: &mut Slot<Cuda>,
) -> Result<()> {
    let _ = (shape, qkv, probabilities, dy, dqkv);
    missing("attention::backward")
}
