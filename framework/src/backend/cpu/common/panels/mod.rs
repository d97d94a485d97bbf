//! Products whose right-hand side is cut into panels of a few registers' width, packed once and used for many rows.
//!
//! The left-hand side is read where it is, a number at a time, so that nothing of it is packed. A general product (see
//! [`general`]) packs both sides on every call, which costs much where one side is a small weight or where
//! both are a head's queries and keys.

mod blocks;
mod cut;
mod kept;
mod rows;
#[cfg(target_arch = "x86_64")]
mod tiles;

use super::matrix::{Mat, MatMut, general};
use super::simd::{Level, level};
use super::transpose::transpose;
use super::{Accumulate, elementwise, scratch};
pub(crate) use blocks::{multiply, product_by_blocks, product_in_tiles, tile, with_left};
use cut::{Cut, Start};
pub(crate) use kept::Kept;
pub(crate) use rows::{product_of_rows, suits_rows};

/// Rows up to which a right-hand side is used where it is, if its columns fill registers: they are read too few times
/// to be worth copying, and do not yet crowd each other out of the cache.
const IN_PLACE: usize = 64;

/// The right-hand side of a product, ready for [`product`].
pub(crate) struct Panels<'a>(Form<'a>);

enum Form<'a> {
    /// As it is, for processors whose registers are left to the general product.
    Whole(Mat<'a>),
    Cut(Cut<'a>),
}

/// Lends `f` the panels of `b`, copied only where they must be.
pub(crate) fn with_panels<R>(b: Mat<'_>, f: impl FnOnce(&Panels<'_>) -> R) -> R {
    let level = level();
    let Some(lanes) = lanes(level) else { return f(&Panels(Form::Whole(b))) };
    let (rows, cols) = (b.rows, b.cols);
    let width = lanes * registers(level, cols.div_ceil(lanes));
    if b.col_stride == 1 && cols.is_multiple_of(lanes) && rows <= IN_PLACE {
        let (row_stride, panel_stride) = (b.row_stride, width);
        return f(&Panels(Form::Cut(Cut { level, data: b.data, rows, cols, width, row_stride, panel_stride })));
    }
    scratch::with(cols.next_multiple_of(width) * rows, |packed| {
        pack(packed, b, width);
        let (row_stride, panel_stride) = (width, rows * width);
        f(&Panels(Form::Cut(Cut { level, data: packed, rows, cols, width, row_stride, panel_stride })))
    })
}

/// c = alpha a b, or c += alpha a b, on this thread.
pub(crate) fn product(c: &mut MatMut<'_>, mode: Accumulate, alpha: f32, a: Mat<'_>, b: &Panels<'_>) {
    run(c, mode.into(), alpha, a, b);
}

/// c = a b + bias (+ residual), on this thread; the bias is one number a column.
pub(crate) fn affine(c: &mut MatMut<'_>, bias: &[f32], residual: Option<Mat<'_>>, a: Mat<'_>, b: &Panels<'_>) {
    assert_eq!(bias.len(), c.cols, "a bias for each column");
    let fits = |r: &Mat<'_>| (r.rows, r.cols, r.col_stride) == (c.rows, c.cols, 1);
    assert!(residual.as_ref().is_none_or(fits), "a residual of the product's shape");
    run(c, Start::Rows { bias, residual }, 1.0, a, b);
}

fn run(c: &mut MatMut<'_>, start: Start<'_>, alpha: f32, a: Mat<'_>, b: &Panels<'_>) {
    let (m, n, k) = (c.rows, c.cols, a.cols);
    let (b_rows, b_cols) = match &b.0 {
        Form::Whole(b) => (b.rows, b.cols),
        Form::Cut(b) => (b.rows, b.cols),
    };
    assert_eq!((a.rows, b_rows, b_cols), (m, k, n), "[{m}, {n}] = [{}, {k}] [{b_rows}, {b_cols}]", a.rows);
    if m == 0 || n == 0 {
        return;
    }
    match &b.0 {
        #[cfg(target_arch = "x86_64")]
        Form::Cut(b) if k > 0 => tiles::product(c, start, alpha, a, b),
        Form::Whole(b) if k > 0 => {
            let mode = begin(c, start);
            general(c, mode, alpha, a, *b);
        }
        _ => {
            if begin(c, start) == Accumulate::Overwrite {
                c.blocks().for_each(|block| block.fill(0.0));
            }
        }
    }
}

/// Puts the start of a product into c, unless the product can simply overwrite it.
fn begin(c: &mut MatMut<'_>, start: Start<'_>) -> Accumulate {
    match start {
        Start::Zero => Accumulate::Overwrite,
        Start::Itself => Accumulate::Add,
        Start::Rows { bias, residual } => {
            for (r, row) in c.blocks().flat_map(|block| block.chunks_exact_mut(bias.len())).enumerate() {
                row.copy_from_slice(bias);
                if let Some(residual) = residual {
                    elementwise::add_assign(row, &residual.data[r * residual.row_stride..][..bias.len()]);
                }
            }
            Accumulate::Add
        }
    }
}

/// Numbers in a register, where products choose the registers themselves.
fn lanes(level: Level) -> Option<usize> {
    match level {
        Level::Avx512 => Some(16),
        Level::Avx2 => Some(8),
        Level::Baseline => None,
    }
}

