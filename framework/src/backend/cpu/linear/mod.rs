//! Fully connected layers: y = act(x (w * mask)^T + bias) + residual, and its gradients.

mod backward;
pub mod bf16;
mod forward;
mod held;
mod layer;
mod nonzeros;
#[cfg(test)]
mod tests;

pub use backward::backward;
pub use forward::forward;
pub use held::Held;
pub use layer::{Linear, LinearGrads};
pub use nonzeros::Nonzeros;

use super::activation::Saved;
use super::common::Grad;
use super::common::simd::{Level, level};
use super::common::sparse::Pattern;
use super::tensor::{filled, wanted};
use crate::backend::linear::{Linear as Operands, LinearGrads as Wanted};
use crate::backend::{LinearOps, LinearSaved, Precision};
use crate::error::{Error, Result};
use crate::tensor::{Shape, Tensor};
use dfdx::tensor::Cpu;

impl LinearOps for Cpu {
    const SPARSE: bool = true;

    fn sparse_pays() -> bool {
        level() > Level::Baseline
    }

    fn lacks_bf16() -> Option<String> {
        crate::backend::cpu::common::bf16::lacking()
    }

    fn lacks_portable_bits() -> Option<String> {
        let lacking = "this processor lacks AVX2 or FMA, whose order of sums they have";
        (level() == Level::Baseline).then(|| lacking.to_owned())
    }

    fn pattern(keep: &[bool], outputs: usize, inputs: usize) -> Option<Held> {
        Some(Held::new(Pattern::new(keep, outputs, inputs)))
    }

    fn gather(whole: &Tensor<Self>, pattern: &Held) -> Result<Tensor<Self>> {
        let pattern = pattern.pattern();
        if whole.count() != pattern.weights() {
            return Err(Error::shape("nonzeros", format!("{} of {} weights", whole.shape(), pattern.weights())));
        }
        Ok(filled(whole.device(), [pattern.nonzeros()].into(), |to| pattern.gather(to, whole.data())))
    }

    fn spread(values: &Tensor<Self>, pattern: &Held, shape: Shape) -> Result<Tensor<Self>> {
        let pattern = pattern.pattern();
        if (values.count(), shape.count()) != (pattern.nonzeros(), pattern.weights()) {
            let (nonzeros, weights) = (pattern.nonzeros(), pattern.weights());
            let message = format!("{} to {shape}, for {nonzeros} of {weights} weights", values.shape());
            return Err(Error::shape("nonzeros", message));
        }
        Ok(filled(values.device(), shape, |to| pattern.spread(to, values.data())))
    }

    fn linear(op: &Operands<Self>, save: bool) -> Result<(Tensor<Self>, LinearSaved<Self>)> {
        let layer = operands(op);
        let shape = Shape::from([layer.rows, layer.outputs]);
        let forward = if in_bf16(op) { bf16::forward } else { forward };
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
        // The gradient at the nonzeros alone goes where the last one was, where nothing has been found for the weight yet.
        let held = op.w.nonzeros.as_ref().filter(|nonzeros| !nonzeros.dense_gradient).map(|n| n.pattern.as_ref());
        let first = held.filter(|_| grads.w.as_ref().is_some_and(|slot| slot.0.is_none()));
        let last = first.and_then(Held::take_gradient).map(|last| last.detach());
        let cleared = last.is_some();
        let mut w = grads.w;
        if let Some(slot) = w.as_mut().filter(|_| cleared) {
            slot.0 = last;
        }
        let dw = wanted(w.as_deref_mut(), Some(&op.w.value))?;
        let layer = operands(op);
        let layer = Linear { nonzeros: layer.nonzeros.map(|nonzeros| Nonzeros { cleared, ..nonzeros }), ..layer };
        let grads = LinearGrads {
            dx: wanted(grads.x, Some(&op.x))?,
            dw: dw.map(|dw| if cleared { Grad::overwrite(dw.out) } else { dw }),
            dense_dw: held.is_none(),
            db: wanted(grads.b, op.b.as_ref())?,
            dresidual: wanted(grads.residual, op.residual.as_ref())?,
        };
        let backward = if in_bf16(op) { bf16::backward } else { backward };
        backward(&layer, op.x.data(), saved, dy.data(), grads);
        if let (Some(held), Some(gradient)) = (first, w.and_then(|slot| slot.0.as_ref())) {
            held.keep_gradient(gradient);
        }
        Ok(())
    }
}

/// Whether a layer's products are computed in bf16: not those over nonzeros alone.
fn in_bf16(op: &Operands<Cpu>) -> bool {
    op.w.precision == Precision::Bf16 && op.w.nonzeros.is_none()
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
        nonzeros: op.w.nonzeros.as_ref().map(|held| Nonzeros {
            pattern: held.pattern.pattern(),
            cleared: false,
            always: held.always,
        }),
    }
}
