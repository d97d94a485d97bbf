//! Optimizer steps in place, one pass over memory; the formulas of PyTorch.
//!
//! With a mask, the weight and the optimizer's state are zero where the mask is: a pruned weight does not move, and
//! starts without history if it returns.

use super::common::elementwise::PIECE;
use super::common::simd::simd_fn;
use super::common::{par, reduce};
use crate::backend::{OptimizerOps, Update, Updated};
use crate::error::{Error, Result};
use crate::tensor::Tensor;
use dfdx::tensor::Cpu;

impl OptimizerOps for Cpu {
    fn clip_scale(grads: &[&Tensor<Self>], limit: f64) -> Result<Tensor<Self>> {
        let norm = grads.iter().map(|g| reduce::square_sum(g.data())).sum::<f64>().sqrt();
        let scale = if norm > limit { limit / norm } else { 1.0 };
        let device = grads.first().map_or_else(Cpu::default, |g| g.device().clone());
        Tensor::from_vec(&device, vec![scale as f32, norm as f32], [2])
    }

    fn update(params: &mut [Updated<'_, Self>], scale: Option<&Tensor<Self>>) -> Result<()> {
        let scale = scale.map_or(1.0, |s| s.data()[0]);
        params.iter_mut().try_for_each(|p| update_one(p, scale))
    }
}

fn update_one(p: &mut Updated<'_, Cpu>, scale: f32) -> Result<()> {
    let mask = p.mask.map(Tensor::data);
    match p.rule {
        Update::Sgd { lr, momentum, weight_decay, nesterov } => {
            let rule = Sgd { lr, momentum, nesterov, weight_decay };
            let velocity = p.state.first_mut().map(Tensor::data_mut).transpose()?;
            sgd(&rule, p.weight.data_mut()?, p.grad.data(), velocity, mask, scale);
        }
        Update::Adam { lr, beta1, beta2, eps, weight_decay, decoupled, t } => {
            let wide = f64::from;
            let rule = Adam {
                lr: wide(lr),
                beta1: wide(beta1),
                beta2: wide(beta2),
                eps: wide(eps),
                weight_decay: wide(weight_decay),
                decoupled,
            };
            let [first, second] = p.state else { return Err(Error::Other("Adam needs two state tensors".into())) };
            let moments = (first.data_mut()?, second.data_mut()?);
            adam(&rule, t, p.weight.data_mut()?, p.grad.data(), moments, mask, scale);
        }
    }
    Ok(())
}

/// Stochastic gradient descent: g += weight_decay w; v = momentum v + g; w -= lr (nesterov ? g + momentum v : v).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sgd {
    /// Learning rate.
    pub lr: f32,
    /// Share of the last velocity that is kept; 0 needs no velocity.
    pub momentum: f32,
    /// Whether to look ahead along the velocity.
    pub nesterov: bool,
    /// Strength of the weight decay, which is added to the gradient.
    pub weight_decay: f32,
}

/// Adam (Kingma and Ba 2014), or AdamW (Loshchilov and Hutter 2017) where `decoupled`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adam {
    /// Learning rate.
    pub lr: f64,
    /// Decay of the mean of the gradient.
    pub beta1: f64,
    /// Decay of the mean of the squared gradient.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub eps: f64,
    /// Strength of the weight decay.
    pub weight_decay: f64,
    /// Whether weight decay shrinks the weight directly (AdamW) or is added to the gradient.
    pub decoupled: bool,
}

/// One step of [`Sgd`]. The gradient is multiplied by `grad_scale` first; `velocity` starts at zero and is needed
/// unless momentum is 0.
pub fn sgd(
    sgd: &Sgd,
    weight: &mut [f32],
    grad: &[f32],
    velocity: Option<&mut [f32]>,
    mask: Option<&[f32]>,
    grad_scale: f32,
) {
    let n = weight.len();
    assert!(grad.len() == n && mask.is_none_or(|m| m.len() == n), "gradient or mask of another length");
    assert!(sgd.momentum == 0.0 || velocity.as_ref().is_some_and(|v| v.len() == n), "momentum needs a velocity");
    let velocity = velocity.filter(|_| sgd.momentum != 0.0);
    let count = n.div_ceil(PIECE);
    let pieces = weight
        .chunks_mut(PIECE)
        .zip(grad.chunks(PIECE))
        .zip(par::chunks_mut_or_none(velocity, PIECE, count))
        .zip(par::chunks_or_none(mask, PIECE, count));
    par::for_each(8 * n, pieces, |(((weight, grad), velocity), mask)| match velocity {
        Some(velocity) => sgd_momentum_piece(weight, grad, velocity, mask, *sgd, grad_scale),
        None => sgd_piece(weight, grad, mask, *sgd, grad_scale),
    });
}

