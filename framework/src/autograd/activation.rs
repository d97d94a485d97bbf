//! Recorded activation functions.

use super::{Operation, Tape};
use crate::backend::{Act, Backend};
use crate::error::Result;
use crate::tensor::Tensor;

impl<B: Backend> Tape<B> {
    /// An activation on its own.
    ///
    /// # Errors
    /// If memory runs out.
    pub fn act(&mut self, x: &Tensor<B>, act: Act) -> Result<Tensor<B>> {
        if act.has_kinks() && self.freezes() {
            return self.frozen_act(x, act);
        }
        let y = B::activation(act, x)?;
        self.write_down(Operation::Act(act), &[x], &[&y]);
        self.note_elementwise(x, &y);
        if !self.wants(&[x]) {
            return Ok(y);
        }
        let x = x.clone();
        Ok(self.record(y, move |dy, grads| grads.add(&x, B::activation_backward(act, &x, &dy)?)))
    }
}
