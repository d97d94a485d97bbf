//! Fully connected layers.

use super::activation::Act;
use crate::error::Result;
use crate::tensor::{Device, Shape, Slot, Tensor, Weight};

/// What the forward pass of a fused linear layer leaves for its backward pass.
#[derive(Debug)]
pub struct LinearSaved<B: Device> {
    /// Output, or the value before the activation where the activation's derivative needs that.
    pub kept: Option<Tensor<B>>,
    /// The masked weight, of a weight that goes with a mask, where the device keeps it.
    pub masked: Option<Tensor<B>>,
}

/// Which gradients of a linear layer are wanted, and where they go.
#[derive(Debug)]
pub struct LinearGrads<'a, B: Device> {
    /// The input's gradient, `[rows, in]`.
    pub x: Option<&'a mut Slot<B>>,
    /// The weight's gradient, `[out, in]`, or that of [`Weight::learning`].
    pub w: Option<&'a mut Slot<B>>,
    /// The bias's gradient, `[out]`.
    pub b: Option<&'a mut Slot<B>>,
    /// The residual's gradient, `[rows, out]`.
    pub residual: Option<&'a mut Slot<B>>,
}

/// A fused linear layer's operands.
#[derive(Debug, Clone)]
pub struct Linear<B: Device> {
    /// The input, `[rows, in]`.
    pub x: Tensor<B>,
    /// The weight, `[out, in]`.
    pub w: Weight<B>,
    /// The bias, `[out]`.
    pub b: Option<Tensor<B>>,
    /// The residual, `[rows, out]`, added after the activation.
    pub residual: Option<Tensor<B>>,
    /// The activation that is applied to `x w^T + b`.
    pub act: Act,
}

impl<B: Device> Linear<B> {
    /// Rows, inputs and outputs.
    pub(super) fn sizes(&self) -> (usize, usize, usize) {
        (self.x.shape()[0], self.w.value.shape()[1], self.w.value.shape()[0])
    }
}

/// A fully connected layer that was made ready for many inputs: of `[rows, in]`, and of the residual `[rows, out]`.
pub type ReadyLinear<B> = Box<dyn Fn(&Tensor<B>, Option<&Tensor<B>>) -> Result<Tensor<B>>>;

/// Fully connected layers on a device.
pub trait LinearOps: Device {
    /// Whether the device can multiply by the nonzeros of a weight alone.
    const SPARSE: bool;
    /// Whether that was found to take less time, with the vector instructions that there are.
    fn sparse_pays() -> bool;
    /// Where the nonzeros of a weight `[outputs, inputs]` are, or of a convolution's with its kernels in a row; nothing where the device multiplies by all of it.
    fn pattern(keep: &[bool], outputs: usize, inputs: usize) -> Option<Self::Pattern>;
    /// The nonzeros of a tensor of the pattern's shape, `[nonzeros]`, in the tensor's own order.
    ///
    /// # Errors
    /// If memory runs out, or the shapes do not fit.
    fn gather(whole: &Tensor<Self>, pattern: &Self::Pattern) -> Result<Tensor<Self>>;
    /// The inverse of [`LinearOps::gather`]: a tensor of the pattern's shape, which `shape` says, that is zero elsewhere.
    fn spread(values: &Tensor<Self>, pattern: &Self::Pattern, shape: Shape) -> Tensor<Self>;
    /// Where in the tensor each nonzero is, in rising order.
    fn places(pattern: &Self::Pattern) -> &[u32];
    /// What the device lacks to compute products in bf16: nothing, or the reason in words.
    fn lacks_bf16() -> Option<String>;
    /// What the device lacks for bits that are the same elsewhere ([`Bits::Portable`](crate::backend::Bits)): nothing, or
    /// the reason in words.
    fn lacks_portable_bits() -> Option<String>;
    /// `y = act(x w^T + b) + residual`; saves for the backward pass where `save`.
    ///
    /// # Errors
    /// If memory runs out, or the shapes do not fit; so for every operation.
    fn linear(op: &Linear<Self>, save: bool) -> Result<(Tensor<Self>, LinearSaved<Self>)>;
    /// Makes layers ready for many inputs, each of which reads what the one before it gives; the first reads tensors like
    /// its `op.x`, and the residual is added to what the last one gives. What becomes of weights beforehand is done once.
    /// `None` where the device gains nothing by it.
    fn ready_linear(ops: &[Linear<Self>]) -> Option<ReadyLinear<Self>> {
        _ = ops;
        None
    }
    /// Gradients of [`LinearOps::linear`]; consumes the output's gradient.
    fn linear_backward(
        op: &Linear<Self>,
        saved: LinearSaved<Self>,
        dy: Tensor<Self>,
        grads: LinearGrads<'_, Self>,
    ) -> Result<()>;
}
