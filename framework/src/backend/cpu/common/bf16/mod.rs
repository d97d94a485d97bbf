//! Products in bf16: operands rounded to bf16, their products added up in f32.
//!
//! Both sides are packed on every call, for rounding is a pass over them anyway: two neighbours along the depth stand in
//! one 32-bit word, as the instructions want them. The left-hand side is packed by rows, the right-hand side in panels
//! of a few registers' width. Rounding is to nearest, ties to even; subnormal numbers count as zero, as the instructions
//! have it, and what is not a number stays so.
//!
//! The order of the sums depends on the shapes alone: along the depth, word by word.

#[cfg(target_arch = "x86_64")]
mod amx;
mod pack;
mod portable;
#[cfg(target_arch = "x86_64")]
mod tiles;
mod unit;

pub(crate) use unit::{lacking, unit};

use super::gemm::gemm;
use super::matrix::{Mat, MatMut};
use super::{Accumulate, scratch};
use crate::backend::Precision;
use unit::LANES;

/// Rows of the right-hand side that are used before the next: so much of both sides stays in a core's own caches.
const DEPTH: usize = 256;
/// Rows of the left-hand side that are packed at once.
const ROWS: usize = 192;
/// Rows and columns of the right-hand side that [`multiply`] packs at once: longer pieces of its rows where these are
/// what is contiguous, for each piece of another row is a place in memory of its own.
const BLOCK_OF_ROWS: (usize, usize) = (128, 512);
/// The same where its columns are contiguous.
const BLOCK_OF_COLUMNS: (usize, usize) = (DEPTH, 256);

/// The right-hand side of a product, packed for [`product`] and [`affine`].
pub(crate) struct Panels<'a> {
    words: &'a [u32],
    rows: usize,
    cols: usize,
    /// Columns of a panel.
    width: usize,
}

impl Panels<'_> {
    /// Words of a panel's column, those that fill up the last register included.
    fn depth(&self) -> usize {
        words_of(self.rows)
    }
}

/// Words along a depth of so many numbers: whole registers.
fn words_of(depth: usize) -> usize {
    depth.div_ceil(2).next_multiple_of(LANES)
}

/// Columns of a panel: as many registers as leave room for accumulators of several rows, and no narrow panel at the
/// end.
fn width_of(cols: usize) -> usize {
    let registers = cols.div_ceil(LANES);
    LANES * registers.clamp(1, if registers.is_multiple_of(3) { 3 } else { 4 })
}

/// Lends `f` the panels of `b`.
pub(crate) fn with_panels<R>(b: Mat<'_>, f: impl FnOnce(&Panels<'_>) -> R) -> R {
    let (rows, cols) = (b.rows, b.cols);
    let width = width_of(cols);
    with_words(words_of(rows) * cols.next_multiple_of(width), |words| {
        pack::columns(words, width, b);
        f(&Panels { words, rows, cols, width })
    })
}

/// c = alpha a b, or c += alpha a b, on this thread.
pub(crate) fn product(c: &mut MatMut<'_>, mode: Accumulate, alpha: f32, a: Mat<'_>, b: &Panels<'_>) {
    run(&Out::of(c), mode.into(), alpha, a, b);
}

/// c = a b + bias (+ residual), on this thread; the bias is one number a column.
pub(crate) fn affine(c: &mut MatMut<'_>, bias: &[f32], residual: Option<Mat<'_>>, a: Mat<'_>, b: &Panels<'_>) {
    assert_eq!(bias.len(), c.cols, "a bias for each column");
    let fits = |r: &Mat<'_>| (r.rows, r.cols, r.col_stride) == (c.rows, c.cols, 1);
    assert!(residual.as_ref().is_none_or(fits), "a residual of the product's shape");
    run(&Out::of(c), Start::Rows { bias, residual }, 1.0, a, b);
}

/// c = alpha a b, or c += alpha a b, on this thread, of a right-hand side that is used once: packed a block at a time,
/// so that a block is still in the cache when it is used.
pub(crate) fn multiply(c: &mut MatMut<'_>, mode: Accumulate, alpha: f32, a: Mat<'_>, b: Mat<'_>) {
    multiply_into(&Out::of(c), mode, alpha, a, b);
}

