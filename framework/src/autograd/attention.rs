//! Recorded attention.

use super::Tape;
use crate::backend::{Backend, Heads};
use crate::error::Result;
use crate::tensor::Tensor;

impl<B: Backend> Tape<B> {
    /// Multi-head attention of `qkv [batch * tokens, 3 * heads * head_dim]`; `sizes [batch, tokens]` adds log(size) to
    /// the keys.
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn attention(&mut self, shape: Heads, qkv: &Tensor<B>, sizes: Option<&Tensor<B>>) -> Result<Tensor<B>> {
        let precision = self.precision;
        let (y, probabilities) = B::attention(shape, qkv, sizes, precision, self.wants(&[qkv]))?;
        if self.traces() {
            self.note_attention(shape, qkv, sizes, &y)?;
        }
        let Some(probabilities) = probabilities else { return Ok(y) };
        let qkv = qkv.clone();
        Ok(self.record(y, move |dy, grads| {
            let mut slot = grads.slot(&qkv);
            if let Some(slot) = &mut slot {
                B::attention_backward(shape, &qkv, &probabilities, &dy, precision, slot)?;
            }
            grads.fill(&qkv, slot);
            Ok(())
        }))
    }
}
