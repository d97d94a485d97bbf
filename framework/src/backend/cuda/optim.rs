//! Optimizer updates.

use super::launch::extent;
use super::memory::{Ptr, ptr_or_null};
use super::{Context, Cuda};
use crate::backend::Update;
use crate::backend::tensor::Tensor;
use crate::error::{Error, Result};

type T = Tensor<Cuda>;

pub(super) fn update(
    rule: Update,
    weight: &mut T,
    state: &mut [T],
    grad: &T,
    mask: Option<&T>,
    scale: f32,
) -> Result<()> {
    let (cx, n) = (Context::get()?, weight.count());
    if grad.count() != n || mask.is_some_and(|m| m.count() != n) || state.iter().any(|s| s.count() != n) {
        let message = format!("gradient {}, mask or state do not fit weight {}", grad.shape(), weight.shape());
        return Err(Error::shape("update", message));
    }
    let (w, g, mask) = (weight.ptr_mut()?, grad.ptr(), ptr_or_null(mask));
    match rule {
        Update::Sgd { lr, momentum, weight_decay, nesterov } => {
            let velocity = match state.first_mut() {
                Some(v) if momentum != 0.0 => v.ptr_mut()?,
                None if momentum != 0.0 => return Err(Error::Other("momentum needs a state tensor".into())),
                _ => Ptr::NULL,
            };
            // w -= lr (ahead g + along v): g + momentum v with nesterov, v alone without.
            let (ahead, along) = if nesterov { (1.0_f32, momentum) } else { (0.0, 1.0) };
            let args = (extent(n)?, lr, momentum, ahead, along, weight_decay, scale, w, g, velocity, mask);
            cx.launch_over("sgd", n, args)
        }
        Update::Adam { lr, beta1, beta2, eps, weight_decay, decoupled, t } => {
            let [first, second] = state else { return Err(Error::Other("Adam needs two state tensors".into())) };
            let wide = f64::from;
            let correction = |beta: f32| 1.0 - wide(beta).powf(t as f64);
            let (one_minus_beta1, one_minus_beta2) = ((1.0 - wide(beta1)) as f32, (1.0 - wide(beta2)) as f32);
            let size = (wide(lr) / correction(beta1)) as f32;
            let root = (1.0 / correction(beta2).sqrt()) as f32;
            let (decay, shrink) = match decoupled {
                true => (0.0, (1.0 - wide(lr) * wide(weight_decay)) as f32),
                false => (weight_decay, 1.0),
            };
            let (m, v) = (first.ptr_mut()?, second.ptr_mut()?);
            let args = (
                extent(n)?,
                one_minus_beta1,
                beta2,
                one_minus_beta2,
                size,
                root,
                eps,
                decay,
                shrink,
                scale,
                w,
                g,
                m,
                v,
                mask,
            );
            cx.launch_over("adam", n, args)
        }
    }
}
