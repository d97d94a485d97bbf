//! Register tiles of direct convolution at stride 1.
//!
//! Images stand in memory with zeros around them, rows `pitch` apart. Then output (y, x) of a filter is a sum over the
//! window's elements k of w_k image[offset_k + y pitch + x]: the same vector code for every position, with no copy of
//! patches. The few positions at the end of each row that belong to no output are computed and ignored.

use crate::backend::cpu::common::lanes::{Lanes, Portable, sum};
use crate::backend::cpu::common::simd::{Level, level};
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{__m256, __m512};

/// Room after an image for vectors that run past its end.
pub(crate) const SLACK: usize = 64;

/// Filters times positions of a tile of [`product`] on this processor: accumulators fill the registers.
pub(crate) fn product_tile() -> (usize, usize) {
    match level() {
        Level::Avx512 => (8, 48),
        Level::Avx2 => (4, 24),
        Level::Baseline => (4, 8),
    }
}

/// Positions of a register.
pub(crate) fn register() -> usize {
    match level() {
        Level::Avx512 => 16,
        Level::Avx2 => 8,
        Level::Baseline => 4,
    }
}

/// Weights [filters, depth], given by a function, in the order [`product`] reads them; zeros for missing filters.
pub(crate) fn pack(filters: usize, depth: usize, packed: &mut Vec<f32>, weight: impl Fn(usize, usize) -> f32) {
    let tile = product_tile().0;
    packed.clear();
    for first in (0..filters).step_by(tile) {
        for k in 0..depth {
            packed.extend((first..first + tile).map(|f| if f < filters { weight(f, k) } else { 0.0 }));
        }
    }
}

/// out[f * stride + p] = sum_k packed[f, k] x[offsets[k] + p] for p below `positions`, rounded up to a whole register.
pub(crate) fn product(packed: &[f32], offsets: &[usize], x: &[f32], positions: usize, out: &mut [f32], stride: usize) {
    product_from(packed, offsets, x, positions, Rows { data: out, stride, first: 0 });
}

/// Where the rows of a product go: each filter's `stride` behind that of the one before, from `first` on.
pub(crate) struct Rows<'a> {
    pub data: &'a mut [f32],
    pub stride: usize,
    pub first: usize,
}

/// [`product`] into a part of rows that are longer.
pub(crate) fn product_from(packed: &[f32], offsets: &[usize], x: &[f32], positions: usize, out: Rows<'_>) {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx2,fma")]
        fn avx512(packed: &[f32], offsets: &[usize], x: &[f32], positions: usize, out: Rows<'_>) {
            // SAFETY: this function has the features.
            unsafe { product_body::<__m512, 8, 3>(packed, offsets, x, positions, out) }
        }
        #[target_feature(enable = "avx2,fma")]
        fn avx2(packed: &[f32], offsets: &[usize], x: &[f32], positions: usize, out: Rows<'_>) {
            // SAFETY: this function has the features.
            unsafe { product_body::<__m256, 4, 3>(packed, offsets, x, positions, out) }
        }
        match level() {
            // SAFETY: `level` reports this only where the processor has the features.
            Level::Avx512 => return unsafe { avx512(packed, offsets, x, positions, out) },
            // SAFETY: as above.
            Level::Avx2 => return unsafe { avx2(packed, offsets, x, positions, out) },
            Level::Baseline => {}
        }
    }
    // SAFETY: any processor can do this.
    unsafe { product_body::<Portable, 4, 2>(packed, offsets, x, positions, out) }
}

/// sums[f * depth + k] += sum over images and p below `positions`, rounded up to 16, of dy[f, p] x[offsets[k] + p].
///
/// Image i begins at i * x_len of `x` and at i * dy_len + dy_first of `dy`, whose filters are `dy_plane` apart.
pub(crate) fn correlate(sums: &mut [f32], offsets: &[usize], positions: usize, x: Images<'_>, dy: Images<'_>) {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx2,fma")]
        fn avx512(sums: &mut [f32], offsets: &[usize], positions: usize, x: Images<'_>, dy: Images<'_>) {
            // SAFETY: this function has the features.
            unsafe { correlate_body::<__m512, 4, 6>(sums, offsets, positions, x, dy) }
        }
        #[target_feature(enable = "avx2,fma")]
        fn avx2(sums: &mut [f32], offsets: &[usize], positions: usize, x: Images<'_>, dy: Images<'_>) {
            // SAFETY: this function has the features.
            unsafe { correlate_body::<__m256, 3, 4>(sums, offsets, positions, x, dy) }
        }
        match level() {
            // SAFETY: `level` reports this only where the processor has the features.
            Level::Avx512 => return unsafe { avx512(sums, offsets, positions, x, dy) },
            // SAFETY: as above.
            Level::Avx2 => return unsafe { avx2(sums, offsets, positions, x, dy) },
            Level::Baseline => {}
        }
    }
    // SAFETY: any processor can do this.
    unsafe { correlate_body::<Portable, 3, 4>(sums, offsets, positions, x, dy) }
}

