//! From tensors to kernels.

use super::kernels::{Accumulate, Grad, activation::Saved, contribution, linear as lin, loss, regression, scratch};
use super::storage::own;
use crate::backend::tensor::{Shape, Tensor};
use crate::backend::{Contribution, Linear, LinearGrads, LinearSaved, LossValue, Slot};
use crate::error::{Error, Result};
use dfdx::tensor::Cpu;

/// A new tensor; `fill` must write every element before it reads any.
pub(super) fn filled(device: &Cpu, shape: Shape, fill: impl FnOnce(&mut [f32])) -> Tensor<Cpu> {
    // SAFETY: every caller in this module hands the buffer to a kernel that overwrites all of it.
    let mut data = unsafe { scratch::unwritten(shape.count()) };
    fill(&mut data);
    Tensor::from_buffer(own(device, data), shape)
}

impl Slot<Cpu> {
    /// The gradient as a kernel's destination: what is there to add to, or a new tensor to overwrite.
    pub(super) fn grad(&mut self, like: &Tensor<Cpu>) -> Result<Grad<'_>> {
        let mode = if self.0.is_some() { Accumulate::Add } else { Accumulate::Overwrite };
        // SAFETY: kernels overwrite all of a destination that they are told to overwrite.
        let new = || Tensor::from_buffer(own(like.device(), unsafe { scratch::unwritten(like.count()) }), like.shape());
        Ok(Grad { out: self.0.get_or_insert_with(new).data_mut()?, mode })
    }
}

pub(super) fn wanted<'s>(slot: Option<&'s mut Slot<Cpu>>, like: Option<&Tensor<Cpu>>) -> Result<Option<Grad<'s>>> {
    slot.zip(like).map(|(s, t)| s.grad(t)).transpose()
}

fn layer(op: &Linear<Cpu>) -> lin::Linear<'_> {
    lin::Linear {
        rows: op.x.shape()[0],
        inputs: op.w.value.shape()[1],
        outputs: op.w.value.shape()[0],
        weight: op.w.value.data(),
        mask: op.w.mask.as_ref().map(Tensor::data),
        bias: op.b.as_ref().map(Tensor::data),
        act: op.act,
    }
}

pub(super) fn linear(op: &Linear<Cpu>, save: bool) -> Result<(Tensor<Cpu>, LinearSaved<Cpu>)> {
    let layer = layer(op);
    let shape = Shape::from([layer.rows, layer.outputs]);
    let residual = op.residual.as_ref().map(Tensor::data);
    if save && op.act.needs_pre(residual.is_some()) {
        let mut pre = None;
        let y = filled(op.x.device(), shape, |y| {
            pre = Some(filled(op.x.device(), shape, |pre| lin::forward(&layer, op.x.data(), residual, y, Some(pre))));
        });
        return Ok((y, LinearSaved { kept: pre }));
    }
    let y = filled(op.x.device(), shape, |y| lin::forward(&layer, op.x.data(), residual, y, None));
    let kept = save.then(|| y.clone());
    Ok((y, LinearSaved { kept }))
}

pub(super) fn linear_backward(
    op: &Linear<Cpu>,
    saved: &LinearSaved<Cpu>,
    dy: &Tensor<Cpu>,
    mut grads: LinearGrads<'_, Cpu>,
) -> Result<()> {
    if let Some(slot) = grads.residual.take_if(|slot| slot.0.is_none()) {
        slot.0 = Some(dy.clone());
    }
    let kept = saved.kept.as_ref().ok_or_else(|| Error::Other("linear: the forward pass saved nothing".into()))?;
    let saved = if op.act.needs_pre(op.residual.is_some()) { Saved::Pre(kept.data()) } else { Saved::Out(kept.data()) };
    let grads = lin::LinearGrads {
        dx: wanted(grads.x, Some(&op.x))?,
        dw: wanted(grads.w, Some(&op.w.value))?,
        dense_dw: true,
        db: wanted(grads.b, op.b.as_ref())?,
        dresidual: wanted(grads.residual, op.residual.as_ref())?,
    };
    lin::backward(&layer(op), op.x.data(), saved, dy.data(), grads);
    Ok(())
}

pub(super) fn cross_entropy(
    logits: &Tensor<Cpu>,
    classes: &[u32],
    smoothing: f32,
    grad: bool,
) -> Result<LossValue<Cpu>> {
    let &[rows, columns] = &*logits.shape() else {
        return Err(Error::shape("cross-entropy", format!("logits {} must have two axes", logits.shape())));
    };
    if rows != classes.len() {
        return Err(Error::shape("cross-entropy", format!("{rows} rows of logits for {} examples", classes.len())));
    }
    let ids: Vec<usize> = classes.iter().map(|&c| c as usize).collect();
    let mut gradient = grad.then(|| logits.zeros_like(logits.shape()));
    let out = gradient.as_mut().map(Tensor::data_mut).transpose()?;
    let found =
        loss::cross_entropy(logits.data(), columns, &ids, smoothing, out).map_err(|e| Error::Config(e.to_string()))?;
    Ok(LossValue { value: f64::from(found.loss), grad: gradient, correct: Some(found.correct) })
}

pub(super) fn binary_cross_entropy(logits: &Tensor<Cpu>, classes: &[u32], grad: bool) -> Result<LossValue<Cpu>> {
    if logits.count() != classes.len() {
        return Err(Error::shape(
            "binary cross-entropy",
            format!("logits {} for {} examples", logits.shape(), classes.len()),
        ));
    }
    let targets: Vec<f32> = classes.iter().map(|&c| c as f32).collect();
    let n = classes.len().max(1);
    let value = regression::binary_cross_entropy_logits(logits.data(), &targets) / n as f64;
    let gradient = grad.then(|| {
        filled(logits.device(), logits.shape(), |dx| {
            regression::binary_cross_entropy_logits_backward(
                Grad::overwrite(dx),
                logits.data(),
                &targets,
                1.0 / n as f32,
            );
        })
    });
    let correct = logits.data().iter().zip(classes).filter(|(z, c)| (**z > 0.0) == (**c == 1)).count();
    Ok(LossValue { value, grad: gradient, correct: Some(correct) })
}

pub(super) fn contribution(
    activation: &Tensor<Cpu>,
    weight: &Tensor<Cpu>,
    signed_eps: Option<f32>,
    with_max: bool,
) -> Result<Contribution> {
    let (&[_, units], &[_, inputs]) = (&*activation.shape(), &*weight.shape()) else {
        let message = format!("activation {} and weight {} must have two axes", activation.shape(), weight.shape());
        return Err(Error::shape("contribution", message));
    };
    if units != inputs {
        let message = format!("activation {} does not fit weight {}", activation.shape(), weight.shape());
        return Err(Error::shape("contribution", message));
    }
    let form = signed_eps.map_or(contribution::Form::Absolute, |eps| contribution::Form::Signed { eps });
    let mut found = Contribution::new(units);
    found.observe(weight.data(), activation.data(), form, with_max);
    Ok(found)
}
