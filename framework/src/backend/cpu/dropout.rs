//! Dropout.

use super::common::elementwise::PIECE;
use super::common::simd::simd_fn;
use super::common::{Accumulate, Grad, par};
use crate::backend::dropout::hash;
use crate::backend::{Dropout, DropoutOps};
use crate::error::Result;
use crate::tensor::Tensor;
use dfdx::tensor::Cpu;

impl DropoutOps for Cpu {
    fn dropout(x: &Tensor<Self>, p: f32, seed: u64) -> Result<Tensor<Self>> {
        Ok(x.like(|y| forward(Dropout { p, seed }, y, x.data())))
    }
}

/// y = x / (1 - p) where kept, 0 where dropped.
pub fn forward(dropout: Dropout, y: &mut [f32], x: &[f32]) {
    apply(dropout, Grad::overwrite(y), x);
}

/// dx = dy / (1 - p) where kept, 0 where dropped.
pub fn backward(dropout: Dropout, dx: Grad<'_>, dy: &[f32]) {
    apply(dropout, dx, dy);
}

fn apply(dropout: Dropout, mut out: Grad<'_>, x: &[f32]) {
    assert_eq!(out.out.len(), x.len());
    if dropout.p <= 0.0 {
        return out.put(x);
    }
    let ((threshold, scale), start) = (dropout.threshold_and_scale(), dropout.start());
    par::for_each(16 * x.len(), out.chunks(PIECE).zip(x.chunks(PIECE)).enumerate(), |(i, (out, x))| {
        let first = (i * PIECE) as u64;
        apply_piece(out.out, x, scale, threshold, start, first, out.mode == Accumulate::Add);
    });
}

simd_fn! { fn apply_piece(out: &mut [f32], x: &[f32], scale: f32, threshold: u32, start: u64, first: u64, add: bool) {
    for (i, (out, &x)) in (first..).zip(out.iter_mut().zip(x)) {
        let v = if (hash(start, i) >> 40) as u32 >= threshold { scale * x } else { 0.0 };
        *out = if add { *out + v } else { v };
    }
} }

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::cpu::common::testing::assert_same_bits;

    fn dropped(p: f32, seed: u64, n: usize) -> Vec<f32> {
        let mut y = vec![f32::NAN; n];
        forward(Dropout { p, seed }, &mut y, &vec![1.0; n]);
        y
    }

    #[test]
    fn the_share_dropped_is_p_and_the_mean_is_kept() {
        for p in [0.1, 0.5, 0.9] {
            let y = dropped(p, 7, 100_000);
            let zero = y.iter().filter(|&&y| y == 0.0).count() as f64 / 1e5;
            // Five standard deviations.
            assert!((zero - f64::from(p)).abs() < 5.0 * (f64::from(p * (1.0 - p)) / 1e5).sqrt(), "{zero} of {p}");
            assert!(y.iter().all(|&y| y == 0.0 || (y - 1.0 / (1.0 - p)).abs() < 1e-6));
        }
        assert_eq!(dropped(0.0, 1, 10), [1.0; 10]);
        assert_eq!(dropped(1.0, 1, 10), [0.0; 10]);
    }

    #[test]
    fn masks_of_other_seeds_are_unrelated() {
        let (a, b) = (dropped(0.5, 1, 100_000), dropped(0.5, 2, 100_000));
        let same = a.iter().zip(&b).filter(|(a, b)| a == b).count() as f64 / 1e5;
        assert!((same - 0.5).abs() < 0.01, "{same}");
    }

    #[test]
    fn the_backward_pass_uses_the_same_mask() {
        let d = Dropout { p: 0.3, seed: 5 };
        let y = dropped(d.p, d.seed, 40_000);
        let mut dx = vec![1.0; 40_000];
        backward(d, Grad::add(&mut dx), &vec![1.0; 40_000]);
        assert!(dx.iter().zip(&y).all(|(dx, y)| *dx == 1.0 + y));
    }

    #[test]
    fn threads_do_not_change_bits() {
        assert_same_bits(|| dropped(0.4, 3, 200_000));
    }
}