/// The `step`-th step of [`Adam`], from 1. The gradient is multiplied by `grad_scale` first; the moments start at zero.
///
/// m = beta1 m + (1 - beta1) g; v = beta2 v + (1 - beta2) g^2;
/// w -= lr / (1 - beta1^step) m / (sqrt(v / (1 - beta2^step)) + eps).
pub fn adam(
    adam: &Adam,
    step: u64,
    weight: &mut [f32],
    grad: &[f32],
    (first, second): (&mut [f32], &mut [f32]),
    mask: Option<&[f32]>,
    grad_scale: f32,
) {
    let n = weight.len();
    assert!(grad.len() == n && first.len() == n && second.len() == n, "gradient or moments of another length");
    assert!(mask.is_none_or(|m| m.len() == n), "mask of another length");
    let factors = AdamFactors::new(adam, step, grad_scale);
    let pieces = weight
        .chunks_mut(PIECE)
        .zip(grad.chunks(PIECE))
        .zip(first.chunks_mut(PIECE).zip(second.chunks_mut(PIECE)))
        .zip(par::chunks_or_none(mask, PIECE, n.div_ceil(PIECE)));
    par::for_each(16 * n, pieces, |(((weight, grad), (first, second)), mask)| {
        adam_piece(weight, grad, first, second, mask, factors);
    });
}

#[derive(Clone, Copy)]
struct AdamFactors {
    /// 1 - beta1: the first moment moves this far towards the gradient.
    beta1: f32,
    beta2: f32,
    square: f32,
    size: f32,
    root: f32,
    eps: f32,
    decay: f32,
    shrink: f32,
    grad_scale: f32,
}

impl AdamFactors {
    fn new(adam: &Adam, step: u64, grad_scale: f32) -> Self {
        assert!(step > 0, "a step before the first");
        let correction = |beta: f64| 1.0 - beta.powf(step as f64);
        let (decay, shrink) =
            if adam.decoupled { (0.0, 1.0 - adam.lr * adam.weight_decay) } else { (adam.weight_decay, 1.0) };
        Self {
            beta1: (1.0 - adam.beta1) as f32,
            beta2: adam.beta2 as f32,
            square: (1.0 - adam.beta2) as f32,
            size: (adam.lr / correction(adam.beta1)) as f32,
            root: (1.0 / correction(adam.beta2).sqrt()) as f32,
            eps: adam.eps as f32,
            decay: decay as f32,
            shrink: shrink as f32,
            grad_scale,
        }
    }
}

simd_fn! { fn sgd_piece(weight: &mut [f32], grad: &[f32], mask: Option<&[f32]>, sgd: Sgd, grad_scale: f32) {
    let step = |w: &mut f32, g: f32| *w -= sgd.lr * sgd.weight_decay.mul_add(*w, grad_scale * g);
    match mask {
        None => for (w, &g) in weight.iter_mut().zip(grad) {
            step(w, g);
        },
        Some(mask) => for ((w, &g), &m) in weight.iter_mut().zip(grad).zip(mask) {
            step(w, g);
            *w *= m;
        },
    }
} }

simd_fn! { fn sgd_momentum_piece(
    weight: &mut [f32], grad: &[f32], velocity: &mut [f32], mask: Option<&[f32]>, sgd: Sgd, grad_scale: f32,
) {
    // w -= lr (ahead g + along v): g + momentum v with nesterov, v alone without.
    let (ahead, along) = if sgd.nesterov { (1.0, sgd.momentum) } else { (0.0, 1.0) };
    let step = |w: &mut f32, g: f32, v: &mut f32| {
        let g = sgd.weight_decay.mul_add(*w, grad_scale * g);
        *v = sgd.momentum.mul_add(*v, g);
        *w -= sgd.lr * along.mul_add(*v, ahead * g);
    };
    match mask {
        None => for ((w, &g), v) in weight.iter_mut().zip(grad).zip(velocity) {
            step(w, g, v);
        },
        Some(mask) => for (((w, &g), v), &m) in weight.iter_mut().zip(grad).zip(velocity).zip(mask) {
            step(w, g, v);
            *w *= m;
            *v *= m;
        },
    }
} }

