//! Convolution with filters of one channel each, and its gradients: a direct kernel for every stride.
//!
//! A channel is padded with zeros and dealt out into phases: pixels whose rows and columns leave the same remainders by
//! the stride. In its phase an element of a window lies one pixel further for each window across, and one row further
//! for each window down. So the results of a channel are sums of shifted copies of its phases, each one long row of
//! vectors; what comes of the columns between two rows of windows is left aside.

use super::layer::Conv;
use crate::backend::Patches;
use crate::backend::cpu::common::scratch;
use crate::backend::cpu::common::simd::{LANES, simd_fn, sum_of_pairs};
use crate::backend::cpu::common::{Accumulate, Grad};

/// Distances and lengths of dealt out channels, and of output gradients.
pub(super) struct Depthwise {
    /// Distance of rows, in phases as in results.
    pub pitch: usize,
    /// Distance of filters in the results.
    pub plane: usize,
    /// Length of a dealt out channel.
    pub x_len: usize,
    /// Distance of filters in the output gradients.
    pub dy_plane: usize,
    /// Zeros before each filter's output gradient.
    pub front: usize,
    /// Phases down and across that windows have elements in.
    phases: (usize, usize),
    /// Distance of phases in a dealt out channel.
    phase: usize,
    /// Elements of a window: its number, and where in a dealt out channel that of the first window is.
    taps: Vec<(usize, usize)>,
    /// For each phase the elements of all filters of a channel that reach it, by their numbers, and where in the output
    /// gradients the first window is from there.
    back: Vec<Vec<(usize, usize)>>,
}

impl Depthwise {
    /// The direct form of a convolution whose filters have one channel each, as soon as there are several channels.
    pub fn of(conv: &Conv<'_>) -> Option<Self> {
        let p = &conv.patches;
        if conv.groups != p.channels || conv.groups < 2 {
            return None;
        }
        let (stride, (kh, kw), (down, _)) = (p.stride, p.kernel, p.windows());
        let phases = (kh.min(stride), kw.min(stride));
        let (rows, pitch) = ((p.height + 2 * p.padding).div_ceil(stride), (p.width + 2 * p.padding).div_ceil(stride));
        let (plane, phase) = ((down * pitch).next_multiple_of(LANES), (rows * pitch).next_multiple_of(LANES));
        let of = |k: usize| k / kw % stride * phases.1 + k % kw % stride;
        let at = |k: usize| k / kw / stride * pitch + k % kw / stride;
        let (area, all) = (kh * kw, phases.0 * phases.1);
        let front = (0..area).map(at).max().unwrap_or(0);
        let (x_len, dy_plane) = (all * phase + front + plane, front + phase.max(plane));
        let reaching = |wanted: usize| {
            let filters = (0..conv.filters / conv.groups).flat_map(|f| (0..area).map(move |k| (f, k)));
            let taps = filters.filter(|(_, k)| of(*k) == wanted);
            taps.map(|(f, k)| (f * area + k, f * dy_plane + front - at(k))).collect()
        };
        let taps = (0..area).map(|k| (k, of(k) * phase + at(k))).collect();
        Some(Self { pitch, plane, x_len, dy_plane, front, phases, phase, taps, back: (0..all).map(reaching).collect() })
    }

    /// Length of the results of so many filters.
    pub fn raw_len(&self, filters: usize) -> usize {
        filters * self.plane
    }

    /// Length of the output gradients of so many filters.
    pub fn dy_len(&self, filters: usize) -> usize {
        filters * self.dy_plane
    }

    /// The results of every filter, `plane` apart; `dealt` is zero where no pixel belongs.
    pub fn products(&self, conv: &Conv<'_>, weight: &[f32], x: &[f32], dealt: &mut [f32], raw: &mut [f32]) {
        let (area, each) = (self.taps.len(), conv.filters / conv.groups);
        let channels = x.chunks(conv.patches.height * conv.patches.width).zip(weight.chunks(each * area));
        for ((x, weight), raw) in channels.zip(raw.chunks_mut(each * self.plane)) {
            self.deal(&conv.patches, x, dealt);
            for (weight, raw) in weight.chunks(area).zip(raw.chunks_mut(self.plane)) {
                combine(raw, dealt, weight, &self.taps);
            }
        }
    }

