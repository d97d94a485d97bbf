//! Convolutions, plain and grouped, and transposed convolutions, with what follows them.

use super::activation::Act;
use crate::error::{Error, Result};
use crate::tensor::{Device, LayerGrads, Tensor, Weight};

/// An image and the windows laid over it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patches {
    /// Channels of the image.
    pub channels: usize,
    /// Rows of the image.
    pub height: usize,
    /// Columns of the image.
    pub width: usize,
    /// Rows and columns of a window.
    pub kernel: (usize, usize),
    /// Stride of the windows, in pixels, down and across.
    pub stride: usize,
    /// Padding with zeros on every side of the image, in pixels.
    pub padding: usize,
}

impl Patches {
    /// Windows down and across: floor((side + 2 padding - kernel) / stride) + 1; none if the window is larger.
    pub fn windows(&self) -> (usize, usize) {
        let count = |side: usize, kernel: usize| {
            (side + 2 * self.padding).checked_sub(kernel).map_or(0, |room| room / self.stride + 1)
        };
        (count(self.height, self.kernel.0), count(self.width, self.kernel.1))
    }

    /// Elements of a window over all channels.
    pub fn depth(&self) -> usize {
        self.channels * self.kernel.0 * self.kernel.1
    }

    /// Elements of the image.
    pub fn image(&self) -> usize {
        self.channels * self.height * self.width
    }

    /// The output of a transposed convolution of an image of `height` by `width`, and the windows over it, one for each
    /// pixel of the input: (side - 1) stride - 2 padding + kernel. `None` if nothing is left of it.
    pub fn of_transposed(
        channels: usize,
        (height, width): (usize, usize),
        kernel: (usize, usize),
        stride: usize,
        padding: usize,
    ) -> Option<Self> {
        let side = |side: usize, kernel: usize| {
            (side.checked_sub(1)? * stride + kernel).checked_sub(2 * padding).filter(|&side| side > 0)
        };
        let (height, width) = (side(height, kernel.0)?, side(width, kernel.1)?);
        Some(Self { channels, height, width, kernel, stride, padding })
    }

    /// The windows across, of element `k` of a window, that lie inside the image.
    #[inline(always)]
    pub(super) fn inside(&self, k: usize, windows: usize) -> std::ops::Range<usize> {
        let first = self.padding.saturating_sub(k).div_ceil(self.stride);
        let end = (self.width + self.padding).saturating_sub(k).div_ceil(self.stride);
        let end = end.min(windows);
        first.min(end)..end
    }

    /// The image row that element `k` of window `w` lies in.
    #[inline(always)]
    pub(super) fn row(&self, w: usize, k: usize) -> Option<usize> {
        (w * self.stride + k).checked_sub(self.padding).filter(|&row| row < self.height)
    }
}

/// Operands of a convolution fused with its activation and, where `pool`, a 2x2 maximum.
#[derive(Debug, Clone)]
pub struct Conv2d<B: Device> {
    /// The input, `[batch, channels, rows, columns]`.
    pub x: Tensor<B>,
    /// The weight, `[filters, channels / groups, kernel rows, kernel columns]`.
    pub w: Weight<B>,
    /// The bias, one value for each channel of the output.
    pub b: Option<Tensor<B>>,
    /// Stride of the kernel, in pixels.
    pub stride: usize,
    /// Padding with zeros on every side of the image, in pixels.
    pub padding: usize,
    /// In how many equal runs channels and filters lie, each run of filters over its run of channels alone: 1 for a plain
    /// convolution, as many as channels for a depthwise one.
    pub groups: usize,
    /// The activation after the bias: one whose derivative follows from its value.
    pub act: Act,
    /// Whether 2x2 windows of the output are replaced by their maximum.
    pub pool: bool,
}

/// What a convolution's forward pass leaves for its backward pass.
#[derive(Debug)]
pub struct Conv2dSaved<B: Device> {
    /// The output of the forward pass.
    pub y: Tensor<B>,
    /// Where in its window each maximum was.
    pub argmax: Option<B::Bytes>,
}

/// Operands of a transposed convolution fused with its activation: the gradient of a convolution with respect to its
/// input.
#[derive(Debug, Clone)]
pub struct ConvTranspose2d<B: Device> {
    /// The input, `[batch, channels, rows, columns]`.
    pub x: Tensor<B>,
    /// The weight, `[channels in, channels out, kernel rows, kernel columns]`, PyTorch's layout.
    pub w: Weight<B>,
    /// The bias, one value for each channel of the output.
    pub b: Option<Tensor<B>>,
    /// Stride of the kernel in the output, in pixels.
    pub stride: usize,
    /// Padding of the convolution that this one reverses: rows and columns cut off on every side of the output.
    pub padding: usize,
    /// The activation after the bias: one whose derivative follows from its value.
    pub act: Act,
}

/// A convolution that was made ready for many inputs: of `[batch, channels, rows, columns]`, and of what is added to its
/// result before the activation, in the result's shape.
pub type ReadyConv2d<B> = Box<dyn Fn(&Tensor<B>, Option<&Tensor<B>>) -> Result<Tensor<B>>>;

