//! Convolution of images so small that few windows lie over them: the last layers of a network.
//!
//! The direct form would compute more positions that belong to no output than others, and a product for each image would
//! read all weights for a few columns. So the patches of many images stand in memory one after the other, a row each, and
//! every output is the product of such a row and a filter as it lies in memory: nothing is packed, and a batch of one goes
//! over the weights once, its filters spread over the threads. The sum of an output depends on neither the batch nor the
//! threads.

use super::epilogue::finish_added;
use super::layer::Conv;
use super::panels::copy_row;
use crate::backend::cpu::common::lanes::{Lanes, Portable, sum};
use crate::backend::cpu::common::simd::{Level, level};
use crate::backend::cpu::common::{par, scratch};
use crate::backend::{Patches, Precision};
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{__m256, __m512};

/// Windows over an image for which this form is used.
const MOST_WINDOWS: usize = 16;
/// Rows of patches at once: they stay in a core's own cache while the filters pass.
const ROWS: usize = 256;
/// Operations of a piece: few enough that threads end together.
const PIECE: usize = 1 << 18;
/// Filters whose products with a row are summed at once.
const FILTERS: usize = 4;

/// Whether a convolution has this form: f32, one group, few windows.
pub(super) fn takes(conv: &Conv<'_>) -> bool {
    let (down, across) = conv.patches.windows();
    conv.groups == 1 && conv.precision == Precision::F32 && conv.depth() > 0 && down * across <= MOST_WINDOWS
}

/// The forward pass, as [`super::forward()`], of a weight that is masked already; what is `added` before the activation is
/// so where nothing is pooled.
pub(super) fn forward(
    conv: &Conv<'_>,
    weight: &[f32],
    x: &[f32],
    added: Option<&[f32]>,
    y: &mut [f32],
    argmax: Option<&mut [u8]>,
) {
    let ((down, across), depth) = (conv.patches.windows(), conv.depth());
    let (windows, image, out) = (down * across, conv.patches.image(), conv.output_len());
    let run = (ROWS / windows).clamp(1, conv.batch);
    let runs = par::chunks_mut_or_none(argmax, run * out, conv.batch.div_ceil(run));
    let runs = par::chunks_or_none(added, run * out, conv.batch.div_ceil(run)).zip(runs);
    for ((x, y), (added, argmax)) in x.chunks(run * image).zip(y.chunks_mut(run * out)).zip(runs) {
        let images = x.len() / image;
        let (positions, flops) = (images * windows, conv.flops() / conv.batch * images);
        scratch::with(positions * depth, |rows| {
            par::for_each(flops, rows.chunks_mut(windows * depth).zip(x.chunks(image)), |(rows, x)| {
                to_rows(&conv.patches, x, rows);
            });
            let rows = &*rows;
            scratch::with(conv.filters * positions, |raw| {
                let some = (PIECE / (2 * positions * depth)).max(1).next_multiple_of(FILTERS);
                let parts = raw.chunks_mut(some * positions).zip(weight.chunks(some * depth));
                par::for_each(flops, parts, |(raw, weight)| products(weight, rows, depth, raw));
                let raw = &*raw;
                let argmax = par::chunks_mut_or_none(argmax, out, images);
                let added = par::chunks_or_none(added, out, images);
                let each = y.chunks_mut(out).zip(argmax.zip(added)).enumerate();
                par::for_each(flops, each, |(i, (y, (argmax, added)))| {
                    finish_added(conv, &raw[i * windows..], positions, across, y, (added, argmax));
                });
            });
        });
    }
}