/// c = a b as [`multiply`], past the caches where the depth is one block: for a tile of a matrix that is larger than they
/// are, which would be fetched for nothing and push out what is used.
pub(crate) fn multiply_past_caches(c: &mut MatMut<'_>, a: Mat<'_>, b: Mat<'_>) {
    multiply_into(&Out { past_caches: a.cols <= BLOCK_OF_ROWS.0, ..Out::of(c) }, Accumulate::Overwrite, 1.0, a, b);
}

fn multiply_into(whole: &Out, mode: Accumulate, alpha: f32, a: Mat<'_>, b: Mat<'_>) {
    let (m, n, k) = (whole.rows, whole.cols, a.cols);
    assert_eq!((a.rows, b.rows, b.cols), (m, k, n), "[{m}, {n}] = [{}, {k}] [{}, {}]", a.rows, b.rows, b.cols);
    let (most_rows, most_cols) = if b.col_stride == 1 { BLOCK_OF_ROWS } else { BLOCK_OF_COLUMNS };
    for left in (0..n).step_by(most_cols) {
        let cols = most_cols.min(n - left);
        let c = whole.columns(left, cols);
        let b = b.cols_from(left, cols);
        // Nothing along the depth is a product as well: of zeros.
        for top in (0..k.max(1)).step_by(most_rows) {
            let depth = most_rows.min(k - top);
            let start = if top == 0 { mode.into() } else { Start::Itself };
            with_panels(b.rows_from(top, depth), |b| run(&c, start, alpha, a.cols_from(top, depth), b));
        }
    }
}

/// As [`multiply`], or in f32 as [`gemm`].
pub(crate) fn multiply_in(
    precision: Precision,
    c: &mut MatMut<'_>,
    mode: Accumulate,
    alpha: f32,
    a: Mat<'_>,
    b: Mat<'_>,
) {
    match precision {
        Precision::F32 => gemm(c, mode, alpha, a, b),
        Precision::Bf16 => multiply(c, mode, alpha, a, b),
    }
}

/// Where a product goes; a view of a [`MatMut`] that is borrowed mutably as long as this is used.
struct Out {
    data: *mut f32,
    rows: usize,
    cols: usize,
    stride: usize,
    /// Whether what is overwritten is not read soon.
    past_caches: bool,
}

impl Out {
    fn of(c: &mut MatMut<'_>) -> Self {
        Self { data: c.data, rows: c.rows, cols: c.cols, stride: c.row_stride, past_caches: false }
    }

    fn columns(&self, first: usize, cols: usize) -> Self {
        assert!(first + cols <= self.cols, "columns {first}+{cols} of {}", self.cols);
        // SAFETY: the columns are inside the matrix; an empty one has no address to go by.
        let data = if self.rows == 0 { self.data } else { unsafe { self.data.add(first) } };
        Self { data, cols, ..*self }
    }
}

/// What a product is added to.
#[derive(Clone, Copy)]
enum Start<'a> {
    Zero,
    /// What is there.
    Itself,
    /// The bias in each row, and the residual where there is one.
    Rows {
        bias: &'a [f32],
        residual: Option<Mat<'a>>,
    },
}

impl From<Accumulate> for Start<'_> {
    fn from(mode: Accumulate) -> Self {
        match mode {
            Accumulate::Overwrite => Self::Zero,
            Accumulate::Add => Self::Itself,
        }
    }
}

/// Numbers across the widest panel.
const WIDEST: usize = 4 * LANES;

/// A product of some rows and one panel.
#[derive(Clone, Copy)]
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "only its stores can go past the caches"))]
struct Place {
    /// The left-hand side's words, row after row.
    a: *const u32,
    a_stride: usize,
    /// The panel's words, word after word of all its columns.
    b: *const u32,
    b_stride: usize,
    c: *mut f32,
    c_stride: usize,
    /// What the product is added to; null for nothing.
    old: *const f32,
    old_stride: usize,
    /// A row that accumulators start from, as many numbers as a panel is wide.
    first: *const f32,
    alpha: f32,
    rows: usize,
    cols: usize,
    /// Words along the depth.
    depth: usize,
    /// Whether c is overwritten, and not read soon.
    past_caches: bool,
}

