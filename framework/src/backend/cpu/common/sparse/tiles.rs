//! Where the nonzeros of a matrix are, cut into tiles of some rows and some columns.

/// The nonzeros of a matrix, row by row.
pub(super) struct ByRows {
    pub rows: usize,
    pub cols: usize,
    /// Where each row ends in `col`.
    ends: Vec<u32>,
    col: Vec<u32>,
}

impl ByRows {
    /// What `keep` [rows, cols] keeps.
    pub fn new(keep: &[bool], rows: usize, cols: usize) -> Self {
        assert_eq!(keep.len(), rows * cols, "length of a [{rows}, {cols}] mask");
        assert!(u32::try_from(keep.len()).is_ok(), "a [{rows}, {cols}] mask is larger than its places can be counted");
        let (mut ends, mut col) = (Vec::with_capacity(rows), vec![]);
        for row in 0..rows {
            let kept = keep[row * cols..][..cols].iter().enumerate().filter(|(_, keep)| **keep);
            col.extend(kept.map(|(c, _)| c as u32));
            ends.push(col.len() as u32);
        }
        Self { rows, cols, ends, col }
    }

    pub fn count(&self) -> usize {
        self.col.len()
    }

    /// Calls `f` with row and column of each nonzero.
    #[inline]
    pub fn each(&self, mut f: impl FnMut(usize, usize)) {
        let mut first = 0;
        for (r, &end) in self.ends.iter().enumerate() {
            for &c in &self.col[first..end as usize] {
                f(r, c as usize);
            }
            first = end as usize;
        }
    }
}

/// How a matrix is cut.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cut {
    /// Rows of a tile: what one task computes.
    pub group: usize,
    /// Columns of a tile: so many features of a panel stay in the nearest cache.
    pub block: usize,
}

/// Nonzeros tile after tile, groups of rows outermost. In a tile the longest rows come first: loops keep their length
/// from one row to the next, and rows can be taken in pairs.
#[derive(Debug)]
pub(crate) struct Tiles {
    rows: usize,
    cols: usize,
    cut: Cut,
    /// First entry of `row`, and number of rows, of each tile.
    tiles: Vec<(u32, u32)>,
    /// Row within its group.
    row: Vec<u32>,
    /// First nonzero of each row, and one more for each tile.
    ptr: Vec<u32>,
    /// Column within its tile.
    idx: Vec<u16>,
}

/// One tile. [`Tiles::new`] alone makes them: rows lie below `rows`, columns below `cols`, and `ptr` never falls and
/// ends within `idx`.
#[derive(Clone, Copy)]
pub(super) struct Tile<'a> {
    pub row: &'a [u32],
    pub ptr: &'a [u32],
    pub idx: &'a [u16],
    /// Rows of its group.
    pub rows: usize,
    /// Columns of its block.
    pub cols: usize,
}

impl Tile<'_> {
    /// The places of its nonzeros.
    pub fn range(&self) -> std::ops::Range<usize> {
        self.ptr[0] as usize..self.ptr[self.ptr.len() - 1] as usize
    }
}

impl Tiles {
    /// The tiles of a matrix, or of its transpose; with the place of each nonzero, in the order of [`ByRows::each`].
    ///
    /// Everything is counted and nothing is compared, so that the time is that of a few passes over the nonzeros.
    pub(super) fn new(all: &ByRows, turned: bool, cut: Cut) -> (Self, Vec<u32>) {
        let (rows, cols) = if turned { (all.cols, all.rows) } else { (all.rows, all.cols) };
        let blocks = cols.div_ceil(cut.block).max(1);
        assert!(cut.block <= 1 << 16, "columns of a block are counted in 16 bits");
        let within: Vec<(u32, u16)> = (0..cols).map(|c| ((c / cut.block) as u32, (c % cut.block) as u16)).collect();
        let turn = |r, c| if turned { (c, r) } else { (r, c) };
        // First the nonzeros of each row in each block, later where its next one goes.
        let mut next = vec![0u32; rows * blocks];
        all.each(|r, c| {
            let (r, c) = turn(r, c);
            next[r * blocks + within[c].0 as usize] += 1;
        });
        let mut tiles = Self { rows, cols, cut, tiles: vec![], row: vec![], ptr: vec![], idx: vec![0; all.count()] };
        let mut placed = 0;
        for first in (0..rows).step_by(cut.group) {
            let group = first..rows.min(first + cut.group);
            for block in 0..blocks {
                tiles.lay_out(group.clone().map(|r| next[r * blocks + block]), block == 0);
                let (at, count) = tiles.tiles[tiles.tiles.len() - 1];
                let listed = at as usize..(at + count) as usize;
                tiles.ptr.push(placed);
                for &r in &tiles.row[listed] {
                    let next = &mut next[(first + r as usize) * blocks + block];
                    let length = std::mem::replace(next, placed);
                    placed += length;
                    tiles.ptr.push(placed);
                }
            }
        }
        let mut places = Vec::with_capacity(all.count());
        all.each(|r, c| {
            let (r, c) = turn(r, c);
            let next = &mut next[r * blocks + within[c].0 as usize];
            tiles.idx[*next as usize] = within[c].1;
            places.push(*next);
            *next += 1;
        });
        (tiles, places)
    }

