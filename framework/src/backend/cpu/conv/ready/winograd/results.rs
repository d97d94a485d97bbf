//! Results on their way out of products: A^T m A of the 16 sums m of every tile.

use super::{Layout, PRODUCTS, SHORT, SIDE};
use crate::backend::Patches;
use crate::backend::cpu::common::lanes::{Lanes, Portable};
use crate::backend::cpu::common::scratch;
use crate::backend::cpu::common::simd::{Level, level, simd_fn};
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{__m256, __m512};

/// A^T m A of every tile and of as many filters as there is room for in `raw` [filters, images, rows, columns], from sums
/// [products, filters, tiles], of which `filters` are rows.
pub(super) fn turn_back(p: &Patches, layout: Layout, sums: &[f32], filters: usize, raw: &mut [f32]) {
    let (down, across) = p.windows();
    scratch::aligned(SIDE * layout.stride, |outputs| {
        for (filter, raw) in raw.chunks_mut(layout.images * down * across).enumerate() {
            outputs_of(layout, &sums[filter * layout.stride..], filters * layout.stride, outputs);
            put(layout, (down, across), outputs, raw);
        }
    });
}

/// A^T m A of every tile of a filter: its four outputs, `stride` apart. Products of a filter are `distance` apart.
fn outputs_of(layout: Layout, sums: &[f32], distance: usize, outputs: &mut [f32]) {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx2,fma")]
        fn avx512(layout: Layout, sums: &[f32], distance: usize, outputs: &mut [f32]) {
            // SAFETY: this function has the features.
            unsafe { outputs_body::<__m512>(layout, sums, distance, outputs) }
        }
        #[target_feature(enable = "avx2,fma")]
        fn avx2(layout: Layout, sums: &[f32], distance: usize, outputs: &mut [f32]) {
            // SAFETY: this function has the features.
            unsafe { outputs_body::<__m256>(layout, sums, distance, outputs) }
        }
        match level() {
            // SAFETY: `level` reports this only where the processor has the features.
            Level::Avx512 => return unsafe { avx512(layout, sums, distance, outputs) },
            // SAFETY: as above.
            Level::Avx2 => return unsafe { avx2(layout, sums, distance, outputs) },
            Level::Baseline => {}
        }
    }
    // SAFETY: any processor can do this.
    unsafe { outputs_body::<Portable>(layout, sums, distance, outputs) }
}

/// # Safety
/// The processor has the instructions of `V`.
#[inline(always)]
unsafe fn outputs_body<V: Lanes>(layout: Layout, sums: &[f32], distance: usize, outputs: &mut [f32]) {
    let Layout { tiles, stride, .. } = layout;
    let whole = tiles.next_multiple_of(V::WIDTH);
    assert!(whole <= stride && sums.len() >= (PRODUCTS - 1) * distance + stride, "room for whole registers");
    assert!(outputs.len() >= SIDE * stride, "room for four outputs");
    for at in (0..whole).step_by(V::WIDTH) {
        // SAFETY: whole registers of each product and each output have room by the assertions.
        unsafe {
            let from = sums.as_ptr().add(at);
            let m: [[V; SIDE]; SIDE] =
                std::array::from_fn(|r| std::array::from_fn(|c| V::load(from.add((r * SIDE + c) * distance))));
            let (one, minus) = (V::splat(1.0), V::splat(-1.0));
            let mut t = [m[0], m[1]];
            for c in 0..SIDE {
                let [upper, lower] = back([m[0][c], m[1][c], m[2][c], m[3][c]], one, minus);
                (t[0][c], t[1][c]) = (upper, lower);
            }
            let to = outputs.as_mut_ptr().add(at);
            for (r, t) in t.into_iter().enumerate() {
                let [left, right] = back(t, one, minus);
                left.store(to.add(2 * r * stride));
                right.store(to.add((2 * r + 1) * stride));
            }
        }
    }
}

/// A^T of four.
///
/// # Safety
/// The processor has the instructions of `V`.
#[inline(always)]
unsafe fn back<V: Lanes>([a, b, c, d]: [V; SIDE], one: V, minus: V) -> [V; 2] {
    // SAFETY: the caller's promise.
    unsafe { [a.add_product(b.add_product(c, one), one), b.add_product(c, minus).add_product(d, minus)] }
}

simd_fn! {
    /// The outputs of a filter's tiles in their places in images one after the other.
    fn put(layout: Layout, window: (usize, usize), outputs: &[f32], raw: &mut [f32]) {
        let (Layout { line, stride, .. }, (down, across)) = (layout, window);
        let window = down * across;
        for row in 0..down {
            let of = 2 * (row % 2) * stride + row / 2 * line;
            let (left, right) = (&outputs[of..][..line], &outputs[of + stride..][..line]);
            let raw = &mut raw[row * across..];
            if layout.across < SHORT {
                for column in 0..across {
                    let from = if column % 2 == 0 { left } else { right };
                    let from = from[column / 2..].iter().step_by(layout.across);
                    raw[column..].iter_mut().step_by(window).zip(from).for_each(|(to, v)| *to = *v);
                }
                continue;
            }
            let pairs = left.chunks(layout.across).zip(right.chunks(layout.across));
            for (raw, (left, right)) in raw.chunks_mut(window).zip(pairs) {
                let (raw, last) = raw[..across].as_chunks_mut::<2>();
                for (to, (left, right)) in raw.iter_mut().zip(left.iter().zip(right)) {
                    *to = [*left, *right];
                }
                last.iter_mut().for_each(|last| *last = left[layout.across - 1]);
            }
        }
    }
}
