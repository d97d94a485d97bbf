//! Kernels over the winners of windows of 2x2: a winner is one broadcast and a product with each register of what it sees.

use super::winners::Winners;
use crate::backend::cpu::common::lanes::{Kernel, Lanes};
use std::ops::Range;

/// Numbers of the widest register.
pub(super) const WIDEST: usize = 16;
/// Rows of a kernel that are gone over together, where it has so many.
const LINES: usize = 3;
/// Numbers that stay in the nearest cache beside what else is there.
const NEAR: usize = 6 << 10;

/// Registers of a row that are gone over together at most: accumulators of three rows stay in registers.
const fn most<V: Lanes>() -> usize {
    if V::WIDTH == WIDEST { 6 } else { 4 }
}

/// Rows of a kernel in threes, then one by one: the first, and how many.
fn lines(rows: usize) -> impl Iterator<Item = (usize, usize)> {
    let threes = rows - rows % LINES;
    (0..threes).step_by(LINES).map(|top| (top, LINES)).chain((threes..rows).map(|top| (top, 1)))
}

/// Runs of next to the same number of registers, at most so many: the first, and how many.
fn blocks(registers: usize, most: usize) -> impl Iterator<Item = (usize, usize)> {
    let count = registers.div_ceil(most);
    (0..count).map(move |i| (registers * i / count, registers * (i + 1) / count - registers * i / count))
}

/// sums[f, r, :] += the sum over the windows of the pooling of slopes[f, window] times row r of what the winner sees.
pub(super) struct Correlate<'a> {
    shape: &'a Winners,
    slopes: &'a [f32],
    places: &'a [u8],
    x: &'a [f32],
    sums: &'a mut [f32],
}

impl<'a> Correlate<'a> {
    pub fn new(shape: &'a Winners, slopes: &'a [f32], places: &'a [u8], x: &'a [f32], sums: &'a mut [f32]) -> Self {
        shape.check(slopes, places, x, sums);
        Self { shape, slopes, places, x, sums }
    }

    /// Some rows of windows; for so many filters at once, and R rows and N registers of theirs.
    ///
    /// # Safety
    /// The processor has the instructions of `V`; rows and registers are within the shape's.
    #[inline(always)]
    unsafe fn block<V: Lanes, const R: usize, const N: usize, const F: usize>(
        &mut self,
        rows: Range<usize>,
        at: (usize, usize),
    ) {
        let mut filter = 0;
        // SAFETY: the caller's promise; there are so many filters.
        unsafe {
            while filter + F <= self.shape.filters {
                self.tile::<V, R, N, F>(rows.clone(), at, filter);
                filter += F;
            }
            while filter < self.shape.filters {
                self.tile::<V, R, N, 1>(rows.clone(), at, filter);
                filter += 1;
            }
        }
    }

    /// # Safety
    /// As for [`Self::block`], and there are F filters from `filter` on.
    #[inline(always)]
    unsafe fn tile<V: Lanes, const R: usize, const N: usize, const F: usize>(
        &mut self,
        rows: Range<usize>,
        (top, column): (usize, usize),
        filter: usize,
    ) {
        let &Winners { kernel, windows: (down, across), pitch, step, places, run, .. } = self.shape;
        // SAFETY: `new` checked that all that windows see lies in the image, with a register behind it, and that there are
        // slopes and places of every window, and sums of every filter.
        unsafe {
            let sums = self.sums.as_mut_ptr().add((filter * kernel.0 + top) * run + column);
            let x = self.x.as_ptr().add(top * pitch + column);
            let mut acc = [[[V::splat(0.0); N]; R]; F];
            for (f, acc) in acc.iter_mut().enumerate() {
                for (r, acc) in acc.iter_mut().enumerate() {
                    for (n, acc) in acc.iter_mut().enumerate() {
                        *acc = V::load(sums.add((f * kernel.0 + r) * run + n * V::WIDTH));
                    }
                }
            }
            for row in rows {
                let first = filter * down * across + row * across;
                let (slopes, at) = (self.slopes.as_ptr().add(first), self.places.as_ptr().add(first));
                for col in 0..across {
                    let x = x.add(row * step.0 + col * step.1);
                    for (f, acc) in acc.iter_mut().enumerate() {
                        let slope = V::splat(*slopes.add(f * down * across + col));
                        let x = x.add(places[usize::from(*at.add(f * down * across + col) & 3)]);
                        for (r, acc) in acc.iter_mut().enumerate() {
                            for (n, acc) in acc.iter_mut().enumerate() {
                                *acc = acc.add_product(slope, V::load(x.add(r * pitch + n * V::WIDTH)));
                            }
                        }
                    }
                }
            }
            for (f, acc) in acc.iter().enumerate() {
                for (r, acc) in acc.iter().enumerate() {
                    for (n, acc) in acc.iter().enumerate() {
                        acc.store(sums.add((f * kernel.0 + r) * run + n * V::WIDTH));
                    }
                }
            }
        }
    }
}

