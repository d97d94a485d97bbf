//! Kernels on panels: [features, lanes], the rows of a batch as lanes, zero where there is no row.
//!
//! A nonzero is one broadcast and a product with each register of a feature; the lanes of a row of the result stay in
//! registers meanwhile. Written once for all registers; see [`Lanes`].

use super::tiles::Tile;
use crate::backend::cpu::common::lanes::{Lanes, Portable};
use crate::backend::cpu::common::simd::Level;
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{__m256, __m512};

/// Registers across a feature of a panel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Width {
    One,
    Two,
    Four,
    Eight,
}

impl Width {
    /// Numbers across a feature.
    pub fn lanes(self, level: Level) -> usize {
        let registers = match self {
            Self::One => 1,
            Self::Two => 2,
            Self::Four => 4,
            Self::Eight => 8,
        };
        registers
            * match level {
                Level::Avx512 => 16,
                Level::Avx2 => 8,
                Level::Baseline => Portable::WIDTH,
            }
    }
}

/// What a kernel works on: panels, and what the nonzeros have or get.
trait Kernel {
    /// # Safety
    /// The processor has the instructions of `V`.
    unsafe fn run<V: Lanes, const N: usize>(self);
}

/// Runs a kernel compiled for the level; `level` is what [`level`](crate::backend::cpu::common::simd::level) found.
fn dispatch(level: Level, width: Width, kernel: impl Kernel) {
    #[inline(always)]
    unsafe fn either<V: Lanes>(width: Width, kernel: impl Kernel) {
        // SAFETY: the caller's promise.
        unsafe {
            match width {
                Width::One => kernel.run::<V, 1>(),
                Width::Two => kernel.run::<V, 2>(),
                Width::Four => kernel.run::<V, 4>(),
                Width::Eight => kernel.run::<V, 8>(),
            }
        }
    }
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx2,fma")]
        fn avx512(width: Width, kernel: impl Kernel) {
            // SAFETY: this function has the features.
            unsafe { either::<__m512>(width, kernel) }
        }
        #[target_feature(enable = "avx2,fma")]
        fn avx2(width: Width, kernel: impl Kernel) {
            // SAFETY: as above.
            unsafe { either::<__m256>(width, kernel) }
        }
        match level {
            // SAFETY: `level` reported this only because the processor has the features.
            Level::Avx512 => return unsafe { avx512(width, kernel) },
            // SAFETY: as above.
            Level::Avx2 => return unsafe { avx2(width, kernel) },
            Level::Baseline => {}
        }
    }
    // SAFETY: any processor has these.
    unsafe { either::<Portable>(width, kernel) }
}

/// y [rows, lanes] = the tile times x [cols, lanes], or y += where it does not `begin`: for the rows that the tile lists.
pub(super) fn multiply(
    (level, width): (Level, Width),
    tile: Tile<'_>,
    values: &[f32],
    x: &[f32],
    y: &mut [f32],
    begin: bool,
) {
    let lanes = width.lanes(level);
    assert!(values.len() >= tile.range().end, "a value for each nonzero");
    assert!(x.len() >= tile.cols * lanes && y.len() >= tile.rows * lanes, "panels of the tile's size");
    dispatch(level, width, Multiply { tile, values, x, y, begin });
}

/// dw += the sums over lanes of dy [rows, lanes] and x [cols, lanes] at each nonzero of the tile.
pub(super) fn correlate((level, width): (Level, Width), tile: Tile<'_>, dy: &[f32], x: &[f32], dw: &mut [f32]) {
    let lanes = width.lanes(level);
    assert_eq!(dw.len(), tile.range().len(), "a gradient for each nonzero");
    assert!(x.len() >= tile.cols * lanes && dy.len() >= tile.rows * lanes, "panels of the tile's size");
    dispatch(level, width, Correlate { tile, dy, x, dw });
}

struct Multiply<'a> {
    tile: Tile<'a>,
    values: &'a [f32],
    x: &'a [f32],
    y: &'a mut [f32],
    begin: bool,
}