fn run(c: &Out, start: Start<'_>, alpha: f32, a: Mat<'_>, b: &Panels<'_>) {
    let (m, n, k) = (c.rows, c.cols, a.cols);
    assert_eq!((a.rows, b.rows, b.cols), (m, k, n), "[{m}, {n}] = [{}, {k}] [{}, {}]", a.rows, b.rows, b.cols);
    let unit = unit();
    for top_row in (0..m).step_by(ROWS) {
        let rows = ROWS.min(m - top_row);
        for top in (0..k.max(1)).step_by(DEPTH) {
            let depth = DEPTH.min(k - top);
            let a_stride = words_of(depth);
            with_words(rows.next_multiple_of(LANES) * a_stride, |words| {
                pack::rows(words, a_stride, a.rows_from(top_row, rows).cols_from(top, depth));
                for (i, left) in (0..n).step_by(b.width).enumerate() {
                    let cols = b.width.min(n - left);
                    let panel = &b.words[(i * b.depth() + top / 2) * b.width..];
                    // SAFETY: the row and the column are inside of c.
                    let c_block = unsafe { c.data.add(top_row * c.stride + left) };
                    let mut first = [0.0; WIDEST];
                    let (mut old, mut old_stride) = (c_block.cast_const(), c.stride);
                    match start {
                        Start::Itself => {}
                        _ if top > 0 => {}
                        Start::Zero => old = std::ptr::null(),
                        Start::Rows { bias, residual } => {
                            first[..cols].copy_from_slice(&bias[left..][..cols]);
                            (old, old_stride) = residual.map_or((std::ptr::null(), 0), |r| {
                                (r.data[top_row * r.row_stride + left..].as_ptr(), r.row_stride)
                            });
                        }
                    }
                    let place = Place {
                        a: words.as_ptr(),
                        a_stride,
                        b: panel.as_ptr(),
                        b_stride: b.width,
                        c: c_block,
                        c_stride: c.stride,
                        old,
                        old_stride,
                        first: first.as_ptr(),
                        alpha,
                        rows,
                        cols,
                        depth: depth.div_ceil(2),
                        past_caches: c.past_caches && old.is_null(),
                    };
                    // SAFETY: the place lies inside its matrices, whose shapes agree; both sides are packed to whole
                    // registers of words; and the unit is one that this processor has.
                    unsafe { unit.block(place) };
                }
            });
        }
    }
}

/// Lends `f` so many words, a register's length after each other's addresses, to be written before they are read.
fn with_words<R>(len: usize, f: impl FnOnce(&mut [u32]) -> R) -> R {
    scratch::with(len + LANES, |buffer| {
        let shift = buffer.as_ptr().align_offset(64).min(LANES);
        let buffer = &mut buffer[shift..][..len];
        // SAFETY: `f32` and `u32` have one size and one alignment, any bits are both, and the buffer is borrowed
        // mutably as long as the words are.
        f(unsafe { std::slice::from_raw_parts_mut(buffer.as_mut_ptr().cast::<u32>(), len) })
    })
}

#[cfg(test)]
mod tests {
    use super::portable::{halves, round, word};
    use super::unit::forced::each_unit;
    use super::*;
    use crate::backend::cpu::common::testing::random;

    fn flat(a: Mat<'_>) -> Vec<f32> {
        let at = |e: usize| a.data[e / a.cols * a.row_stride + e % a.cols * a.col_stride];
        (0..a.rows * a.cols).map(at).collect()
    }

    fn transposed(a: &[f32], rows: usize, cols: usize) -> Vec<f32> {
        (0..rows * cols).map(|e| a[e % rows * cols + e / rows]).collect()
    }

