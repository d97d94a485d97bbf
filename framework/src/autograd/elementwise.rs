//! Recorded operations of single elements.

use super::{Operation, Tape};
use crate::backend::{Backend, Binary};
use crate::error::Result;
use crate::tensor::Tensor;

impl<B: Backend> Tape<B> {
    /// Element by element product.
    ///
    /// # Errors
    /// If the shapes differ.
    pub fn mul(&mut self, a: &Tensor<B>, b: &Tensor<B>) -> Result<Tensor<B>> {
        let y = B::binary(Binary::Mul, a, b)?;
        self.write_down(Operation::Mul, &[a, b], &[&y]);
        // A product of two values that both come from the examples is no linear map of them, and is not noted.
        match (a.is_tracked(), b.is_tracked()) {
            (true, false) => self.note_elementwise(a, &y),
            (false, true) => self.note_elementwise(b, &y),
            _ => {}
        }
        if !self.wants(&[a, b]) {
            return Ok(y);
        }
        let (a, b) = (a.clone(), b.clone());
        Ok(self.record(y, move |dy, grads| {
            if a.is_tracked() {
                grads.add(&a, dy.mul(&b)?)?;
            }
            if b.is_tracked() {
                grads.add(&b, dy.mul(&a)?)?;
            }
            Ok(())
        }))
    }

    /// Element by element sum.
    ///
    /// # Errors
    /// If the shapes differ.
    pub fn add(&mut self, a: &Tensor<B>, b: &Tensor<B>) -> Result<Tensor<B>> {
        let y = B::binary(Binary::Add, a, b)?;
        self.write_down(Operation::Add, &[a, b], &[&y]);
        self.note_positive(&[a, b], &y, |tape, inputs| tape.add(&inputs[0], &inputs[1]));
        if !self.wants(&[a, b]) {
            return Ok(y);
        }
        let (a, b) = (a.clone(), b.clone());
        Ok(self.record(y, move |dy, grads| {
            if a.is_tracked() {
                grads.add(&a, dy.clone())?;
            }
            if b.is_tracked() {
                grads.add(&b, dy)?;
            }
            Ok(())
        }))
    }
}
