//! Register tiles of direct convolution at stride 1.
//!
//! Images stand in memory with zeros around them, rows `pitch` apart. Then output (y, x) of a filter is a sum over the
//! window's elements k of w_k image[offset_k + y pitch + x]: the same vector code for every position, with no copy of
//! patches. The few positions at the end of each row that belong to no output are computed and ignored.

use super::simd::{LANES, Level, level};

/// Room after an image for vectors that run past its end.
pub(crate) const SLACK: usize = 64;
/// Positions a dot product handles at once.
const STEP: usize = LANES / 2;

/// Filters times positions of a tile of [`product`] on this processor: accumulators fill the registers.
pub(crate) fn product_tile() -> (usize, usize) {
    match level() {
        Level::Avx512 => (8, 48),
        Level::Avx2 => (4, 24),
        Level::Baseline => (4, 12),
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

/// out[f * out_stride + p] = sum_k packed[f, k] x[offsets[k] + p] for p below `positions`, rounded up to a whole tile.
pub(crate) fn product(packed: &[f32], offsets: &[usize], x: &[f32], positions: usize, out: &mut [f32], stride: usize) {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx2,fma")]
        fn avx512(packed: &[f32], offsets: &[usize], x: &[f32], positions: usize, out: &mut [f32], stride: usize) {
            product_body::<8, 48>(packed, offsets, x, positions, out, stride);
        }
        #[target_feature(enable = "avx2,fma")]
        fn avx2(packed: &[f32], offsets: &[usize], x: &[f32], positions: usize, out: &mut [f32], stride: usize) {
            product_body::<4, 24>(packed, offsets, x, positions, out, stride);
        }
        match level() {
            // SAFETY: `level` reports this only where the processor has the features.
            Level::Avx512 => return unsafe { avx512(packed, offsets, x, positions, out, stride) },
            // SAFETY: as above.
            Level::Avx2 => return unsafe { avx2(packed, offsets, x, positions, out, stride) },
            Level::Baseline => {}
        }
    }
    product_body::<4, 12>(packed, offsets, x, positions, out, stride);
}

/// sums[f * depth + k] += sum over images and p below `positions`, rounded up to 16, of dy[f, p] x[offsets[k] + p].
///
/// Image i begins at i * x_len of `x` and at i * dy_len + dy_first of `dy`, whose filters are `dy_plane` apart.
pub(crate) fn correlate(sums: &mut [f32], offsets: &[usize], positions: usize, x: Images<'_>, dy: Images<'_>) {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx2,fma")]
        fn avx512(sums: &mut [f32], offsets: &[usize], positions: usize, x: Images<'_>, dy: Images<'_>) {
            correlate_body::<4, 6>(sums, offsets, positions, x, dy);
        }
        #[target_feature(enable = "avx2,fma")]
        fn avx2(sums: &mut [f32], offsets: &[usize], positions: usize, x: Images<'_>, dy: Images<'_>) {
            correlate_body::<2, 3>(sums, offsets, positions, x, dy);
        }
        match level() {
            // SAFETY: `level` reports this only where the processor has the features.
            Level::Avx512 => return unsafe { avx512(sums, offsets, positions, x, dy) },
            // SAFETY: as above.
            Level::Avx2 => return unsafe { avx2(sums, offsets, positions, x, dy) },
            Level::Baseline => {}
        }
    }
    correlate_body::<2, 2>(sums, offsets, positions, x, dy);
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

#[inline(always)]
fn product_body<const F: usize, const P: usize>(
    packed: &[f32],
    offsets: &[usize],
    x: &[f32],
    positions: usize,
    out: &mut [f32],
    stride: usize,
) {
    let furthest = offsets.iter().copied().max().unwrap_or(0);
    for p in (0..positions).step_by(P) {
        assert!(furthest + p + P <= x.len(), "room behind the image");
        for (tile, packed) in packed.chunks_exact(F * offsets.len()).enumerate() {
            let mut acc = [[0.0_f32; P]; F];
            for (&offset, w) in offsets.iter().zip(packed.as_chunks::<F>().0) {
                let x: &[f32; P] = x[p + offset..].first_chunk().expect("room behind the image");
                for f in 0..F {
                    for i in 0..P {
                        acc[f][i] = w[f].mul_add(x[i], acc[f][i]);
                    }
                }
            }
            for (row, acc) in out[tile * F * stride..].chunks_mut(stride).zip(&acc) {
                row[p..p + P].copy_from_slice(acc);
            }
        }
    }
}

#[inline(always)]
fn correlate_body<const F: usize, const K: usize>(
    sums: &mut [f32],
    offsets: &[usize],
    positions: usize,
    x: Images<'_>,
    dy: Images<'_>,
) {
    let depth = offsets.len();
    let filters = sums.len() / depth;
    let steps = positions.div_ceil(STEP);
    for first_filter in (0..filters).step_by(F) {
        for first_k in (0..depth).step_by(K) {
            let mut acc = [[[0.0_f32; STEP]; K]; F];
            for (x, all_dy) in x.data.chunks_exact(x.len).zip(dy.data.chunks_exact(dy.len)) {
                // Past the last filter or element the last one is computed again and not stored.
                let dys: [&[[f32; STEP]]; F] = std::array::from_fn(|f| {
                    let filter = (first_filter + f).min(filters - 1);
                    &all_dy[filter * dy.plane + dy.first..].as_chunks().0[..steps]
                });
                let xs: [&[[f32; STEP]]; K] = std::array::from_fn(|k| {
                    let offset = offsets[(first_k + k).min(depth - 1)];
                    &x[offset..].as_chunks().0[..steps]
                });
                for step in 0..steps {
                    for f in 0..F {
                        for k in 0..K {
                            for i in 0..STEP {
                                acc[f][k][i] = dys[f][step][i].mul_add(xs[k][step][i], acc[f][k][i]);
                            }
                        }
                    }
                }
            }
            for (f, acc) in acc.iter().enumerate().take(filters - first_filter) {
                for (k, lanes) in acc.iter().enumerate().take(depth - first_k) {
                    sums[(first_filter + f) * depth + first_k + k] += fold(lanes);
                }
            }
        }
    }
}

#[inline(always)]
fn fold(lanes: &[f32; STEP]) -> f32 {
    let mut lanes = *lanes;
    let mut width = STEP / 2;
    while width > 0 {
        for i in 0..width {
            lanes[i] += lanes[i + width];
        }
        width /= 2;
    }
    lanes[0]
}
