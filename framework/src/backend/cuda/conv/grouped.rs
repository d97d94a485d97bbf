//! Grouped convolutions: direct kernels, one thread for each result.
//!
//! A filter sees few channels, of a depthwise convolution one, so that there is no product of matrices worth a tile:
//! what its results are made of stays in the caches of the device.

use super::products::{Convolution, Finish, with};
use crate::backend::Weight;
use crate::backend::cuda::Cuda;
use crate::backend::cuda::activation::code;
use crate::backend::cuda::runtime::{Bytes, Context, Dest, Ptr, extent, ptr_or_null};
use crate::error::Result;

/// Threads that sum up one element of the weight's gradient.
const THREADS: u32 = 256;

/// A convolution of several groups.
#[derive(Debug, Clone, Copy)]
pub(super) struct Grouped {
    conv: Convolution,
    groups: usize,
}

impl Grouped {
    /// `None` where there is one group alone.
    pub fn of(groups: usize, conv: Convolution) -> Option<Self> {
        (groups > 1).then_some(Self { conv, groups })
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
        let (down, across) = self.conv.patches.windows();
        let plane = if pooled.is_some() { (down / 2) * (across / 2) } else { down * across };
        let results = self.conv.batch * self.conv.filters * plane;
        let args = with!(
            self.conv.numbers()?,
            extent(self.groups)?,
            code(finish.act),
            u32::from(pooled.is_some()),
            extent(results)?,
            x,
            w.value.ptr(),
            ptr_or_null(w.mask.as_ref()),
            ptr_or_null(finish.bias),
            y.ptr,
            pooled.flatten().map_or(Ptr::NULL, Bytes::ptr)
        );
        cx.launch_over("conv_grouped", results, args)
    }

    /// `dx [batch, channels, image]` from `dy [batch, filters, windows]`.
    pub fn input_gradient(&self, cx: &Context, dy: Ptr, w: &Weight<Cuda>, dx: &Dest) -> Result<()> {
        let pixels = self.conv.sizes().0;
        let args = with!(
            self.conv.numbers()?,
            extent(self.groups)?,
            dx.add,
            extent(pixels)?,
            dy,
            w.value.ptr(),
            ptr_or_null(w.mask.as_ref()),
            dx.ptr
        );
        cx.launch_over("conv_grouped_input", pixels, args)
    }

    /// `dw [filters, channels / groups, kernel]`, summed over images and windows: a block for each element.
    pub fn weight_gradient(&self, cx: &Context, x: Ptr, dy: Ptr, dw: &Dest) -> Result<()> {
        let weights = self.conv.sizes().2 / self.groups;
        let args = with!(self.conv.numbers()?, extent(self.groups)?, dw.add, x, dy, dw.ptr);
        cx.launch("conv_grouped_weight", extent(weights)?, THREADS, 0, args)
    }
}
