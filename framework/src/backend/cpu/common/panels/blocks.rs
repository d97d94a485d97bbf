//! Products with a right-hand side that is too large to be cut into panels as a whole: each task cuts its columns, some
//! rows at a time, while they are in the cache.
//!
//! A general product (see [`general`]) copies number by number what lies across its registers. Those of a
//! transposed weight, whose rows are a power of two apart, share a few places of the cache: every line of memory is
//! fetched once for each of its numbers. Here they are turned in registers, in blocks.

use super::{Cut, Form, Panels, Start, lanes, pack, registers, run};
use crate::backend::cpu::common::matrix::{Mat, MatMut, flops, general};
use crate::backend::cpu::common::simd::{Level, level};
use crate::backend::cpu::common::{Accumulate, par, scratch};

/// Rows of the right-hand side that are cut together.
const DEPTH: usize = 192;
/// Columns of a tile are a multiple of so many: whole panels of the tile with the most rows, at every level.
const COLUMNS: usize = 48;
/// Most columns of a tile: as many as stay in the second-level cache together.
const WIDEST: usize = 11 * COLUMNS;
/// Rows of a tile are a multiple of so many.
const ROWS: usize = 8;
/// Most rows of a tile.
const HIGHEST: usize = 256;
/// Rows of a tile for which a right-hand side whose columns fill registers is used where it is.
const FEW: usize = 64;
/// Distance of rows, in numbers, at whose multiples they share places of the cache.
const CROWDED: usize = 256;

/// The left-hand side of a product by blocks.
#[derive(Clone, Copy)]
pub(crate) struct Left<'a> {
    mat: Mat<'a>,
    /// Whether [`DEPTH`] columns after the other stand in memory, each time those of all rows.
    packed: bool,
}

/// Lends `f` the left-hand side, copied if its rows crowd each other out of the cache.
pub(crate) fn with_left<R>(a: Mat<'_>, f: impl FnOnce(Left<'_>) -> R) -> R {
    let (rows, cols) = (a.rows, a.cols);
    let crowded = a.col_stride == 1 && a.row_stride.is_multiple_of(CROWDED) && rows > ROWS && cols > DEPTH;
    if !crowded || level() == Level::Baseline {
        return f(Left { mat: a, packed: false });
    }
    scratch::with(rows * cols, |copy| {
        par::for_each(4 * rows * cols, copy.chunks_mut(rows * DEPTH).enumerate(), |(i, copy)| {
            let (first, depth) = (i * DEPTH, copy.len() / rows);
            for (r, to) in copy.chunks_exact_mut(depth).enumerate() {
                to.copy_from_slice(&a.data[r * a.row_stride + first..][..depth]);
            }
        });
        f(Left { mat: Mat::new(copy, rows, cols), packed: true })
    })
}

impl<'a> Left<'a> {
    /// `depth` columns from `first`, of `rows` rows from `top`.
    fn block(self, (top, rows): (usize, usize), (first, depth): (usize, usize)) -> Mat<'a> {
        if self.packed {
            return Mat::new(&self.mat.data[self.mat.rows * first..], self.mat.rows, depth).rows_from(top, rows);
        }
        self.mat.rows_from(top, rows).cols_from(first, depth)
    }
}

/// The tile shape for a product by blocks: a task of at least about 1 MFLOP, and at most about a thirty-second of all
/// work.
pub(crate) fn tile(m: usize, n: usize, k: usize) -> (usize, usize) {
    let enough = (flops(m, n, k) / 32).max(par::SERIAL_BELOW);
    let mut rows = m.clamp(1, HIGHEST);
    let mut cols = (enough / flops(rows, 1, k).max(1)).next_multiple_of(COLUMNS).clamp(COLUMNS, WIDEST);
    if cols >= n {
        cols = n.max(1);
    }
    // Tiles of fewer rows cut the same columns again.
    let enough = enough.max(3 * par::SERIAL_BELOW);
    while flops(rows, cols, k) > 2 * enough && rows >= 4 * ROWS {
        rows = rows.div_ceil(2).next_multiple_of(ROWS);
    }
    (rows, cols)
}

/// c = a b, or c += a b, in tiles spread over the threads.
pub(crate) fn product_in_tiles(c: MatMut<'_>, mode: Accumulate, a: Mat<'_>, b: Mat<'_>) {
    let (m, n, k) = (c.rows(), c.cols(), a.cols);
    with_left(a, |a| {
        par::for_each(flops(m, n, k), c.tiles(tile(m, n, k)), |mut c| product_by_blocks(&mut c, mode, a, b));
    });
}

/// c = a b, or c += a b, for a tile of the whole product, on this thread.
pub(crate) fn product_by_blocks(c: &mut MatMut<'_>, mode: Accumulate, a: Left<'_>, b: Mat<'_>) {
    let (level, k) = (level(), a.mat.cols);
    let (top, left, rows, cols) = (c.first_row(), c.first_col(), c.rows(), c.cols());
    let b = b.cols_from(left, cols);
    assert_eq!(k, b.rows, "[{rows}, {cols}] = [{rows}, {k}] [{}, {cols}]", b.rows);
    let Some(lanes) = lanes(level) else { return general(c, mode, 1.0, a.mat.rows_from(top, rows), b) };
    if k == 0 || rows == 0 || cols == 0 {
        return general(c, mode, 1.0, a.mat.rows_from(top, rows), b);
    }
    in_depths((c, mode, 1.0), (level, lanes), |at, depth| a.block((top, rows), (at, depth)), b);
}

