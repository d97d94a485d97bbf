//! Matrix products: a checked, single-threaded one, and one cut into tiles by shape and spread over threads.

use super::matrix::{Mat, MatMut, flops, general};
use super::simd::{Level, bits, level};
use super::{Accumulate, panels, par};
use crate::tensor::Bits;

/// c = alpha a b, or c += alpha a b, on this thread.
pub fn gemm(c: &mut MatMut<'_>, mode: Accumulate, alpha: f32, a: Mat<'_>, b: Mat<'_>) {
    let empty = c.rows * c.cols * a.cols == 0;
    if bits() == Bits::Portable && level() == Level::Avx2 && !empty {
        assert_eq!((a.rows, b.rows, b.cols), (c.rows, a.cols, c.cols), "rows and columns of a product");
        return panels::multiply(c, mode, alpha, a, b);
    }
    general(c, mode, alpha, a, b);
}

/// c = alpha a b, or c += alpha a b, in tiles spread over the threads.
pub fn gemm_parallel(c: MatMut<'_>, mode: Accumulate, alpha: f32, a: Mat<'_>, b: Mat<'_>) {
    let (m, n, k) = (c.rows, c.cols, a.cols);
    par::for_each(flops(m, n, k), c.tiles(tile(m, n, k)), |mut c| {
        let (a, b) = (a.rows_from(c.first_row(), c.rows), b.cols_from(c.first_col(), c.cols));
        gemm(&mut c, mode, alpha, a, b);
    });
}

/// The tile shape for a product: the longer side is halved until a tile is a small part of the work.
///
/// A tile is at least about 2 MFLOP (packing and hand-over stay small beside it) and 48 wide and high (a register tile
/// of the AVX-512 kernel), and at most about a thirty-second of the work, so that cores finish together.
pub fn tile(m: usize, n: usize, k: usize) -> (usize, usize) {
    const SMALLEST_SIDE: usize = 48;
    let enough = (flops(m, n, k) / 32).max(3 * par::SERIAL_BELOW);
    let (mut rows, mut cols) = (m, n);
    while flops(rows, cols, k) > enough && rows.max(cols) >= 2 * SMALLEST_SIDE {
        let longer = if rows >= cols { &mut rows } else { &mut cols };
        *longer = longer.div_ceil(2).next_multiple_of(16);
    }
    (rows.max(1), cols.max(1))
}

#[cfg(test)]
mod tests {
    use super::super::simd::use_bits;
    use super::super::testing::{assert_close, assert_same_bits, random};
    use super::*;

    fn naive(a: &[f32], b: &[f32], (m, n, k): (usize, usize, usize)) -> Vec<f64> {
        let at = |i: usize, j: usize| (0..k).map(|l| f64::from(a[i * k + l]) * f64::from(b[l * n + j])).sum();
        (0..m * n).map(|e| at(e / n, e % n)).collect()
    }

    fn transposed(a: &[f32], rows: usize, cols: usize) -> Vec<f32> {
        (0..rows * cols).map(|e| a[e % rows * cols + e / rows]).collect()
    }

    fn multiply(c: &mut [f32], a: Mat<'_>, b: Mat<'_>) {
        gemm_parallel(MatMut::new(c, a.rows, b.cols), Accumulate::Overwrite, 1.0, a, b);
    }

    #[test]
    fn all_orientations_agree_with_the_definition() {
        for (m, n, k) in [(1, 1, 1), (3, 5, 7), (33, 17, 65), (130, 70, 9), (5, 300, 2), (200, 190, 110)] {
            let (a, b) = (random(m * k, 1), random(k * n, 2));
            let expected = naive(&a, &b, (m, n, k));
            let mut c = vec![f32::NAN; m * n];
            multiply(&mut c, Mat::new(&a, m, k), Mat::new(&b, k, n));
            assert_close(&c, &expected, 1e-5, "a b");
            c.fill(f32::NAN);
            multiply(&mut c, Mat::new(&a, m, k), Mat::new(&transposed(&b, k, n), n, k).t());
            assert_close(&c, &expected, 1e-5, "a b^T");
            c.fill(f32::NAN);
            multiply(&mut c, Mat::new(&transposed(&a, m, k), k, m).t(), Mat::new(&b, k, n));
            assert_close(&c, &expected, 1e-5, "a^T b");
        }
    }

    #[test]
    fn adds_scaled_products_into_a_window() {
        let (m, n, k, stride) = (4, 3, 5, 8);
        let (a, b) = (random(m * k, 3), random(k * n, 4));
        let mut c = vec![1.0; m * stride];
        let mut view = MatMut::strided(&mut c[2..], m, n, stride);
        gemm(&mut view, Accumulate::Add, 0.5, Mat::new(&a, m, k), Mat::new(&b, k, n));
        let product = naive(&a, &b, (m, n, k));
        for (i, &v) in c.iter().enumerate() {
            let (r, col) = (i / stride, i % stride);
            let inside = (2..2 + n).contains(&col);
            let expected = if inside { 1.0 + 0.5 * product[r * n + col - 2] } else { 1.0 };
            assert!((f64::from(v) - expected).abs() < 1e-5, "element {i}");
        }
    }

    #[test]
    fn empty_sides_are_allowed() {
        let mut c = vec![3.0; 6];
        multiply(&mut c, Mat::new(&[], 2, 0), Mat::new(&[], 0, 3));
        assert_eq!(c, [0.0; 6]);
        multiply(&mut [], Mat::new(&[], 0, 1), Mat::new(&[1.0; 3], 1, 3));
    }

    #[test]
    fn threads_do_not_change_bits() {
        let (m, n, k) = (301, 203, 150);
        let (a, b) = (random(m * k, 5), random(k * n, 6));
        assert_same_bits(|| {
            let mut c = vec![0.0; m * n];
            multiply(&mut c, Mat::new(&a, m, k), Mat::new(&b, k, n));
            c
        });
    }

    #[test]
    fn products_with_portable_bits_agree_with_the_general_one() {
        if level() < Level::Avx2 {
            return eprintln!("SKIPPED: portable bits are those of AVX2, which this processor lacks");
        }
        for (m, n, k) in [(1, 1, 1), (3, 5, 7), (33, 17, 256), (100, 130, 512), (9, 300, 193)] {
            let (a, b) = (random(m * k, 1), random(k * n, 2));
            let turned = |x: &[f32], rows: usize, cols: usize| -> Vec<f32> {
                (0..cols * rows).map(|i| x[i % rows * cols + i / rows]).collect()
            };
            let (at, bt) = (turned(&a, m, k), turned(&b, k, n));
            for mode in [Accumulate::Overwrite, Accumulate::Add] {
                let of = |bits: Bits, a: Mat<'_>, b: Mat<'_>| {
                    let mut c = random(m * n, 3);
                    use_bits(bits);
                    gemm(&mut MatMut::new(&mut c, m, n), mode, 0.5, a, b);
                    use_bits(Bits::Fastest);
                    c
                };
                let expected = of(Bits::Fastest, Mat::new(&a, m, k), Mat::new(&b, k, n));
                let expected: Vec<f64> = expected.iter().map(|&x| f64::from(x)).collect();
                let found = of(Bits::Portable, Mat::new(&a, m, k), Mat::new(&b, k, n));
                assert_close(&found, &expected, 1e-4, "as it is");
                // How operands lie in memory changes nothing.
                assert_eq!(of(Bits::Portable, Mat::new(&at, k, m).t(), Mat::new(&bt, n, k).t()), found);
            }
        }
    }
}
