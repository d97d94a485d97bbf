//! Fully connected layers: y = act(x (w * mask)^T + bias) + residual, and its gradients.

mod backward;
mod forward;
mod layer;
#[cfg(test)]
mod tests;

pub use backward::backward;
pub use forward::forward;
pub use layer::{Linear, LinearGrads};

use super::activation::Saved;
use super::tensor::{filled, wanted};
use crate::backend::linear::{Linear as Operands, LinearGrads as Wanted};
use crate::backend::{LinearOps, LinearSaved};
use crate::error::{Error, Result};
use crate::tensor::{Shape, Tensor};
use dfdx::tensor::Cpu;

impl LinearOps for Cpu {
    fn linear(op: &Operands<Self>, save: bool) -> Result<(Tensor<Self>, LinearSaved<Self>)> {
        let layer = operands(op);
        let shape = Shape::from([layer.rows, layer.outputs]);
        let residual = op.residual.as_ref().map(Tensor::data);
        if save && op.act.needs_pre(residual.is_some()) {
            let mut pre = None;
            let y = filled(op.x.device(), shape, |y| {
                pre = Some(filled(op.x.device(), shape, |pre| forward(&layer, op.x.data(), residual, y, Some(pre))));
            });
            return Ok((y, LinearSaved { kept: pre }));
        }
        let y = filled(op.x.device(), shape, |y| forward(&layer, op.x.data(), residual, y, None));
        let kept = save.then(|| y.clone());
        Ok((y, LinearSaved { kept }))
    }

    fn linear_backward(
        op: &Operands<Self>,
        saved: LinearSaved<Self>,
        dy: Tensor<Self>,
        mut grads: Wanted<'_, Self>,
    ) -> Result<()> {
        if let Some(slot) = grads.residual.take_if(|slot| slot.0.is_none()) {
            slot.0 = Some(dy.clone());
        }
        let kept = saved.kept.as_ref().ok_or_else(|| Error::Other("linear: the forward pass saved nothing".into()))?;
        let saved =
            if op.act.needs_pre(op.residual.is_some()) { Saved::Pre(kept.data()) } else { Saved::Out(kept.data()) };
        let grads = LinearGrads {
            dx: wanted(grads.x, Some(&op.x))?,
            dw: wanted(grads.w, Some(&op.w.value))?,
            dense_dw: true,
            db: wanted(grads.b, op.b.as_ref())?,
            dresidual: wanted(grads.residual, op.residual.as_ref())?,
        };
        backward(&operands(op), op.x.data(), saved, dy.data(), grads);
        Ok(())
    }
}

/// The same layer on slices.
fn operands(op: &Operands<Cpu>) -> Linear<'_> {
    let (rows, inputs, outputs) = op.sizes();
    Linear {
        rows,
        inputs,
        outputs,
        weight: op.w.value.data(),
        mask: op.w.mask.as_ref().map(Tensor::data),
        bias: op.b.as_ref().map(Tensor::data),
        act: op.act,
    }
}
