//! Register tiles of a product with panels: accumulators of some rows and a panel's width stay in the registers.

use super::cut::{Cut, Start};
use crate::backend::cpu::common::lanes::Lanes;
use crate::backend::cpu::common::matrix::{Mat, MatMut};
use crate::backend::cpu::common::simd::Level;
use std::arch::x86_64::{__m256, __m512, _MM_HINT_ET0, _MM_HINT_T0, _mm_prefetch};

/// Rows of the right-hand side that are used before the next: so much of a panel stays in the nearest cache.
const DEPTH: usize = 192;

/// Steps along the depth that share their addresses.
const UNROLL: usize = 4;
/// Steps after which a row of a transposed left-hand side is used; each is in a cache line of its own.
const AHEAD: usize = 8;

/// c = start + alpha a b; the shapes agree.
pub(super) fn product(c: &mut MatMut<'_>, start: Start<'_>, alpha: f32, a: Mat<'_>, b: &Cut<'_>) {
    #[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx2,fma")]
    fn avx512(c: &mut MatMut<'_>, start: Start<'_>, alpha: f32, a: Mat<'_>, b: &Cut<'_>) {
        each_panel(c, start, a, b, |registers, place| {
            // SAFETY: this function has the features, and `each_panel` gives places inside the matrices.
            unsafe {
                match registers {
                    1 => either::<__m512, 12, 6, 1>(alpha, place),
                    2 => either::<__m512, 12, 6, 2>(alpha, place),
                    3 => either::<__m512, 8, 4, 3>(alpha, place),
                    _ => either::<__m512, 6, 4, 4>(alpha, place),
                }
            }
        });
    }
    #[target_feature(enable = "avx2,fma")]
    fn avx2(c: &mut MatMut<'_>, start: Start<'_>, alpha: f32, a: Mat<'_>, b: &Cut<'_>) {
        each_panel(c, start, a, b, |registers, place| {
            // SAFETY: as above.
            unsafe {
                match registers {
                    1 => either::<__m256, 8, 4, 1>(alpha, place),
                    2 => either::<__m256, 6, 3, 2>(alpha, place),
                    _ => either::<__m256, 4, 2, 3>(alpha, place),
                }
            }
        });
    }
    assert!(a.row_stride == 1 || a.col_stride == 1, "a left-hand side whose rows or columns are contiguous");
    match b.level {
        // SAFETY: `level` reported this only because the processor has the features.
        Level::Avx512 => unsafe { avx512(c, start, alpha, a, b) },
        // SAFETY: as above.
        Level::Avx2 => unsafe { avx2(c, start, alpha, a, b) },
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
    /// What the product is added to; null for nothing.
    old: *const f32,
    old_stride: usize,
    /// A row that accumulators start from, as many numbers as a tile is wide.
    first: *const f32,
    rows: usize,
    cols: usize,
    depth: usize,
}

/// Numbers across the widest tile.
const WIDEST: usize = 64;

/// Calls `f` with the registers across the panel and the place, for each panel of each depth.
#[inline(always)]
fn each_panel(c: &mut MatMut<'_>, start: Start<'_>, a: Mat<'_>, b: &Cut<'_>, f: impl Fn(usize, Place)) {
    let lanes = if b.level == Level::Avx512 { 16 } else { 8 };
    for (i, left) in (0..b.cols).step_by(b.width).enumerate() {
        let cols = b.width.min(b.cols - left);
        // SAFETY: `left` is a column of c.
        let c_panel = unsafe { c.data.add(left) };
        let mut first = [0.0; WIDEST];
        let (mut old, mut old_stride) = (std::ptr::null(), 0);
        match start {
            Start::Zero => {}
            Start::Itself => (old, old_stride) = (c_panel.cast_const(), c.row_stride),
            Start::Rows { bias, residual } => {
                first[..cols].copy_from_slice(&bias[left..][..cols]);
                if let Some(residual) = residual {
                    (old, old_stride) = (residual.data[left..].as_ptr(), residual.row_stride);
                }
            }
        }
        for top in (0..b.rows).step_by(DEPTH) {
            if top > 0 {
                (first, old, old_stride) = ([0.0; WIDEST], c_panel.cast_const(), c.row_stride);
            }
            let place = Place {
                a: a.data[top * a.col_stride..].as_ptr(),
                along: (a.row_stride, a.col_stride),
                b: b.data[i * b.panel_stride + top * b.row_stride..].as_ptr(),
                b_stride: b.row_stride,
                c: c_panel,
                c_stride: c.row_stride,
                old,
                old_stride,
                first: first.as_ptr(),
                rows: c.rows,
                cols,
                depth: DEPTH.min(b.rows - top),
            };
            f(cols.div_ceil(lanes), place);
        }
    }
}

/// All rows of a place.
///
/// # Safety
/// As for [`rows`].
#[inline(always)]
unsafe fn either<V: Lanes, const R: usize, const H: usize, const N: usize>(alpha: f32, place: Place) {
    // SAFETY: the caller's promise.
    unsafe {
        if place.along.1 == 1 {
            rows::<V, false, R, H, N>(alpha, place);
        } else {
            rows::<V, true, R, H, N>(alpha, place);
        }
    }
}

/// All rows of a place, R at a time, then H, then one.
///
/// # Safety
/// The processor has the instructions of `V`; the place lies inside its matrices, and N registers of b can be read.
#[inline(always)]
unsafe fn rows<V: Lanes, const T: bool, const R: usize, const H: usize, const N: usize>(alpha: f32, mut place: Place) {
    while place.rows > 0 {
        // SAFETY: as many rows are left as are taken.
        unsafe {
            let taken = if place.rows >= R {
                tile::<V, T, R, N>(alpha, place);
                R
            } else if place.rows >= H {
                tile::<V, T, H, N>(alpha, place);
                H
            } else {
                tile::<V, T, 1, N>(alpha, place);
                1
            };
            place.rows -= taken;
            if place.rows > 0 {
                place.a = place.a.add(taken * place.along.0);
                place.c = place.c.add(taken * place.c_stride);
                place.old = place.old.wrapping_add(taken * place.old_stride);
            }
        }
    }
}

/// R rows and N registers of columns; T for a left-hand side that is stored transposed.
///
/// # Safety
/// As for [`rows`], and the place has R rows.
#[inline(always)]
unsafe fn tile<V: Lanes, const T: bool, const R: usize, const N: usize>(alpha: f32, place: Place) {
    // SAFETY: the caller's promise; a and b advance by one column and one row each time, `depth` times.
    unsafe {
        for r in 0..R {
            for n in 0..N {
                _mm_prefetch::<_MM_HINT_ET0>(place.c.add(r * place.c_stride + n * V::WIDTH).cast());
            }
        }
        let first: [V; N] = std::array::from_fn(|n| V::load(place.first.add(n * V::WIDTH)));
        let mut acc = [first; R];
        let (row, col) = if T { (1, place.along.1) } else { (place.along.0, 1) };
        let (mut a, mut b, mut left) = (place.a, place.b, place.depth);
        while left >= UNROLL {
            for i in 0..UNROLL {
                step::<V, T, R, N>(&mut acc, a.add(i * col), (row, col), b.add(i * place.b_stride));
            }
            (a, b) = (a.wrapping_add(UNROLL * col), b.wrapping_add(UNROLL * place.b_stride));
            left -= UNROLL;
        }
        for _ in 0..left {
            step::<V, T, R, N>(&mut acc, a, (row, col), b);
            (a, b) = (a.wrapping_add(col), b.wrapping_add(place.b_stride));
        }
        let alpha = V::splat(alpha);
        let add = !place.old.is_null();
        if place.cols == N * V::WIDTH {
            for (r, acc) in acc.iter().enumerate() {
                for (n, &acc) in acc.iter().enumerate() {
                    let c = place.c.add(r * place.c_stride + n * V::WIDTH);
                    let old = place.old.wrapping_add(r * place.old_stride + n * V::WIDTH);
                    let old = if add { V::load(old) } else { V::splat(0.0) };
                    old.add_product(acc, alpha).store(c);
                }
            }
            return;
        }
        for (r, acc) in acc.iter().enumerate() {
            let mut row = [0.0; WIDEST];
            for (n, &acc) in acc.iter().enumerate() {
                V::splat(0.0).add_product(acc, alpha).store(row.as_mut_ptr().add(n * V::WIDTH));
            }
            for (i, x) in row[..place.cols].iter().enumerate() {
                let old = if add { *place.old.add(r * place.old_stride + i) } else { 0.0 };
                *place.c.add(r * place.c_stride + i) = old + x;
            }
        }
    }
}

/// acc += a column of a times a row of b.
///
/// # Safety
/// As for [`tile`].
#[inline(always)]
unsafe fn step<V: Lanes, const T: bool, const R: usize, const N: usize>(
    acc: &mut [[V; N]; R],
    a: *const f32,
    (row, col): (usize, usize),
    b: *const f32,
) {
    // SAFETY: the caller's promise; a prefetch may be of any address.
    unsafe {
        if T {
            _mm_prefetch::<_MM_HINT_T0>(a.wrapping_add(AHEAD * col).cast());
        }
        let b: [V; N] = std::array::from_fn(|n| V::load(b.add(n * V::WIDTH)));
        for (r, acc) in acc.iter_mut().enumerate() {
            let a = V::splat(*a.add(r * row));
            for (acc, &b) in acc.iter_mut().zip(&b) {
                *acc = acc.add_product(a, b);
            }
        }
    }
}
