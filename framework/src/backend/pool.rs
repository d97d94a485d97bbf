//! Pooling: the maximum or the mean of windows.

use super::conv::{Patches, check_image};
use crate::error::{Error, Result};
use crate::tensor::{Device, Slot, Tensor};

/// What a window is replaced by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pooling {
    /// The largest value of the window; padding never wins.
    Max,
    /// The mean of the window, padding counted as zeros (PyTorch's default).
    Mean,
}

/// Pooling over square windows of each channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pool {
    /// What a window is replaced by.
    pub kind: Pooling,
    /// Side of a window, in pixels.
    pub kernel: usize,
    /// Stride of the windows, in pixels.
    pub stride: usize,
    /// Padding on every side of the image, in pixels; at most half of the kernel.
    pub padding: usize,
}

impl Pool {
    /// The maximum of every 2x2 window, two pixels apart: what is fused into a convolution with `pool`.
    pub const HALVING: Self = Self { kind: Pooling::Max, kernel: 2, stride: 2, padding: 0 };
}

/// Pooling on a device.
pub trait PoolOps: Device {
    /// Pooling of `[batch, channels, rows, columns]`; for the maximum also where in its channel each one was.
    ///
    /// # Errors
    /// If memory runs out, or the shapes do not fit; so for every operation.
    fn pool(x: &Tensor<Self>, pool: Pool) -> Result<(Tensor<Self>, Option<Self::Ints>)>;
    /// Gradient of [`PoolOps::pool`].
    fn pool_backward(
        x: &Tensor<Self>,
        pool: Pool,
        argmax: Option<&Self::Ints>,
        dy: &Tensor<Self>,
        dx: &mut Slot<Self>,
    ) -> Result<()>;
}

/// The windows of a pooling.
pub(super) fn check_pool<B: Device>(x: &Tensor<B>, pool: Pool) -> Result<Patches> {
    let [_, channels, height, width] = check_image("pooling", x)?;
    let Pool { kernel, stride, padding, .. } = pool;
    if stride == 0 || 2 * padding > kernel || height.min(width) + 2 * padding < kernel {
        let message = format!("windows {kernel}x{kernel}, stride {stride}, padding {padding} do not fit {}", x.shape());
        return Err(Error::shape("pooling", message));
    }
    Ok(Patches { channels, height, width, kernel: (kernel, kernel), stride, padding })
}