    /// Lists the rows of the next tile, the longest first and those of one length as they come. Rows without nonzeros
    /// are listed in the first block alone, where their result begins.
    fn lay_out(&mut self, lengths: impl Iterator<Item = u32> + Clone, first: bool) {
        let longest = lengths.clone().max().unwrap_or(0) as usize;
        let mut starts = vec![0u32; longest + 2];
        lengths.clone().for_each(|length| starts[longest - length as usize + 1] += 1);
        for i in 0..=longest {
            starts[i + 1] += starts[i];
        }
        let empty = starts[longest];
        let count = if first { starts[longest + 1] } else { empty };
        let at = self.row.len();
        self.row.resize(at + count as usize, 0);
        for (r, length) in lengths.enumerate() {
            let place = &mut starts[longest - length as usize];
            if *place < count {
                self.row[at + *place as usize] = r as u32;
            }
            *place += 1;
        }
        self.tiles.push((at as u32, count));
    }

    /// Rows of the matrix.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Columns of the matrix.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// Nonzeros of the matrix.
    pub fn nonzeros(&self) -> usize {
        self.idx.len()
    }

    /// Rows of a group.
    pub fn group(&self) -> usize {
        self.cut.group
    }

    pub fn groups(&self) -> usize {
        self.rows.div_ceil(self.cut.group)
    }

    fn blocks(&self) -> usize {
        self.cols.div_ceil(self.cut.block).max(1)
    }

    /// The tiles of a group, with the first column of each.
    pub(super) fn of_group(&self, group: usize) -> impl Iterator<Item = (usize, Tile<'_>)> {
        let rows = self.cut.group.min(self.rows - group * self.cut.group);
        (0..self.blocks()).map(move |block| {
            let t = group * self.blocks() + block;
            let (first, count) = (self.tiles[t].0 as usize, self.tiles[t].1 as usize);
            let left = block * self.cut.block;
            let tile = Tile {
                row: &self.row[first..][..count],
                ptr: &self.ptr[first + t..][..count + 1],
                idx: &self.idx,
                rows,
                cols: self.cut.block.min(self.cols - left),
            };
            (left, tile)
        })
    }

    /// The places of a group's nonzeros.
    pub fn range(&self, group: usize) -> std::ops::Range<usize> {
        let mut tiles = self.of_group(group).map(|(_, tile)| tile.range());
        let first = tiles.next().unwrap_or(0..0);
        first.start..tiles.last().map_or(first.end, |last| last.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::cpu::common::testing::random;

    /// Row, column and place of each nonzero, as the tiles have them.
    fn listed(tiles: &Tiles) -> Vec<(usize, usize, usize)> {
        let mut all = vec![];
        for group in 0..tiles.groups() {
            for (left, tile) in tiles.of_group(group) {
                for (j, &r) in tile.row.iter().enumerate() {
                    for k in tile.ptr[j] as usize..tile.ptr[j + 1] as usize {
                        all.push((group * tiles.group() + r as usize, left + usize::from(tile.idx[k]), k));
                    }
                }
            }
        }
        all
    }

    #[test]
    fn every_nonzero_has_one_place_in_each_order_of_the_matrix() {
        for (rows, cols, density) in
            [(1, 1, 1.0), (37, 53, 0.3), (64, 16, 1.0), (16, 70, 0.0), (5, 300, 0.02), (130, 7, 0.6)]
        {
            let keep: Vec<bool> = random(rows * cols, 3).iter().map(|x| x + 1.0 < 2.0 * density).collect();
            let all = ByRows::new(&keep, rows, cols);
            assert_eq!(all.count(), keep.iter().filter(|k| **k).count());
            for (turned, cut) in [
                (false, Cut { group: 16, block: 16 }),
                (true, Cut { group: 32, block: 48 }),
                (true, Cut { group: 1024, block: 1024 }),
            ] {
                let (tiles, places) = Tiles::new(&all, turned, cut);
                let mut expected = vec![];
                let mut next = places.iter();
                all.each(|r, c| {
                    assert!(keep[r * cols + c]);
                    let (r, c) = if turned { (c, r) } else { (r, c) };
                    expected.push((r, c, *next.next().unwrap() as usize));
                });
                expected.sort_by_key(|nonzero| nonzero.2);
                assert_eq!(listed(&tiles), expected, "in the order of places, which are all different");
                assert!(expected.iter().enumerate().all(|(k, nonzero)| nonzero.2 == k));
                assert_eq!(tiles.nonzeros(), expected.len());
                let ranges: Vec<_> = (0..tiles.groups()).map(|group| tiles.range(group)).collect();
                assert_eq!((ranges[0].start, ranges[ranges.len() - 1].end), (0, expected.len()));
                assert!(ranges.windows(2).all(|two| two[0].end == two[1].start));
            }
        }
    }

    #[test]
    fn rows_of_a_tile_come_longest_first_and_each_row_begins_once() {
        let keep: Vec<bool> = random(40 * 90, 5).iter().map(|x| *x > 0.5).collect();
        let (tiles, _) = Tiles::new(&ByRows::new(&keep, 40, 90), false, Cut { group: 16, block: 32 });
        for group in 0..tiles.groups() {
            for (left, tile) in tiles.of_group(group) {
                let lengths: Vec<u32> = tile.ptr.windows(2).map(|ends| ends[1] - ends[0]).collect();
                assert!(lengths.is_sorted_by(|a, b| a >= b), "{lengths:?}");
                if left == 0 {
                    let mut rows = tile.row.to_vec();
                    rows.sort_unstable();
                    assert_eq!(rows, (0..tile.rows as u32).collect::<Vec<_>>());
                }
            }
        }
    }
}
