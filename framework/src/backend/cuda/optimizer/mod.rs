//! Optimizer steps: one launch for many parameters.

use super::Cuda;
use super::runtime::{Context, Ptr, extent, ptr_or_null};
use super::tensor::multi_tensor::{AT_ONCE, Many, NOTHING, One, THREADS, blocks, squares};
use crate::backend::{OptimizerOps, Update, Updated};
use crate::error::{Error, Result};
use crate::tensor::Tensor;

type T = Tensor<Cuda>;

impl OptimizerOps for Cuda {
    fn clip_scale(grads: &[&Tensor<Self>], limit: f64) -> Result<Tensor<Self>> {
        clip(grads, limit)
    }

    fn update(params: &mut [Updated<'_, Self>], scale: Option<&Tensor<Self>>) -> Result<()> {
        update(params, scale)
    }
}

fn update(params: &mut [Updated<'_, Cuda>], scale: Option<&T>) -> Result<()> {
    let cx = Context::get()?;
    let rules: Vec<Update> = params.iter().map(|p| p.rule).collect();
    let ones = params.iter_mut().map(one).collect::<Result<Vec<_>>>()?;
    let scale = ptr_or_null(scale);
    for (ones, rules) in ones.chunks(AT_ONCE).zip(rules.chunks(AT_ONCE)) {
        let (many, grid) = (Many::of(ones), (blocks(cx, ones), extent(ones.len())?));
        match rules[0] {
            Update::Sgd { lr, momentum, nesterov, .. } => {
                // w -= lr (ahead g + along v): g + momentum v with nesterov, v alone without.
                let (ahead, along) = if nesterov { (1.0_f32, momentum) } else { (0.0, 1.0) };
                cx.launch("sgd", grid, THREADS, 0, (many, lr, momentum, ahead, along, scale))?;
            }
            Update::Adam { beta1, beta2, eps, .. } => {
                let rest = |beta: f32| (1.0 - f64::from(beta)) as f32;
                cx.launch("adam", grid, THREADS, 0, (many, rest(beta1), beta2, rest(beta2), eps, scale))?;
            }
        }
    }
    Ok(())
}

/// What an optimizer's kernel needs to know of one parameter.
fn one(p: &mut Updated<'_, Cuda>) -> Result<One> {
    let (n, grad) = (p.weight.count(), p.grad);
    if grad.count() != n || p.mask.is_some_and(|m| m.count() != n) || p.state.iter().any(|s| s.count() != n) {
        let message = format!("gradient {}, mask or state do not fit weight {}", grad.shape(), p.weight.shape());
        return Err(Error::shape("update", message));
    }
    if p.state.len() < p.rule.slots() {
        return Err(Error::Other(format!("the optimizer needs {} state tensors", p.rule.slots())));
    }
    let (weight, mask) = (p.weight.ptr_mut()?, ptr_or_null(p.mask));
    let mut state = [Ptr::NULL; 2];
    for (to, state) in state.iter_mut().zip(p.state.iter_mut()).take(p.rule.slots()) {
        *to = state.ptr_mut()?;
    }
    let [first_state, second_state] = state;
    let one = One { weight, grad: grad.ptr(), first_state, second_state, mask, n: extent(n)?, shrink: 1.0, ..NOTHING };
    Ok(match p.rule {
        Update::Sgd { weight_decay, .. } => One { decay: weight_decay, ..one },
        Update::Adam { lr, beta1, beta2, weight_decay, decoupled, t, .. } => {
            let wide = f64::from;
            let correction = |beta: f32| 1.0 - wide(beta).powf(t as f64);
            let size = (wide(lr) / correction(beta1)) as f32;
            let root = (1.0 / correction(beta2).sqrt()) as f32;
            match decoupled {
                true => One { size, root, shrink: (1.0 - wide(lr) * wide(weight_decay)) as f32, ..one },
                false => One { size, root, decay: weight_decay, ..one },
            }
        }
    })
}

/// `[scale, norm]`, see [`OptimizerOps::clip_scale`].
fn clip(grads: &[&T], limit: f64) -> Result<T> {
    let cx = Context::get()?;
    let (sums, count) = squares(cx, grads)?;
    let scale = cx.tensor([2])?;
    cx.launch("clip_scale", 1, THREADS, 0, (extent(count)?, sums.ptr(), limit, scale.ptr()))?;
    Ok(scale)
}
