//! Images dealt out into phases, for convolutions of every stride.
//!
//! A channel is padded with zeros and dealt out: pixels whose rows and columns leave the same remainders by the stride are
//! a phase. In its phase an element of a window lies one pixel further for each window across, and one row further for
//! each window down: what a weight is multiplied by is one long row of vectors.

use super::panels::copy_row;
use crate::backend::Patches;
use crate::backend::cpu::common::simd::{LANES, simd_fn};
use crate::backend::cpu::common::{Accumulate, Grad};

/// How a channel is dealt out.
pub(super) struct Phases {
    /// Distance of rows.
    pub pitch: usize,
    /// Distance of phases: whole vectors.
    pub len: usize,
    /// Phases down and across that windows have elements in.
    counts: (usize, usize),
    kernel: (usize, usize),
    stride: usize,
}

impl Phases {
    /// Those of a channel of an image under windows.
    pub fn of(p: &Patches) -> Self {
        let (stride, kernel) = (p.stride, p.kernel);
        let (rows, pitch) = ((p.height + 2 * p.padding).div_ceil(stride), (p.width + 2 * p.padding).div_ceil(stride));
        let (len, counts) = ((rows * pitch).next_multiple_of(LANES), (kernel.0.min(stride), kernel.1.min(stride)));
        Self { pitch, len, counts, kernel, stride }
    }

    /// Phases of a channel.
    pub fn count(&self) -> usize {
        self.counts.0 * self.counts.1
    }

    /// The phase that an element of a window lies in, and where in it that of the first window is.
    pub fn element(&self, k: usize) -> (usize, usize) {
        let (row, column) = (k / self.kernel.1, k % self.kernel.1);
        let of = row % self.stride * self.counts.1 + column % self.stride;
        (of, row / self.stride * self.pitch + column / self.stride)
    }

    /// Where in its phase the last element of the first window is.
    pub fn furthest(&self) -> usize {
        (self.kernel.0.max(1) - 1) / self.stride * self.pitch + (self.kernel.1.max(1) - 1) / self.stride
    }

    /// Deals a channel out into its phases.
    pub fn deal(&self, p: &Patches, x: &[f32], dealt: &mut [f32]) {
        deal(self, p, x, dealt);
    }

    /// Puts a channel together from its phases; pixels that no window reaches are zero.
    pub fn gather(&self, p: &Patches, dealt: &[f32], to: &mut Grad<'_>) {
        gather(self, p, dealt, to.out, to.mode);
    }

    /// For each phase that a row of the image has pixels in: the first of its columns, and where that is dealt to.
    fn places(&self, p: &Patches, row: usize) -> impl Iterator<Item = (usize, usize)> {
        let (stride, padding, row, (down, across)) = (p.stride, p.padding, row + p.padding, self.counts);
        let (len, pitch) = (self.len, self.pitch);
        let columns = if row % stride < down { 0..across } else { 0..0 };
        columns.map(move |remainder| {
            let column = (remainder + stride - padding % stride) % stride;
            let of = row % stride * across + remainder;
            (column, of * len + row / stride * pitch + (column + padding) / stride)
        })
    }
}

simd_fn! { fn deal(phases: &Phases, p: &Patches, x: &[f32], dealt: &mut [f32]) {
    for (row, x) in x.chunks(p.width).enumerate() {
        for (column, at) in phases.places(p, row) {
            let (x, to) = (&x[column.min(x.len())..], &mut dealt[at..]);
            match p.stride {
                1 => copy_row(&mut to[..x.len()], x),
                // The usual stride, in pairs of known length.
                2 => {
                    let (pairs, last) = x.as_chunks::<2>();
                    to.iter_mut().zip(pairs).for_each(|(to, pair)| *to = pair[0]);
                    last.iter().for_each(|x| to[pairs.len()] = *x);
                }
                _ => to.iter_mut().zip(x.iter().step_by(p.stride)).for_each(|(to, x)| *to = *x),
            }
        }
    }
} }

simd_fn! { fn gather(phases: &Phases, p: &Patches, dealt: &[f32], out: &mut [f32], mode: Accumulate) {
    for (row, to) in out.chunks_mut(p.width).enumerate() {
        if mode == Accumulate::Overwrite {
            to.fill(0.0);
        }
        if (p.stride, phases.counts.1) == (2, 2) {
            // The usual stride, in pairs: a pixel of one phase, and one of the other.
            let mut from = [&dealt[..0]; 2];
            phases.places(p, row).for_each(|(column, at)| from[column] = &dealt[at..]);
            let (pairs, last) = to.as_chunks_mut::<2>();
            let reached = pairs.len();
            for ((pair, a), b) in pairs.iter_mut().zip(from[0]).zip(from[1]) {
                pair[0] += a;
                pair[1] += b;
            }
            last.iter_mut().zip(from[0].get(reached)).for_each(|(to, v)| *to += v);
            continue;
        }
        for (column, at) in phases.places(p, row) {
            let to = to.iter_mut().skip(column).step_by(p.stride);
            to.zip(&dealt[at..]).for_each(|(to, v)| *to += v);
        }
    }
} }