impl Kernel for Correlate<'_> {
    #[inline(always)]
    unsafe fn run<V: Lanes>(mut self) {
        let &Winners { kernel, stride, windows, pitch, run, .. } = self.shape;
        // Rows of windows whose pixels stay near while the filters pass.
        let strip = ((NEAR / pitch.max(1)).saturating_sub(kernel.0) / stride).div_ceil(2).max(1);
        for first in (0..windows.0).step_by(strip) {
            let rows = first..(first + strip).min(windows.0);
            for (column, registers) in blocks(run / V::WIDTH, most::<V>()) {
                for (top, count) in lines(kernel.0) {
                    let (rows, at) = (rows.clone(), (top, column * V::WIDTH));
                    // SAFETY: the caller's promise; these are rows and registers of the shape. Few accumulators would wait
                    // for each of their sums, so several filters have theirs at once.
                    unsafe {
                        match (count, registers) {
                            (LINES, 1) => self.block::<V, LINES, 1, 4>(rows, at),
                            (LINES, 2) => self.block::<V, LINES, 2, 2>(rows, at),
                            (LINES, 3) => self.block::<V, LINES, 3, 1>(rows, at),
                            (LINES, 4) => self.block::<V, LINES, 4, 1>(rows, at),
                            (LINES, 5) => self.block::<V, LINES, 5, 1>(rows, at),
                            (LINES, _) => self.block::<V, LINES, 6, 1>(rows, at),
                            (_, 1) => self.block::<V, 1, 1, 4>(rows, at),
                            (_, 2) => self.block::<V, 1, 2, 4>(rows, at),
                            (_, 3) => self.block::<V, 1, 3, 4>(rows, at),
                            (_, 4) => self.block::<V, 1, 4, 2>(rows, at),
                            (_, 5) => self.block::<V, 1, 5, 2>(rows, at),
                            _ => self.block::<V, 1, 6, 2>(rows, at),
                        }
                    }
                }
            }
        }
    }
}

/// image[what the winner of each window sees] += slopes[f, window] times filter f; winners of one place together.
pub(super) struct Spread<'a> {
    shape: &'a Winners,
    slopes: &'a [f32],
    places: &'a [u8],
    weight: &'a [f32],
    image: &'a mut [f32],
}

impl<'a> Spread<'a> {
    pub fn new(
        shape: &'a Winners,
        slopes: &'a [f32],
        places: &'a [u8],
        weight: &'a [f32],
        image: &'a mut [f32],
    ) -> Self {
        shape.check(slopes, places, image, weight);
        Self { shape, slopes, places, weight, image }
    }

    /// Adds R rows and N registers of the filters of some winners, which begin at their offsets, to the image at `at`.
    ///
    /// # Safety
    /// The processor has the instructions of `V`; the offsets are those of filters, and rows, registers and the place are
    /// within the shape's.
    #[inline(always)]
    unsafe fn tile<V: Lanes, const R: usize, const N: usize>(
        &mut self,
        winners: &[(u32, f32)],
        (top, column): (usize, usize),
        at: usize,
    ) {
        let &Winners { pitch, run, .. } = self.shape;
        // SAFETY: `new` checked that all that windows see lies in the image, with a register behind it, and all filters.
        unsafe {
            let image = self.image.as_mut_ptr().add(at + top * pitch + column);
            let weight = self.weight.as_ptr().add(top * run + column);
            let mut acc = [[V::splat(0.0); N]; R];
            for (r, acc) in acc.iter_mut().enumerate() {
                for (n, acc) in acc.iter_mut().enumerate() {
                    *acc = V::load(image.add(r * pitch + n * V::WIDTH));
                }
            }
            for &(filter, slope) in winners {
                let (weight, slope) = (weight.add(filter as usize), V::splat(slope));
                for (r, acc) in acc.iter_mut().enumerate() {
                    for (n, acc) in acc.iter_mut().enumerate() {
                        *acc = acc.add_product(slope, V::load(weight.add(r * run + n * V::WIDTH)));
                    }
                }
            }
            for (r, acc) in acc.iter().enumerate() {
                for (n, acc) in acc.iter().enumerate() {
                    acc.store(image.add(r * pitch + n * V::WIDTH));
                }
            }
        }
    }

