//! Where the nonzeros of a weight are, in every order that products with it take.

use super::tiles::{ByRows, Cut, Tiles};
use crate::backend::cpu::common::gemm::MatMut;
use crate::backend::cpu::common::scratch::aligned;
use crate::backend::cpu::common::simd::{Level, level};
use crate::backend::cpu::common::{Accumulate, Grad, elementwise, par};

/// Largest weight that a task goes through as a whole.
pub(super) const SMALL_WEIGHT: usize = 1 << 18;
/// Groups of rows of a larger one.
const GROUPS: usize = 16;

/// Where the nonzeros of a weight [outputs, inputs] are, for products with it and with its transpose.
#[derive(Debug)]
pub struct Pattern {
    /// For y and dw.
    pub(crate) direct: Tiles,
    /// For dx.
    pub(crate) turned: Tiles,
    /// Where in the weight each nonzero is, in the order of `direct`.
    order: Vec<u32>,
    /// Where in the order of `direct` each nonzero of `turned` is.
    place: Vec<u32>,
    /// Where in the weight each nonzero is, in rising order.
    positions: Vec<u32>,
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
                positions.push((row * inputs + col) as u32);
                order[at as usize] = (row * inputs + col) as u32;
                place[turned as usize] = at;
            }
        });
        Self { direct, turned, order, place, positions }
    }

    /// Nonzeros.
    pub fn nonzeros(&self) -> usize {
        self.order.len()
    }

    /// Where in the weight each nonzero is, in rising order.
    pub fn positions(&self) -> &[u32] {
        &self.positions
    }

    /// Elements of the weight, zeros and others.
    pub fn weights(&self) -> usize {
        self.direct.rows() * self.direct.cols()
    }

    /// Takes the nonzeros out of a weight, in rising order.
    pub fn gather(&self, to: &mut [f32], weight: &[f32]) {
        copy(&self.positions, to, weight);
    }

    /// Puts nonzeros in rising order where they belong, and zeros elsewhere.
    pub fn spread(&self, to: &mut [f32], values: &[f32]) {
        assert_eq!(values.len(), self.positions.len(), "a value for each nonzero");
        to.fill(0.0);
        self.positions.iter().zip(values).for_each(|(&at, &value)| to[at as usize] = value);
    }

    /// Leaves of a tile of a dense gradient of the weight, whose first element is [`row`, `col`], the nonzeros' alone.
    pub(crate) fn keep(&self, tile: &mut MatMut<'_>) {
        let (first, left, cols, inputs) = (tile.first_row(), tile.first_col(), tile.cols(), self.direct.cols());
        let rows = tile.blocks().flat_map(|block| block.chunks_exact_mut(cols.max(1))).enumerate();
        let mut kept = vec![];
        for (r, row) in rows {
            let begin = (first + r) * inputs + left;
            let at = &self.positions[self.positions.partition_point(|&at| (at as usize) < begin)..];
            let at = &at[..at.partition_point(|&at| (at as usize) < begin + cols)];
            kept.clear();
            kept.extend(at.iter().map(|&at| row[at as usize - begin]));
            row.fill(0.0);
            at.iter().zip(&kept).for_each(|(&at, &kept)| row[at as usize - begin] = kept);
        }
    }

    /// Lends `f` the weight's nonzeros, in the order of `direct`.
    pub(crate) fn with_values<R>(&self, weight: &[f32], f: impl FnOnce(&[f32]) -> R) -> R {
        lend(&self.order, weight, f)
    }

    /// Lends `f` the weight's nonzeros, in the order of `turned`.
    pub(crate) fn with_turned_values<R>(&self, weight: &[f32], f: impl FnOnce(&[f32]) -> R) -> R {
        // The weight is read in its own order; a column of it would be a new line of memory at each step.
        self.with_values(weight, |values| lend(&self.place, values, f))
    }

    /// Puts `values` of the nonzeros, in the order of `direct`, into a gradient of the weight. What it replaces is zero
    /// elsewhere already if `cleared`.
    pub(crate) fn put(&self, grad: Grad<'_>, values: &[f32], cleared: bool) {
        let Grad { out, mode } = grad;
        // Rows of the weight that a group has to itself.
        let rows = (self.direct.group() * self.direct.cols()).max(1);
        let groups = out.chunks_mut(rows).enumerate().map(|(group, out)| (group * rows, self.direct.range(group), out));
        par::for_each(8 * values.len(), groups, |(first, range, out)| {
            if mode == Accumulate::Overwrite && !cleared {
                out.fill(0.0);
            }
            for (&at, &value) in self.order[range.clone()].iter().zip(&values[range]) {
                let to = &mut out[at as usize - first];
                *to = if mode == Accumulate::Add { *to + value } else { value };
            }
        });
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
