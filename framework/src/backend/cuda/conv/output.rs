//! The way back through what follows a convolution: pooling, activation, bias.

use crate::backend::Act;
use crate::backend::cuda::Cuda;
use crate::backend::cuda::activation::code;
use crate::backend::cuda::runtime::{Bytes, Context, Dest, Ptr, extent, pieces, ptr_or_null};
use crate::backend::cuda::tensor::reduce::column_sums;
use crate::error::{Error, Result};
use crate::tensor::Tensor;

type T = Tensor<Cuda>;

/// Gradients before the activation that are in memory at once: 16 MB.
const SLOPES: usize = 1 << 22;

/// What the way back through an activation, a pooling and a bias starts from: a layer's output `[batch, channels,
/// plane]`.
#[derive(Clone, Copy)]
pub(super) struct Output<'a> {
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
    /// Calls `f(first image, images, gradient before the activation)` for some of the images at a time, which bounds
    /// the memory of that gradient; leaves the bias's gradient in `db`. `f` is not called where nobody `wants` it.
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