/// rows [windows, depth] from the image; all of `rows` is overwritten.
fn to_rows(p: &Patches, image: &[f32], rows: &mut [f32]) {
    let pitch = p.width + 2 * p.padding;
    let plane = (p.height + 2 * p.padding) * pitch;
    scratch::with(p.channels * plane, |padded| {
        padded.fill(0.0);
        for (from, to) in image.chunks(p.height * p.width).zip(padded.chunks_mut(plane)) {
            for (from, to) in from.chunks(p.width).zip(to[p.padding * pitch..].chunks_mut(pitch)) {
                copy_row(&mut to[p.padding..][..p.width], from);
            }
        }
        let (across, kernel_rows) = (p.windows().1, p.kernel.0);
        for (window, row) in rows.chunks_mut(p.depth()).enumerate() {
            let first = (window / across * pitch + window % across) * p.stride;
            let at = |line: usize| first + line / kernel_rows * plane + line % kernel_rows * pitch;
            if p.kernel.1 == 3 {
                // The usual kernel, in copies of known length.
                for (line, to) in row.as_chunks_mut::<3>().0.iter_mut().enumerate() {
                    to.copy_from_slice(&padded[at(line)..][..3]);
                }
            } else {
                for (line, to) in row.chunks_mut(p.kernel.1).enumerate() {
                    to.copy_from_slice(&padded[at(line)..][..to.len()]);
                }
            }
        }
    });
}

/// raw[f, p] = the product of filter f of w [filters, depth] and row p of rows [positions, depth].
fn products(w: &[f32], rows: &[f32], depth: usize, raw: &mut [f32]) {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx2,fma")]
        fn avx512(w: &[f32], rows: &[f32], depth: usize, raw: &mut [f32]) {
            // SAFETY: this function has the features.
            unsafe { products_body::<__m512, 4>(w, rows, depth, raw) }
        }
        #[target_feature(enable = "avx2,fma")]
        fn avx2(w: &[f32], rows: &[f32], depth: usize, raw: &mut [f32]) {
            // SAFETY: this function has the features.
            unsafe { products_body::<__m256, 2>(w, rows, depth, raw) }
        }
        match level() {
            // SAFETY: `level` reports this only where the processor has the features.
            Level::Avx512 => return unsafe { avx512(w, rows, depth, raw) },
            // SAFETY: as above.
            Level::Avx2 => return unsafe { avx2(w, rows, depth, raw) },
            Level::Baseline => {}
        }
    }
    // SAFETY: any processor can do this.
    unsafe { products_body::<Portable, 2>(w, rows, depth, raw) }
}

/// # Safety
/// The processor has the instructions of `V`.
#[inline(always)]
unsafe fn products_body<V: Lanes, const P: usize>(w: &[f32], rows: &[f32], depth: usize, raw: &mut [f32]) {
    let (filters, positions) = (w.len() / depth, rows.len() / depth);
    let whole = depth / V::WIDTH * V::WIDTH;
    for first_filter in (0..filters).step_by(FILTERS) {
        // Past the last filter or row the last one is computed again and not stored.
        let w: [&[f32]; FILTERS] = std::array::from_fn(|f| &w[(first_filter + f).min(filters - 1) * depth..][..depth]);
        for first in (0..positions).step_by(P) {
            let rows: [&[f32]; P] = std::array::from_fn(|p| &rows[(first + p).min(positions - 1) * depth..][..depth]);
            // SAFETY: every slice is `depth` long, and k + a register's width at most that.
            let acc = unsafe {
                let mut acc = [[V::splat(0.0); P]; FILTERS];
                for k in (0..whole).step_by(V::WIDTH) {
                    let x = rows.map(|row| V::load(row.as_ptr().add(k)));
                    for (acc, w) in acc.iter_mut().zip(&w) {
                        let w = V::load(w.as_ptr().add(k));
                        for (acc, &x) in acc.iter_mut().zip(&x) {
                            *acc = acc.add_product(w, x);
                        }
                    }
                }
                acc
            };
            for (f, (acc, w)) in acc.iter().zip(&w).enumerate().take(filters - first_filter) {
                for (p, (&acc, row)) in acc.iter().zip(&rows).enumerate().take(positions - first) {
                    let rest: f32 = w[whole..].iter().zip(&row[whole..]).map(|(w, x)| w * x).sum();
                    // SAFETY: the caller's promise.
                    raw[(first_filter + f) * positions + first + p] = unsafe { sum(acc) } + rest;
                }
            }
        }
    }
}
