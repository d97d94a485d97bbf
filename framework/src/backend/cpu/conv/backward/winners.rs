//! The gradients of a convolution behind which 2x2 windows keep their maximum: three of four gradients before pooling are
//! zero, so only the winners are gone over.
//!
//! Images stand in memory with zeros around them and their channels innermost: what a window of the kernel sees is then one
//! run of numbers for each row of the kernel, and so is its filter. A winner adds its gradient times what it sees to the
//! filter's gradient, and its gradient times its filter to the image's at the place that it sees. Every element of a result
//! is one sum, whose order depends neither on the registers nor on the threads.

use super::super::epilogue::slopes_of_winners;
use super::super::layer::Conv;
use super::Part;
use super::kernel::{Correlate, Spread, WIDEST};
use crate::backend::cpu::activation::curves::with_curve;
use crate::backend::cpu::common::lanes::dispatch;
use crate::backend::cpu::common::transpose::transpose;
use crate::backend::cpu::common::{Accumulate, Grad, grad, scratch};

/// Numbers that are gone over for a winner, in those of a filter, up to which this takes less time than going over four
/// positions.
const MOST: usize = 2;

/// Distances and lengths of images and filters with their channels innermost.
pub(in super::super) struct Winners {
    pub kernel: (usize, usize),
    pub stride: usize,
    pub filters: usize,
    /// Windows of the pooling, down and across.
    pub windows: (usize, usize),
    /// Distance of a padded image's rows.
    pub pitch: usize,
    /// Distances of what windows of the pooling next to each other see, down and across.
    pub step: (usize, usize),
    /// Where in an image each place of a window of the pooling sees its first number.
    pub places: [usize; 4],
    /// Length of a row of a filter: whole registers.
    pub run: usize,
    /// Length of a padded image, with room for a register behind it.
    len: usize,
    /// Sides of an image.
    sides: (usize, usize),
    channels: usize,
    /// Where in a padded image the first pixel is.
    first: usize,
}

impl Winners {
    /// The form of a convolution that has it: pooled, one group, and enough channels to fill registers. Its products are f32
    /// always, since a fourth of them takes less time than all in bf16.
    pub fn of(conv: &Conv<'_>) -> Option<Self> {
        let (p, (filters, down, across)) = (&conv.patches, conv.output());
        let (pitch, run) = ((p.width + 2 * p.padding) * p.channels, p.kernel.1 * p.channels);
        let run = run.next_multiple_of(WIDEST);
        if !conv.pool || conv.groups > 1 || p.kernel.0 * run > MOST * p.depth() {
            return None;
        }
        let (below, beside) = (p.stride * pitch, p.stride * p.channels);
        Some(Self {
            kernel: p.kernel,
            stride: p.stride,
            filters,
            windows: (down, across),
            pitch,
            step: (2 * below, 2 * beside),
            places: [0, beside, below, below + beside],
            run,
            len: (p.height + 2 * p.padding) * pitch + WIDEST,
            sides: (p.height, p.width),
            channels: p.channels,
            first: p.padding * pitch + p.padding * p.channels,
        })
    }

    /// Length of all filters with their channels innermost.
    pub fn weights(&self) -> usize {
        self.filters * self.kernel.0 * self.run
    }

    /// Where each weight of `[filters, channels, kernel rows, kernel columns]` has its place among [`Self::weights`].
    fn order(&self) -> impl Iterator<Item = usize> + use<> {
        let ((rows, cols), channels, run) = (self.kernel, self.channels, self.run);
        let of = move |f: usize, c: usize| {
            (0..rows).flat_map(move |r| (0..cols).map(move |k| (f * rows + r) * run + k * channels + c))
        };
        (0..self.filters).flat_map(move |f| (0..channels).flat_map(move |c| of(f, c)))
    }

    /// The weight with its channels innermost, zeros behind each row.
    pub fn turn_weight(&self, weight: &[f32]) -> Vec<f32> {
        let mut turned = vec![0.0; self.weights()];
        self.order().zip(weight).for_each(|(at, &w)| turned[at] = w);
        turned
    }

