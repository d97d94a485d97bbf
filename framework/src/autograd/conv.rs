//! Recorded convolutions.

use super::Tape;
use crate::backend::{Act, Backend, Conv2d, ConvTranspose2d, LayerGrads, Pool, Weight};
use crate::error::Result;
use crate::tensor::Tensor;

impl<B: Backend> Tape<B> {
    /// Convolution, plain or grouped, with its activation and pooling: `[batch, in, rows, columns]` -> `[batch, out,
    /// ...]`.
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn conv2d(&mut self, op: Conv2d<B>) -> Result<Tensor<B>> {
        let apart = self.freezes() && op.act.has_kinks() || self.traces() && op.act != Act::None;
        if apart || op.pool && (self.freezes() || self.traces()) {
            let (act, pool) = (op.act, op.pool);
            let z = self.conv2d(Conv2d { act: Act::None, pool: false, ..op })?;
            let y = if act == Act::None { z } else { self.act(&z, act)? };
            return if pool { self.pool(&y, Pool::HALVING) } else { Ok(y) };
        }
        let op = Conv2d { w: Weight { precision: self.precision, ..op.w }, ..op };
        let mut inputs = vec![&op.x, op.w.learning()];
        inputs.extend(op.b.iter());
        let (y, saved) = B::conv2d(&op, self.wants(&inputs))?;
        if self.traces() {
            self.note_conv2d(&op, &y)?;
        }
        let Some(saved) = saved else { return Ok(y) };
        Ok(self.record(y, move |dy, grads| {
            let (mut x, mut w) = (grads.slot(&op.x), grads.slot(op.w.learning()));
            let mut b = op.b.as_ref().and_then(|b| grads.slot(b));
            B::conv2d_backward(&op, &saved, &dy, LayerGrads { x: x.as_mut(), w: w.as_mut(), b: b.as_mut() })?;
            grads.fill(&op.x, x);
            grads.fill(op.w.learning(), w);
            op.b.iter().for_each(|bias| grads.fill(bias, b.take()));
            Ok(())
        }))
    }

    /// Transposed convolution with its activation: `[batch, in, rows, columns]` -> `[batch, out, ...]`, each side
    /// `(side - 1) stride - 2 padding + kernel` long.
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn conv_transpose2d(&mut self, op: ConvTranspose2d<B>) -> Result<Tensor<B>> {
        if self.freezes() && op.act.has_kinks() || self.traces() && op.act != Act::None {
            let act = op.act;
            let z = self.conv_transpose2d(ConvTranspose2d { act: Act::None, ..op })?;
            return self.act(&z, act);
        }
        let op = ConvTranspose2d { w: Weight { precision: self.precision, ..op.w }, ..op };
        let y = B::conv_transpose2d(&op)?;
        if self.traces() {
            self.note_conv_transpose2d(&op, &y)?;
        }
        let mut inputs = vec![&op.x, op.w.learning()];
        inputs.extend(op.b.iter());
        if !self.wants(&inputs) {
            return Ok(y);
        }
        let output = y.clone();
        Ok(self.record(y, move |dy, grads| {
            let (mut x, mut w) = (grads.slot(&op.x), grads.slot(op.w.learning()));
            let mut b = op.b.as_ref().and_then(|b| grads.slot(b));
            let wanted = LayerGrads { x: x.as_mut(), w: w.as_mut(), b: b.as_mut() };
            B::conv_transpose2d_backward(&op, &output, &dy, wanted)?;
            grads.fill(&op.x, x);
            grads.fill(op.w.learning(), w);
            op.b.iter().for_each(|bias| grads.fill(bias, b.take()));
            Ok(())
        }))
    }
}
