//! The three products that convolutions and transposed convolutions are made of, and what surrounds them.
//!
//! Sizes of tiles and numbers of shares follow from the shapes alone, not from the GPU at hand: the same bits on all of them.

use super::super::Bytes;
use super::super::elementwise::code;
use super::super::launch::extent;
use super::super::linear::column_sums;
use super::super::memory::{Ptr, ptr_or_null};
use super::super::{Context, Cuda, Dest};
use crate::backend::cpu::kernels::patches::Patches;
use crate::backend::tensor::Tensor;
use crate::backend::{Act, Weight};
use crate::error::{Error, Result};

type T = Tensor<Cuda>;

/// Images, the windows laid over them, and as many filters that look at each window.
#[derive(Debug, Clone, Copy)]
pub(in crate::backend::cuda) struct Convolution {
    pub batch: usize,
    pub patches: Patches,
    pub filters: usize,
}

/// What follows a product while its results are in registers.
#[derive(Debug, Clone, Copy)]
pub(in crate::backend::cuda) struct Finish<'a> {
    pub bias: Option<&'a T>,
    pub act: Act,
}

impl Finish<'_> {
    pub const NOTHING: Self = Self { bias: None, act: Act::None };
}

/// A kernel's tile of results, and what an element of it costs next to the others': smaller ones read more memory for each.
struct Tile {
    kernels: [&'static str; 3],
    rows: usize,
    cols: usize,
    threads: u32,
    cost: usize,
}

/// Kernels: convolution, transposed convolution, weight gradient.
const TILES: [Tile; 3] = [
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
const NARROW: Tile = Tile { kernels: ["", "", "conv_weight_narrow"], rows: 64, cols: 32, threads: 128, cost: 180 };

/// Multiprocessors of the GPUs that shares are made for; others take the same ones.
const PROCESSORS: usize = 132;
/// What a share costs beyond its steps: its start, and where there are several the traffic of its sums.
const ALONE: usize = 16;
const AMONG_OTHERS: usize = 64;
/// Numbers in the sums of all shares together: 32 MB.
const SUMS: usize = 1 << 23;
/// Gradients before the activation that are in memory at once: 16 MB.
const SLOPES: usize = 1 << 22;

impl Tile {
    /// The tile that wastes least on a result of this size.
    fn best(tiles: impl Iterator<Item = &'static Tile>, rows: usize, cols: usize) -> &'static Tile {
        let waste = |t: &&Tile| rows.next_multiple_of(t.rows) * cols.next_multiple_of(t.cols) * t.cost;
        tiles.min_by_key(waste).unwrap_or(&TILES[0])
    }

    fn count(&self, rows: usize, cols: usize) -> usize {
        rows.div_ceil(self.rows) * cols.div_ceil(self.cols)
    }
}

/// Into how many shares a sum of `depth` is split so that all of the GPU works on `tiles`, and the length of each.
fn shares(tiles: usize, depth: usize, results: usize) -> (usize, usize) {
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

/// A kernel's arguments: a convolution's eleven numbers, then the rest.
macro_rules! with {
    ($shape:expr, $($rest:expr),*) => {{
        let [a, b, c, d, e, f, g, h, i, j, k]: [u32; 11] = $shape;
        (a, b, c, d, e, f, g, h, i, j, k, $($rest),*)
    }};
}

impl Convolution {
    /// Elements of the images, of the windows' results, and of the weight.
    pub fn sizes(&self) -> (usize, usize, usize) {
        let (images, plane) = (self.batch * self.patches.image(), self.plane());
        (images, self.batch * self.filters * plane, self.filters * self.patches.depth())
    }

    /// Windows of an image.
    pub fn plane(&self) -> usize {
        let (down, across) = self.patches.windows();
        down * across
    }

    /// Some of the images.
    pub fn of_images(&self, batch: usize) -> Self {
        Self { batch, ..*self }
    }

    fn numbers(&self) -> Result<[u32; 11]> {
        let (images, results, weights) = self.sizes();
        for n in [images, results, weights] {
            extent(n)?;
        }
        let Patches { channels, height, width, kernel: (tall, wide), stride, padding } = self.patches;
        let (down, across) = self.patches.windows();
        let numbers = [self.batch, channels, height, width, self.filters, tall, wide, stride, padding, down, across];
        let mut words = [0; 11];
        for (word, n) in words.iter_mut().zip(numbers) {
            *word = extent(n)?;
        }
        Ok(words)
    }

    /// `y [batch, filters, windows] = act(x * w + bias)`, or the maxima of its 2x2 windows where `pooled`, which holds the
    /// places they are to be left at.
    pub fn forward(
        &self,
        cx: &Context,
        x: Ptr,
        w: &Weight<Cuda>,
        finish: Finish<'_>,
        y: &Dest,
        pooled: Option<Option<&Bytes>>,
    ) -> Result<()> {
        let (down, across) = self.patches.windows();
        let (plane, values) = if pooled.is_some() { ((down / 2) * (across / 2), 4) } else { (down * across, 1) };
        let (cols, results) = (self.batch * plane * values, self.batch * self.filters * plane);
        let tile = Tile::best(TILES.iter(), self.filters, cols);
        let tiles = tile.count(self.filters, cols);
        let (shares, share) = shares(tiles, self.patches.depth(), results * values);
        let sums = sums(cx, shares, results * values)?;
        let (mask, bias) = (ptr_or_null(w.mask.as_ref()), ptr_or_null(finish.bias));
        let argmax = pooled.flatten().map_or(Ptr::NULL, Bytes::ptr);
        let act = code(finish.act);
        let args = with!(
            self.numbers()?,
            act,
            y.add,
            u32::from(pooled.is_some()),
            extent(share)?,
            extent(results * values)?,
            x,
            w.value.ptr(),
            mask,
            bias,
            y.ptr,
            argmax,
            ptr_or_null(sums.as_ref())
        );
        cx.launch(tile.kernels[0], (extent(tiles)?, extent(shares)?), tile.threads, 0, args)?;
        let Some(sums) = sums else { return Ok(()) };
        let (shares, count, filters, plane) =
            (extent(shares)?, extent(results)?, extent(self.filters)?, extent(plane)?);
        if pooled.is_some() {
            let args = (act, shares, count, filters, plane, sums.ptr(), bias, y.ptr, argmax);
            return cx.launch_over("conv_finish_pooled", results, args);
        }
        cx.launch_over("conv_finish", results, (act, y.add, shares, count, filters, plane, sums.ptr(), bias, y.ptr))
    }

    /// `dx [batch, channels, image] = act(the sum of what every window leaves there + bias)`, from `dy [batch, filters, windows]`.
    pub fn transposed(&self, cx: &Context, dy: Ptr, w: &Weight<Cuda>, finish: Finish<'_>, dx: &Dest) -> Result<()> {
        let p = self.patches;
        // Pixels of one phase: those that the same taps reach.
        let phases = p.stride * p.stride;
        if phases > 65535 {
            return Err(Error::shape("convolution", format!("a stride of {} is more than 255", p.stride)));
        }
        let cols = self.batch * p.height.div_ceil(p.stride) * p.width.div_ceil(p.stride);
        let depth = self.filters * p.kernel.0.div_ceil(p.stride) * p.kernel.1.div_ceil(p.stride);
        let tile = Tile::best(TILES.iter(), p.channels, cols);
        let tiles = tile.count(p.channels, cols);
        let results = self.sizes().0;
        let (shares, share) = shares(tiles * phases, depth, results);
        let sums = sums(cx, shares, results)?;
        let (act, mask, bias) = (code(finish.act), ptr_or_null(w.mask.as_ref()), ptr_or_null(finish.bias));
        let args = with!(
            self.numbers()?,
            act,
            dx.add,
            extent(share)?,
            extent(results)?,
            dy,
            w.value.ptr(),
            mask,
            bias,
            dx.ptr,
            ptr_or_null(sums.as_ref())
        );
        cx.launch(tile.kernels[1], (extent(tiles)?, extent(shares)?, extent(phases)?), tile.threads, 0, args)?;
        let Some(sums) = sums else { return Ok(()) };
        let sizes = (extent(shares)?, extent(results)?, extent(p.channels)?, extent(p.height * p.width)?);
        let args = (act, dx.add, sizes.0, sizes.1, sizes.2, sizes.3, sums.ptr(), bias, dx.ptr);
        cx.launch_over("conv_finish", results, args)
    }

    /// `dw [filters, channels, kernel] = dy [batch, filters, windows] x [batch, channels, image]`, summed over images and windows.
    pub fn weight_gradient(&self, cx: &Context, x: Ptr, dy: Ptr, dw: &Dest) -> Result<()> {
        let (cols, depth, weights) = (self.patches.depth(), self.batch * self.plane(), self.sizes().2);
        let tile = Tile::best(TILES.iter().chain([&NARROW]), self.filters, cols);
        let tiles = tile.count(self.filters, cols);
        let (shares, share) = shares(tiles, depth, weights);
        let sums = sums(cx, shares, weights)?;
        let args = with!(self.numbers()?, dw.add, extent(share)?, x, dy, dw.ptr, ptr_or_null(sums.as_ref()));
        cx.launch(tile.kernels[2], (extent(tiles)?, extent(shares)?), tile.threads, 0, args)?;
        let Some(sums) = sums else { return Ok(()) };
        let plane = weights; // one channel: there is no bias
        let args = (
            code(Act::None),
            dw.add,
            extent(shares)?,
            extent(weights)?,
            1_u32,
            extent(plane)?,
            sums.ptr(),
            Ptr::NULL,
            dw.ptr,
        );
        cx.launch_over("conv_finish", weights, args)
    }
}

/// Memory for the sums of several shares. A power of two, so that layers share it.
fn sums(cx: &Context, shares: usize, results: usize) -> Result<Option<T>> {
    (shares > 1).then(|| cx.tensor([(shares * results).next_power_of_two()])).transpose()
}

/// What the way back through an activation, a pooling and a bias starts from: a layer's output `[batch, channels, plane]`.
#[derive(Clone, Copy)]
pub(in crate::backend::cuda) struct Output<'a> {
    pub batch: usize,
    pub channels: usize,
    /// Rows and columns before the pooling.
    pub side: (usize, usize),
    pub act: Act,
    pub y: &'a T,
    pub dy: &'a T,
    /// Where the maxima came from, if there was a pooling.
    pub argmax: Option<&'a Bytes>,
}

impl Output<'_> {
    /// Calls `f(first image, images, gradient before the activation)` for some of the images at a time, which bounds the memory of
    /// that gradient; leaves the bias's gradient in `db`. `f` is not called where nobody `wants` it.
    pub fn for_each(
        &self,
        cx: &Context,
        wants: bool,
        db: Option<Dest>,
        f: impl Fn(usize, usize, Ptr) -> Result<()>,
    ) -> Result<()> {
        let plane = self.side.0 * self.side.1;
        let image = self.channels * plane;
        let windows = (self.side.0 / 2) * (self.side.1 / 2);
        let out = if self.argmax.is_some() { self.channels * windows } else { image };
        if self.y.count() != self.batch * out || self.dy.count() != self.batch * out {
            let message = format!("gradient {} does not fit output {}", self.dy.shape(), self.y.shape());
            return Err(Error::shape("convolution", message));
        }
        // Without activation and pooling it is dy itself.
        let as_it_is = self.act == Act::None && self.argmax.is_none();
        let all = self.batch.max(1);
        let some = if as_it_is || !wants { all } else { (SLOPES / image.max(1)).clamp(1, all) };
        let dpre = (wants && !as_it_is).then(|| cx.tensor([(some * image).next_power_of_two()])).transpose()?;
        let pieces = pieces(self.channels, some * plane);
        // One even where there are no images: gradients of parameters are then zero.
        let rounds = all.div_ceil(some);
        let sums = db.as_ref().map(|_| cx.tensor([rounds * pieces, self.channels])).transpose()?;
        for round in 0..rounds {
            let (first, images) = (round * some, some.min(self.batch - round * some));
            let part = |t: &T| t.ptr().offset(4 * first * out);
            let sums = sums.as_ref().map_or(Ptr::NULL, |s| s.ptr().offset(4 * round * pieces * self.channels));
            if dpre.is_some() || db.is_some() {
                let (y, to) = (if as_it_is { Ptr::NULL } else { part(self.y) }, ptr_or_null(dpre.as_ref()));
                let piece = (images * plane).div_ceil(pieces).next_multiple_of(4);
                let (act, n, channels) = (code(self.act), extent(images)?, extent(self.channels)?);
                let grid = (channels, extent(pieces)?);
                extent(self.batch * image)?;
                match self.argmax {
                    None => {
                        let args = (act, n, channels, extent(plane)?, extent(piece)?, part(self.dy), y, to, sums);
                        cx.launch("conv_slopes", grid, 256, 0, args)?;
                    }
                    Some(argmax) => {
                        let (down, across) = (extent(self.side.0)?, extent(self.side.1)?);
                        let (dy, argmax) = (part(self.dy), argmax.ptr().offset(first * out));
                        let args = (act, n, channels, down, across, extent(piece)?, dy, y, argmax, to, sums);
                        cx.launch("conv_slopes_pooled", grid, 256, 0, args)?;
                    }
                }
            }
            if wants {
                f(first, images, dpre.as_ref().map_or(part(self.dy), T::ptr))?;
            }
        }
        match (db, sums) {
            (Some(db), Some(sums)) => column_sums(cx, (rounds * pieces, self.channels), sums.ptr(), &db),
            _ => Ok(()),
        }
    }
}

/// Into how many pieces a channel of `count` values is cut for sums over it: enough blocks for the GPU, each with enough to do.
pub(super) fn pieces(channels: usize, count: usize) -> usize {
    (8 * PROCESSORS / channels.max(1)).clamp(1, 64).min(count.div_ceil(4096)).max(1)
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
