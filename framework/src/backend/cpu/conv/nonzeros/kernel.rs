//! Kernels over nonzeros whose operands are long rows of vectors: a weight is multiplied by a row from its offset on.
//!
//! A nonzero is one broadcast and a product with each register of a tile of positions; the tile of a result stays in
//! registers meanwhile. Written once for all registers; see [`Lanes`].

use super::shape::Rows;
use crate::backend::cpu::common::lanes::{Kernel, Lanes, dispatch, sum};

/// Registers of a tile of positions at most.
const TILE: usize = 8;
/// Numbers of the widest register.
pub(super) const WIDEST: usize = 16;

/// out[row * stride + p] = the sum of the row's values times x[offset + p], for p below `positions` rounded up to a whole
/// register.
pub(super) fn multiply(rows: &Rows, values: &[f32], x: &[f32], positions: usize, out: &mut [f32], stride: usize) {
    let whole = positions.next_multiple_of(WIDEST);
    assert_eq!(values.len(), rows.offsets.len(), "a value for each nonzero");
    assert!(rows.furthest + whole <= x.len(), "room for whole registers behind the furthest offset");
    assert!(whole <= stride && out.len() >= rows.count() * stride, "room for whole registers in each row");
    dispatch(Multiply { rows, values, x, positions, out, stride });
}

/// Adds to the lanes of each nonzero, [`WIDEST`] numbers each, the products of its row's dy[plane * row + p] and
/// x[offset + p], for p below `positions` rounded up to a whole register.
pub(super) fn correlate(rows: &Rows, x: &[f32], (dy, plane): (&[f32], usize), positions: usize, lanes: &mut [f32]) {
    let whole = positions.next_multiple_of(WIDEST);
    assert_eq!(lanes.len(), WIDEST * rows.offsets.len(), "lanes for each nonzero");
    assert!(rows.furthest + whole <= x.len(), "room for whole registers behind the furthest offset");
    assert!((rows.count() - 1) * plane + whole <= dy.len(), "room for whole registers in each row");
    dispatch(Correlate { rows, x, dy, plane, positions, lanes });
}

/// sums[n] = the sum of the lanes of nonzero n.
pub(super) fn add_up(lanes: &[f32], sums: &mut [f32]) {
    assert_eq!(lanes.len(), WIDEST * sums.len(), "lanes for each sum");
    dispatch(AddUp { lanes, sums });
}

struct Multiply<'a> {
    rows: &'a Rows,
    values: &'a [f32],
    x: &'a [f32],
    positions: usize,
    out: &'a mut [f32],
    stride: usize,
}

impl Kernel for Multiply<'_> {
    #[inline(always)]
    unsafe fn run<V: Lanes>(self) {
        let registers = self.positions.div_ceil(V::WIDTH);
        let tiles = registers.div_ceil(TILE);
        let (mut first, mut this) = (0, self);
        for tile in 0..tiles {
            // Tiles of next to the same size: a narrow last one would wait for each of its sums.
            let count = (registers - first).div_ceil(tiles - tile);
            // SAFETY: the caller's promise; `first + count` registers are within the positions that `multiply` checked.
            unsafe {
                match count {
                    1 => this.tile::<V, 1>(first),
                    2 => this.tile::<V, 2>(first),
                    3 => this.tile::<V, 3>(first),
                    4 => this.tile::<V, 4>(first),
                    5 => this.tile::<V, 5>(first),
                    6 => this.tile::<V, 6>(first),
                    7 => this.tile::<V, 7>(first),
                    _ => this.tile::<V, TILE>(first),
                }
            }
            first += count;
        }
    }
}

