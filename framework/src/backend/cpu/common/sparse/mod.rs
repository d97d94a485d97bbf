//! Products with a matrix of which only the nonzeros are there, for a mask that is held over many steps.
//!
//! The idea of a panel, [features, lanes] with the rows of a batch as lanes, is what makes it fast: a nonzero meets a
//! whole register, and what it is multiplied by lies in the nearest cache. Work is cut by shape and pattern alone, and
//! every sum has one order, so that results do not depend on the threads.

mod kernel;
mod pattern;
mod tiles;

pub use pattern::Pattern;
pub(crate) use tiles::Tiles;

use super::simd::{Level, level};
use super::transpose::transpose;
use super::{par, scratch};
use crate::tensor::Weight;
use dfdx::tensor::Cpu;
use kernel::Width;
use pattern::{SMALL_WEIGHT, is_thick};

/// The nonzeros of a layer's weight.
#[derive(Clone, Copy, Debug)]
pub struct Nonzeros<'a> {
    /// Where they are.
    pub pattern: &'a Pattern,
    /// The weight's values there, in rising order.
    pub values: &'a [f32],
    /// Whether products go over them alone even where that takes longer.
    pub always: bool,
}

impl<'a> Nonzeros<'a> {
    /// Those of a weight, where products may run over them alone.
    pub(crate) fn of(weight: &'a Weight<Cpu>) -> Option<Self> {
        let held = weight.nonzeros.as_ref()?;
        Some(Self { pattern: &held.pattern, values: held.values.data(), always: held.always })
    }

    /// Lends `f` the whole weight.
    pub(crate) fn with_whole<R>(&self, f: impl FnOnce(&[f32]) -> R) -> R {
        scratch::with(self.pattern.weights(), |whole| {
            self.pattern.spread(whole, self.values);
            f(whole)
        })
    }
}

/// Rows of a batch from which a task is a panel of rows, whatever the size of the weight.
const MANY_ROWS: usize = 1024;
/// Features that are brought into panels together: so many of the widest panel stay in the nearest cache.
const PACKED: usize = 64;
/// Rows that are taken out of panels together, where a task is no panel of rows.
const TAKEN: usize = 16;

/// How a batch is cut for a pattern.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    level: Level,
    width: Width,
    /// Whether a task is a panel of rows, or a panel and a group of the weight's rows.
    pub by_rows: bool,
    rows: usize,
    /// Share of the weight's elements that are no zeros.
    density: f64,
}

impl Plan {
    /// The plan for `rows` of a batch.
    pub fn of(pattern: &Pattern, rows: usize) -> Self {
        let (level, weights) = (level(), pattern.direct.rows() * pattern.direct.cols());
        let by_rows = rows >= MANY_ROWS || weights <= SMALL_WEIGHT;
        let density = pattern.nonzeros() as f64 / weights.max(1) as f64;
        let narrow = Width::Four.lanes(level);
        let wide = match level {
            Level::Avx512 if by_rows => rows >= MANY_ROWS && is_thick(density),
            _ => rows > narrow,
        };
        let enough = [Width::One, Width::Two].into_iter().find(|width| rows <= width.lanes(level));
        let width = enough.unwrap_or(if wide { Width::Eight } else { Width::Four });
        Self { level, width, by_rows, rows, density }
    }

    /// What share of a dense product's multiplications are done, those with lanes without a row included.
    pub fn share(&self) -> f64 {
        self.density * (self.panels() * self.lanes()) as f64 / self.rows.max(1) as f64
    }

    /// Whether there are so many rows that a task is a panel of them, whatever the weight.
    pub fn has_many_rows(&self) -> bool {
        self.rows >= MANY_ROWS
    }

    /// Rows of a panel.
    pub fn lanes(&self) -> usize {
        self.width.lanes(self.level)
    }

    /// Panels.
    pub fn panels(&self) -> usize {
        self.rows.div_ceil(self.lanes())
    }

    /// Rows of a result that are finished together.
    pub fn piece(&self) -> usize {
        if self.by_rows { self.lanes() } else { TAKEN }
    }

    /// Operations of a product, with the way into panels and out of them.
    pub fn work(&self, tiles: &Tiles) -> usize {
        let (features, rows) = (tiles.rows() + tiles.cols(), self.rows.next_multiple_of(self.lanes()));
        rows.saturating_mul(4 * features + 2 * tiles.nonzeros())
    }

    /// Brings rows of `x`, of `features` numbers each, into a panel; lanes without a row are zero.
    pub fn pack(&self, panel: &mut [f32], x: &[f32], features: usize) {
        let rows = x.len() / features.max(1);
        pack_some(panel, self.lanes(), x, features, rows);
    }

