//! Dropout.

use super::common::elementwise::PIECE;
use super::common::par;
use super::common::simd::simd_fn;
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
fn forward(dropout: Dropout, y: &mut [f32], x: &[f32]) {
    assert_eq!(y.len(), x.len());
    if dropout.p <= 0.0 {
        return y.copy_from_slice(x);
    }
    let ((threshold, scale), start) = (dropout.threshold_and_scale(), dropout.start());
    par::for_each(16 * x.len(), y.chunks_mut(PIECE).zip(x.chunks(PIECE)).enumerate(), |(i, (y, x))| {
        apply_piece(y, x, scale, threshold, start, (i * PIECE) as u64);
    });
}

simd_fn! { fn apply_piece(y: &mut [f32], x: &[f32], scale: f32, threshold: u32, start: u64, first: u64) {
    for (i, (y, &x)) in (first..).zip(y.iter_mut().zip(x)) {
        *y = if (hash(start, i) >> 40) as u32 >= threshold { scale * x } else { 0.0 };
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
    fn the_same_seed_drops_the_same_elements() {
        let y = dropped(0.3, 5, 40_000);
        let mut again = vec![f32::NAN; 40_000];
        forward(Dropout { p: 0.3, seed: 5 }, &mut again, &vec![2.0; 40_000]);
        assert!(again.iter().zip(&y).all(|(again, y)| *again == 2.0 * y));
    }

    #[test]
    fn threads_do_not_change_bits() {
        assert_same_bits(|| dropped(0.4, 3, 200_000));
    }
}