impl Multiply<'_> {
    /// N registers of every row, from register `first` on.
    ///
    /// # Safety
    /// The processor has the instructions of `V`; the registers are within the positions that `multiply` checked.
    #[inline(always)]
    unsafe fn tile<V: Lanes, const N: usize>(&mut self, first: usize) {
        // SAFETY: `multiply` checked every offset and every row of the result against the positions, and that there is a
        // value for each offset; the ends of rows never fall and the last is the number of offsets.
        unsafe {
            let (x, values) = (self.x.as_ptr().add(first * V::WIDTH), self.values.as_ptr());
            let mut to = self.out.as_mut_ptr().add(first * V::WIDTH);
            let mut k = 0;
            for &end in &self.rows.ends {
                let mut acc = [V::splat(0.0); N];
                while k < end as usize {
                    let value = V::splat(*values.add(k));
                    let x = x.add(*self.rows.offsets.get_unchecked(k) as usize);
                    for (n, acc) in acc.iter_mut().enumerate() {
                        *acc = acc.add_product(value, V::load(x.add(n * V::WIDTH)));
                    }
                    k += 1;
                }
                for (n, acc) in acc.iter().enumerate() {
                    acc.store(to.add(n * V::WIDTH));
                }
                to = to.wrapping_add(self.stride);
            }
        }
    }
}

struct Correlate<'a> {
    rows: &'a Rows,
    x: &'a [f32],
    dy: &'a [f32],
    plane: usize,
    positions: usize,
    lanes: &'a mut [f32],
}

impl Kernel for Correlate<'_> {
    #[inline(always)]
    unsafe fn run<V: Lanes>(self) {
        let mut this = self;
        let mut k = 0;
        for (row, &end) in this.rows.ends.iter().enumerate() {
            let end = end as usize;
            // SAFETY: the caller's promise; `correlate` checked rows, offsets and lanes.
            unsafe {
                let dy = this.dy.as_ptr().add(row * this.plane);
                while end - k >= 8 {
                    this.some::<V, 8>(dy, &mut k);
                }
                if end - k >= 4 {
                    this.some::<V, 4>(dy, &mut k);
                }
                if end - k >= 2 {
                    this.some::<V, 2>(dy, &mut k);
                }
                if end > k {
                    this.some::<V, 1>(dy, &mut k);
                }
            }
        }
    }
}

impl Correlate<'_> {
    /// J nonzeros of the row of `dy`, from the k-th on.
    ///
    /// # Safety
    /// The processor has the instructions of `V`; `dy` holds the positions, and there are J nonzeros from the k-th on.
    #[inline(always)]
    unsafe fn some<V: Lanes, const J: usize>(&mut self, dy: *const f32, k: &mut usize) {
        // SAFETY: the caller's promise; `correlate` checked offsets and lanes.
        unsafe {
            let mut x = [self.x.as_ptr(); J];
            for (j, x) in x.iter_mut().enumerate() {
                *x = x.add(*self.rows.offsets.get_unchecked(*k + j) as usize);
            }
            let lanes = self.lanes.as_mut_ptr().add(*k * WIDEST);
            let mut acc = [V::splat(0.0); J];
            for (j, acc) in acc.iter_mut().enumerate() {
                *acc = V::load(lanes.add(j * WIDEST));
            }
            let mut p = 0;
            while p < self.positions {
                let dy = V::load(dy.add(p));
                for (acc, x) in acc.iter_mut().zip(&x) {
                    *acc = acc.add_product(dy, V::load(x.add(p)));
                }
                p += V::WIDTH;
            }
            for (j, acc) in acc.iter().enumerate() {
                acc.store(lanes.add(j * WIDEST));
            }
            *k += J;
        }
    }
}

struct AddUp<'a> {
    lanes: &'a [f32],
    sums: &'a mut [f32],
}

impl Kernel for AddUp<'_> {
    #[inline(always)]
    unsafe fn run<V: Lanes>(self) {
        for (sum_of, lanes) in self.sums.iter_mut().zip(self.lanes.chunks_exact(WIDEST)) {
            // SAFETY: the caller's promise; a register has at most as many numbers as there are lanes.
            *sum_of = unsafe { sum(V::load(lanes.as_ptr())) };
        }
    }
}