    /// Brings all rows of `x` into panels.
    pub fn pack_all(&self, panels: &mut [f32], x: &[f32], features: usize) {
        let lanes = self.lanes();
        let whole = panels.chunks_mut((features * lanes).max(1)).zip(x.chunks((features * lanes).max(1)));
        let pieces = whole.flat_map(|(panel, x)| {
            let pieces = panel.chunks_mut(PACKED * lanes).enumerate();
            pieces.map(move |(i, panel)| (panel, &x[i * PACKED..], x.len() / features))
        });
        par::for_each(4 * x.len(), pieces, |(panel, x, rows)| pack_some(panel, lanes, x, features, rows));
    }

    /// y = a group of the tiles' rows times x, both in panels; y has the group's rows.
    fn multiply(&self, tiles: &Tiles, group: usize, values: &[f32], x: &[f32], y: &mut [f32]) {
        for (left, tile) in tiles.of_group(group) {
            let x = &x[left * self.lanes()..];
            kernel::multiply((self.level, self.width), tile, values, x, y, left == 0);
        }
    }

    /// y = the tiles times x, both in one panel.
    pub fn multiply_panel(&self, tiles: &Tiles, values: &[f32], x: &[f32], y: &mut [f32]) {
        for (group, y) in y.chunks_mut((tiles.group() * self.lanes()).max(1)).enumerate() {
            self.multiply(tiles, group, values, x, y);
        }
    }

    /// y = the tiles times x, both in panels for all rows, spread over the threads.
    pub fn multiply_all(&self, tiles: &Tiles, values: &[f32], x: &[f32], y: &mut [f32]) {
        let lanes = self.lanes();
        let (inputs, outputs) = ((tiles.cols() * lanes).max(1), (tiles.rows() * lanes).max(1));
        let tasks = y.chunks_mut(outputs).zip(x.chunks(inputs)).flat_map(|(y, x)| {
            let groups = y.chunks_mut((tiles.group() * lanes).max(1)).enumerate();
            groups.map(move |(group, y)| (group, x, y))
        });
        par::for_each(self.work(tiles), tasks, |(group, x, y)| self.multiply(tiles, group, values, x, y));
    }

    /// dw += the correlations of dy and x, each in one panel, at the nonzeros of a group of rows.
    fn correlate(&self, tiles: &Tiles, group: usize, dy: &[f32], x: &[f32], dw: &mut [f32]) {
        let (lanes, first) = (self.lanes(), tiles.range(group).start);
        let dy = &dy[group * tiles.group() * lanes..];
        for (left, tile) in tiles.of_group(group) {
            let range = tile.range();
            let dw = &mut dw[range.start - first..range.end - first];
            kernel::correlate((self.level, self.width), tile, dy, &x[left * lanes..], dw);
        }
    }

    /// dw += the correlations of dy and x, each in one panel, at all nonzeros.
    pub fn correlate_panel(&self, tiles: &Tiles, dy: &[f32], x: &[f32], dw: &mut [f32]) {
        for group in 0..tiles.groups() {
            self.correlate(tiles, group, dy, x, &mut dw[tiles.range(group)]);
        }
    }

    /// dw = the correlations of dy and x, both in panels for all rows, spread over the threads.
    pub fn correlate_all(&self, tiles: &Tiles, dy: &[f32], x: &[f32], mut dw: &mut [f32]) {
        let lanes = self.lanes();
        let tasks = (0..tiles.groups()).map(|group| {
            let (this, rest) = std::mem::take(&mut dw).split_at_mut(tiles.range(group).len());
            dw = rest;
            (group, this)
        });
        par::for_each(self.work(tiles), tasks, |(group, dw)| {
            dw.fill(0.0);
            let panels = dy.chunks((tiles.rows() * lanes).max(1)).zip(x.chunks((tiles.cols() * lanes).max(1)));
            panels.for_each(|(dy, x)| self.correlate(tiles, group, dy, x, dw));
        });
    }

    /// Takes rows of `features` numbers out of a panel, from lane `first` on, as many as `to` has.
    pub fn unpack(&self, to: &mut [f32], panel: &[f32], first: usize, features: usize) {
        transpose(to, features, &panel[first..], self.lanes(), features);
    }

    /// Gives each of `pieces` of a result its rows out of panels of `features`: [`Plan::piece`] rows each. `f` gets the
    /// piece, its panel and the lane of its first row.
    pub fn unpack_all<D: Send>(
        &self,
        panels: &[f32],
        features: usize,
        pieces: impl Iterator<Item = D>,
        f: impl Fn(D, &[f32], usize) + Send + Sync,
    ) {
        let lanes = self.lanes();
        par::for_each(4 * panels.len(), pieces.enumerate(), |(i, piece)| {
            let row = i * self.piece();
            f(piece, &panels[row / lanes * lanes * features..], row % lanes);
        });
    }
}

/// Brings `rows` rows of x, `stride` apart, into the features of a panel.
fn pack_some(panel: &mut [f32], lanes: usize, x: &[f32], stride: usize, rows: usize) {
    if rows < lanes {
        panel.fill(0.0);
    }
    if !panel.is_empty() {
        transpose(panel, lanes, x, stride, rows);
    }
}
