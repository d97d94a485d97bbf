//! Register tiles of AVX512-BF16: accumulators of some rows and a panel's width stay in the registers.

use super::Place;
use super::unit::LANES;
use std::arch::x86_64::*;

/// Computes a place.
///
/// # Safety
/// The processor has AVX512-BF16; the place lies inside its matrices, and a panel has whole registers.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
pub(super) unsafe fn block(place: Place) {
    // Stores past the caches are of whole lines.
    let lines = (place.c as usize).is_multiple_of(64) && place.c_stride.is_multiple_of(LANES);
    let place = Place { past_caches: place.past_caches && lines, ..place };
    // SAFETY: the caller's promise.
    unsafe {
        match place.cols.div_ceil(LANES) {
            1 => rows::<12, 6, 1>(place),
            2 => rows::<12, 6, 2>(place),
            3 => rows::<8, 4, 3>(place),
            _ => rows::<6, 4, 4>(place),
        }
    }
    if place.past_caches {
        // They are seen by other threads in no order but this one.
        _mm_sfence();
    }
}

/// All rows of a place, R at a time, then H, two, one.
///
/// # Safety
/// As for [`block`]; the panel has N registers.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
unsafe fn rows<const R: usize, const H: usize, const N: usize>(mut place: Place) {
    while place.rows > 0 {
        // SAFETY: as many rows are left as are taken.
        unsafe {
            let taken = match place.rows {
                left if left >= R => {
                    tile::<R, N>(place);
                    R
                }
                left if left >= H => {
                    tile::<H, N>(place);
                    H
                }
                2.. => {
                    tile::<2, N>(place);
                    2
                }
                _ => {
                    tile::<1, N>(place);
                    1
                }
            };
            place.rows -= taken;
            place.a = place.a.wrapping_add(taken * place.a_stride);
            place.c = place.c.wrapping_add(taken * place.c_stride);
            place.old = if place.old.is_null() { place.old } else { place.old.wrapping_add(taken * place.old_stride) };
        }
    }
}

/// R rows and N registers of columns.
///
/// # Safety
/// As for [`block`]; the place has R rows, and the panel N registers.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
unsafe fn tile<const R: usize, const N: usize>(place: Place) {
    // SAFETY: the caller's promise; a and b advance by one word each time, `depth` times; what is behind the last column
    // is neither read nor written.
    unsafe {
        for r in 0..if place.past_caches { 0 } else { R } {
            for n in 0..N {
                _mm_prefetch::<_MM_HINT_ET0>(place.c.wrapping_add(r * place.c_stride + n * LANES).cast());
            }
        }
        let first: [__m512; N] = std::array::from_fn(|n| _mm512_loadu_ps(place.first.add(n * LANES)));
        let mut acc = [first; R];
        let (mut a, mut b) = (place.a, place.b);
        for _ in 0..place.depth {
            let words: [__m512bh; N] = std::array::from_fn(|n| pairs(_mm512_loadu_si512(b.add(n * LANES).cast())));
            for (r, acc) in acc.iter_mut().enumerate() {
                let a = pairs(_mm512_set1_epi32(a.add(r * place.a_stride).read().cast_signed()));
                for (acc, &b) in acc.iter_mut().zip(&words) {
                    *acc = _mm512_dpbf16_ps(*acc, a, b);
                }
            }
            (a, b) = (a.wrapping_add(1), b.wrapping_add(place.b_stride));
        }
        let alpha = _mm512_set1_ps(place.alpha);
        let last = place.cols - (N - 1) * LANES;
        for (r, acc) in acc.iter().enumerate() {
            for (n, &acc) in acc.iter().enumerate() {
                let mask = if n + 1 < N || last == LANES { !0 } else { (1 << last) - 1 };
                let old = if place.old.is_null() {
                    _mm512_setzero_ps()
                } else {
                    _mm512_maskz_loadu_ps(mask, place.old.wrapping_add(r * place.old_stride + n * LANES))
                };
                let c = place.c.add(r * place.c_stride + n * LANES);
                let sum = _mm512_fmadd_ps(acc, alpha, old);
                if mask == !0 && place.past_caches {
                    _mm512_stream_ps(c, sum);
                } else if mask == !0 {
                    _mm512_storeu_ps(c, sum);
                } else {
                    _mm512_mask_storeu_ps(c, mask, sum);
                }
            }
        }
    }
}

/// A register of words as what `vdpbf16ps` takes.
#[inline]
#[target_feature(enable = "avx512f,avx512bf16")]
fn pairs(words: __m512i) -> __m512bh {
    // SAFETY: both are 512 bits, and any bits are 32 bf16 numbers.
    unsafe { std::mem::transmute(words) }
}
