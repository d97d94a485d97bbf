//! What the operands of layers are made of, and checks that all of them need.

use super::{Device, Tensor};
use crate::error::{Error, Result};

/// A weight and the mask it is multiplied by, if any.
///
/// With a mask the gradient is that of the loss with respect to `mask * weight`, unmasked: a pruned weight keeps
/// learning and can return (dynamic masks). Held masks need none here: their weights are zero already.
#[derive(Debug, Clone)]
pub struct Weight<B: Device> {
    /// The weight's values.
    pub value: Tensor<B>,
    /// 0 or 1 for every value of the weight.
    pub mask: Option<Tensor<B>>,
}

impl<B: Device> Weight<B> {
    /// A weight without a mask.
    pub fn plain(value: Tensor<B>) -> Self {
        Self { value, mask: None }
    }
}

/// Where a backward kernel leaves a gradient: added to what is there, or written where nothing is.
#[derive(Debug)]
pub struct Slot<B: Device>(pub Option<Tensor<B>>);

/// Wanted gradients of a layer with input, weight and bias.
#[derive(Debug)]
pub struct LayerGrads<'a, B: Device> {
    /// The input's gradient.
    pub x: Option<&'a mut Slot<B>>,
    /// The weight's gradient.
    pub w: Option<&'a mut Slot<B>>,
    /// The bias's gradient.
    pub b: Option<&'a mut Slot<B>>,
}

/// Makes sure that two tensors have as many elements.
pub(crate) fn check_same<B: Device>(what: &str, a: &Tensor<B>, b: &Tensor<B>) -> Result<()> {
    if a.count() == b.count() { Ok(()) } else { Err(Error::shape(what, format!("{} and {}", a.shape(), b.shape()))) }
}
