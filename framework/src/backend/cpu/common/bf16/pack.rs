//! Operands rounded to bf16, two neighbours along the depth in a word.

use super::portable::word;
use super::unit::{LANES, Unit, unit};
use super::words_of;
use crate::backend::cpu::common::matrix::Mat;

/// to[r * stride + i] = the numbers 2i and 2i + 1 of row r, for whole registers of words and of rows; zeros where the
/// matrix has none.
pub(super) fn rows(to: &mut [u32], stride: usize, a: Mat<'_>) {
    assert!(a.row_stride == 1 || a.col_stride == 1, "rows or columns are contiguous");
    let depth = words_of(a.cols);
    assert!(to.len() >= a.rows.next_multiple_of(LANES) * stride && stride >= depth, "room for the words");
    match unit() {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: `unit` found the instructions, and there is room.
        Unit::Avx512 | Unit::Amx => unsafe { x86::rows(to, stride, depth, a) },
        Unit::Portable => plain(a, depth, a.rows.next_multiple_of(LANES), |r, i, word| to[r * stride + i] = word),
    }
}

/// Panels of `width` columns one after the other, in each to[i * width + c] = the numbers 2i and 2i + 1 of its column c,
/// for whole registers of words; zeros where the matrix has none.
pub(super) fn columns(to: &mut [u32], width: usize, b: Mat<'_>) {
    assert!(b.row_stride == 1 || b.col_stride == 1, "rows or columns are contiguous");
    let depth = words_of(b.rows);
    let room = to.len() >= depth * b.cols.next_multiple_of(width);
    assert!(room && width.is_multiple_of(LANES), "room for the words");
    match unit() {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: `unit` found the instructions, and there is room.
        Unit::Avx512 | Unit::Amx => unsafe { x86::columns(to, width, depth, b) },
        Unit::Portable => plain(b.t(), depth, b.cols.next_multiple_of(width), |c, i, word| {
            to[(c / width * depth + i) * width + c % width] = word;
        }),
    }
}

