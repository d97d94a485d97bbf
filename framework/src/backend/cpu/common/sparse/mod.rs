//! Products with a matrix of which only the nonzeros are there, for a mask that is held over many steps.
//!
//! The idea of a panel, [features, lanes] with the rows of a batch as lanes, is what makes it fast: a nonzero meets a
//! whole register, and what it is multiplied by lies in the nearest cache. Work is cut by shape and pattern alone, and
//! every sum has one order, so that results do not depend on the threads.

mod kernel;
mod tiles;

pub(crate) use tiles::Tiles;

use super::gemm::MatMut;
use super::simd::{Level, level};
use super::transpose::transpose;
use super::{Accumulate, Grad, elementwise, par, scratch};
use kernel::Width;
use tiles::{ByRows, Cut};

/// Rows of a batch from which a task is a panel of rows, whatever the size of the weight.
const MANY_ROWS: usize = 1024;
/// Largest weight that a task goes through as a whole.
const SMALL_WEIGHT: usize = 1 << 18;
/// Groups of rows of a larger one.
const GROUPS: usize = 16;
/// Features that are brought into panels together: so many of the widest panel stay in the nearest cache.
const PACKED: usize = 64;
/// Rows that are taken out of panels together, where a task is no panel of rows.
const TAKEN: usize = 16;

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
        gather(&self.order, weight, f)
    }

    /// Lends `f` the weight's nonzeros, in the order of `turned`.
    pub(crate) fn with_turned_values<R>(&self, weight: &[f32], f: impl FnOnce(&[f32]) -> R) -> R {
        // The weight is read in its own order; a column of it would be a new line of memory at each step.
        self.with_values(weight, |values| gather(&self.place, values, f))
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
fn gather<R>(places: &[u32], from: &[f32], f: impl FnOnce(&[f32]) -> R) -> R {
    aligned(places.len(), |to| {
        let pieces = to.chunks_mut(elementwise::PIECE).zip(places.chunks(elementwise::PIECE));
        par::for_each(8 * places.len(), pieces, |(to, places)| {
            for (to, &place) in to.iter_mut().zip(places) {
                *to = from[place as usize];
            }
        });
        f(to)
    })
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
fn is_thick(density: f64) -> bool {
    density > 0.08
}

/// Lends `f` a buffer of numbers of any value that begins at a cache line.
pub(crate) fn aligned<R>(len: usize, f: impl FnOnce(&mut [f32]) -> R) -> R {
    const LINE: usize = 64;
    scratch::with(len + LINE / 4, |buffer| {
        let skip = buffer.as_ptr().align_offset(LINE).min(LINE / 4);
        f(&mut buffer[skip..][..len])
    })
}

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
