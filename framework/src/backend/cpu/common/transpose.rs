//! Transposed copies, in blocks that are turned in registers: loops over a block the compiler takes number by number.

use super::simd::{Level, level};
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

/// Side of a block.
#[cfg(target_arch = "x86_64")]
const SIDE: usize = 8;

/// to[r, c] = from[c, r] for each c below `cols` and all rows r of `to`; `level` is what [`level`](super::simd::level)
/// found.
pub(super) fn transpose(to: &mut [f32], to_stride: usize, from: &[f32], from_stride: usize, cols: usize) {
    let rows = to.len() / to_stride;
    let (whole_rows, whole_cols) = match level() {
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 | Level::Avx512 => {
            let whole = (rows - rows % SIDE, cols - cols % SIDE);
            // SAFETY: both levels are found only where the processor has AVX2.
            unsafe { blocks(to, to_stride, from, from_stride, whole) };
            whole
        }
        _ => (0, 0),
    };
    for c in 0..cols {
        for r in if c < whole_cols { whole_rows..rows } else { 0..rows } {
            to[r * to_stride + c] = from[c * from_stride + r];
        }
    }
}

/// All whole blocks.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn blocks(to: &mut [f32], to_stride: usize, from: &[f32], from_stride: usize, (rows, cols): (usize, usize)) {
    for c in (0..cols).step_by(SIDE) {
        for r in (0..rows).step_by(SIDE) {
            let row = |i: usize| {
                let row = &from[(c + i) * from_stride + r..][..SIDE];
                // SAFETY: the slice has as many numbers as the register.
                unsafe { _mm256_loadu_ps(row.as_ptr()) }
            };
            let low = fours([pairs(row(0), row(1)), pairs(row(2), row(3))]);
            let high = fours([pairs(row(4), row(5)), pairs(row(6), row(7))]);
            for j in 0..SIDE {
                let half = j % 4;
                let column = if j < 4 {
                    _mm256_permute2f128_ps::<0x20>(low[half], high[half])
                } else {
                    _mm256_permute2f128_ps::<0x31>(low[half], high[half])
                };
                let to = &mut to[(r + j) * to_stride + c..][..SIDE];
                // SAFETY: as above.
                unsafe { _mm256_storeu_ps(to.as_mut_ptr(), column) };
            }
        }
    }
}

/// Two rows interleaved in each half: columns 0 and 1, columns 2 and 3.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn pairs(a: __m256, b: __m256) -> (__m256, __m256) {
    (_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b))
}

/// From pairs of four rows to columns of four, 0 to 3 in the lower half and 4 to 7 in the upper.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn fours([(a, b), (c, d)]: [(__m256, __m256); 2]) -> [__m256; 4] {
    [
        _mm256_shuffle_ps::<0x44>(a, c),
        _mm256_shuffle_ps::<0xEE>(a, c),
        _mm256_shuffle_ps::<0x44>(b, d),
        _mm256_shuffle_ps::<0xEE>(b, d),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::testing::{at_each_level, random};
    use super::*;

    #[test]
    fn every_number_finds_its_place() {
        at_each_level(|| {
            for (rows, cols, to_stride, from_stride) in [(8, 8, 8, 8), (19, 21, 24, 30), (7, 3, 3, 7), (16, 5, 9, 16)] {
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