/// Calls `put` with every word of `rows` rows.
fn plain(a: Mat<'_>, depth: usize, rows: usize, mut put: impl FnMut(usize, usize, u32)) {
    for r in 0..rows {
        for i in 0..depth {
            let at = |col: usize| {
                if r < a.rows && col < a.cols { a.data[r * a.row_stride + col * a.col_stride] } else { 0.0 }
            };
            put(r, i, word(at(2 * i), at(2 * i + 1)));
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{LANES, Mat};
    use std::arch::x86_64::*;

    /// As `rows`.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
    pub(super) fn rows(to: &mut [u32], stride: usize, depth: usize, a: Mat<'_>) {
        if a.col_stride == 1 {
            for r in 0..a.rows.next_multiple_of(LANES) {
                for i in (0..depth).step_by(LANES) {
                    ahead(a, r + ROWS_AHEAD, 2 * i);
                    store(&mut to[r * stride + i..], neighbours(a, r, 2 * i));
                }
            }
            return;
        }
        for r in (0..a.rows).step_by(LANES) {
            for i in (0..depth).step_by(LANES) {
                let turned = turn(std::array::from_fn(|j| interleaved(a.t(), 2 * (i + j), r)));
                for (j, words) in turned.into_iter().enumerate() {
                    store(&mut to[(r + j) * stride + i..], words);
                }
            }
        }
    }

    /// As `columns`.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
    pub(super) fn columns(to: &mut [u32], width: usize, depth: usize, b: Mat<'_>) {
        let cols = b.cols.next_multiple_of(width);
        // Along the rows of b, whichever way they lie.
        if b.col_stride == 1 {
            for i in 0..depth {
                for c in (0..cols).step_by(LANES) {
                    if c % (2 * LANES) == 0 {
                        ahead(b, 2 * i + PAIRS_AHEAD, c);
                        ahead(b, 2 * i + PAIRS_AHEAD + 1, c);
                    }
                    store(&mut to[(c / width * depth + i) * width + c % width..], interleaved(b, 2 * i, c));
                }
            }
            return;
        }
        for c in (0..cols).step_by(LANES) {
            let to = &mut to[c / width * depth * width + c % width..];
            for i in (0..depth).step_by(LANES) {
                let turned = turn(std::array::from_fn(|j| {
                    ahead(b.t(), c + j, 2 * i + COLUMNS_AHEAD);
                    neighbours(b.t(), c + j, 2 * i)
                }));
                for (j, words) in turned.into_iter().enumerate() {
                    store(&mut to[(i + j) * width..], words);
                }
            }
        }
    }

    /// Rows after which a row that is read along its columns follows.
    const ROWS_AHEAD: usize = 2;
    /// Columns after which a column of rows that are read side by side follows.
    const COLUMNS_AHEAD: usize = 128;
    /// Rows after which rows that are read in pairs follow.
    const PAIRS_AHEAD: usize = 16;

    /// Fetches the 32 numbers of row `r` from column `c` on, if there are any: blocks are too short for the processor to
    /// see by itself what comes next.
    #[inline]
    fn ahead(a: Mat<'_>, r: usize, c: usize) {
        let from = a.data.as_ptr().wrapping_add(r * a.row_stride + c);
        // SAFETY: a prefetch may be of any address.
        unsafe {
            _mm_prefetch::<_MM_HINT_T0>(from.cast());
            _mm_prefetch::<_MM_HINT_T0>(from.wrapping_add(LANES).cast());
        }
    }

    #[target_feature(enable = "avx512f")]
    fn store(to: &mut [u32], words: __m512i) {
        let to = &mut to[..LANES];
        // SAFETY: the slice has as many words as the register.
        unsafe { _mm512_storeu_si512(to.as_mut_ptr().cast(), words) }
    }

    /// 16 numbers of row `r` from column `c` on, zeros where there are none; columns are contiguous.
    #[target_feature(enable = "avx512f")]
    fn load(a: Mat<'_>, r: usize, c: usize) -> __m512 {
        if r >= a.rows || c >= a.cols {
            return _mm512_setzero_ps();
        }
        let from = &a.data[r * a.row_stride + c..][..(a.cols - c).min(LANES)];
        let mask = if from.len() == LANES { !0 } else { (1 << from.len()) - 1 };
        // SAFETY: what the mask leaves out is not read, and the slice holds the rest.
        unsafe { _mm512_maskz_loadu_ps(mask, from.as_ptr()) }
    }

    /// Row `r` from column `c` on: 16 words of neighbours.
    #[target_feature(enable = "avx512f,avx512bf16")]
    fn neighbours(a: Mat<'_>, r: usize, c: usize) -> __m512i {
        words(_mm512_cvtne2ps_pbh(load(a, r, c + LANES), load(a, r, c)))
    }

    /// Rows `r` and `r + 1` from column `c` on: 16 words, each of one column.
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    fn interleaved(a: Mat<'_>, r: usize, c: usize) -> __m512i {
        const ORDER: [u16; 32] = {
            let mut order = [0; 32];
            let mut i = 0;
            while i < 32 {
                order[i] = (i / 2 + i % 2 * 16) as u16;
                i += 1;
            }
            order
        };
        // SAFETY: the array has as many bytes as the register.
        let order = unsafe { _mm512_loadu_si512(ORDER.as_ptr().cast()) };
        _mm512_permutexvar_epi16(order, words(_mm512_cvtne2ps_pbh(load(a, r + 1, c), load(a, r, c))))
    }

    #[target_feature(enable = "avx512f")]
    fn words(numbers: __m512bh) -> __m512i {
        // SAFETY: both are 512 bits.
        unsafe { std::mem::transmute(numbers) }
    }

    /// The transpose of 16 x 16 words.
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn turn(v: [__m512i; 16]) -> [__m512i; 16] {
        let two = |i: usize, high: bool| {
            let (a, b) = (v[i & !1], v[i | 1]);
            if high { _mm512_unpackhi_epi32(a, b) } else { _mm512_unpacklo_epi32(a, b) }
        };
        // Of four rows 4q to 4q + 3: column j of each quarter.
        let four = |q: usize, j: usize| {
            let (a, b) = (two(4 * q, j >= 2), two(4 * q + 2, j >= 2));
            if j.is_multiple_of(2) { _mm512_unpacklo_epi64(a, b) } else { _mm512_unpackhi_epi64(a, b) }
        };
        let mut out = [_mm512_setzero_si512(); 16];
        for j in 0..4 {
            let [a, b, c, d] = [four(0, j), four(1, j), four(2, j), four(3, j)];
            // Quarters 0 and 2, 1 and 3 of the first eight rows and of the last eight.
            let (even_low, odd_low) = (_mm512_shuffle_i32x4::<0x88>(a, b), _mm512_shuffle_i32x4::<0xDD>(a, b));
            let (even_high, odd_high) = (_mm512_shuffle_i32x4::<0x88>(c, d), _mm512_shuffle_i32x4::<0xDD>(c, d));
            out[j] = _mm512_shuffle_i32x4::<0x88>(even_low, even_high);
            out[8 + j] = _mm512_shuffle_i32x4::<0xDD>(even_low, even_high);
            out[4 + j] = _mm512_shuffle_i32x4::<0x88>(odd_low, odd_high);
            out[12 + j] = _mm512_shuffle_i32x4::<0xDD>(odd_low, odd_high);
        }
        out
    }
}