    /// Fails unless c = before + alpha a b of the rounded numbers, to what `f32` loses when it adds up: for each
    /// addition half a unit in the last place of the largest sum there can be.
    #[track_caller]
    fn check(c: &[f32], a: Mat<'_>, b: Mat<'_>, alpha: f64, before: impl Fn(usize) -> f64) {
        let (m, n, k) = (a.rows, b.cols, a.cols);
        let rounded = |x: Vec<f32>| x.iter().map(|&x| f64::from(halves(round(x)).0)).collect::<Vec<_>>();
        let (a, b) = (rounded(flat(a)), rounded(flat(b)));
        for (e, &found) in c.iter().enumerate() {
            let terms = (0..k).map(|l| a[e / n * k + l] * b[l * n + e % n]);
            let (sum, most) = terms.fold((0.0, 0.0), |(sum, most), x| (sum + x, most + x.abs()));
            let (expected, most) = (before(e) + alpha * sum, before(e).abs() + most);
            let bound = (k + 2) as f64 * most * 0.5 * f64::from(f32::EPSILON);
            assert!((f64::from(found) - expected).abs() <= bound, "[{m}, {n}, {k}] {e}: {found} is not {expected}");
        }
    }

    const SIZES: [(usize, usize, usize); 11] = [
        (1, 1, 1),
        (3, 5, 7),
        (33, 17, 65),
        (23, 48, 300),
        (64, 64, 48),
        (7, 112, 20),
        (2, 3, 0),
        (29, 80, 9),
        (5, 130, 1030),
        (200, 18, 33),
        (13, 300, 513),
    ];

    #[test]
    fn all_orientations_and_tails_are_sums_of_rounded_products() {
        each_unit(|_| {
            for (m, n, k) in SIZES {
                let (a, b) = (random(m * k, 1), random(k * n, 2));
                let (at, bt) = (transposed(&a, m, k), transposed(&b, k, n));
                for a in [Mat::new(&a, m, k), Mat::new(&at, k, m).t()] {
                    for b in [Mat::new(&b, k, n), Mat::new(&bt, n, k).t()] {
                        let mut c = vec![f32::NAN; m * n];
                        multiply(&mut MatMut::new(&mut c, m, n), Accumulate::Overwrite, 1.0, a, b);
                        check(&c, a, b, 1.0, |_| 0.0);
                        let mut past_caches = vec![f32::NAN; m * n];
                        multiply_past_caches(&mut MatMut::new(&mut past_caches, m, n), a, b);
                        assert_eq!(c, past_caches);
                        c.fill(2.0);
                        with_panels(b, |b| product(&mut MatMut::new(&mut c, m, n), Accumulate::Add, 0.5, a, b));
                        check(&c, a, b, 0.5, |_| 2.0);
                    }
                }
            }
        });
    }

    #[test]
    fn bias_and_residual_are_added_once() {
        each_unit(|_| {
            for (m, n, k) in [(3, 5, 7), (33, 48, 1100), (9, 80, 65), (2, 3, 0)] {
                let (a, b) = (random(m * k, 1), random(k * n, 2));
                let (bias, residual) = (random(n, 3), random(m * n, 4));
                let (a, b) = (Mat::new(&a, m, k), Mat::new(&b, k, n));
                for residual in [None, Some(&residual)] {
                    let mut c = vec![f32::NAN; m * n];
                    let add = residual.map(|r| Mat::new(r, m, n));
                    with_panels(b, |b| affine(&mut MatMut::new(&mut c, m, n), &bias, add, a, b));
                    check(&c, a, b, 1.0, |e| f64::from(bias[e % n]) + residual.map_or(0.0, |r| f64::from(r[e])));
                }
            }
        });
    }

    #[test]
    fn windows_leave_the_rest_alone() {
        each_unit(|_| {
            for (n, stride) in [(16, 21), (3, 8), (70, 75)] {
                let (m, k) = (5, 6);
                let (a, b) = (random(m * k, 3), random(k * stride, 4));
                let (a, b) = (Mat::new(&a, m, k), Mat::strided(&b[1..], k, n, stride));
                let mut c = vec![7.0; m * stride];
                multiply(&mut MatMut::strided(&mut c[2..], m, n, stride), Accumulate::Overwrite, 1.0, a, b);
                let inside = |i: &usize| (2..2 + n).contains(&(i % stride)) && i / stride < m;
                let (window, rest): (Vec<usize>, Vec<usize>) = (0..c.len()).partition(inside);
                assert!(rest.iter().all(|&i| c[i] == 7.0));
                check(&window.iter().map(|&i| c[i]).collect::<Vec<_>>(), a, b, 1.0, |_| 0.0);
            }
        });
    }

