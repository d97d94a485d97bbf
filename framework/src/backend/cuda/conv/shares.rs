//! How the products of convolutions are cut: into tiles of their results, and into shares of what is summed over.
//!
//! Sizes of tiles and numbers of shares follow from the shapes alone, not from the GPU at hand: the same bits on all of
//! them.

use crate::backend::cuda::Cuda;
use crate::backend::cuda::runtime::{Context, PROCESSORS};
use crate::error::Result;
use crate::tensor::Tensor;

/// A kernel's tile of results, and what an element of it costs next to the others': smaller ones read more memory for
/// each.
pub(super) struct Tile {
    pub kernels: [&'static str; 3],
    pub rows: usize,
    pub cols: usize,
    pub threads: u32,
    pub cost: usize,
}

/// Kernels: convolution, transposed convolution, weight gradient.
pub(super) const TILES: [Tile; 3] = [
    Tile {
        kernels: ["conv_128", "conv_transposed_128", "conv_weight_128"],
        rows: 128,
        cols: 128,
        threads: 256,
        cost: 100,
    },
    Tile { kernels: ["conv_64", "conv_transposed_64", "conv_weight_64"], rows: 64, cols: 128, threads: 128, cost: 110 },
    Tile { kernels: ["conv_32", "conv_transposed_32", "conv_weight_32"], rows: 32, cols: 128, threads: 128, cost: 135 },
];
/// For weights of few elements a filter.
pub(super) const NARROW: Tile =
    Tile { kernels: ["", "", "conv_weight_narrow"], rows: 64, cols: 32, threads: 128, cost: 180 };

/// What a share costs beyond its steps: its start, and where there are several the traffic of its sums.
const ALONE: usize = 16;
const AMONG_OTHERS: usize = 64;
/// Numbers in the sums of all shares together: 32 MB.
const SUMS: usize = 1 << 23;

impl Tile {
    /// The tile that wastes least on a result of this size.
    pub fn best(tiles: impl Iterator<Item = &'static Tile>, rows: usize, cols: usize) -> &'static Tile {
        let waste = |t: &&Tile| rows.next_multiple_of(t.rows) * cols.next_multiple_of(t.cols) * t.cost;
        tiles.min_by_key(waste).unwrap_or(&TILES[0])
    }

    /// Tiles that a result of this size takes.
    pub fn count(&self, rows: usize, cols: usize) -> usize {
        rows.div_ceil(self.rows) * cols.div_ceil(self.cols)
    }
}

/// Into how many shares a sum of `depth` is split so that all of the GPU works on `tiles`, and the length of each.
pub(super) fn shares(tiles: usize, depth: usize, results: usize) -> (usize, usize) {
    let most = (SUMS / results.max(1)).min(depth / AMONG_OTHERS).clamp(1, 4 * PROCESSORS);
    let time = |shares: &usize| {
        // One block alone leaves a multiprocessor waiting for memory now and then.
        let blocks = (2 * (shares * tiles).div_ceil(PROCESSORS)).max(3);
        blocks * (depth.div_ceil(*shares) + if *shares == 1 { ALONE } else { AMONG_OTHERS })
    };
    let best = (1..=most).min_by_key(time).unwrap_or(1);
    let share = depth.div_ceil(best).next_multiple_of(8).max(8);
    (depth.div_ceil(share).max(1), share)
}

/// Memory for the sums of several shares. A power of two, so that layers share it.
pub(super) fn sums(cx: &Context, shares: usize, results: usize) -> Result<Option<Tensor<Cuda>>> {
    (shares > 1).then(|| cx.tensor([(shares * results).next_power_of_two()])).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_cover_the_depth_and_none_is_empty() {
        for (tiles, depth, results) in
            [(1, 0, 1), (1, 9, 100), (1, 131_072, 1728), (16, 4608, 1 << 18), (144, 512, 1 << 21)]
        {
            let (shares, share) = shares(tiles, depth, results);
            assert!(shares * share >= depth && share % 8 == 0, "{tiles} {depth}");
            assert!(shares == 1 || ((shares - 1) * share < depth && shares * results <= SUMS), "{tiles} {depth}");
        }
    }

    #[test]
    fn a_gpu_is_filled_where_the_depth_allows_it() {
        // Sixteen tiles alone would leave most multiprocessors idle; thousands need no shares.
        let (few, many) = (shares(16, 4608, 1 << 18).0, shares(1024, 576, 1 << 23).0);
        assert!((PROCESSORS / 16..=2 * PROCESSORS / 16 + 1).contains(&few), "{few}");
        assert_eq!(many, 1);
    }

    #[test]
    fn tiles_fit_the_filters() {
        let best = |rows, cols| Tile::best(TILES.iter().chain([&NARROW]), rows, cols).kernels[2];
        assert_eq!(best(512, 4608), "conv_weight_128");
        assert_eq!(best(64, 576), "conv_weight_64");
        assert_eq!(best(32, 288), "conv_weight_32");
        assert_eq!(best(64, 27), "conv_weight_narrow");
    }
}
