//! Pixels on their way into products: B^T d B of the 4x4 pixels d of every tile.

use super::{Layout, PRODUCTS, SHORT, SIDE};
use crate::backend::Patches;
use crate::backend::cpu::common::lanes::{Lanes, Portable};
use crate::backend::cpu::common::scratch;
use crate::backend::cpu::common::simd::{Level, level, simd_fn};
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{__m256, __m512};

/// B^T d B of every tile and of as many channels as fit, from the channel `first`.
pub(super) fn turn_pixels(p: &Patches, layout: Layout, x: &[f32], first: usize, turned: &mut [f32]) {
    scratch::aligned(layout.dealt(), |dealt| {
        // What no image reaches, and what registers read beyond the end.
        dealt.fill(0.0);
        for (i, turned) in turned.chunks_mut(layout.channel).enumerate() {
            deal(p, layout, &x[(first + i) * p.height * p.width..], dealt);
            turn_channel(layout, dealt, turned);
        }
    });
}

simd_fn! {
    /// The pixels of a channel as tiles see them: for each row of the padded images, and for each column of a tile, that pixel of
    /// every tile of the row of tiles. What lies outside of the images is left as it is.
    fn deal(p: &Patches, layout: Layout, x: &[f32], dealt: &mut [f32]) {
        let (image, line) = (p.image(), layout.line);
        let images = x.len().div_ceil(image).min(layout.images);
        for row in 0..p.height.min((2 * layout.down + 2).saturating_sub(p.padding)) {
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
                if layout.across < SHORT {
                    for (tile, from) in (start..end).zip((from..).step_by(2)) {
                        let pixels = x[from..].iter().step_by(image);
                        to[tile..].iter_mut().step_by(layout.across).zip(pixels).take(images).for_each(|(to, x)| *to = *x);
                    }
                    continue;
                }
                for (to, x) in to.chunks_mut(layout.across).zip(x.chunks(image)) {
                    let (to, x) = (&mut to[start..end], &x[from..p.width]);
                    let (pairs, last) = x.as_chunks::<2>();
                    to.iter_mut().zip(pairs).for_each(|(to, pair)| *to = pair[0]);
                    to[pairs.len().min(end - start)..].iter_mut().zip(last).for_each(|(to, x)| *to = *x);
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
