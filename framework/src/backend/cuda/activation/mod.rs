//! Activation functions.

use super::Cuda;
use super::runtime::{Context, extent};
use crate::backend::{Act, ActivationOps};
use crate::error::Result;
use crate::tensor::Tensor;

type T = Tensor<Cuda>;

impl ActivationOps for Cuda {
    fn activation(act: Act, x: &Tensor<Self>) -> Result<Tensor<Self>> {
        forward(act, x)
    }

    fn activation_backward(act: Act, x: &Tensor<Self>, dy: &Tensor<Self>) -> Result<Tensor<Self>> {
        backward(act, x, dy)
    }
}

/// The kernels' number of an activation.
pub(super) fn code(act: Act) -> u32 {
    match act {
        Act::None => 0,
        Act::Relu => 1,
        Act::Gelu => 2,
        Act::GeluExact => 3,
        Act::Tanh => 4,
        Act::Sigmoid => 5,
        Act::Relu6 => 6,
    }
}

fn forward(act: Act, x: &T) -> Result<T> {
    let (cx, n) = (Context::get()?, x.count());
    let y = cx.tensor(x.shape())?;
    cx.launch_over("activation", n, (code(act), extent(n)?, x.ptr(), y.ptr()))?;
    Ok(y)
}

fn backward(act: Act, x: &T, dy: &T) -> Result<T> {
    let (cx, n) = (Context::get()?, x.count());
    let dx = cx.tensor(x.shape())?;
    cx.launch_over("activation_backward", n, (code(act), extent(n)?, x.ptr(), dy.ptr(), dx.ptr()))?;
    Ok(dx)
}