/// Registers across a panel, where `all` are needed for all columns: as many as leave room for accumulators of several
/// rows, and no narrow panel at the end.
fn registers(level: Level, all: usize) -> usize {
    let most = match level {
        Level::Avx512 if !all.is_multiple_of(3) => 4,
        Level::Avx2 if !all.is_multiple_of(3) => 2,
        _ => 3,
    };
    all.clamp(1, most)
}

/// Copies `b` panel after panel, with zeros for the columns that the last one lacks.
fn pack(packed: &mut [f32], b: Mat<'_>, width: usize) {
    for (i, panel) in packed.chunks_exact_mut((b.rows * width).max(1)).enumerate() {
        let first = i * width;
        let b = b.cols_from(first, width.min(b.cols - first));
        if b.cols < width {
            panel.fill(0.0);
        }
        if b.col_stride == 1 {
            for (r, to) in panel.chunks_exact_mut(width).enumerate() {
                to[..b.cols].copy_from_slice(&b.data[r * b.row_stride..][..b.cols]);
            }
        } else {
            transpose(panel, width, b.data, b.col_stride, b.cols);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::cpu::common::testing::{assert_close, at_each_level, random};

    /// alpha a b + before, in f64.
    fn naive(a: &[f32], b: &[f32], (m, n, k): (usize, usize, usize), alpha: f64, before: f64) -> Vec<f64> {
        let at = |i: usize, j: usize| (0..k).map(|l| f64::from(a[i * k + l]) * f64::from(b[l * n + j])).sum::<f64>();
        (0..m * n).map(|e| alpha * at(e / n, e % n) + before).collect()
    }

    fn transposed(a: &[f32], rows: usize, cols: usize) -> Vec<f32> {
        (0..rows * cols).map(|e| a[e % rows * cols + e / rows]).collect()
    }

    #[test]
    fn all_orientations_and_tails_agree_with_the_definition() {
        let sizes =
            [(1, 1, 1), (3, 5, 7), (33, 17, 65), (23, 48, 300), (64, 64, 48), (7, 112, 20), (2, 3, 0), (29, 80, 9)];
        at_each_level(|| {
            for size @ (m, n, k) in sizes {
                let (a, b) = (random(m * k, 1), random(k * n, 2));
                let (at, bt) = (transposed(&a, m, k), transposed(&b, k, n));
                for a in [Mat::new(&a, m, k), Mat::new(&at, k, m).t()] {
                    for b in [Mat::new(&b, k, n), Mat::new(&bt, n, k).t()] {
                        with_panels(b, |panels| {
                            let mut c = vec![f32::NAN; m * n];
                            product(&mut MatMut::new(&mut c, m, n), Accumulate::Overwrite, 1.0, a, panels);
                            assert_close(&c, &naive(&self::flat(a), &self::flat(b), size, 1.0, 0.0), 1e-5, "a b");
                            c.fill(2.0);
                            product(&mut MatMut::new(&mut c, m, n), Accumulate::Add, 0.5, a, panels);
                            assert_close(&c, &naive(&self::flat(a), &self::flat(b), size, 0.5, 2.0), 1e-5, "c + a b");
                        });
                    }
                }
            }
        });
    }

    fn flat(a: Mat<'_>) -> Vec<f32> {
        let at = |e: usize| a.data[e / a.cols * a.row_stride + e % a.cols * a.col_stride];
        (0..a.rows * a.cols).map(at).collect()
    }

    #[test]
    fn bias_and_residual_are_added_once() {
        at_each_level(|| {
            for (m, n, k) in [(3, 5, 7), (33, 48, 400), (9, 80, 65), (2, 3, 0)] {
                let (a, b) = (random(m * k, 1), random(k * n, 2));
                let (bias, residual) = (random(n, 3), random(m * n, 4));
                with_panels(Mat::new(&b, k, n), |b_panels| {
                    for residual in [None, Some(&residual)] {
                        let mut c = vec![f32::NAN; m * n];
                        let (a_mat, add) = (Mat::new(&a, m, k), residual.map(|r| Mat::new(r, m, n)));
                        affine(&mut MatMut::new(&mut c, m, n), &bias, add, a_mat, b_panels);
                        let mut expected = naive(&a, &b, (m, n, k), 1.0, 0.0);
                        for (i, e) in expected.iter_mut().enumerate() {
                            *e += f64::from(bias[i % n]) + residual.map_or(0.0, |r| f64::from(r[i]));
                        }
                        assert_close(&c, &expected, 1e-5, "a b + bias + residual");
                    }
                });
            }
        });
    }

    #[test]
    fn windows_leave_the_rest_alone() {
        at_each_level(|| {
            for (n, stride) in [(16, 21), (3, 8)] {
                let (m, k) = (5, 6);
                let (a, b) = (random(m * k, 3), random(k * stride, 4));
                let b = Mat::strided(&b[1..], k, n, stride);
                let mut c = vec![7.0; m * stride];
                with_panels(b, |b| {
                    let mut c = MatMut::strided(&mut c[2..], m, n, stride);
                    product(&mut c, Accumulate::Overwrite, 1.0, Mat::new(&a, m, k), b);
                });
                let expected = naive(&a, &flat(b), (m, n, k), 1.0, 0.0);
                for (i, &v) in c.iter().enumerate() {
                    let (row, col) = (i / stride, i % stride);
                    let inside = (2..2 + n).contains(&col);
                    let expected = if inside { expected[row * n + col - 2] } else { 7.0 };
                    assert!((f64::from(v) - expected).abs() < 1e-5, "element {i}");
                }
            }
        });
    }
}