/// c = alpha a b, or c += alpha a b, on this thread, with AVX2 and nothing that depends on the processor beside: a
/// general product whose bits are portable. Nothing of it is empty.
pub(crate) fn multiply(c: &mut MatMut<'_>, mode: Accumulate, alpha: f32, a: Mat<'_>, b: Mat<'_>) {
    in_depths((c, mode, alpha), (Level::Avx2, 8), |at, depth| a.cols_from(at, depth), b);
}

/// c = alpha a b, or c += alpha a b, [`DEPTH`] rows of b at a time; `a` gives so many columns from a first one.
fn in_depths<'a>(
    (c, mode, alpha): (&mut MatMut<'_>, Accumulate, f32),
    (level, lanes): (Level, usize),
    a: impl Fn(usize, usize) -> Mat<'a>,
    b: Mat<'_>,
) {
    let (k, cols) = (b.rows, b.cols);
    let width = lanes * registers(level, cols.div_ceil(lanes));
    // A few rows of the result read it too few times to be worth copying.
    let few = c.rows <= FEW && b.col_stride == 1 && !b.row_stride.is_multiple_of(CROWDED);
    if few && cols.is_multiple_of(lanes) {
        for first in (0..k).step_by(DEPTH) {
            let (depth, b) = (DEPTH.min(k - first), b.rows_from(first, DEPTH.min(k - first)));
            let (data, row_stride, panel_stride) = (b.data, b.row_stride, width);
            let cut = Cut { level, data, rows: depth, cols, width, row_stride, panel_stride };
            let start = if first == 0 { Start::from(mode) } else { Start::Itself };
            run(c, start, alpha, a(first, depth), &Panels(Form::Cut(cut)));
        }
        return;
    }
    scratch::with(DEPTH.min(k) * cols.next_multiple_of(width), |packed| {
        for first in (0..k).step_by(DEPTH) {
            let depth = DEPTH.min(k - first);
            let packed = &mut packed[..depth * cols.next_multiple_of(width)];
            pack(packed, b.rows_from(first, depth), width);
            let (data, row_stride, panel_stride) = (&*packed, width, depth * width);
            let cut = Cut { level, data, rows: depth, cols, width, row_stride, panel_stride };
            let start = if first == 0 { Start::from(mode) } else { Start::Itself };
            run(c, start, alpha, a(first, depth), &Panels(Form::Cut(cut)));
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::cpu::common::testing::{assert_close, assert_same_bits, at_each_level, random};

    fn multiply(c: &mut [f32], mode: Accumulate, a: Mat<'_>, b: Mat<'_>) {
        product_in_tiles(MatMut::new(c, a.rows, b.cols), mode, a, b);
    }

    #[test]
    fn products_agree_with_the_general_one() {
        let sizes = [(1, 1, 1), (3, 5, 7), (33, 17, 256), (100, 130, 512), (128, 10, 300), (9, 300, 193), (2, 3, 0)];
        at_each_level(|| {
            for (m, n, k) in sizes {
                let (a, b) = (random(m * k, 1), random(k * n, 2));
                let b_turned: Vec<f32> = (0..k * n).map(|e| b[e % k * n + e / k]).collect();
                for b in [Mat::new(&b, k, n), Mat::new(&b_turned, n, k).t()] {
                    for mode in [Accumulate::Overwrite, Accumulate::Add] {
                        let (mut c, mut expected) = (vec![2.0; m * n], vec![2.0; m * n]);
                        general(&mut MatMut::new(&mut expected, m, n), mode, 1.0, Mat::new(&a, m, k), b);
                        multiply(&mut c, mode, Mat::new(&a, m, k), b);
                        let expected: Vec<f64> = expected.iter().map(|&x| f64::from(x)).collect();
                        assert_close(&c, &expected, 3e-5, &format!("[{m}, {k}] [{k}, {n}]"));
                    }
                }
            }
        });
    }

    #[test]
    fn threads_do_not_change_bits() {
        let (m, n, k) = (130, 203, 768);
        let (a, b) = (random(m * k, 5), random(k * n, 6));
        assert_same_bits(|| {
            let mut c = vec![0.0; m * n];
            multiply(&mut c, Accumulate::Overwrite, Mat::new(&a, m, k), Mat::new(&b, n, k).t());
            c
        });
    }

    #[test]
    fn tiles_are_whole_panels() {
        assert_eq!(tile(128, 2048, 16384), (128, 96));
        assert_eq!(tile(128, 16384, 2048), (128, 528));
        assert_eq!(tile(128, 10, 128), (128, 10));
        assert_eq!(tile(0, 0, 0), (1, 1));
    }
}