simd_fn! { fn adam_piece(
    weight: &mut [f32], grad: &[f32], first: &mut [f32], second: &mut [f32], mask: Option<&[f32]>, f: AdamFactors,
) {
    let step = |w: &mut f32, g: f32, m: &mut f32, v: &mut f32| {
        let g = f.decay.mul_add(*w, f.grad_scale * g);
        *m = f.beta1.mul_add(g - *m, *m);
        *v = f.beta2.mul_add(*v, f.square * g * g);
        *w = f.shrink * *w - f.size * *m / v.sqrt().mul_add(f.root, f.eps);
    };
    match mask {
        None => for (((w, &g), m), v) in weight.iter_mut().zip(grad).zip(first).zip(second) {
            step(w, g, m, v);
        },
        Some(mask) => for ((((w, &g), m), v), &keep) in weight.iter_mut().zip(grad).zip(first).zip(second).zip(mask) {
            step(w, g, m, v);
            *w *= keep;
            *m *= keep;
            *v *= keep;
        },
    }
} }

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::cpu::common::testing::{
        assert_close, assert_same_bits, at_each_level, random, random_mask, wide,
    };

    /// PyTorch's torch/optim/sgd.py in f64.
    fn sgd_reference(s: &Sgd, w: &mut f64, g: f64, v: &mut f64) {
        let g = g + f64::from(s.weight_decay) * *w;
        *v = f64::from(s.momentum) * *v + g;
        let g = if s.momentum == 0.0 {
            g
        } else if s.nesterov {
            g + f64::from(s.momentum) * *v
        } else {
            *v
        };
        *w -= f64::from(s.lr) * g;
    }

    /// PyTorch's torch/optim/adam.py in f64.
    fn adam_reference(a: &Adam, t: u64, w: &mut f64, g: f64, m: &mut f64, v: &mut f64) {
        let mut g = g;
        if a.decoupled {
            *w *= 1.0 - a.lr * a.weight_decay;
        } else {
            g += a.weight_decay * *w;
        }
        *m = a.beta1 * *m + (1.0 - a.beta1) * g;
        *v = a.beta2 * *v + (1.0 - a.beta2) * g * g;
        let (c1, c2) = (1.0 - a.beta1.powi(t as i32), 1.0 - a.beta2.powi(t as i32));
        *w -= a.lr / c1 * *m / (v.sqrt() / c2.sqrt() + a.eps);
    }

    const ADAM: Adam = Adam { lr: 1e-2, beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.1, decoupled: false };

    #[test]
    fn sgd_follows_pytorch_for_several_steps() {
        at_each_level(|| {
            for (momentum, nesterov, weight_decay) in [(0.0, false, 0.1), (0.9, false, 0.0), (0.9, true, 0.1)] {
                let s = Sgd { lr: 0.1, momentum, nesterov, weight_decay };
                let n = 77;
                let (mut w, mut v) = (random(n, 1), vec![0.0; n]);
                let (mut we, mut ve) = (wide(&w), vec![0.0; n]);
                for step in 0..5 {
                    let g = random(n, 10 + step);
                    sgd(&s, &mut w, &g, (momentum > 0.0).then_some(&mut v[..]), None, 0.5);
                    for i in 0..n {
                        sgd_reference(&s, &mut we[i], 0.5 * f64::from(g[i]), &mut ve[i]);
                    }
                }
                assert_close(&w, &we, 1e-6, "weight");
            }
        });
    }

    #[test]
    fn adam_follows_pytorch_for_several_steps() {
        at_each_level(|| {
            for a in [ADAM, Adam { decoupled: true, ..ADAM }, Adam { weight_decay: 0.0, ..ADAM }] {
                let n = 77;
                let (mut w, mut m, mut v) = (random(n, 1), vec![0.0; n], vec![0.0; n]);
                let (mut we, mut me, mut ve) = (wide(&w), vec![0.0; n], vec![0.0; n]);
                for step in 1..=6 {
                    let g = random(n, 10 + step);
                    adam(&a, step, &mut w, &g, (&mut m, &mut v), None, 2.0);
                    for i in 0..n {
                        adam_reference(&a, step, &mut we[i], 2.0 * f64::from(g[i]), &mut me[i], &mut ve[i]);
                    }
                }
                assert_close(&w, &we, 1e-5, "weight");
                assert_close(&v, &ve, 1e-6, "second moment");
            }
        });
    }

    #[test]
    fn masked_weights_and_their_state_are_held_at_zero() {
        let n = 100;
        let (mask, g) = (random_mask(n, 3), random(n, 4));
        let (mut w, mut v) = (random(n, 1), random(n, 2));
        let (mut free_w, mut free_v) = (w.clone(), v.clone());
        let s = Sgd { lr: 0.1, momentum: 0.9, nesterov: true, weight_decay: 0.01 };
        sgd(&s, &mut w, &g, Some(&mut v), Some(&mask), 1.0);
        sgd(&s, &mut free_w, &g, Some(&mut free_v), None, 1.0);
        let (mut m1, mut m2) = (random(n, 5), vec![0.5; n]);
        let mut a = random(n, 6);
        adam(&ADAM, 3, &mut a, &g, (&mut m1, &mut m2), Some(&mask), 1.0);
        for i in 0..n {
            if mask[i] == 0.0 {
                assert_eq!([w[i], v[i], a[i], m1[i], m2[i]], [0.0; 5]);
            } else {
                assert_eq!((w[i], v[i]), (free_w[i], free_v[i]));
                assert!(a[i] != 0.0);
            }
        }
    }

    #[test]
    fn threads_do_not_change_bits() {
        let n = 150_001;
        let g = random(n, 4);
        assert_same_bits(|| {
            let (mut w, mut m, mut v) = (random(n, 1), vec![0.0; n], vec![0.0; n]);
            adam(&ADAM, 1, &mut w, &g, (&mut m, &mut v), None, 1.0);
            let s = Sgd { lr: 0.1, momentum: 0.9, nesterov: false, weight_decay: 0.0 };
            sgd(&s, &mut w, &g, Some(&mut m), None, 1.0);
            w
        });
    }
}
