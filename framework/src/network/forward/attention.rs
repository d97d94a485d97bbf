//! Attention.

use super::{Forward, LayerOperation};
use crate::backend::{Backend, Heads};
use crate::error::Result;
use crate::tensor::Tensor;

impl<B: Backend> Forward<'_, B> {
    /// Multi-head attention, see [`Tape::attention`](crate::autograd::Tape::attention).
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn attention(&mut self, shape: Heads, qkv: &Tensor<B>, sizes: Option<&Tensor<B>>) -> Result<Tensor<B>> {
        self.cost.extra(2 * shape.batch * shape.heads * shape.tokens * shape.tokens * shape.head_dim);
        let Heads { heads, head_dim, scale, .. } = shape;
        self.list("attention", LayerOperation::Attention { heads, head_dim, scale });
        self.tape.attention(shape, qkv, sizes)
    }
}
