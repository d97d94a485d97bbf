//! Fully connected layers: y = act(x (w * mask)^T + bias) + residual, and its gradients.

mod backward;
pub mod bf16;
mod forward;
mod layer;
mod nonzeros;
mod ready;
#[cfg(test)]
mod tests;

pub use backward::backward;
pub use forward::forward;
pub use layer::{Linear, LinearGrads};

use super::activation::Saved;
use super::common::elementwise;
use super::common::simd::{Level, level};
pub use super::common::sparse::Nonzeros;
use super::common::sparse::Pattern;
use super::tensor::{filled, wanted};
use crate::backend::linear::{Linear as Operands, LinearGrads as Wanted};
use crate::backend::{LinearOps, LinearSaved, Precision, ReadyLinear};
use crate::error::{Error, Result};
use crate::tensor::{Shape, Tensor};
use dfdx::tensor::Cpu;
use ready::{Chain, Ready};

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

    fn pattern(keep: &[bool], outputs: usize, inputs: usize) -> Option<Pattern> {
        Some(Pattern::new(keep, outputs, inputs))
    }

    fn gather(whole: &Tensor<Self>, pattern: &Pattern) -> Result<Tensor<Self>> {
        if whole.count() != pattern.weights() {
            return Err(Error::shape("nonzeros", format!("{} of {} weights", whole.shape(), pattern.weights())));
        }
        Ok(filled(whole.device(), [pattern.nonzeros()].into(), |to| pattern.gather(to, whole.data())))
    }

    fn spread(values: &Tensor<Self>, pattern: &Pattern, shape: Shape) -> Tensor<Self> {
        assert_eq!(shape.count(), pattern.weights(), "elements of {shape}, which nonzeros are spread over");
        filled(values.device(), shape, |to| pattern.spread(to, values.data()))
    }

    fn places(pattern: &Pattern) -> &[u32] {
        pattern.positions()
    }

    fn linear(op: &Operands<Self>, save: bool) -> Result<(Tensor<Self>, LinearSaved<Self>)> {
        let mut layer = operands(op);
        // Once for both passes.
        let masked = layer.mask.filter(|_| save).map(|mask| {
            filled(op.x.device(), op.w.value.shape(), |masked| elementwise::mul(masked, layer.weight, mask))
        });
        if let Some(masked) = &masked {
            (layer.weight, layer.mask) = (masked.data(), None);
        }
        let shape = Shape::from([layer.rows, layer.outputs]);
        let forward = if in_bf16(op) { bf16::forward } else { forward };
        let residual = op.residual.as_ref().map(Tensor::data);
        if save && op.act.needs_pre(residual.is_some()) {
            let mut pre = None;
            let y = filled(op.x.device(), shape, |y| {
                pre = Some(filled(op.x.device(), shape, |pre| forward(&layer, op.x.data(), residual, y, Some(pre))));
            });
            return Ok((y, LinearSaved { kept: pre, masked }));
        }
        let y = filled(op.x.device(), shape, |y| forward(&layer, op.x.data(), residual, y, None));
        let kept = save.then(|| y.clone());
        Ok((y, LinearSaved { kept, masked }))
    }

    fn ready_linear(ops: &[Operands<Self>]) -> Option<ReadyLinear<Self>> {
        let layer = |op: &Operands<Self>| {
            let Linear { inputs, outputs, weight, mask, bias, act, nonzeros, .. } = operands(op);
            let plain = mask.is_none() && nonzeros.is_none() && op.w.precision == Precision::F32;
            if plain { Ready::of(weight, (outputs, inputs), bias, act) } else { None }
        };
        let (ready, device) =
            (Chain::of(ops.iter().map(layer).collect::<Option<_>>()?)?, ops.first()?.x.device().clone());
        let (inputs, outputs) = ready.sizes();
        Some(Box::new(move |x, residual| {
            let shape = match *x.shape() {
                [rows, width] if width == inputs => Shape::from([rows, outputs]),
                _ => return Err(Error::shape("linear", format!("input {} for {inputs} inputs", x.shape()))),
            };
            if let Some(residual) = residual.filter(|residual| residual.shape() != shape) {
                return Err(Error::shape("linear", format!("{} is added to {shape}", residual.shape())));
            }
            Ok(filled(&device, shape, |y| ready.forward(x.data(), residual.map(Tensor::data), y)))
        }))
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
        let LinearSaved { kept, masked } = saved;
        let kept = kept.as_ref().ok_or_else(|| Error::Other("linear: the forward pass saved nothing".into()))?;
        let saved =
            if op.act.needs_pre(op.residual.is_some()) { Saved::Pre(kept.data()) } else { Saved::Out(kept.data()) };
        let mut layer = operands(op);
        if let Some(masked) = &masked {
            (layer.weight, layer.mask) = (masked.data(), None);
        }
        let grads = LinearGrads {
            dx: wanted(grads.x, Some(&op.x))?,
            dw: wanted(grads.w, Some(op.w.learning()))?,
            dense_dw: op.w.nonzeros.as_ref().is_none_or(|nonzeros| nonzeros.dense_gradient),
            db: wanted(grads.b, op.b.as_ref())?,
            dresidual: wanted(grads.residual, op.residual.as_ref())?,
        };
        let backward = if in_bf16(op) { bf16::backward } else { backward };
        backward(&layer, op.x.data(), saved, dy.data(), grads);
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
        weight: if op.w.value.is_outline() { &[] } else { op.w.value.data() },
        mask: op.w.mask.as_ref().map(Tensor::data),
        bias: op.b.as_ref().map(Tensor::data),
        act: op.act,
        nonzeros: Nonzeros::of(&op.w),
    }
}
