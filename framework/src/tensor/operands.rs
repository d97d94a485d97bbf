//! What the operands of layers are made of, and checks that all of them need.

use super::{Device, Precision, Tensor};
use crate::error::{Error, Result};
use std::sync::Arc;

/// A weight and the mask it is multiplied by, if any.
///
/// With a mask the gradient is that of the loss with respect to `mask * weight`, unmasked: a pruned weight keeps
/// learning and can return (dynamic masks). Held masks need none here: their weights are zero already. Where they leave
/// few nonzeros, products may run over these alone.
#[derive(Debug, Clone)]
pub struct Weight<B: Device> {
    /// The weight's values; where there are `nonzeros`, perhaps no more than its shape and identity.
    pub value: Tensor<B>,
    /// 0 or 1 for every value of the weight.
    pub mask: Option<Tensor<B>>,
    /// Where the nonzeros are, if products run over them alone; there is no mask then.
    pub nonzeros: Option<Nonzeros<B>>,
    /// What products with it are computed in; those over nonzeros alone are f32.
    pub precision: Precision,
}

/// The nonzeros of a weight that a held mask leaves.
#[derive(Debug)]
pub struct Nonzeros<B: Device> {
    /// Where they are.
    pub pattern: Arc<B::Pattern>,
    /// The weight's values there, `[nonzeros]`, in the weight's own order.
    pub values: Tensor<B>,
    /// Whether the gradient is wanted where the weight is zero as well, as that of the weight; it is that of `values`
    /// otherwise.
    pub dense_gradient: bool,
    /// Whether products go over them alone even where that takes longer.
    pub always: bool,
}

impl<B: Device> Clone for Nonzeros<B> {
    fn clone(&self) -> Self {
        let (pattern, values) = (self.pattern.clone(), self.values.clone());
        Self { pattern, values, dense_gradient: self.dense_gradient, always: self.always }
    }
}

impl<B: Device> Weight<B> {
    /// A weight without a mask.
    pub fn plain(value: Tensor<B>) -> Self {
        Self::masked(value, None)
    }

    /// A weight that is multiplied by a mask, if there is one.
    pub fn masked(value: Tensor<B>, mask: Option<Tensor<B>>) -> Self {
        Self { value, mask, nonzeros: None, precision: Precision::F32 }
    }

    /// The tensor whose gradient a fully connected layer finds: the weight, or its nonzeros alone.
    pub fn learning(&self) -> &Tensor<B> {
        let alone = self.nonzeros.as_ref().filter(|nonzeros| !nonzeros.dense_gradient);
        alone.map_or(&self.value, |nonzeros| &nonzeros.values)
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
