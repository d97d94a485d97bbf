//! Products with few rows on the left and a large, transposed right-hand side: the forward pass of a large weight.

use super::{product, with_panels};
use crate::backend::cpu::common::gemm::{Mat, MatMut};
use crate::backend::cpu::common::{Accumulate, scratch};

/// Rows of the right-hand side that are cut into panels together.
const BLOCK: usize = 192;
/// Numbers between two rows of the left-hand side: rows that are a power of two apart would crowd each other out of the
/// cache.
const APART: usize = 16;

/// c = a b, on this thread.
///
/// A general product packs the whole left-hand side for each tile and reads a transposed right-hand side column by
/// column. Here a block of it is turned in registers, and of the left-hand side as much is copied as the nearest caches
/// hold beside it.
pub(crate) fn product_in_blocks(c: &mut MatMut<'_>, a: Mat<'_>, b: Mat<'_>) {
    let (rows, depth) = (a.rows, a.cols);
    scratch::with(rows * (BLOCK + APART), |copy| {
        for first in (0..depth.max(1)).step_by(BLOCK) {
            let n = BLOCK.min(depth - first);
            for (r, to) in copy.chunks_exact_mut(BLOCK + APART).enumerate() {
                to[..n].copy_from_slice(&a.data[r * a.row_stride + first..][..n]);
            }
            let mode = if first == 0 { Accumulate::Overwrite } else { Accumulate::Add };
            let a = Mat::strided(copy, rows, n, BLOCK + APART);
            with_panels(b.rows_from(first, n), |b| product(c, mode, 1.0, a, b));
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::cpu::common::testing::{assert_close, at_each_level, random};

    #[test]
    fn blocks_add_up_to_the_product() {
        at_each_level(|| {
            for (m, n, k) in [(1, 1, 1), (5, 33, 191), (70, 20, 192), (3, 17, 700), (128, 64, 400), (2, 3, 0)] {
                let (a, b) = (random(m * k, 1), random(n * k, 2));
                let dot = |i: usize, j: usize| (0..k).map(|l| f64::from(a[i * k + l]) * f64::from(b[j * k + l])).sum();
                let expected: Vec<f64> = (0..m * n).map(|e| dot(e / n, e % n)).collect();
                let mut c = vec![f32::NAN; m * n];
                product_in_blocks(&mut MatMut::new(&mut c, m, n), Mat::new(&a, m, k), Mat::new(&b, n, k).t());
                assert_close(&c, &expected, 1e-5, "a b^T");
            }
        });
    }
}
