//! Transposed copies, in blocks that are turned in registers: loops over a block the compiler takes number by number.

#[cfg(target_arch = "x86_64")]
use super::simd::{Level, level};
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;
#[cfg(target_arch = "x86_64")]
use std::ops::Range;

/// Distance of rows, in numbers, at whose multiples they share the places of the nearest cache: no more than eight of
/// them are read side by side then.
#[cfg(target_arch = "x86_64")]
const CROWDED: usize = 512;

/// to[r, c] = from[c, r] for each c below `cols` and all rows r of `to`; `level` is what [`level`](super::simd::level)
/// found.
pub(crate) fn transpose(to: &mut [f32], to_stride: usize, from: &[f32], from_stride: usize, cols: usize) {
    let rows = to.len() / to_stride;
    if rows == 0 || cols == 0 {
        return;
    }
    assert!((rows - 1) * to_stride + cols <= to.len(), "room for [{rows}, {cols}]");
    assert!((cols - 1) * from_stride + rows <= from.len(), "a matrix [{cols}, {rows}]");
    let mut done = (0, 0);
    #[cfg(target_arch = "x86_64")]
    {
        let level = level();
        let (to, from) = ((to.as_mut_ptr(), to_stride), (from.as_ptr(), from_stride));
        if level == Level::Avx512 && !from_stride.is_multiple_of(CROWDED) {
            done = (rows - rows % 16, cols - cols % 16);
            // SAFETY: the processor has the instructions; all places lie in both matrices.
            unsafe { sixteens(to, from, done) };
        }
        if level >= Level::Avx2 {
            let whole = (rows - rows % 8, cols - cols % 8);
            // SAFETY: as above.
            unsafe {
                eights(to, from, (done.0..whole.0, 0..done.1));
                eights(to, from, (0..whole.0, done.1..whole.1));
            }
            done = whole;
        }
    }
    for c in 0..cols {
        for r in if c < done.1 { done.0..rows } else { 0..rows } {
            to[r * to_stride + c] = from[c * from_stride + r];
        }
    }
}

/// First row and column of each block: those of some rows one after the other, so that what is written stays together.
#[cfg(target_arch = "x86_64")]
fn blocks(rows: Range<usize>, cols: Range<usize>, side: usize) -> impl Iterator<Item = (usize, usize)> {
    rows.step_by(side).flat_map(move |r| cols.clone().step_by(side).map(move |c| (r, c)))
}

/// Blocks of 16 x 16. Quarters of four rows are loaded into each register, so that none has to be turned as a whole.
///
/// # Safety
/// The processor has the instructions; so many rows and columns, multiples of 16, lie in both matrices.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx2,fma")]
unsafe fn sixteens(to: (*mut f32, usize), from: (*const f32, usize), (rows, cols): (usize, usize)) {
    for (r, c) in blocks(0..rows, 0..cols, 16) {
        for r in (r..r + 16).step_by(4) {
            // SAFETY: the caller's promise.
            unsafe {
                let from_at = from.0.add(c * from.1 + r);
                let (a, b) = (quarters(from_at, from.1), quarters(from_at.add(from.1), from.1));
                let (third, fourth) =
                    (quarters(from_at.add(2 * from.1), from.1), quarters(from_at.add(3 * from.1), from.1));
                let (ab, cd) =
                    (_mm512_castps_pd(_mm512_unpacklo_ps(a, b)), _mm512_castps_pd(_mm512_unpacklo_ps(third, fourth)));
                let (ef, gh) =
                    (_mm512_castps_pd(_mm512_unpackhi_ps(a, b)), _mm512_castps_pd(_mm512_unpackhi_ps(third, fourth)));
                let to_at = to.0.add(r * to.1 + c);
                _mm512_storeu_ps(to_at, _mm512_castpd_ps(_mm512_unpacklo_pd(ab, cd)));
                _mm512_storeu_ps(to_at.add(to.1), _mm512_castpd_ps(_mm512_unpackhi_pd(ab, cd)));
                _mm512_storeu_ps(to_at.add(2 * to.1), _mm512_castpd_ps(_mm512_unpacklo_pd(ef, gh)));
                _mm512_storeu_ps(to_at.add(3 * to.1), _mm512_castpd_ps(_mm512_unpackhi_pd(ef, gh)));
            }
        }
    }
}

