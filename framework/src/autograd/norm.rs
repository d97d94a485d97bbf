//! Recorded normalisation.

use super::{Operation, Tape};
use crate::backend::{Backend, BatchNorm, LayerGrads};
use crate::error::Result;
use crate::tensor::Tensor;

impl<B: Backend> Tape<B> {
    /// Batch normalisation of `[batch, channels, ...]`.
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn batch_norm(&mut self, op: BatchNorm<B>) -> Result<Tensor<B>> {
        let y = B::batch_norm(&op)?;
        if self.traces() {
            self.note_batch_norm(&op, &y)?;
        }
        if !self.wants(&[&op.x, &op.gamma, &op.beta]) {
            return Ok(y);
        }
        Ok(self.record(y, move |dy, grads| {
            let (mut dx, mut dg, mut db) = (grads.slot(&op.x), grads.slot(&op.gamma), grads.slot(&op.beta));
            let wanted = LayerGrads { x: dx.as_mut(), w: dg.as_mut(), b: db.as_mut() };
            B::batch_norm_backward(&op, &dy, wanted)?;
            grads.fill(&op.x, dx);
            grads.fill(&op.gamma, dg);
            grads.fill(&op.beta, db);
            Ok(())
        }))
    }

    /// Layer normalisation over the last axis.
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn layer_norm(&mut self, x: &Tensor<B>, gamma: &Tensor<B>, beta: &Tensor<B>, eps: f32) -> Result<Tensor<B>> {
        let (y, stats) = B::layer_norm(x, gamma, beta, eps)?;
        if self.traces() {
            self.write_down(Operation::LayerNorm { eps }, &[x, gamma, beta], &[&y]);
            self.note_layer_norm(x, (gamma, beta), &stats, &y)?;
        }
        if !self.wants(&[x, gamma, beta]) {
            return Ok(y);
        }
        let (x, gamma, beta) = (x.clone(), gamma.clone(), beta.clone());
        Ok(self.record(y, move |dy, grads| {
            let (mut dx, mut dg, mut db) = (grads.slot(&x), grads.slot(&gamma), grads.slot(&beta));
            let wanted = LayerGrads { x: dx.as_mut(), w: dg.as_mut(), b: db.as_mut() };
            B::layer_norm_backward(&x, &gamma, &stats, &dy, wanted)?;
            grads.fill(&x, dx);
            grads.fill(&gamma, dg);
            grads.fill(&beta, db);
            Ok(())
        }))
    }
}
