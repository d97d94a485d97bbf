//! Recorded pooling.

use super::{Operation, Tape};
use crate::backend::{Backend, Pool, Pooling};
use crate::error::Result;
use crate::tensor::Tensor;

impl<B: Backend> Tape<B> {
    /// Pooling over windows of each channel of `[batch, channels, rows, columns]`.
    ///
    /// # Errors
    /// If the windows do not fit.
    pub fn pool(&mut self, x: &Tensor<B>, pool: Pool) -> Result<Tensor<B>> {
        if pool.kind == Pooling::Max && self.freezes() {
            return self.frozen_maximum(x, pool);
        }
        let (y, argmax) = B::pool(x, pool)?;
        self.write_down(Operation::Pool(pool), &[x], &[&y]);
        match pool.kind {
            Pooling::Max => self.note_single(x, &y, move |tape, x| tape.pool(x, pool)),
            Pooling::Mean => self.note_positive(&[x], &y, move |tape, inputs| tape.pool(&inputs[0], pool)),
        }
        self.through(x, y, move |x, dy, slot| B::pool_backward(x, pool, argmax.as_ref(), dy, slot))
    }
}