/// Four numbers of rows 0, 4, 8 and 12, side by side.
///
/// # Safety
/// The processor has the instructions; the numbers can be read.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx2,fma")]
unsafe fn quarters(from: *const f32, stride: usize) -> __m512 {
    // SAFETY: the caller's promise.
    unsafe {
        let v = _mm512_castps128_ps512(_mm_loadu_ps(from));
        let v = _mm512_mask_broadcast_f32x4(v, 0x00F0, _mm_loadu_ps(from.add(4 * stride)));
        let v = _mm512_mask_broadcast_f32x4(v, 0x0F00, _mm_loadu_ps(from.add(8 * stride)));
        _mm512_mask_broadcast_f32x4(v, 0xF000, _mm_loadu_ps(from.add(12 * stride)))
    }
}

/// Blocks of 8 x 8, as [`sixteens`].
///
/// # Safety
/// The processor has the instructions; these rows and columns, multiples of 8 as many, lie in both matrices.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
unsafe fn eights(to: (*mut f32, usize), from: (*const f32, usize), (rows, cols): (Range<usize>, Range<usize>)) {
    for (r, c) in blocks(rows, cols, 8) {
        for r in [r, r + 4] {
            // SAFETY: the caller's promise.
            unsafe {
                let from_at = from.0.add(c * from.1 + r);
                let (a, b) = (halves(from_at, from.1), halves(from_at.add(from.1), from.1));
                let (third, fourth) =
                    (halves(from_at.add(2 * from.1), from.1), halves(from_at.add(3 * from.1), from.1));
                let (ab, cd) =
                    (_mm256_castps_pd(_mm256_unpacklo_ps(a, b)), _mm256_castps_pd(_mm256_unpacklo_ps(third, fourth)));
                let (ef, gh) =
                    (_mm256_castps_pd(_mm256_unpackhi_ps(a, b)), _mm256_castps_pd(_mm256_unpackhi_ps(third, fourth)));
                let to_at = to.0.add(r * to.1 + c);
                _mm256_storeu_ps(to_at, _mm256_castpd_ps(_mm256_unpacklo_pd(ab, cd)));
                _mm256_storeu_ps(to_at.add(to.1), _mm256_castpd_ps(_mm256_unpackhi_pd(ab, cd)));
                _mm256_storeu_ps(to_at.add(2 * to.1), _mm256_castpd_ps(_mm256_unpacklo_pd(ef, gh)));
                _mm256_storeu_ps(to_at.add(3 * to.1), _mm256_castpd_ps(_mm256_unpackhi_pd(ef, gh)));
            }
        }
    }
}

/// Four numbers of rows 0 and 4, side by side.
///
/// # Safety
/// The processor has the instructions; the numbers can be read.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
unsafe fn halves(from: *const f32, stride: usize) -> __m256 {
    // SAFETY: the caller's promise.
    unsafe {
        let low = _mm256_castps128_ps256(_mm_loadu_ps(from));
        _mm256_insertf128_ps::<1>(low, _mm_loadu_ps(from.add(4 * stride)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{at_each_level, random};
    use super::*;

    #[test]
    fn every_number_finds_its_place() {
        at_each_level(|| {
            for (rows, cols, to_stride, from_stride) in
                [(8, 8, 8, 8), (19, 21, 24, 30), (7, 3, 3, 7), (16, 5, 9, 16), (43, 61, 64, 50), (37, 40, 40, 512)]
            {
                let from = random(cols * from_stride, 1);
                let mut to = vec![7.0; rows * to_stride];
                transpose(&mut to, to_stride, &from, from_stride, cols);
                for (i, &x) in to.iter().enumerate() {
                    let (r, c) = (i / to_stride, i % to_stride);
                    assert_eq!(x, if c < cols { from[c * from_stride + r] } else { 7.0 }, "[{r}, {c}]");
                }
            }
        });
    }
}
