//! The three products that convolutions and transposed convolutions are made of.

use super::shares::{NARROW, TILES, Tile, shares, sums};
use crate::backend::cuda::Cuda;
use crate::backend::cuda::activation::code;
use crate::backend::cuda::runtime::{Bytes, Context, Dest, Ptr, extent, ptr_or_null};
use crate::backend::{Act, Patches, Weight};
use crate::error::{Error, Result};
use crate::tensor::Tensor;

type T = Tensor<Cuda>;

/// Images, the windows laid over them, and as many filters that look at each window.
#[derive(Debug, Clone, Copy)]
pub(super) struct Convolution {
    pub batch: usize,
    pub patches: Patches,
    pub filters: usize,
}

/// What follows a product while its results are in registers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Finish<'a> {
    pub bias: Option<&'a T>,
    pub act: Act,
}

impl Finish<'_> {
    pub const NOTHING: Self = Self { bias: None, act: Act::None };
}

/// A kernel's arguments: a convolution's eleven numbers, then the rest.
macro_rules! with {
    ($shape:expr, $($rest:expr),*) => {{
        let [a, b, c, d, e, f, g, h, i, j, k]: [u32; 11] = $shape;
        (a, b, c, d, e, f, g, h, i, j, k, $($rest),*)
    }};
}

pub(super) use with;

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

    /// The numbers that kernels know a convolution by.
    pub fn numbers(&self) -> Result<[u32; 11]> {
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

    /// `y [batch, filters, windows] = act(x * w + bias)`, or the maxima of its 2x2 windows where `pooled`, which holds
    /// the places they are to be left at.
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

    /// `dx [batch, channels, image] = act(the sum of what every window leaves there + bias)`, from `dy [batch, filters,
    /// windows]`.
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

    /// `dw [filters, channels, kernel] = dy [batch, filters, windows] x [batch, channels, image]`, summed over images
    /// and windows.
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