    #[test]
    fn rounding_is_to_nearest_even_and_keeps_what_is_no_number() {
        let of = |x: f32| halves(round(x)).0;
        let ulp = 2f32.powi(-7);
        assert_eq!([of(1.0), of(-0.0), of(1.0 + ulp)], [1.0, -0.0, 1.0 + ulp]);
        // Halfway: to the even one.
        assert_eq!([of(1.0 + 0.5 * ulp), of(1.0 + 1.5 * ulp)], [1.0, 1.0 + 2.0 * ulp]);
        assert_eq!([of(1.0 + 0.51 * ulp), of(1.0 + 1.49 * ulp)], [1.0 + ulp; 2]);
        assert_eq!([of(f32::MAX), of(f32::NEG_INFINITY)], [f32::INFINITY, f32::NEG_INFINITY]);
        assert!(of(f32::NAN).is_nan() && of(f32::from_bits(0x7f80_0001)).is_nan());
        assert_eq!([of(1e-40).to_bits(), of(-1e-40).to_bits()], [0, 1 << 31]);
    }

    #[test]
    fn every_unit_packs_the_same_words() {
        let special = [f32::INFINITY, f32::NEG_INFINITY, f32::MAX, 1e-40, -1e-40, -0.0, 1.003_906_2, 3.4e38];
        for (rows, cols) in [(1, 1), (5, 37), (17, 32), (33, 70)] {
            let mut a = random(rows * cols, 5);
            a.iter_mut().step_by(3).zip(special.iter().cycle()).for_each(|(a, &special)| *a = special);
            let turned = transposed(&a, rows, cols);
            let at = |r: usize, c: usize| if r < rows && c < cols { a[r * cols + c] } else { 0.0 };
            let (stride, width) = (words_of(cols), rows.next_multiple_of(LANES));
            each_unit(|unit| {
                for a in [Mat::new(&a, rows, cols), Mat::new(&turned, cols, rows).t()] {
                    let mut words = vec![7; width * stride];
                    pack::rows(&mut words, stride, a);
                    for (i, &found) in words.iter().enumerate() {
                        let (r, c) = (i / stride, 2 * (i % stride));
                        assert_eq!(found, word(at(r, c), at(r, c + 1)), "{unit:?}: row {r}, column {c}");
                    }
                    words.fill(7);
                    pack::columns(&mut words, LANES, a.t());
                    for (i, &found) in words.iter().enumerate() {
                        // Panels of one register's width, one after the other.
                        let (panel, i) = (i / (LANES * stride), i % (LANES * stride));
                        let (r, c) = (panel * LANES + i % LANES, 2 * (i / LANES));
                        assert_eq!(found, word(at(r, c), at(r, c + 1)), "{unit:?}: column {r}, row {c}");
                    }
                }
            });
        }
    }

    #[test]
    fn what_is_no_number_comes_through() {
        each_unit(|unit| {
            for (bad, is) in [(f32::NAN, f32::is_nan as fn(f32) -> bool), (f32::INFINITY, f32::is_infinite)] {
                let (mut a, b) = (random(7 * 33, 1), vec![0.5; 33 * 20]);
                a[3 * 33 + 32] = bad;
                let mut c = vec![0.0; 7 * 20];
                let (a, b) = (Mat::new(&a, 7, 33), Mat::new(&b, 33, 20));
                multiply(&mut MatMut::new(&mut c, 7, 20), Accumulate::Overwrite, 1.0, a, b);
                for (i, &c) in c.iter().enumerate() {
                    assert_eq!(is(c), i / 20 == 3, "{unit:?}: {c} in row {}", i / 20);
                }
            }
        });
    }
}
