//! Recorded dropout.

use super::Tape;
use crate::backend::Backend;
use crate::error::Result;
use crate::tensor::Tensor;

impl<B: Backend> Tape<B> {
    /// Dropout with probability `p`, its pattern fixed by `seed`.
    ///
    /// # Errors
    /// If memory runs out.
    pub fn dropout(&mut self, x: &Tensor<B>, p: f32, seed: u64) -> Result<Tensor<B>> {
        let y = B::dropout(x, p, seed)?;
        self.note_elementwise(x, &y);
        if !self.wants(&[x]) {
            return Ok(y);
        }
        let x = x.clone();
        Ok(self.record(y, move |dy, grads| grads.add(&x, B::dropout(&dy, p, seed)?)))
    }
}