impl Kernel for Multiply<'_> {
    #[inline(always)]
    unsafe fn run<V: Lanes, const N: usize>(self) {
        let Self { tile, values, x, y, begin } = self;
        let (values, x, y, idx) = (values.as_ptr(), x.as_ptr(), y.as_mut_ptr(), tile.idx.as_ptr());
        let mut j = 0;
        // SAFETY: `multiply` checked the panels against the tile, which `Tiles::new` made; the places of a row lie
        // between its entry of `ptr` and the next one.
        unsafe {
            let row = |j: usize| y.add(*tile.row.get_unchecked(j) as usize * N * V::WIDTH);
            let ptr = |j: usize| *tile.ptr.get_unchecked(j) as usize;
            // Few registers: two rows at once hide the latency. The second is never the longer one.
            while N <= 4 && j + 1 < tile.row.len() {
                let (mut a, mut b) = (load::<V, N>(row(j), begin), load::<V, N>(row(j + 1), begin));
                let (first, second, end) = (ptr(j), ptr(j + 1), ptr(j + 2));
                for k in 0..end - second {
                    step::<V, N>(&mut a, values.add(first + k), idx.add(first + k), x);
                    step::<V, N>(&mut b, values.add(second + k), idx.add(second + k), x);
                }
                for k in first + (end - second)..second {
                    step::<V, N>(&mut a, values.add(k), idx.add(k), x);
                }
                store::<V, N>(row(j), &a);
                store::<V, N>(row(j + 1), &b);
                j += 2;
            }
            while j < tile.row.len() {
                let mut acc = load::<V, N>(row(j), begin);
                for k in ptr(j)..ptr(j + 1) {
                    step::<V, N>(&mut acc, values.add(k), idx.add(k), x);
                }
                store::<V, N>(row(j), &acc);
                j += 1;
            }
        }
    }
}

/// # Safety
/// The processor has the instructions of `V`; N registers can be read, unless they begin at zero.
#[inline(always)]
unsafe fn load<V: Lanes, const N: usize>(from: *const f32, begin: bool) -> [V; N] {
    // SAFETY: the caller's promise.
    unsafe { if begin { [V::splat(0.0); N] } else { std::array::from_fn(|n| V::load(from.add(n * V::WIDTH))) } }
}

/// # Safety
/// The processor has the instructions of `V`; N registers can be written.
#[inline(always)]
unsafe fn store<V: Lanes, const N: usize>(to: *mut f32, acc: &[V; N]) {
    for (n, acc) in acc.iter().enumerate() {
        // SAFETY: the caller's promise.
        unsafe { acc.store(to.add(n * V::WIDTH)) };
    }
}

/// acc += value * a feature of x.
///
/// # Safety
/// The processor has the instructions of `V`; value and index can be read, and x has that feature.
#[inline(always)]
unsafe fn step<V: Lanes, const N: usize>(acc: &mut [V; N], value: *const f32, index: *const u16, x: *const f32) {
    // SAFETY: the caller's promise.
    unsafe {
        let (value, x) = (V::splat(*value), x.add(usize::from(*index) * N * V::WIDTH));
        for (n, acc) in acc.iter_mut().enumerate() {
            *acc = acc.add_product(value, V::load(x.add(n * V::WIDTH)));
        }
    }
}

struct Correlate<'a> {
    tile: Tile<'a>,
    dy: &'a [f32],
    x: &'a [f32],
    dw: &'a mut [f32],
}

impl Kernel for Correlate<'_> {
    #[inline(always)]
    unsafe fn run<V: Lanes, const N: usize>(self) {
        let Self { tile, dy, x, dw } = self;
        let (dy, x, idx) = (dy.as_ptr(), x.as_ptr(), tile.idx.as_ptr());
        let mut to = dw.as_mut_ptr();
        // SAFETY: `correlate` checked the panels against the tile, which `Tiles::new` made, and that `dw` has a number
        // for each of its nonzeros; `to` moves on by as many as were summed up.
        unsafe {
            // Products of lanes, of as many nonzeros as a register has lanes: they are added up together.
            let (mut wait, mut filled) = ([V::splat(0.0); 16], 0);
            for (j, &r) in tile.row.iter().enumerate() {
                let dy: [V; N] = load::<V, N>(dy.add(r as usize * N * V::WIDTH), false);
                let (mut k, end) = (*tile.ptr.get_unchecked(j) as usize, *tile.ptr.get_unchecked(j + 1) as usize);
                while k < end {
                    let take = (end - k).min(V::WIDTH - filled);
                    for wait in wait.get_unchecked_mut(filled..filled + take) {
                        let x = x.add(usize::from(*idx.add(k)) * N * V::WIDTH);
                        let mut acc = V::splat(0.0).add_product(dy[0], V::load(x));
                        for (n, &dy) in dy.iter().enumerate().skip(1) {
                            acc = acc.add_product(dy, V::load(x.add(n * V::WIDTH)));
                        }
                        *wait = acc;
                        k += 1;
                    }
                    filled += take;
                    if filled == V::WIDTH {
                        V::load(to).add_product(V::splat(1.0), V::across(&wait)).store(to);
                        (to, filled) = (to.add(V::WIDTH), 0);
                    }
                }
            }
            let mut last = [0.0; 16];
            V::across(&wait).store(last.as_mut_ptr());
            for (i, last) in last[..filled].iter().enumerate() {
                *to.add(i) += last;
            }
        }
    }
}