    /// The inverse of [`Self::turn_weight`].
    pub fn turn_weight_back(&self, turned: &[f32]) -> Vec<f32> {
        self.order().map(|at| turned[at]).collect()
    }

    /// Puts an image into `padded`, which is zero around it.
    fn turn(&self, image: &[f32], padded: &mut [f32]) {
        let ((height, width), channels) = (self.sides, self.channels);
        for (y, to) in padded[self.first..].chunks_mut(self.pitch).take(height).enumerate() {
            transpose(&mut to[..width * channels], channels, &image[y * width..], height * width, channels);
        }
    }

    /// The inverse of [`Self::turn`].
    fn turn_back(&self, padded: &[f32], image: Grad<'_>) {
        let ((height, width), channels) = (self.sides, self.channels);
        scratch::with(width * channels, |lines| {
            for (y, from) in padded[self.first..].chunks(self.pitch).take(height).enumerate() {
                transpose(lines, width, from, channels, width);
                let rows = image.out[y * width..].chunks_mut(height * width);
                for (to, line) in rows.zip(lines.chunks(width)) {
                    match image.mode {
                        Accumulate::Overwrite => to[..width].copy_from_slice(line),
                        Accumulate::Add => to.iter_mut().zip(line).for_each(|(to, line)| *to += line),
                    }
                }
            }
        });
    }
}

