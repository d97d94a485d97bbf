//! Register tiles of a product with panels: accumulators of some rows and a panel's width stay in the registers.

use super::Accumulate;
use super::gemm::{Mat, MatMut};
use super::lanes::Lanes;
use super::panels::Cut;
use super::simd::Level;
use std::arch::x86_64::{__m256, __m512, _MM_HINT_ET0, _mm_prefetch};

/// Rows of the right-hand side that are used before the next: so much of a panel stays in the nearest cache.
const DEPTH: usize = 128;

/// c = alpha a b, or c += alpha a b; the shapes agree.
pub(super) fn product(c: &mut MatMut<'_>, mode: Accumulate, alpha: f32, a: Mat<'_>, b: &Cut<'_>) {
    #[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx2,fma")]
    fn avx512(c: &mut MatMut<'_>, mode: Accumulate, alpha: f32, a: Mat<'_>, b: &Cut<'_>) {
        each_panel(c, mode, a, b, |add, registers, place| {
            // SAFETY: this function has the features, and `each_panel` gives places inside the matrices.
            unsafe {
                match registers {
                    1 => rows::<__m512, 12, 6, 1>(alpha, add, place),
                    2 => rows::<__m512, 12, 6, 2>(alpha, add, place),
                    3 => rows::<__m512, 8, 4, 3>(alpha, add, place),
                    _ => rows::<__m512, 6, 4, 4>(alpha, add, place),
                }
            }
        });
    }
    #[target_feature(enable = "avx2,fma")]
    fn avx2(c: &mut MatMut<'_>, mode: Accumulate, alpha: f32, a: Mat<'_>, b: &Cut<'_>) {
        each_panel(c, mode, a, b, |add, registers, place| {
            // SAFETY: as above.
            unsafe {
                match registers {
                    1 => rows::<__m256, 8, 4, 1>(alpha, add, place),
                    2 => rows::<__m256, 6, 3, 2>(alpha, add, place),
                    _ => rows::<__m256, 4, 2, 3>(alpha, add, place),
                }
            }
        });
    }
    match b.level {
        // SAFETY: `level` reported this only because the processor has the features.
        Level::Avx512 => unsafe { avx512(c, mode, alpha, a, b) },
        // SAFETY: as above.
        Level::Avx2 => unsafe { avx2(c, mode, alpha, a, b) },
        Level::Baseline => {}
    }
}

/// A product of some rows and one panel.
#[derive(Clone, Copy)]
struct Place {
    a: *const f32,
    /// Strides of `a`.
    along: (usize, usize),
    b: *const f32,
    b_stride: usize,
    c: *mut f32,
    c_stride: usize,
    rows: usize,
    cols: usize,
    depth: usize,
}

/// Calls `f` with whether to add, the registers across the panel, and the place, for each panel of each depth.
#[inline(always)]
fn each_panel(c: &mut MatMut<'_>, mode: Accumulate, a: Mat<'_>, b: &Cut<'_>, f: impl Fn(bool, usize, Place)) {
    let lanes = if b.level == Level::Avx512 { 16 } else { 8 };
    for (i, first) in (0..b.cols).step_by(b.width).enumerate() {
        let cols = b.width.min(b.cols - first);
        for start in (0..b.rows).step_by(DEPTH) {
            let depth = DEPTH.min(b.rows - start);
            let place = Place {
                a: a.data[start * a.col_stride..].as_ptr(),
                along: (a.row_stride, a.col_stride),
                b: b.data[i * b.panel_stride + start * b.row_stride..].as_ptr(),
                b_stride: b.row_stride,
                // SAFETY: `first` is a column of c.
                c: unsafe { c.data.add(first) },
                c_stride: c.row_stride,
                rows: c.rows,
                cols,
                depth,
            };
            f(start > 0 || mode == Accumulate::Add, cols.div_ceil(lanes), place);
        }
    }
}

/// All rows of a place, R at a time, then H, then one.
///
/// # Safety
/// The processor has the instructions of `V`; the place lies inside its matrices, and N registers of b can be read.
#[inline(always)]
unsafe fn rows<V: Lanes, const R: usize, const H: usize, const N: usize>(alpha: f32, add: bool, mut place: Place) {
    while place.rows > 0 {
        // SAFETY: as many rows are left as are taken.
        unsafe {
            let taken = if place.rows >= R {
                tile::<V, R, N>(alpha, add, place);
                R
            } else if place.rows >= H {
                tile::<V, H, N>(alpha, add, place);
                H
            } else {
                tile::<V, 1, N>(alpha, add, place);
                1
            };
            place.rows -= taken;
            if place.rows > 0 {
                place.a = place.a.add(taken * place.along.0);
                place.c = place.c.add(taken * place.c_stride);
            }
        }
    }
}

/// R rows and N registers of columns.
///
/// # Safety
/// As for [`rows`], and the place has R rows.
#[inline(always)]
unsafe fn tile<V: Lanes, const R: usize, const N: usize>(alpha: f32, add: bool, place: Place) {
    // SAFETY: the caller's promise; a and b advance by one column and one row each time, `depth` times.
    unsafe {
        for r in 0..R {
            for n in 0..N {
                _mm_prefetch::<_MM_HINT_ET0>(place.c.add(r * place.c_stride + n * V::WIDTH).cast());
            }
        }
        let mut acc = [[V::splat(0.0); N]; R];
        for k in 0..place.depth {
            let from = place.b.add(k * place.b_stride);
            let b: [V; N] = std::array::from_fn(|n| V::load(from.add(n * V::WIDTH)));
            let a = place.a.add(k * place.along.1);
            for (r, acc) in acc.iter_mut().enumerate() {
                let a = V::splat(*a.add(r * place.along.0));
                for (acc, &b) in acc.iter_mut().zip(&b) {
                    *acc = acc.add_product(a, b);
                }
            }
        }
        let alpha = V::splat(alpha);
        if place.cols == N * V::WIDTH {
            for (r, acc) in acc.iter().enumerate() {
                for (n, &acc) in acc.iter().enumerate() {
                    let c = place.c.add(r * place.c_stride + n * V::WIDTH);
                    let old = if add { V::load(c) } else { V::splat(0.0) };
                    old.add_product(acc, alpha).store(c);
                }
            }
            return;
        }
        for (r, acc) in acc.iter().enumerate() {
            let mut row = [0.0; 64];
            for (n, &acc) in acc.iter().enumerate() {
                V::splat(0.0).add_product(acc, alpha).store(row.as_mut_ptr().add(n * V::WIDTH));
            }
            let c = std::slice::from_raw_parts_mut(place.c.add(r * place.c_stride), place.cols);
            for (c, x) in c.iter_mut().zip(row) {
                *c = if add { *c + x } else { x };
            }
        }
    }
}