    /// The winners of a row of windows, by window and place, up to as many as there are filters for each, of which there are
    /// so many: where their filters begin, and their slopes. Those of slope zero bring nothing.
    fn gather(&self, row: usize, counts: &mut [u32], winners: &mut [(u32, f32)]) {
        let &Winners { kernel, filters, windows: (down, across), run, .. } = self.shape;
        counts.fill(0);
        for f in 0..filters {
            let range = (f * down + row) * across..(f * down + row + 1) * across;
            let own = (f * kernel.0 * run) as u32;
            for (col, (&slope, place)) in self.slopes[range.clone()].iter().zip(&self.places[range]).enumerate() {
                let bucket = 4 * col + usize::from(place & 3);
                winners[bucket * filters + counts[bucket] as usize] = (own, slope);
                counts[bucket] += u32::from(slope != 0.0);
            }
        }
    }
}

impl Kernel for Spread<'_> {
    #[inline(always)]
    unsafe fn run<V: Lanes>(mut self) {
        let &Winners { kernel, filters, windows: (down, across), step, places, run, .. } = self.shape;
        let (mut counts, mut winners) = (vec![0; 4 * across], vec![(0, 0.0); 4 * across * filters]);
        for row in 0..down {
            self.gather(row, &mut counts, &mut winners);
            for (top, lines) in lines(kernel.0) {
                // Registers of which those of all filters stay near.
                let most = (NEAR / (filters * lines * V::WIDTH)).clamp(1, most::<V>());
                for (column, registers) in blocks(run / V::WIDTH, most) {
                    let corner = (top, column * V::WIDTH);
                    for (bucket, winners) in winners.chunks_exact(filters).enumerate() {
                        let winners = &winners[..counts[bucket] as usize];
                        if winners.is_empty() {
                            continue;
                        }
                        let at = row * step.0 + bucket / 4 * step.1 + places[bucket % 4];
                        // SAFETY: the caller's promise; `gather` gives offsets of filters, and the rest is the shape's.
                        unsafe {
                            match (lines, registers) {
                                (LINES, 1) => self.tile::<V, LINES, 1>(winners, corner, at),
                                (LINES, 2) => self.tile::<V, LINES, 2>(winners, corner, at),
                                (LINES, 3) => self.tile::<V, LINES, 3>(winners, corner, at),
                                (LINES, 4) => self.tile::<V, LINES, 4>(winners, corner, at),
                                (LINES, 5) => self.tile::<V, LINES, 5>(winners, corner, at),
                                (LINES, _) => self.tile::<V, LINES, 6>(winners, corner, at),
                                (_, 1) => self.tile::<V, 1, 1>(winners, corner, at),
                                (_, 2) => self.tile::<V, 1, 2>(winners, corner, at),
                                (_, 3) => self.tile::<V, 1, 3>(winners, corner, at),
                                (_, 4) => self.tile::<V, 1, 4>(winners, corner, at),
                                (_, 5) => self.tile::<V, 1, 5>(winners, corner, at),
                                _ => self.tile::<V, 1, 6>(winners, corner, at),
                            }
                        }
                    }
                }
            }
        }
    }
}

impl Winners {
    /// Makes sure that kernels stay within what they are given.
    fn check(&self, slopes: &[f32], places: &[u8], image: &[f32], weight: &[f32]) {
        let (down, across) = self.windows;
        let all = self.filters * down * across;
        assert!(slopes.len() == all && places.len() == all && all > 0, "winners of {down}x{across} windows");
        assert_eq!(weight.len(), self.weights(), "filters with their channels innermost");
        let last = (down - 1) * self.step.0 + (across - 1) * self.step.1 + self.places[3];
        assert!(last + (self.kernel.0 - 1) * self.pitch + self.run <= image.len(), "room for whole registers");
    }
}
