//! Fully connected layers.

use super::activation::Act;
use crate::error::Result;
use crate::tensor::{Device, Slot, Tensor, Weight};

/// What the forward pass of a fused linear layer leaves for its backward pass.
#[derive(Debug)]
pub struct LinearSaved<B: Device> {
    /// Output, or the value before the activation where the activation's derivative needs that.
    pub kept: Option<Tensor<B>>,
}

/// Which gradients of a linear layer are wanted, and where they go.
#[derive(Debug)]
pub struct LinearGrads<'a, B: Device> {
    /// d input `[rows, in]`
    pub x: Option<&'a mut Slot<B>>,
    /// d weight `[out, in]`
    pub w: Option<&'a mut Slot<B>>,
    /// d bias `[out]`
    pub b: Option<&'a mut Slot<B>>,
    /// d residual `[rows, out]`
    pub residual: Option<&'a mut Slot<B>>,
}

/// A fused linear layer's operands.
#[derive(Debug, Clone)]
pub struct Linear<B: Device> {
    /// `[rows, in]`
    pub x: Tensor<B>,
    /// `[out, in]`
    pub w: Weight<B>,
    /// `[out]`
    pub b: Option<Tensor<B>>,
    /// `[rows, out]`, added after the activation.
    pub residual: Option<Tensor<B>>,
    /// Applied to `x w^T + b`.
    pub act: Act,
}

/// Fully connected layers on a device.
pub trait LinearOps: Device {
    /// `y = act(x w^T + b) + residual`; saves for the backward pass where `save`.
    ///
    /// # Errors
    /// If memory runs out, or the shapes do not fit; so for every operation.
    fn linear(op: &Linear<Self>, save: bool) -> Result<(Tensor<Self>, LinearSaved<Self>)>;
    /// Gradients of [`LinearOps::linear`]; consumes the output's gradient.
    fn linear_backward(
        op: &Linear<Self>,
        saved: LinearSaved<Self>,
        dy: Tensor<Self>,
        grads: LinearGrads<'_, Self>,
    ) -> Result<()>;
}
