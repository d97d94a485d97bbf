//! Depthwise convolution of a network that does nothing but answer, the channels of each image on several threads.
//!
//! Windows of 3x3 that leave an image its size, which most are, have a kernel of their own here. An image as it lies in
//! memory is one row: the pixel above another is a row's length before it. What the first and the last column would see of
//! the rows beside is left out by masks, so that results are as many as pixels, and are written with bias and activation
//! at once. Others go through the general kernel.

use super::spread::Values;
use crate::backend::Patches;
use crate::backend::cpu::activation::curves::{Curve, with_curve};
use crate::backend::cpu::common::simd::simd_fn;
use crate::backend::cpu::common::{par, scratch};
use crate::backend::cpu::conv::depthwise::Depthwise;
use crate::backend::cpu::conv::epilogue::finish_added;
use crate::backend::cpu::conv::layer::Conv;

/// Elements of an image's results that are enough for another thread.
const PART: usize = 1 << 12;
/// Results at once.
const AT_ONCE: usize = 16;

/// Windows of 3x3 that leave an image its size.
pub(super) struct Same {
    width: usize,
    /// For each pixel all bits, or none where it has no neighbour on the left.
    left: Vec<u32>,
    /// The same on the right.
    right: Vec<u32>,
}

impl Same {
    /// The form of a convolution that has it.
    pub fn of(conv: &Conv<'_>) -> Option<Self> {
        let Patches { height, width, kernel, stride, padding, .. } = conv.patches;
        if (kernel, stride, padding) != ((3, 3), 1, 1) || conv.pool || width == 0 {
            return None;
        }
        let area = (height * width).next_multiple_of(AT_ONCE);
        let mask = |without: usize| (0..area).map(|i| if i % width == without { 0 } else { u32::MAX }).collect();
        Some(Self { width, left: mask(0), right: mask(width - 1) })
    }

    /// A plane between zeros.
    fn padded(&self) -> usize {
        self.left.len() + 2 * (self.width + 1)
    }
}

/// Computes `y` from `x` and from what is added; all of `y` is overwritten.
pub(super) fn forward(
    conv: &Conv<'_>,
    (of, same): (&Depthwise, Option<&Same>),
    weight: &[f32],
    (x, added, y): Values<'_>,
) {
    let ((_, rows, cols), p) = (conv.output(), conv.patches);
    let (area, plane, kernel) = (rows * cols, p.height * p.width, p.kernel.0 * p.kernel.1);
    let each = conv.filters / conv.groups;
    // Channels a piece, those of several images one after the other.
    let some = PART.div_ceil(each * of.plane).min(conv.groups);
    let images = x.chunks(p.image()).zip(y.chunks_mut(conv.output_len()));
    let images = images.zip(par::chunks_or_none(added, conv.output_len(), conv.batch));
    let pieces = images.flat_map(|((x, y), added)| {
        let parts = par::chunks_or_none(added, some * each * area, conv.groups.div_ceil(some));
        let parts = x.chunks(some * plane).zip(y.chunks_mut(some * each * area)).zip(parts).enumerate();
        parts.map(|(i, ((x, y), added))| (i * some, x, y, added))
    });
    // Reading and writing takes longer here than computing.
    let work = conv.flops().saturating_mul(4);
    par::for_each(work, pieces, |(first, x, y, added)| {
        let groups = x.len() / plane;
        let filters = first * each..(first + groups) * each;
        let bias = conv.bias.map(|bias| &bias[filters.clone()]);
        let weight = &weight[filters.start * kernel..filters.end * kernel];
        if let Some(same) = same {
            return scratch::aligned(same.padded(), |padded| {
                padded.fill(0.0);
                with_curve!(conv.act, C => planes::<C>(same, padded, (x, plane), (weight, each), bias, added, y));
            });
        }
        let patches = Patches { channels: groups, ..p };
        let part = Conv { patches, groups, filters: filters.len(), bias, ..*conv };
        scratch::with(of.x_len + of.raw_len(part.filters), |buffer| {
            let (dealt, raw) = buffer.split_at_mut(of.x_len);
            dealt.fill(0.0);
            of.products(&part, weight, x, dealt, raw);
            finish_added(&part, raw, of.plane, of.pitch, y, (added, None));
        });
    });
}

simd_fn! {
    /// The results of channels: planes of so many pixels, each under as many filters as a channel has.
    fn planes<C: Curve>(
        same: &Same, padded: &mut [f32], planes: (&[f32], usize), weight: (&[f32], usize), bias: Option<&[f32]>,
        added: Option<&[f32]>, y: &mut [f32],
    ) {
        let ((x, area), (weight, each), width) = (planes, weight, same.width);
        let filters = weight.as_chunks::<9>().0;
        for (channel, x) in x.chunks_exact(area).enumerate() {
            padded[width + 1..][..area].copy_from_slice(x);
            for (f, w) in filters.iter().enumerate().skip(channel * each).take(each) {
                let (bias, y) = (bias.map_or(0.0, |bias| bias[f]), &mut y[f * area..][..area]);
                let added = added.map(|added| &added[f * area..][..area]);
                let masks = same.left.as_chunks::<AT_ONCE>().0.iter().zip(same.right.as_chunks::<AT_ONCE>().0);
                for (i, (left, right)) in masks.enumerate() {
                    let first = i * AT_ONCE;
                    // From the pixel above and left of the first.
                    let x = &padded[first..][..2 * width + 2 + AT_ONCE];
                    let (mut before, mut middle, mut behind) = ([0.0; AT_ONCE], [bias; AT_ONCE], [0.0; AT_ONCE]);
                    for row in 0..3 {
                        let [a, b, c] = [w[3 * row], w[3 * row + 1], w[3 * row + 2]];
                        add(&mut before, a, &x[row * width..]);
                        add(&mut middle, b, &x[row * width + 1..]);
                        add(&mut behind, c, &x[row * width + 2..]);
                    }
                    let mut sums = [0.0_f32; AT_ONCE];
                    for i in 0..AT_ONCE {
                        let before = f32::from_bits(before[i].to_bits() & left[i]);
                        let behind = f32::from_bits(behind[i].to_bits() & right[i]);
                        sums[i] = middle[i] + before + behind;
                    }
                    let rest = area.saturating_sub(first).min(AT_ONCE);
                    if let Some(added) = added {
                        sums.iter_mut().zip(&added[first..][..rest]).for_each(|(sum, added)| *sum += added);
                    }
                    sums.iter_mut().for_each(|sum| *sum = C::value(*sum));
                    match y[first..].first_chunk_mut() {
                        Some(y) => *y = sums,
                        None => y[first..].copy_from_slice(&sums[..rest]),
                    }
                }
            }
        }
    }
}

/// sums += w x.
#[inline(always)]
fn add(sums: &mut [f32; AT_ONCE], w: f32, x: &[f32]) {
    let x: &[f32; AT_ONCE] = x.first_chunk().expect("a plane between zeros");
    for (sum, &x) in sums.iter_mut().zip(x) {
        *sum += w * x;
    }
}
