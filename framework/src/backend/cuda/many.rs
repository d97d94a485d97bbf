//! One launch over many tensors: optimizer steps, the norm of all gradients, values for the host.

use super::launch::{Arg, extent};
use super::memory::{Ptr, ptr_or_null};
use super::{Context, Cuda};
use crate::backend::tensor::Tensor;
use crate::backend::{Update, Updated};
use crate::error::{Error, Result};

type T = Tensor<Cuda>;

/// One tensor, or what belongs to one parameter; laid out as in `many.cu`.
#[derive(Clone, Copy)]
#[repr(C)]
struct One {
    weight: Ptr,
    grad: Ptr,
    first_state: Ptr,
    second_state: Ptr,
    mask: Ptr,
    n: u32,
    size: f32,
    root: f32,
    decay: f32,
    shrink: f32,
}

const NOTHING: One = One {
    weight: Ptr::NULL,
    grad: Ptr::NULL,
    first_state: Ptr::NULL,
    second_state: Ptr::NULL,
    mask: Ptr::NULL,
    n: 0,
    size: 0.0,
    root: 0.0,
    decay: 0.0,
    shrink: 0.0,
};

/// As many as fit into the 4 KB of a kernel's parameters.
const AT_ONCE: usize = 56;

#[derive(Clone, Copy)]
#[repr(C)]
struct Many([One; AT_ONCE]);

impl Arg for Many {}

impl Many {
    fn of(ones: &[One]) -> Self {
        let mut all = [NOTHING; AT_ONCE];
        all[..ones.len()].copy_from_slice(ones);
        Self(all)
    }
}

const THREADS: u32 = 256;

/// Blocks for the largest of some tensors: four elements a thread, and no more blocks than keep the GPU busy.
fn blocks(cx: &Context, ones: &[One]) -> u32 {
    let most = ones.iter().map(|o| o.n).max().unwrap_or(0);
    most.div_ceil(4 * THREADS).clamp(1, 16 * cx.processors)
}

pub(super) fn update(params: &mut [Updated<'_, Cuda>], scale: Option<&T>) -> Result<()> {
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

/// `[scale, norm]`, see [`crate::backend::Backend::clip_scale`].
pub(super) fn clip_scale(grads: &[&T], limit: f64) -> Result<T> {
    let cx = Context::get()?;
    let (sums, count) = squares(cx, grads)?;
    let scale = cx.tensor([2])?;
    cx.launch("clip_scale", 1, THREADS, 0, (extent(count)?, sums.ptr(), limit, scale.ptr()))?;
    Ok(scale)
}

/// The sum of the squares of all elements of some tensors: one number of eight bytes.
pub(super) fn norm_squared(cx: &Context, tensors: &[&T]) -> Result<T> {
    let (sums, count) = squares(cx, tensors)?;
    let total = cx.tensor([2])?;
    cx.launch("total", 1, THREADS, 0, (extent(count)?, sums.ptr(), total.ptr()))?;
    Ok(total)
}

/// Partial sums of the squares of all elements, numbers of eight bytes, and how many there are.
fn squares(cx: &Context, tensors: &[&T]) -> Result<(T, usize)> {
    let one = |t: &&T| Ok(One { grad: t.ptr(), n: extent(t.count())?, ..NOTHING });
    let ones = tensors.iter().map(one).collect::<Result<Vec<_>>>()?;
    let blocks = blocks(cx, &ones);
    let count = ones.len() * blocks as usize;
    let sums = cx.tensor([2 * count])?;
    for (i, ones) in ones.chunks(AT_ONCE).enumerate() {
        let to = sums.ptr().offset(8 * i * AT_ONCE * blocks as usize);
        cx.launch("squares", (blocks, extent(ones.len())?), THREADS, 0, (Many::of(ones), to))?;
    }
    Ok((sums, count))
}

/// Values of several tensors with one copy.
pub(super) fn host_all(tensors: &[&T]) -> Vec<Vec<f32>> {
    let gathered = gather(tensors).map(|t| t.to_vec());
    let mut rest = match gathered {
        Ok(values) => values.into_iter(),
        // As `host`: NaN now, and the next operation says why.
        Err(_) => vec![f32::NAN; tensors.iter().map(|t| t.count()).sum()].into_iter(),
    };
    tensors.iter().map(|t| rest.by_ref().take(t.count()).collect()).collect()
}

fn gather(tensors: &[&T]) -> Result<T> {
    let cx = Context::get()?;
    let all = cx.tensor([tensors.iter().map(|t| t.count()).sum()])?;
    let mut at = 0;
    let mut ones = vec![];
    for t in tensors {
        ones.push(One { weight: all.ptr().offset(4 * at), grad: t.ptr(), n: extent(t.count())?, ..NOTHING });
        at += t.count();
    }
    for ones in ones.chunks(AT_ONCE) {
        cx.launch("gather", (blocks(cx, ones), extent(ones.len())?), THREADS, 0, (Many::of(ones),))?;
    }
    Ok(all)
}
