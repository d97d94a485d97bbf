//! What the instructions do, number by number: for processors that lack them, and to compare with.

use super::{Place, WIDEST};

/// The nearest bf16 of two that are equally near the even one, as its upper 16 bits of an `f32`.
pub(super) fn round(x: f32) -> u32 {
    // Subnormal numbers count as zero.
    let x = if x.is_subnormal() { 0.0_f32.copysign(x) } else { x };
    u32::from(half::bf16::from_f32(x).to_bits())
}

/// Two numbers as a word, the first in the lower half.
pub(super) fn word(low: f32, high: f32) -> u32 {
    round(low) | round(high) << 16
}

/// The numbers of a word.
pub(super) fn halves(word: u32) -> (f32, f32) {
    (f32::from_bits(word << 16), f32::from_bits(word & 0xffff_0000))
}

/// Computes a place.
///
/// # Safety
/// The place lies inside its matrices.
pub(super) unsafe fn block(place: Place) {
    for r in 0..place.rows {
        let mut sums = [0.0; WIDEST];
        // SAFETY: the caller's promise; `first` is as long as a panel is wide.
        unsafe {
            for (c, sum) in sums[..place.cols].iter_mut().enumerate() {
                *sum = *place.first.add(c);
            }
            for i in 0..place.depth {
                let (low, high) = halves(*place.a.add(r * place.a_stride + i));
                for (c, sum) in sums[..place.cols].iter_mut().enumerate() {
                    let (b_low, b_high) = halves(*place.b.add(i * place.b_stride + c));
                    *sum += high * b_high;
                    *sum += low * b_low;
                }
            }
            for (c, sum) in sums[..place.cols].iter().enumerate() {
                let old = if place.old.is_null() { 0.0 } else { *place.old.add(r * place.old_stride + c) };
                *place.c.add(r * place.c_stride + c) = old + place.alpha * sum;
            }
        }
    }
}