/// Convolutions on a device.
pub trait ConvOps: Device {
    /// Convolution of `[batch, channels, rows, columns]` with its activation and pooling.
    ///
    /// # Errors
    /// If memory runs out, or the shapes do not fit; so for every operation.
    fn conv2d(op: &Conv2d<Self>, save: bool) -> Result<(Tensor<Self>, Option<Conv2dSaved<Self>>)>;
    /// Makes a convolution ready for many inputs, of which `op.x` is one: what becomes of its weight beforehand is done
    /// once. Nothing is added to a result that is pooled. `None` where the device gains nothing by it.
    ///
    /// # Errors
    /// If the shapes do not fit.
    fn ready_conv2d(op: &Conv2d<Self>) -> Result<Option<ReadyConv2d<Self>>> {
        check_conv2d(op).map(|_| None)
    }
    /// Gradients of [`ConvOps::conv2d`].
    fn conv2d_backward(
        op: &Conv2d<Self>,
        saved: &Conv2dSaved<Self>,
        dy: &Tensor<Self>,
        grads: LayerGrads<'_, Self>,
    ) -> Result<()>;

    /// Transposed convolution of `[batch, channels, rows, columns]` with its activation.
    fn conv_transpose2d(op: &ConvTranspose2d<Self>) -> Result<Tensor<Self>>;
    /// Gradients of [`ConvOps::conv_transpose2d`], from its output `y`.
    fn conv_transpose2d_backward(
        op: &ConvTranspose2d<Self>,
        y: &Tensor<Self>,
        dy: &Tensor<Self>,
        grads: LayerGrads<'_, Self>,
    ) -> Result<()>;
}

/// Batch, windows over all channels, and filters of a convolution.
pub(super) fn check_conv2d<B: Device>(op: &Conv2d<B>) -> Result<(usize, Patches, usize)> {
    const WHAT: &str = "conv2d";
    let (&[batch, channels, height, width], &[filters, inputs, rows, cols]) = (&*op.x.shape(), &*op.w.value.shape())
    else {
        let message = format!("input {} and weight {} must have four axes", op.x.shape(), op.w.value.shape());
        return Err(Error::shape(WHAT, message));
    };
    let groups = op.groups;
    if inputs.checked_mul(groups) != Some(channels) || groups == 0 || !filters.is_multiple_of(groups) {
        let each = if groups == 1 { String::new() } else { format!(" in {groups} groups") };
        let (x, w) = (op.x.shape(), op.w.value.shape());
        return Err(Error::shape(WHAT, format!("input {x} does not fit weight {w}{each}")));
    }
    let patches =
        Patches { channels, height, width, kernel: (rows, cols), stride: op.stride.max(1), padding: op.padding };
    if patches.windows().0 == 0 || patches.windows().1 == 0 {
        return Err(Error::shape(WHAT, format!("a kernel of {rows}x{cols} does not fit an image of {height}x{width}")));
    }
    if op.act.needs_pre(false) {
        return Err(Error::shape(
            WHAT,
            format!("{:?} cannot be fused into a convolution: apply it on its own", op.act),
        ));
    }
    check_parameters(WHAT, &op.w, op.b.as_ref(), filters)?;
    Ok((batch, patches, filters))
}

/// Batch, inputs, and the windows over the output of a transposed convolution.
pub(super) fn check_conv_transpose2d<B: Device>(op: &ConvTranspose2d<B>) -> Result<(usize, Patches, usize)> {
    const WHAT: &str = "transposed convolution";
    let ([batch, channels, height, width], [inputs, outputs, rows, cols]) =
        (check_image(WHAT, &op.x)?, check_image(WHAT, &op.w.value)?);
    if channels != inputs {
        let message = format!("input {} does not fit weight {}", op.x.shape(), op.w.value.shape());
        return Err(Error::shape(WHAT, message));
    }
    check_parameters(WHAT, &op.w, op.b.as_ref(), outputs)?;
    if op.act.needs_pre(false) {
        return Err(Error::shape(WHAT, format!("{:?} cannot be fused: apply it on its own", op.act)));
    }
    let (side, kernel, stride) = ((height, width), (rows, cols), op.stride.max(1));
    let patches = Patches::of_transposed(outputs, side, kernel, stride, op.padding).ok_or_else(|| {
        let message = format!("nothing is left of {height}x{width} images with padding {}", op.padding);
        Error::shape(WHAT, message)
    })?;
    Ok((batch, patches, inputs))
}

/// Bias and mask of a weight with as many outputs.
fn check_parameters<B: Device>(what: &str, w: &Weight<B>, b: Option<&Tensor<B>>, outputs: usize) -> Result<()> {
    if b.is_some_and(|b| b.count() != outputs) {
        return Err(Error::shape(what, format!("the bias does not fit weight {}", w.value.shape())));
    }
    if w.mask.as_ref().is_some_and(|m| m.count() != w.value.count()) {
        return Err(Error::shape(what, format!("the mask does not fit weight {}", w.value.shape())));
    }
    Ok(())
}

/// The four axes of a batch of images.
pub(super) fn check_image<B: Device>(what: &str, x: &Tensor<B>) -> Result<[usize; 4]> {
    x.shape()[..].try_into().map_err(|_| {
        Error::shape(what, format!("images {} must have the axes [batch, channels, rows, columns]", x.shape()))
    })
}
