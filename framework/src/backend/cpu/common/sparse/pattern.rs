//! Where the nonzeros of a weight are, in every order that products with it take.

use super::tiles::{ByRows, Cut, Tiles};
use crate::backend::cpu::common::scratch::aligned;
use crate::backend::cpu::common::simd::{Level, level};
use crate::backend::cpu::common::{Accumulate, Grad, elementwise, par};

/// Largest weight that a task goes through as a whole.
pub(super) const SMALL_WEIGHT: usize = 1 << 18;
/// Groups of rows of a larger one.
const GROUPS: usize = 16;
/// Elements of the weight that one task writes to.
const PART: usize = 1 << 15;

/// Where the nonzeros of a weight [outputs, inputs] are, for products with it and with its transpose.
#[derive(Debug)]
pub struct Pattern {
    /// For y and dw.
    pub(crate) direct: Tiles,
    /// For dx.
    pub(crate) turned: Tiles,
    /// Where in the weight each nonzero is, in rising order: the order in which values of nonzeros are kept.
    positions: Vec<u32>,
    /// Where among the positions each nonzero of `direct` is. A group of rows has the same range in both orders.
    order: Vec<u32>,
    /// Where among the positions each nonzero of `turned` is.
    place: Vec<u32>,
}

impl Pattern {
    /// The pattern of a mask of [outputs, inputs].
    pub fn new(keep: &[bool], outputs: usize, inputs: usize) -> Self {
        let all = ByRows::new(keep, outputs, inputs);
        let density = all.count() as f64 / keep.len().max(1) as f64;
        let cut = |rows| cut(rows, keep.len(), density);
        let ((direct, places), (turned, turned_places)) =
            rayon::join(|| Tiles::new(&all, false, cut(outputs)), || Tiles::new(&all, true, cut(inputs)));
        let (mut order, mut place) = (vec![0; all.count()], vec![0; all.count()]);
        let (mut next, mut positions) = (places.iter().zip(turned_places), Vec::with_capacity(all.count()));
        all.each(|row, col| {
            if let Some((&at, turned)) = next.next() {
                let nth = positions.len() as u32;
                positions.push((row * inputs + col) as u32);
                order[at as usize] = nth;
                place[turned as usize] = nth;
            }
        });
        Self { direct, turned, order, place, positions }
    }

    /// Nonzeros.
    pub fn nonzeros(&self) -> usize {
        self.order.len()
    }

    /// Elements of the weight, zeros and others.
    pub fn weights(&self) -> usize {
        self.direct.rows() * self.direct.cols()
    }

    /// Where in the weight each nonzero is, in rising order.
    pub(crate) fn positions(&self) -> &[u32] {
        &self.positions
    }

    /// Takes the nonzeros out of a weight, in rising order.
    pub fn gather(&self, to: &mut [f32], weight: &[f32]) {
        copy(&self.positions, to, weight);
    }

    /// Puts nonzeros in rising order where they belong, and zeros elsewhere.
    pub fn spread(&self, to: &mut [f32], values: &[f32]) {
        assert_eq!(values.len(), self.positions.len(), "a value for each nonzero");
        let (mut places, mut values) = (&self.positions[..], values);
        let work = 2 * to.len() + 8 * self.positions.len();
        let parts = to.chunks_mut(PART).enumerate().map(|(part, to)| {
            let first = part * PART;
            let count = places.partition_point(|&at| (at as usize) < first + PART);
            let (here, later) = places.split_at(count);
            let (of_here, of_later) = values.split_at(count);
            (places, values) = (later, of_later);
            (first, here, of_here, to)
        });
        par::for_each(work, parts, |(first, places, values, to)| {
            to.fill(0.0);
            places.iter().zip(values).for_each(|(&at, &value)| to[at as usize - first] = value);
        });
    }

    /// Lends `f` the nonzeros, which are given in rising order, in the order of `direct`.
    pub(crate) fn with_values<R>(&self, values: &[f32], f: impl FnOnce(&[f32]) -> R) -> R {
        lend(&self.order, values, f)
    }

    /// Lends `f` the nonzeros, which are given in rising order, in the order of `turned`.
    pub(crate) fn with_turned_values<R>(&self, values: &[f32], f: impl FnOnce(&[f32]) -> R) -> R {
        lend(&self.place, values, f)
    }

    /// Puts `values` of the nonzeros, in the order of `direct`, into a gradient of these in rising order.
    pub(crate) fn put(&self, grad: Grad<'_>, values: &[f32]) {
        let Grad { mut out, mode } = grad;
        let groups = (0..self.direct.groups()).map(|group| {
            let range = self.direct.range(group);
            let (here, later) = std::mem::take(&mut out).split_at_mut(range.len());
            out = later;
            (range, here)
        });
        par::for_each(8 * values.len(), groups, |(range, out)| {
            for (&nth, &value) in self.order[range.clone()].iter().zip(&values[range.clone()]) {
                let to = &mut out[nth as usize - range.start];
                *to = if mode == Accumulate::Add { *to + value } else { value };
            }
        });
    }

    /// Puts what a dense gradient of the weight has at the nonzeros into a gradient of these in rising order.
    pub(crate) fn put_dense(&self, grad: Grad<'_>, dense: &[f32]) {
        let Grad { out, mode } = grad;
        match mode {
            Accumulate::Overwrite => self.gather(out, dense),
            Accumulate::Add => lend(&self.positions, dense, |found| elementwise::add_assign(out, found)),
        }
    }
}

/// Lends `f` the values at these places.
fn lend<R>(places: &[u32], from: &[f32], f: impl FnOnce(&[f32]) -> R) -> R {
    aligned(places.len(), |to| {
        copy(places, to, from);
        f(to)
    })
}

/// Copies the values at these places.
fn copy(places: &[u32], to: &mut [f32], from: &[f32]) {
    let pieces = to.chunks_mut(elementwise::PIECE).zip(places.chunks(elementwise::PIECE));
    par::for_each(8 * places.len(), pieces, |(to, places)| {
        for (to, &place) in to.iter_mut().zip(places) {
            *to = from[place as usize];
        }
    });
}

/// How a matrix with so many rows is cut, one of `weights` elements and this density.
fn cut(rows: usize, weights: usize, density: f64) -> Cut {
    let (groups, most) = if weights <= SMALL_WEIGHT { (1, 1024) } else { (GROUPS, 256) };
    // A feature has at most 512 bytes; few nonzeros of a row in a block would not be worth reading the row for.
    let least = if level() == Level::Avx512 && !is_thick(density) { 192 } else { 96 };
    let block = ((10.0 / density.max(1e-3)) as usize).clamp(least, most).next_multiple_of(16);
    Cut { group: rows.div_ceil(groups).max(1).next_multiple_of(16), block }
}

/// Whether there are so many nonzeros that the widest panels pay.
pub(super) fn is_thick(density: f64) -> bool {
    density > 0.08
}