impl Part<'_> {
    /// The gradients of some images: `dw` and `weight` with channels innermost.
    pub(super) fn backward_winners(
        &self,
        w: &Winners,
        weight: &[f32],
        dx: Option<Grad<'_>>,
        mut dw: Option<&mut [f32]>,
        db: &mut [f32],
    ) {
        let (conv, image, out) = (self.conv, self.conv.patches.image(), self.conv.output_len());
        let (places, window) = (self.argmax.unwrap_or_default(), w.windows.0 * w.windows.1);
        let len = w.len.next_multiple_of(WIDEST);
        scratch::aligned(2 * len + out, |buffer| {
            let (seen, rest) = buffer.split_at_mut(len);
            let (spread, slopes) = rest.split_at_mut(len);
            seen.fill(0.0);
            for (i, dx) in grad::chunks_or_none(dx, image, self.x.len() / image).enumerate() {
                let range = i * out..(i + 1) * out;
                let (y, dy, places) = (&self.y[range.clone()], &self.dy[range.clone()], &places[range]);
                with_curve!(conv.act, C => slopes_of_winners::<C>(slopes, dy, y, window, db));
                if let Some(sums) = dw.as_deref_mut() {
                    w.turn(&self.x[i * image..][..image], seen);
                    dispatch(Correlate::new(w, slopes, places, seen, sums));
                }
                if let Some(dx) = dx {
                    spread.fill(0.0);
                    dispatch(Spread::new(w, slopes, places, weight, spread));
                    w.turn_back(spread, dx);
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::layer::ConvGrads;
    use super::super::super::{backward, forward};
    use super::*;
    use crate::backend::cpu::common::testing::{assert_close, assert_same_bits, at_each_level, random, wide};
    use crate::backend::{Act, Patches, Precision};

    fn gradients(conv: &Conv<'_>, x: &[f32], y: &[f32], argmax: Option<&[u8]>, dy: &[f32], add: bool) -> [Vec<f32>; 3] {
        let start = if add { 0.5 } else { f32::NAN };
        let mut found = [vec![start; x.len()], vec![start; conv.weight.len()], vec![start; conv.filters]];
        let [dx, dw, db] = &mut found;
        let grad = |out| Some(if add { Grad::add(out) } else { Grad::overwrite(out) });
        backward(conv, x, y, argmax, dy, ConvGrads { dx: grad(dx), dw: grad(dw), dense_dw: true, db: grad(db) });
        found
    }

    #[test]
    fn winners_bring_what_all_positions_bring() {
        // channels, height, width, kernel, stride, padding, filters: registers that are full and not, rows of one register and
        // of many, kernels of more than three rows, a pooling that leaves a row and a column out.
        let shapes = [
            (3, 9, 8, (3, 3), 1, 1, 7),
            (16, 6, 7, (3, 3), 1, 1, 5),
            (32, 4, 6, (3, 3), 1, 1, 9),
            (37, 5, 4, (3, 3), 1, 0, 3),
            (6, 8, 9, (5, 5), 1, 2, 5),
            (20, 6, 6, (1, 1), 1, 0, 6),
            (12, 9, 10, (4, 2), 2, 1, 3),
            (130, 4, 4, (3, 3), 1, 1, 2),
        ];
        at_each_level(|| {
            for (channels, height, width, kernel, stride, padding, filters) in shapes {
                let patches = Patches { channels, height, width, kernel, stride, padding };
                let (weight, bias) = (random(filters * patches.depth(), 1), random(filters, 2));
                let (weight, bias, mask, batch) = (&weight[..], Some(&bias[..]), None, 2);
                let (act, pool, precision) = (Act::Relu, true, Precision::F32);
                let conv = Conv { batch, patches, filters, groups: 1, weight, mask, bias, act, pool, precision };
                let w = Winners::of(&conv).unwrap();
                assert_eq!(w.turn_weight_back(&w.turn_weight(weight)), weight);
                let n = batch * conv.output_len();
                let (x, dy) = (random(batch * patches.image(), 3), random(n, 4));
                let (mut y, mut argmax) = (vec![f32::NAN; n], vec![9; n]);
                forward(&conv, &x, &mut y, Some(&mut argmax));
                // The same gradients as those of all positions, most of which are zero.
                let plain = Conv { act: Act::None, pool: false, ..conv };
                let (down, across) = patches.windows();
                let mut all = vec![0.0; batch * plain.output_len()];
                for (i, ((&dy, &y), &place)) in dy.iter().zip(&y).zip(&argmax).enumerate() {
                    let (plane, at) = (i / (w.windows.0 * w.windows.1), i % (w.windows.0 * w.windows.1));
                    let row = 2 * (at / w.windows.1) + usize::from(place) / 2;
                    let col = 2 * (at % w.windows.1) + usize::from(place) % 2;
                    all[(plane * down + row) * across + col] = if y > 0.0 { dy } else { 0.0 };
                }
                for add in [false, true] {
                    let expected = gradients(&plain, &x, &all, None, &all, add);
                    let found = gradients(&conv, &x, &y, Some(&argmax), &dy, add);
                    for (what, (found, expected)) in ["dx", "dw", "db"].iter().zip(found.iter().zip(&expected)) {
                        assert_close(found, &wide(expected), 1e-5, &format!("{what} of {patches:?}"));
                    }
                }
            }
        });
    }

    #[test]
    fn threads_do_not_change_bits() {
        let patches = Patches { channels: 16, height: 12, width: 11, kernel: (3, 3), stride: 1, padding: 1 };
        let (weight, filters, batch) = (random(24 * patches.depth(), 1), 24, 21);
        let (weight, bias, mask, act) = (&weight[..], None, None, Act::Tanh);
        let (pool, precision) = (true, Precision::F32);
        let conv = Conv { batch, patches, filters, groups: 1, weight, mask, bias, act, pool, precision };
        let n = batch * conv.output_len();
        let (x, dy) = (random(batch * patches.image(), 3), random(n, 4));
        assert_same_bits(|| {
            let (mut y, mut argmax) = (vec![f32::NAN; n], vec![9; n]);
            forward(&conv, &x, &mut y, Some(&mut argmax));
            gradients(&conv, &x, &y, Some(&argmax), &dy, false).concat()
        });
    }

    #[test]
    fn only_channels_that_fill_registers_are_worth_it() {
        let of = |channels, kernel, pool| {
            let patches = Patches { channels, height: 8, width: 8, kernel: (kernel, kernel), stride: 1, padding: 1 };
            let (mask, bias, act, precision) = (None, None, Act::Relu, Precision::F32);
            Winners::of(&Conv {
                batch: 1,
                patches,
                filters: 4,
                groups: 1,
                weight: &[],
                mask,
                bias,
                act,
                pool,
                precision,
            })
        };
        assert!(of(3, 3, true).is_some() && of(3, 3, false).is_none() && of(1, 3, true).is_none());
    }
}
