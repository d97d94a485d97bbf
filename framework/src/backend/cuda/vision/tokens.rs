//! Tokens: patches of images, class token and positions, means and single tokens; dropout.

use super::super::Cuda;
use super::missing;
use crate::backend::Slot;
use crate::backend::tensor::Tensor;
use crate::backend::vision::LayerGrads;
use crate::error::Result;

type T = Tensor<Cuda>;

pub(in crate::backend::cuda) fn patches(x: &T, side: usize) -> Result<T> {
    let _ = (x, side);
    missing("tokens::patches")
}

pub(in crate::backend::cuda) fn embed(x: &T, class: Option<&T>, position: Option<&T>) -> Result<T> {
    let _ = (x, class, position);
    missing("tokens::embed")
}

pub(in crate::backend::cuda) fn embed_backward(
    x: &T,
    class: Option<&T>,
    position: Option<&T>,
    dy: &T,
    grads: LayerGrads<'_, Cuda>,
) -> Result<()> {
    let _ = (x, class, position, dy, grads);
    missing("tokens::embed_backward")
}

pub(in crate::backend::cuda) fn mean(x: &T, sizes: Option<&T>) -> Result<T> {
    let _ = (x, sizes);
    missing("tokens::mean")
}

pub(in crate::backend::cuda) fn mean_backward(x: &T, sizes: Option<&T>, dy: &T, dx: &mut Slot<Cuda>) -> Result<()> {
    let _ = (x, sizes, dy, dx);
    missing("tokens::mean_backward")
}

pub(in crate::backend::cuda) fn take(x: &T, index: usize) -> Result<T> {
    let _ = (x, index);
    missing("tokens::take")
}

pub(in crate::backend::cuda) fn take_backward(x: &T, index: usize, dy: &T, dx: &mut Slot<Cuda>) -> Result<()> {
    let _ = (x, index, dy, dx);
    missing("tokens::take_backward")
}

pub(in crate::backend::cuda) fn dropout(x: &T, p: f32, seed: u64) -> Result<T> {
    let _ = (x, p, seed);
    missing("tokens::dropout")
}
