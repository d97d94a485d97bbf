//! Convolution with filters of one channel each, and its gradients: a direct kernel for every stride.
//!
//! The results of a channel are sums of shifted copies of its [`Phases`], each one long row of vectors; what comes of the
//! columns between two rows of windows is left aside.

use super::layer::Conv;
use super::phases::Phases;
use crate::backend::cpu::common::simd::{LANES, simd_fn, sum_of_pairs};
use crate::backend::cpu::common::{Grad, scratch};

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
    phases: Phases,
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
        let (phases, area) = (Phases::of(p), p.kernel.0 * p.kernel.1);
        let (of, at) = (|k| phases.element(k).0, |k| phases.element(k).1);
        let (pitch, front) = (phases.pitch, phases.furthest());
        let plane = (p.windows().0 * pitch).next_multiple_of(LANES);
        let (x_len, dy_plane) = (phases.count() * phases.len + front + plane, front + phases.len.max(plane));
        let reaching = |wanted: usize| {
            let filters = (0..conv.filters / conv.groups).flat_map(|f| (0..area).map(move |k| (f, k)));
            let taps = filters.filter(|(_, k)| of(*k) == wanted);
            taps.map(|(f, k)| (f * area + k, f * dy_plane + front - at(k))).collect()
        };
        let taps = (0..area).map(|k| (k, of(k) * phases.len + at(k))).collect();
        let back = (0..phases.count()).map(reaching).collect();
        Some(Self { pitch, plane, x_len, dy_plane, front, phases, taps, back })
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
            self.phases.deal(&conv.patches, x, dealt);
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
            self.phases.deal(&conv.patches, x, dealt);
            for (dw, dpre) in dw.chunks_mut(area).zip(dpre.chunks(self.dy_plane)) {
                correlate(dw, &dpre[self.front..][..self.plane], dealt, &self.taps);
            }
        }
    }

    /// The gradient of an image.
    pub fn input_gradient(&self, conv: &Conv<'_>, weight: &[f32], dpre: &[f32], dx: Grad<'_>) {
        let (p, area, each) = (&conv.patches, self.taps.len(), conv.filters / conv.groups);
        scratch::with(self.back.len() * self.phases.len, |dealt| {
            let channels = dx.out.chunks_mut(p.height * p.width).zip(weight.chunks(each * area));
            for ((dx_plane, weight), dpre) in channels.zip(dpre.chunks(each * self.dy_plane)) {
                for (dealt, taps) in dealt.chunks_mut(self.phases.len).zip(&self.back) {
                    combine(dealt, dpre, weight, taps);
                }
                self.phases.gather(p, dealt, &mut Grad { out: dx_plane, mode: dx.mode });
            }
        });
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
