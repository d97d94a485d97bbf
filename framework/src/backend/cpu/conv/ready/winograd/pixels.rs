//! Pixels on their way into products: B^T d B of the 4x4 pixels d of every tile.

use super::{Layout, PRODUCTS, SHORT, SIDE};
use crate::backend::Patches;
use crate::backend::cpu::common::lanes::{Lanes, Portable};
use crate::backend::cpu::common::scratch;
use crate::backend::cpu::common::simd::{Level, level, simd_fn};
use crate::backend::cpu::conv::panels::copy_row;
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{__m256, __m512};

/// B^T d B of every tile and of as many channels as fit, from the channel `first`.
pub(super) fn turn_pixels(p: &Patches, layout: Layout, x: &[f32], first: usize, turned: &mut [f32]) {
    let plane = if layout.across < SHORT { 0 } else { p.height * 2 * (layout.across + 1) };
    scratch::aligned(layout.dealt() + 2 * plane, |buffer| {
        // What no image reaches, and what registers read beyond the end.
        buffer.fill(0.0);
        let (dealt, planes) = buffer.split_at_mut(layout.dealt());
        for (i, turned) in turned.chunks_mut(layout.channel).enumerate() {
            let x = &x[(first + i) * p.height * p.width..];
            if plane > 0 {
                deal_planes(p, layout, x, dealt, planes);
            } else {
                deal(p, layout, x, dealt);
            }
            turn_channel(layout, dealt, turned);
        }
    });
}

/// Rows of an image that tiles see.
fn rows_seen(p: &Patches, layout: Layout) -> usize {
    p.height.min((2 * layout.down + 2).saturating_sub(p.padding))
}

simd_fn! {
    /// [`deal`] where many tiles lie across an image: its even and its odd columns are parted first. `planes` have room for an
    /// image of the channel with zeros at the ends of its rows, and for its columns.
    fn deal_planes(p: &Patches, layout: Layout, x: &[f32], dealt: &mut [f32], planes: &mut [f32]) {
        let Layout { across, line, images, .. } = layout;
        let (plane, columns) = planes.split_at_mut(planes.len() / 2);
        let (even, odd) = columns.split_at_mut(columns.len() / 2);
        for (i, x) in x.chunks(p.image()).take(images).enumerate() {
            for (to, x) in plane.chunks_exact_mut(2 * (across + 1)).zip(x.chunks(p.width)) {
                copy_row(&mut to[p.padding..][..p.width], x);
            }
            for ((pair, even), odd) in plane.as_chunks::<2>().0.iter().zip(&mut *even).zip(&mut *odd) {
                (*even, *odd) = (pair[0], pair[1]);
            }
            for row in 0..rows_seen(p, layout) {
                for column in 0..SIDE {
                    let from = if column % 2 == 0 { &*even } else { &*odd };
                    let to = &mut dealt[((row + p.padding) * SIDE + column) * line + i * across..][..across];
                    copy_row(to, &from[row * (across + 1) + column / 2..]);
                }
            }
        }
    }
}

simd_fn! {
    /// The pixels of a channel as tiles see them: for each row of the padded images, and for each column of a tile, that pixel of
    /// every tile of the row of tiles. What lies outside of the images is left as it is.
    fn deal(p: &Patches, layout: Layout, x: &[f32], dealt: &mut [f32]) {
        let (image, line) = (p.image(), layout.line);
        let images = x.len().div_ceil(image).min(layout.images);
        for row in 0..rows_seen(p, layout) {
            let x = &x[row * p.width..];
            for column in 0..SIDE {
                let to = &mut dealt[((row + p.padding) * SIDE + column) * line..][..line];
                // Tiles whose pixel of this column is in the image, and its place there for the first of them.
                let start = p.padding.saturating_sub(column).div_ceil(2);
                let end = (p.width + p.padding).saturating_sub(column).div_ceil(2).min(layout.across);
                if start >= end {
                    continue;
                }
                let from = 2 * start + column - p.padding;
                for (tile, from) in (start..end).zip((from..).step_by(2)) {
                    let pixels = x[from..].iter().step_by(image);
                    to[tile..].iter_mut().step_by(layout.across).zip(pixels).take(images).for_each(|(to, x)| *to = *x);
                }
            }
        }
    }
}

/// B^T d B of every tile of a channel.
fn turn_channel(layout: Layout, dealt: &[f32], turned: &mut [f32]) {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx2,fma")]
        fn avx512(layout: Layout, dealt: &[f32], turned: &mut [f32]) {
            // SAFETY: this function has the features.
            unsafe { turn_channel_body::<__m512>(layout, dealt, turned) }
        }
        #[target_feature(enable = "avx2,fma")]
        fn avx2(layout: Layout, dealt: &[f32], turned: &mut [f32]) {
            // SAFETY: this function has the features.
            unsafe { turn_channel_body::<__m256>(layout, dealt, turned) }
        }
        match level() {
            // SAFETY: `level` reports this only where the processor has the features.
            Level::Avx512 => return unsafe { avx512(layout, dealt, turned) },
            // SAFETY: as above.
            Level::Avx2 => return unsafe { avx2(layout, dealt, turned) },
            Level::Baseline => {}
        }
    }
    // SAFETY: any processor can do this.
    unsafe { turn_channel_body::<Portable>(layout, dealt, turned) }
}

/// # Safety
/// The processor has the instructions of `V`.
#[inline(always)]
unsafe fn turn_channel_body<V: Lanes>(layout: Layout, dealt: &[f32], turned: &mut [f32]) {
    let Layout { down, line, stride, .. } = layout;
    let last = (down - 1) * line + line.max(V::WIDTH);
    assert!(dealt.len() >= layout.dealt() && last <= stride && turned.len() >= PRODUCTS * stride, "room for tiles");
    for row in 0..down {
        for at in starts::<V>(line) {
            // SAFETY: a tile's rows are among those dealt, with a register more; `at` + a register is at most the line, or a
            // register where that is longer, which the distance of rows allows for.
            unsafe {
                let from = dealt.as_ptr().add(2 * row * SIDE * line + at);
                let d: [[V; SIDE]; SIDE] =
                    std::array::from_fn(|r| std::array::from_fn(|c| V::load(from.add((r * SIDE + c) * line))));
                let (one, minus) = (V::splat(1.0), V::splat(-1.0));
                let mut t = d;
                for c in 0..SIDE {
                    let column = turn([d[0][c], d[1][c], d[2][c], d[3][c]], one, minus);
                    for (t, v) in t.iter_mut().zip(column) {
                        t[c] = v;
                    }
                }
                let to = turned.as_mut_ptr().add(row * line + at);
                for (r, t) in t.into_iter().enumerate() {
                    for (c, v) in turn(t, one, minus).into_iter().enumerate() {
                        v.store(to.add((r * SIDE + c) * stride));
                    }
                }
            }
        }
    }
}

/// B^T of four.
///
/// # Safety
/// The processor has the instructions of `V`.
#[inline(always)]
unsafe fn turn<V: Lanes>([a, b, c, d]: [V; SIDE], one: V, minus: V) -> [V; SIDE] {
    // SAFETY: the caller's promise.
    unsafe { [a.add_product(c, minus), b.add_product(c, one), c.add_product(b, minus), b.add_product(d, minus)] }
}

/// Where registers begin that cover a row, the last one at its end.
fn starts<V: Lanes>(line: usize) -> impl Iterator<Item = usize> {
    (0..line).step_by(V::WIDTH).map(move |at| at.min(line.saturating_sub(V::WIDTH)))
}