/// Padded images one after the other.
#[derive(Clone, Copy)]
pub(crate) struct Images<'a> {
    /// All of them, each `len` long.
    pub data: &'a [f32],
    /// Length of one.
    pub len: usize,
    /// Length of a channel.
    pub plane: usize,
    /// Position of the first element in a channel.
    pub first: usize,
}

/// # Safety
/// The processor has the instructions of `V`.
#[inline(always)]
unsafe fn product_body<V: Lanes, const F: usize, const N: usize>(
    packed: &[f32],
    offsets: &[usize],
    x: &[f32],
    positions: usize,
    out: Rows<'_>,
) {
    let (width, depth) = (N * V::WIDTH, offsets.len());
    let Rows { data: out, stride, first } = out;
    let whole = positions.next_multiple_of(V::WIDTH);
    let furthest = offsets.iter().copied().max().unwrap_or(0);
    assert!(furthest + whole <= x.len() && first + whole <= stride, "room for whole registers");
    for p in (0..whole).step_by(width) {
        for (tile, packed) in packed.chunks_exact(F * depth).enumerate() {
            let rows = &mut out[tile * F * stride..];
            let to = (stride, first + p);
            // SAFETY: offset + p + the tile's width <= x.len() by the assertion; the packed tile holds F numbers for each
            // offset. What is left at the end takes a narrower tile, of as many registers as it needs.
            unsafe {
                match (whole - p) / V::WIDTH {
                    1 => product_tile_body::<V, F, 1>(packed, offsets, &x[p..], rows, to),
                    2 if N > 2 => product_tile_body::<V, F, 2>(packed, offsets, &x[p..], rows, to),
                    _ => product_tile_body::<V, F, N>(packed, offsets, &x[p..], rows, to),
                }
            }
        }
    }
}

/// # Safety
/// The processor has the instructions of `V`; `x` holds N registers from each offset on, and `packed` F numbers for each.
#[inline(always)]
unsafe fn product_tile_body<V: Lanes, const F: usize, const N: usize>(
    packed: &[f32],
    offsets: &[usize],
    x: &[f32],
    rows: &mut [f32],
    (stride, first): (usize, usize),
) {
    // SAFETY: the caller's promise.
    let acc = unsafe {
        let mut acc = [[V::splat(0.0); N]; F];
        for (k, &offset) in offsets.iter().enumerate() {
            let from = x.as_ptr().add(offset);
            let x: [V; N] = std::array::from_fn(|n| V::load(from.add(n * V::WIDTH)));
            let w = packed.as_ptr().add(k * F);
            for (f, acc) in acc.iter_mut().enumerate() {
                let w = V::splat(*w.add(f));
                for (acc, &x) in acc.iter_mut().zip(&x) {
                    *acc = acc.add_product(w, x);
                }
            }
        }
        acc
    };
    for (row, acc) in rows.chunks_exact_mut(stride).zip(&acc) {
        let to = row[first..first + N * V::WIDTH].as_mut_ptr();
        for (n, &acc) in acc.iter().enumerate() {
            // SAFETY: `to` has room for N registers.
            unsafe { acc.store(to.add(n * V::WIDTH)) }
        }
    }
}

/// # Safety
/// The processor has the instructions of `V`.
#[inline(always)]
unsafe fn correlate_body<V: Lanes, const F: usize, const K: usize>(
    sums: &mut [f32],
    offsets: &[usize],
    positions: usize,
    x: Images<'_>,
    dy: Images<'_>,
) {
    let depth = offsets.len();
    let filters = sums.len() / depth;
    let whole = positions.next_multiple_of(V::WIDTH);
    let furthest = offsets.iter().copied().max().unwrap_or(0);
    assert!(furthest + whole <= x.len && (filters - 1) * dy.plane + dy.first + whole <= dy.len, "room behind images");
    for first_k in (0..depth).step_by(K) {
        for first_filter in (0..filters).step_by(F) {
            // Past the last filter or element the last one is computed again and not stored.
            let dy_starts: [usize; F] =
                std::array::from_fn(|f| (first_filter + f).min(filters - 1) * dy.plane + dy.first);
            let x_starts: [usize; K] = std::array::from_fn(|k| offsets[(first_k + k).min(depth - 1)]);
            // SAFETY: every start + whole is inside its image by the assertion.
            unsafe {
                let mut acc = [[V::splat(0.0); K]; F];
                for (x, dy) in x.data.chunks_exact(x.len).zip(dy.data.chunks_exact(dy.len)) {
                    let dy = dy_starts.map(|start| dy.as_ptr().add(start));
                    let x = x_starts.map(|start| x.as_ptr().add(start));
                    for p in (0..positions).step_by(V::WIDTH) {
                        let dy = dy.map(|dy| V::load(dy.add(p)));
                        for k in 0..K {
                            let x = V::load(x[k].add(p));
                            for f in 0..F {
                                acc[f][k] = acc[f][k].add_product(dy[f], x);
                            }
                        }
                    }
                }
                for (f, row) in acc.iter().enumerate().take(filters - first_filter) {
                    for (k, &lanes) in row.iter().enumerate().take(depth - first_k) {
                        sums[(first_filter + f) * depth + first_k + k] += sum(lanes);
                    }
                }
            }
        }
    }
}
