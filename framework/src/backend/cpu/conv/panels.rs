//! Patches of images as panels: as many positions side by side as a register tile has, row by row of the window's elements.
//!
//! The direct form computes positions between the rows that belong to no output: a half of all where rows are 8 pixels
//! long. Here every position is one, whatever the stride and the kernel, for a copy of each pixel into every window that
//! it lies in. Positions of several images share a panel, so that small images fill it too.

use super::layer::Conv;
use super::tiles::{product_tile, register};
use crate::backend::Patches;
use crate::backend::cpu::common::simd::simd_fn;
use std::ops::Range;

/// Images at most that share panels.
const MOST_IMAGES: usize = 16;

/// How the windows of a group of images lie in panels.
pub(super) struct Panels {
    /// Images of a group.
    pub images: usize,
    /// Distance of padded images.
    len: usize,
    /// Distance of a padded image's channels, and of its rows.
    plane: usize,
    pitch: usize,
    /// Where each element of a window lies from the window's first.
    elements: Vec<usize>,
    /// Runs of positions whose windows are `stride` apart.
    runs: Vec<Run>,
    stride: usize,
    windows: usize,
    /// Where each element of a window has its row, in panels of so many registers.
    offsets: Vec<Vec<usize>>,
}

/// A run of positions.
#[derive(Clone, Copy)]
struct Run {
    /// The first window's first element, in padded images.
    from: usize,
    /// The first position.
    at: usize,
    len: usize,
}

impl Panels {
    pub fn of(conv: &Conv<'_>) -> Self {
        let p = &conv.patches;
        let ((down, across), (kh, kw)) = (p.windows(), p.kernel);
        let (windows, width) = (down * across, register());
        // The fewest images whose positions fill tiles, or registers next to wholly and many tiles.
        let tile = product_tile().1;
        let full =
            |all: usize| all.is_multiple_of(tile) || all >= 4 * tile && 20 * all.next_multiple_of(width) <= 21 * all;
        let images = (1..=MOST_IMAGES).find(|&n| full(n * windows)).unwrap_or(MOST_IMAGES);
        let (pitch, plane) = (p.width + 2 * p.padding, (p.width + 2 * p.padding) * (p.height + 2 * p.padding));
        let len = p.channels * plane;
        // Windows of one pixel lie side by side across the rows too.
        let (rows, each) =
            if p.kernel == (1, 1) && p.stride == 1 && p.padding == 0 { (1, windows) } else { (down, across) };
        let mut runs = vec![];
        for image in 0..images {
            for row in 0..rows {
                let (mut from, mut at) = (image * len + row * p.stride * pitch, image * windows + row * each);
                let end = at + each;
                while at < end {
                    // Not across the end of a panel.
                    let len = (end - at).min(tile - at % tile);
                    runs.push(Run { from, at, len });
                    (from, at) = (from + len * p.stride, at + len);
                }
            }
        }
        let elements = (0..conv.depth()).map(|k| k / (kh * kw) * plane + k / kw % kh * pitch + k % kw).collect();
        let rows = |registers: usize| (0..conv.depth()).map(|k| k * registers * width).collect();
        let offsets = (0..=tile / width).map(rows).collect();
        Self { images, len, plane, pitch, elements, runs, stride: p.stride, windows, offsets }
    }

    /// Length of the padded images of a group.
    pub fn padded_len(&self, images: usize) -> usize {
        images * self.len
    }

    /// Positions of so many images, rounded up to whole registers.
    pub fn positions(&self, images: usize) -> usize {
        (images * self.windows).next_multiple_of(register())
    }

    /// The panels of so many images: their positions.
    pub fn each(&self, images: usize) -> impl Iterator<Item = Range<usize>> + use<> {
        let (all, tile) = (self.positions(images), product_tile().1);
        (0..all).step_by(tile).map(move |first| first..(first + tile).min(all))
    }

    /// Images with zeros around them; all of `padded` is overwritten.
    pub fn pad(&self, p: &Patches, x: &[f32], padded: &mut [f32]) {
        padded.fill(0.0);
        for (from, to) in x.chunks(p.height * p.width).zip(padded.chunks_mut(self.plane)) {
            for (from, to) in from.chunks(p.width).zip(to[p.padding * self.pitch..].chunks_mut(self.pitch)) {
                copy_row(&mut to[p.padding..][..p.width], from);
            }
        }
    }

    /// Where each element of a window has its row in a panel of so many positions.
    pub fn offsets(&self, positions: usize) -> &[usize] {
        &self.offsets[positions / register()]
    }

    /// Rows of a panel [depth, positions] of so many padded images, from the row `top`, zero behind their last position; all
    /// of them are overwritten.
    pub fn fill(&self, padded: &[f32], images: usize, positions: Range<usize>, top: usize, rows: &mut [f32]) {
        let used = (images * self.windows).clamp(positions.start, positions.end);
        let first = self.runs.partition_point(|run| run.at < positions.start);
        let end = self.runs.partition_point(|run| run.at < used);
        fill(
            rows,
            positions.len(),
            positions.start,
            used,
            padded,
            &self.elements[top..],
            &self.runs[first..end],
            self.stride,
        );
    }
}

simd_fn! { fn fill(
    panel: &mut [f32], width: usize, first: usize, used: usize, x: &[f32], elements: &[usize], runs: &[Run],
    stride: usize,
) {
    for (row, &element) in panel.chunks_exact_mut(width).zip(elements) {
        let x = &x[element..];
        for &Run { from, at, len } in runs {
            let (from, to) = (&x[from..], &mut row[at - first..][..len]);
            if stride == 1 {
                copy_row(to, from);
            } else {
                to.iter_mut().zip(from.iter().step_by(stride)).for_each(|(to, &x)| *to = x);
            }
        }
        row[used - first..].fill(0.0);
    }
} }

/// Copies a row of pixels; the usual lengths as copies of known length, which take no call.
#[inline(always)]
pub(super) fn copy_row(to: &mut [f32], from: &[f32]) {
    match to.len() {
        48 => known::<48>(to, from),
        32 => known::<32>(to, from),
        16 => known::<16>(to, from),
        8 => known::<8>(to, from),
        4 => known::<4>(to, from),
        2 => known::<2>(to, from),
        len => to.copy_from_slice(&from[..len]),
    }
}

#[inline(always)]
fn known<const N: usize>(to: &mut [f32], from: &[f32]) {
    if let (Some(to), Some(from)) = (to.first_chunk_mut::<N>(), from.first_chunk::<N>()) {
        *to = *from;
    }
}
