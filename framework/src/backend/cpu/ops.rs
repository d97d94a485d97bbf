//! From tensors to kernels.

use super::kernels::{Accumulate, Grad, activation::Saved, contribution, linear as lin, loss, optim, regression};
use super::storage;
use crate::backend::tensor::{Shape, Tensor};
use crate::backend::{Contribution, Linear, LinearGrads, LinearSaved, LossValue, Slot, Update, Updated};
use crate::error::{Error, Result};
use dfdx::tensor::Cpu;

/// A new tensor; `fill` must write every element before it reads any.
pub(super) fn filled(device: &Cpu, shape: Shape, fill: impl FnOnce(&mut [f32])) -> Tensor<Cpu> {
    // SAFETY: every caller in this module hands the buffer to a kernel that overwrites all of it.
    let buffer = unsafe { storage::unwritten(device, shape.count()) };
    let addr = buffer.addr();
    // SAFETY: the address covers the buffer's elements, which nobody else has seen yet.
    fill(unsafe { std::slice::from_raw_parts_mut(addr, shape.count()) });
    Tensor::from_buffer(buffer, shape)
}

impl Slot<Cpu> {
    /// The gradient as a kernel's destination: what is there to add to, or a new tensor to overwrite.
    pub(super) fn grad(&mut self, like: &Tensor<Cpu>) -> Result<Grad<'_>> {
        let mode = if self.0.is_some() { Accumulate::Add } else { Accumulate::Overwrite };
        // SAFETY: kernels overwrite all of a destination that they are told to overwrite.
        let new = || Tensor::from_buffer(unsafe { storage::unwritten(like.device(), like.count()) }, like.shape());
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
    figures(logits, found.loss, found.correct, gradient)
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
    figures(logits, value as f32, correct, gradient)
}

fn figures(like: &Tensor<Cpu>, loss: f32, correct: usize, grad: Option<Tensor<Cpu>>) -> Result<LossValue<Cpu>> {
    Ok(LossValue { figures: Tensor::from_vec(like.device(), vec![loss, correct as f32], [2])?, grad })
}

pub(super) fn contribution(
    activation: &Tensor<Cpu>,
    weight: &Tensor<Cpu>,
    signed_eps: Option<f32>,
    with_max: bool,
) -> Result<Contribution<Cpu>> {
    let (&[_, units], &[_, inputs]) = (&*activation.shape(), &*weight.shape()) else {
        let message = format!("activation {} and weight {} must have two axes", activation.shape(), weight.shape());
        return Err(Error::shape("contribution", message));
    };
    if units != inputs {
        let message = format!("activation {} does not fit weight {}", activation.shape(), weight.shape());
        return Err(Error::shape("contribution", message));
    }
    let form = signed_eps.map_or(contribution::Form::Absolute, |eps| contribution::Form::Signed { eps });
    let mut found = contribution::Contribution::new(units);
    found.observe(weight.data(), activation.data(), form, with_max);
    let device = activation.device();
    Ok(Contribution {
        sum: Tensor::from_vec(device, found.sum.iter().map(|&s| s as f32).collect(), [units])?,
        max: with_max.then(|| Tensor::from_vec(device, found.max, [units])).transpose()?,
        count: found.count,
    })
}

pub(super) fn update(p: &mut Updated<'_, Cpu>, scale: f32) -> Result<()> {
    let mask = p.mask.map(Tensor::data);
    match p.rule {
        Update::Sgd { lr, momentum, weight_decay, nesterov } => {
            let rule = optim::Sgd { lr, momentum, nesterov, weight_decay };
            let velocity = p.state.first_mut().map(Tensor::data_mut).transpose()?;
            optim::sgd(&rule, p.weight.data_mut()?, p.grad.data(), velocity, mask, scale);
        }
        Update::Adam { lr, beta1, beta2, eps, weight_decay, decoupled, t } => {
            let wide = f64::from;
            let rule = optim::Adam {
                lr: wide(lr),
                beta1: wide(beta1),
                beta2: wide(beta2),
                eps: wide(eps),
                weight_decay: wide(weight_decay),
                decoupled,
            };
            let [first, second] = p.state else { return Err(Error::Other("Adam needs two state tensors".into())) };
            let moments = (first.data_mut()?, second.data_mut()?);
            optim::adam(&rule, t, p.weight.data_mut()?, p.grad.data(), moments, mask, scale);
        }
    }
    Ok(())
}
