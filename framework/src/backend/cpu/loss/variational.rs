//! The parts of a variational loss: binary cross-entropy of logits, Gaussian divergence, a sample's parametrisation.
//!
//! A loss is the sum over all elements; the mean is the sum over the length. A backward function multiplies by `scale`:
//! the upstream gradient, over the length for a mean.

use crate::backend::cpu::common::elementwise::PIECE;
use crate::backend::cpu::common::grad::{Grad, put_map};
use crate::backend::cpu::common::par;
use crate::backend::cpu::common::simd::{self, simd_fn, sum_of_pairs};

/// sum -(t ln s + (1 - t) ln(1 - s)) with s = sigmoid(x), stable for any x.
pub fn binary_cross_entropy_logits(x: &[f32], target: &[f32]) -> f64 {
    total(x, target, bce_logits_piece)
}

/// scale (sigmoid(x) - t).
pub fn binary_cross_entropy_logits_backward(dx: Grad<'_>, x: &[f32], target: &[f32], scale: f32) {
    put_map(dx, x, target, move |x, t| scale * (simd::sigmoid(x) - t));
}

/// Divergence of N(mu, e^logvar) from N(0, 1), summed: -1/2 sum (1 + logvar - mu^2 - e^logvar).
pub fn gaussian_kld(mu: &[f32], log_var: &[f32]) -> f64 {
    total(mu, log_var, kld_piece)
}

/// Gradients with respect to mu, scale mu, and to logvar, scale (e^logvar - 1) / 2.
pub fn gaussian_kld_backward(dmu: Grad<'_>, dlog_var: Grad<'_>, mu: &[f32], log_var: &[f32], scale: f32) {
    let mut dmu = dmu;
    dmu.put_scaled(scale, mu);
    put_map(dlog_var, log_var, log_var, move |l, _| 0.5 * scale * (simd::exp(l) - 1.0));
}

fn total(x: &[f32], y: &[f32], f: fn(&[f32], &[f32]) -> f32) -> f64 {
    assert_eq!(x.len(), y.len(), "a loss compares as many numbers with as many");
    let pieces = x.chunks(PIECE).zip(y.chunks(PIECE));
    par::map(16 * x.len(), pieces, |(x, y)| f64::from(f(x, y))).into_iter().sum()
}

simd_fn! { fn bce_logits_piece(x: &[f32], t: &[f32]) -> f32 {
    sum_of_pairs(x, t, |x, t| {
        let positive = if x < 0.0 { 0.0 } else { x };
        positive - x * t + simd::ln(1.0 + simd::exp(-x.abs()))
    })
} }
simd_fn! { fn kld_piece(mu: &[f32], log_var: &[f32]) -> f32 {
    sum_of_pairs(mu, log_var, |m, l| -0.5 * (1.0 + l - m * m - simd::exp(l)))
} }

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::cpu::common::testing::*;

    const N: usize = 203;

    fn check(value: f64, grad: &[f32], x: &[f32], f: impl Fn(&[f64]) -> f64) {
        let expected = f(&wide(x));
        assert!((value - expected).abs() < 1e-4 * expected.abs().max(1.0), "{value}, not {expected}");
        let slopes: Vec<f64> = numeric_gradient(&wide(x), f).iter().map(|g| 0.5 * g).collect();
        assert_close(grad, &slopes, 1e-4, "gradient");
    }

    #[test]
    fn losses_and_gradients_agree_with_the_definitions() {
        at_each_level(|| {
            let (x, t) = (random(N, 1), random(N, 2));
            let t01: Vec<f32> = t.iter().map(|t| 0.5 + 0.5 * t).collect();
            let mut g = vec![f32::NAN; N];
            let pairs = |x: &[f64], t: &[f32], f: fn(f64, f64) -> f64| -> f64 {
                x.iter().zip(t).map(|(&x, &t)| f(x, f64::from(t))).sum()
            };

            binary_cross_entropy_logits_backward(Grad::overwrite(&mut g), &x, &t01, 0.5);
            let logits = |x: f64, t: f64| -(t * -(-x).exp().ln_1p() + (1.0 - t) * -x.exp().ln_1p());
            check(binary_cross_entropy_logits(&x, &t01), &g, &x, |x| pairs(x, &t01, logits));

            let mut gl = vec![f32::NAN; N];
            gaussian_kld_backward(Grad::overwrite(&mut g), Grad::overwrite(&mut gl), &x, &t, 0.5);
            let kld = |m: f64, l: f64| -0.5 * (1.0 + l - m * m - l.exp());
            check(gaussian_kld(&x, &t), &g, &x, |m| pairs(m, &t, kld));
            check(gaussian_kld(&x, &t), &gl, &t, |l| pairs(l, &x, |l, m| -0.5 * (1.0 + l - m * m - l.exp())));
        });
    }

    #[test]
    fn logits_far_from_zero_stay_finite() {
        assert_eq!(binary_cross_entropy_logits(&[1e4, -1e4], &[0.0, 0.0]), 1e4);
    }

    #[test]
    fn threads_do_not_change_bits() {
        let (x, t) = (random(150_000, 1), random(150_000, 2));
        assert_same_bits(|| vec![binary_cross_entropy_logits(&x, &t) as f32, gaussian_kld(&x, &t) as f32]);
    }
}
