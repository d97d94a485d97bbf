//! Convolutions, plain and grouped, and transposed convolutions.

mod conv2d;
mod grouped;
mod output;
mod products;
mod shares;
mod transpose;

use super::Cuda;
use crate::backend::{Conv2d, Conv2dSaved, ConvOps, ConvTranspose2d, LayerGrads};
use crate::error::Result;
use crate::tensor::Tensor;

type T = Tensor<Cuda>;

impl ConvOps for Cuda {
    fn conv2d(op: &Conv2d<Self>, save: bool) -> Result<(T, Option<Conv2dSaved<Self>>)> {
        conv2d::forward(op, save)
    }
    fn conv2d_backward(
        op: &Conv2d<Self>,
        saved: &Conv2dSaved<Self>,
        dy: &T,
        grads: LayerGrads<'_, Self>,
    ) -> Result<()> {
        conv2d::backward(op, saved, dy, grads)
    }
    fn conv_transpose2d(op: &ConvTranspose2d<Self>) -> Result<T> {
        transpose::forward(op)
    }
    fn conv_transpose2d_backward(op: &ConvTranspose2d<Self>, y: &T, dy: &T, grads: LayerGrads<'_, Self>) -> Result<()> {
        transpose::backward(op, y, dy, grads)
    }
}
