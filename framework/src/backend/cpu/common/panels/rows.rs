//! Products of rows with rows, both as they lie in memory: for results of few columns, for which cutting the right-hand side
//! takes long beside the product, and panels would be half empty.
//!
//! A sum goes along both rows in the lanes of a register, which are added up at its end. Its order depends on the length of
//! the rows alone.

use crate::backend::cpu::common::lanes::{Kernel, Lanes, dispatch};
use crate::backend::cpu::common::matrix::{Mat, MatMut};

/// Most columns of a result for which this takes less time.
const MOST: usize = 64;
/// Shortest rows for which adding lanes up is little beside their products.
const SHORTEST: usize = 256;
/// Numbers of the widest register.
const WIDEST: usize = 16;
/// Rows of the left-hand side at once; with so many of the right-hand side that sums fill the lanes of a register.
const HIGH: usize = 4;

/// Whether a product of so many columns, with sums of so many numbers, is better computed in this form.
pub(crate) fn suits_rows(cols: usize, depth: usize) -> bool {
    cols <= MOST && depth >= SHORTEST
}

/// c = a b^T, on this thread: the rows of `a` and `b`, each contiguous, as far as `c` is a tile of the whole.
pub(crate) fn product_of_rows(c: &mut MatMut<'_>, a: Mat<'_>, b: Mat<'_>) {
    let (a, b) = (a.rows_from(c.first_row(), c.rows), b.rows_from(c.first_col(), c.cols));
    assert_eq!((a.cols, a.col_stride, b.col_stride), (b.cols, 1, 1), "rows of the same length, each contiguous");
    if c.rows > 0 && c.cols > 0 {
        dispatch(Product { c, a, b });
    }
}

struct Product<'a, 'c> {
    c: &'a mut MatMut<'c>,
    a: Mat<'a>,
    b: Mat<'a>,
}

impl Kernel for Product<'_, '_> {
    #[inline(always)]
    unsafe fn run<V: Lanes>(mut self) {
        // SAFETY: the caller's promise; there are so many registers.
        unsafe {
            match V::WIDTH {
                16 => self.all::<V, 4>(),
                8 => self.all::<V, 2>(),
                _ => self.all::<V, 1>(),
            }
        }
    }
}

impl Product<'_, '_> {
    /// # Safety
    /// The processor has the instructions of `V`, whose lanes are as many as `HIGH` times N.
    #[inline(always)]
    unsafe fn all<V: Lanes, const N: usize>(&mut self) {
        for row in (0..self.c.rows).step_by(HIGH) {
            for col in (0..self.c.cols).step_by(N) {
                // SAFETY: the caller's promise; there are such a row and such a column.
                unsafe { self.tile::<V, N>(row, col) }
            }
        }
    }

    /// # Safety
    /// As for [`Self::all`], and there are such a row and such a column.
    #[inline(always)]
    unsafe fn tile<V: Lanes, const N: usize>(&mut self, row: usize, col: usize) {
        let (depth, rest) = (self.a.cols, self.a.cols % V::WIDTH);
        // Past the last row the last one is computed again and not stored.
        let mut a = [self.a.data.as_ptr(); HIGH];
        for (r, a) in a.iter_mut().enumerate() {
            *a = a.wrapping_add((row + r).min(self.a.rows - 1) * self.a.row_stride);
        }
        let mut b = [self.b.data.as_ptr(); N];
        for (n, b) in b.iter_mut().enumerate() {
            *b = b.wrapping_add((col + n).min(self.b.rows - 1) * self.b.row_stride);
        }
        let mut sums = [0.0; WIDEST];
        // SAFETY: rows are `depth` long; what is left of them at the end is copied to where a register can be read.
        unsafe {
            let mut acc = [[V::splat(0.0); N]; HIGH];
            let mut k = 0;
            while k + V::WIDTH <= depth {
                let mut right = [V::splat(0.0); N];
                for (right, b) in right.iter_mut().zip(&b) {
                    *right = V::load(b.add(k));
                }
                for (acc, a) in acc.iter_mut().zip(&a) {
                    let left = V::load(a.add(k));
                    for (acc, &right) in acc.iter_mut().zip(&right) {
                        *acc = acc.add_product(left, right);
                    }
                }
                k += V::WIDTH;
            }
            if rest > 0 {
                let padded = |from: *const f32| {
                    let mut last = [0.0; WIDEST];
                    std::ptr::copy_nonoverlapping(from.add(k), last.as_mut_ptr(), rest);
                    last
                };
                let right = b.map(padded);
                for (acc, &a) in acc.iter_mut().zip(&a) {
                    let left = V::load(padded(a).as_ptr());
                    for (acc, right) in acc.iter_mut().zip(&right) {
                        *acc = acc.add_product(left, V::load(right.as_ptr()));
                    }
                }
            }
            let mut all = [V::splat(0.0); WIDEST];
            for (r, acc) in acc.iter().enumerate() {
                all[r * N..][..N].copy_from_slice(acc);
            }
            V::across(&all).store(sums.as_mut_ptr());
            for r in 0..HIGH.min(self.c.rows - row) {
                for n in 0..N.min(self.c.cols - col) {
                    *self.c.data.add((row + r) * self.c.row_stride + col + n) = sums[r * N + n];
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::cpu::common::Accumulate;
    use crate::backend::cpu::common::matrix::general;
    use crate::backend::cpu::common::testing::{assert_close, at_each_level, random, wide};

    #[test]
    fn products_of_rows_agree_with_the_general_one_in_any_tiles() {
        at_each_level(|| {
            for (m, n, k) in [(1, 1, 1), (7, 5, 16), (9, 50, 784), (4, 3, 301), (5, 10, 0)] {
                let (a, b) = (random(m * k, 1), random(n * k, 2));
                let (a, b) = (Mat::new(&a, m, k), Mat::new(&b, n, k));
                let (mut c, mut expected, mut tiled) = (vec![f32::NAN; m * n], vec![0.0; m * n], vec![f32::NAN; m * n]);
                general(&mut MatMut::new(&mut expected, m, n), Accumulate::Overwrite, 1.0, a, b.t());
                product_of_rows(&mut MatMut::new(&mut c, m, n), a, b);
                assert_close(&c, &wide(&expected), 1e-5, &format!("[{m}, {k}] [{n}, {k}]^T"));
                MatMut::new(&mut tiled, m, n).tiles((3, 2)).for_each(|mut tile| product_of_rows(&mut tile, a, b));
                assert_eq!(tiled, c);
            }
        });
    }
}
