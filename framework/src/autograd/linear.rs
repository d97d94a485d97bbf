//! Recorded fully connected layers.

use super::Tape;
use crate::backend::{Act, Backend, Linear, LinearGrads, Weight};
use crate::error::{Error, Result};
use crate::tensor::Tensor;

impl<B: Backend> Tape<B> {
    /// `act(x w^T + b) + residual`: `x [rows, in]`, `w [out, in]`, `b [out]`, `residual [rows, out]` -> `[rows, out]`.
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn linear(
        &mut self,
        x: &Tensor<B>,
        w: Weight<B>,
        b: Option<Tensor<B>>,
        act: Act,
        residual: Option<&Tensor<B>>,
    ) -> Result<Tensor<B>> {
        let (&[rows, inner], &[out, w_inner]) = (&*x.shape(), &*w.value.shape()) else {
            return Err(Error::shape(
                "linear",
                format!("input {} and weight {} must have two axes", x.shape(), w.value.shape()),
            ));
        };
        if inner != w_inner {
            return Err(Error::shape("linear", format!("input {} does not fit weight {}", x.shape(), w.value.shape())));
        }
        if let Some(b) = b.as_ref().filter(|b| b.count() != out) {
            return Err(Error::shape("linear", format!("bias {} does not fit weight {}", b.shape(), w.value.shape())));
        }
        if let Some(r) = residual.filter(|r| *r.shape() != [rows, out]) {
            return Err(Error::shape("linear", format!("residual {} does not fit output [{rows}, {out}]", r.shape())));
        }
        let apart = self.traces() && (act != Act::None || residual.is_some());
        if apart || act.has_kinks() && self.freezes() {
            let z = self.linear(x, w, b, Act::None, None)?;
            let y = if act == Act::None { z } else { self.act(&z, act)? };
            return residual.map_or(Ok(y.clone()), |r| self.add(&y, r));
        }
        let w = Weight { precision: self.precision, ..w };
        let op = Linear { x: x.clone(), w, b, residual: residual.cloned(), act };
        let mut inputs = vec![&op.x, op.w.learning()];
        inputs.extend(op.b.iter());
        inputs.extend(op.residual.iter());
        let save = self.wants(&inputs);
        let (y, saved) = B::linear(&op, save)?;
        if self.traces() {
            self.note_linear(x, &op.w, op.b.as_ref(), &y)?;
        }
        if !save {
            return Ok(y);
        }
        Ok(self.record(y, move |dy, grads| {
            let mut x = grads.slot(&op.x);
            let mut w = grads.slot(op.w.learning());
            let mut b = op.b.as_ref().and_then(|b| grads.slot(b));
            // The residual may be the input itself: its slot is then filled through `add`, after the kernel.
            let aliased = op.residual.as_ref().is_some_and(|r| r.id() == op.x.id());
            let mut residual = op.residual.as_ref().filter(|_| !aliased).and_then(|r| grads.slot(r));
            let kept = (aliased && op.x.is_tracked()).then(|| dy.clone());
            let wanted = LinearGrads { x: x.as_mut(), w: w.as_mut(), b: b.as_mut(), residual: residual.as_mut() };
            B::linear_backward(&op, saved, dy, wanted)?;
            grads.fill(&op.x, x);
            grads.fill(op.w.learning(), w);
            if let Some(bias) = &op.b {
                grads.fill(bias, b);
            }
            if let Some(r) = op.residual.as_ref().filter(|_| !aliased) {
                grads.fill(r, residual);
            }
            kept.map_or(Ok(()), |dy| grads.add(&op.x, dy))
        }))
    }
}