    /// Adds an image's part of the gradient of the weight, from `dpre`: filters `dy_plane` apart, each after its zeros.
    pub fn weight_gradient(&self, conv: &Conv<'_>, x: &[f32], dpre: &[f32], dealt: &mut [f32], dw: &mut [f32]) {
        let (area, each) = (self.taps.len(), conv.filters / conv.groups);
        let channels = x.chunks(conv.patches.height * conv.patches.width).zip(dw.chunks_mut(each * area));
        for ((x, dw), dpre) in channels.zip(dpre.chunks(each * self.dy_plane)) {
            self.deal(&conv.patches, x, dealt);
            for (dw, dpre) in dw.chunks_mut(area).zip(dpre.chunks(self.dy_plane)) {
                correlate(dw, &dpre[self.front..][..self.plane], dealt, &self.taps);
            }
        }
    }

    /// The gradient of an image.
    pub fn input_gradient(&self, conv: &Conv<'_>, weight: &[f32], dpre: &[f32], dx: Grad<'_>) {
        let (p, area, each) = (&conv.patches, self.taps.len(), conv.filters / conv.groups);
        scratch::with(self.back.len() * self.phase, |dealt| {
            let channels = dx.out.chunks_mut(p.height * p.width).zip(weight.chunks(each * area));
            for ((dx_plane, weight), dpre) in channels.zip(dpre.chunks(each * self.dy_plane)) {
                for (dealt, taps) in dealt.chunks_mut(self.phase).zip(&self.back) {
                    combine(dealt, dpre, weight, taps);
                }
                self.gather(p, dealt, &mut Grad { out: dx_plane, mode: dx.mode });
            }
        });
    }

    /// Deals a channel out into its phases.
    fn deal(&self, p: &Patches, x: &[f32], dealt: &mut [f32]) {
        for (row, x) in x.chunks(p.width).enumerate() {
            for (column, at) in self.places(p, row) {
                let x = &x[column.min(x.len())..];
                if p.stride == 1 {
                    dealt[at..][..x.len()].copy_from_slice(x);
                } else {
                    dealt[at..].iter_mut().zip(x.iter().step_by(p.stride)).for_each(|(to, x)| *to = *x);
                }
            }
        }
    }

    /// Puts a channel together from its phases; pixels that no window reaches are zero.
    fn gather(&self, p: &Patches, dealt: &[f32], to: &mut Grad<'_>) {
        let add = to.mode == Accumulate::Add;
        for (row, to) in to.out.chunks_mut(p.width).enumerate() {
            if !add {
                to.fill(0.0);
            }
            for (column, at) in self.places(p, row) {
                let to = to.iter_mut().skip(column).step_by(p.stride);
                to.zip(&dealt[at..]).for_each(|(to, v)| *to += v);
            }
        }
    }

    /// For each phase that a row of the image has pixels in: the first of its columns, and where that is dealt to.
    fn places(&self, p: &Patches, row: usize) -> impl Iterator<Item = (usize, usize)> {
        let (stride, padding, row, (down, across)) = (p.stride, p.padding, row + p.padding, self.phases);
        let (phase, pitch) = (self.phase, self.pitch);
        let columns = if row % stride < down { 0..across } else { 0..0 };
        columns.map(move |remainder| {
            let column = (remainder + stride - padding % stride) % stride;
            let of = row % stride * across + remainder;
            (column, of * phase + row / stride * pitch + (column + padding) / stride)
        })
    }
}

simd_fn! {
    /// out[i] = the sum of w[k] x[offset + i] over the taps; `out` is whole vectors.
    fn combine(out: &mut [f32], x: &[f32], w: &[f32], taps: &[(usize, usize)]) {
        for (i, out) in out.as_chunks_mut::<LANES>().0.iter_mut().enumerate() {
            let mut sums = [0.0; LANES];
            for &(k, offset) in taps {
                let w = w[k];
                let x: &[f32; LANES] = x[offset + i * LANES..].first_chunk().expect("rows that end in zeros");
                for (sum, &x) in sums.iter_mut().zip(x) {
                    *sum += w * x;
                }
            }
            *out = sums;
        }
    }
}

simd_fn! {
    /// Adds the sum of d[i] x[offset + i] to every element of the kernel.
    fn correlate(dw: &mut [f32], d: &[f32], x: &[f32], taps: &[(usize, usize)]) {
        for (dw, &(_, offset)) in dw.iter_mut().zip(taps) {
            *dw += sum_of_pairs(d, &x[offset..][..d.len()], |d, x| d * x);
        }
    }
}
