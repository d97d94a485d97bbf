//! Operations of networks that make images, and of those with batch statistics: transposed convolution, pooling, batch
//! normalisation, the parts of a variational loss.

pub(in crate::backend) mod fit;

use super::vision::LayerGrads;
use super::{Act, Backend, Slot, Weight};
use crate::backend::tensor::Tensor;
use crate::error::Result;

/// Operands of a transposed convolution fused with its activation: the gradient of a convolution with respect to its input.
#[derive(Debug, Clone)]
pub struct ConvTranspose2d<B: Backend> {
    /// `[batch, in, rows, columns]`
    pub x: Tensor<B>,
    /// `[in, out, kernel rows, kernel columns]`, PyTorch's layout.
    pub w: Weight<B>,
    /// `[out]`
    pub b: Option<Tensor<B>>,
    /// Distance of windows in the output.
    pub stride: usize,
    /// Rows and columns cut off around the output.
    pub padding: usize,
    /// Applied after the bias: one whose derivative follows from its value.
    pub act: Act,
}

/// What becomes of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pooling {
    /// Its largest value; padding never wins.
    Max,
    /// Its mean, padding counted as zeros (PyTorch's default).
    Mean,
}

/// Pooling over square windows of each channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pool {
    /// What becomes of a window.
    pub kind: Pooling,
    /// Side of a window.
    pub kernel: usize,
    /// Distance of windows.
    pub stride: usize,
    /// Rows and columns around the image; at most half of the kernel.
    pub padding: usize,
}

/// Mean and variance of each channel, `[channels]`.
#[derive(Debug, Clone)]
pub struct ChannelStats<B: Backend> {
    /// Means.
    pub mean: Tensor<B>,
    /// Biased variances.
    pub variance: Tensor<B>,
}

/// Operands of a batch normalisation (Ioffe & Szegedy 2015).
#[derive(Debug, Clone)]
pub struct BatchNorm<B: Backend> {
    /// `[batch, channels, ...]`
    pub x: Tensor<B>,
    /// Scale, `[channels]`
    pub gamma: Tensor<B>,
    /// Shift, `[channels]`
    pub beta: Tensor<B>,
    /// What is subtracted and divided by.
    pub stats: ChannelStats<B>,
    /// Whether the statistics are those of `x`, so that its gradient flows through them (training), or constants (evaluation).
    pub of_batch: bool,
    /// Added to the variances.
    pub eps: f32,
}

/// A sum over all elements, `[1]`, and where wanted its gradients.
pub type SumAndGrads<B, const N: usize> = (Tensor<B>, Option<[Tensor<B>; N]>);

/// The operations; a supertrait of [`Backend`].
pub trait ImageOps: Sized {
    /// Transposed convolution with its activation.
    ///
    /// # Errors
    /// If memory runs out, or the shapes do not fit; so for every operation.
    fn conv_transpose2d(op: &ConvTranspose2d<Self>) -> Result<Tensor<Self>>
    where
        Self: Backend;
    /// Gradients of [`ImageOps::conv_transpose2d`], from its output `y`.
    fn conv_transpose2d_backward(
        op: &ConvTranspose2d<Self>,
        y: &Tensor<Self>,
        dy: &Tensor<Self>,
        grads: LayerGrads<'_, Self>,
    ) -> Result<()>
    where
        Self: Backend;
    /// Pooling of `[batch, channels, rows, columns]`; for the maximum also where in its channel each one was.
    fn pool(x: &Tensor<Self>, pool: Pool) -> Result<(Tensor<Self>, Option<Self::Ints>)>
    where
        Self: Backend;
    /// Gradient of [`ImageOps::pool`].
    fn pool_backward(
        x: &Tensor<Self>,
        pool: Pool,
        argmax: Option<&Self::Ints>,
        dy: &Tensor<Self>,
        dx: &mut Slot<Self>,
    ) -> Result<()>
    where
        Self: Backend;
    /// Mean and variance of every channel of `[batch, channels, ...]`.
    fn channel_stats(x: &Tensor<Self>) -> Result<ChannelStats<Self>>
    where
        Self: Backend;
    /// `running + momentum (batch - running)`, the variance unbiased by the `count` values of a channel (PyTorch's rule).
    fn running_stats(
        running: &ChannelStats<Self>,
        batch: &ChannelStats<Self>,
        count: usize,
        momentum: f32,
    ) -> Result<ChannelStats<Self>>
    where
        Self: Backend;
    /// `(x - mean) / sqrt(variance + eps) * gamma + beta`.
    fn batch_norm(op: &BatchNorm<Self>) -> Result<Tensor<Self>>
    where
        Self: Backend;
    /// Gradients of [`ImageOps::batch_norm`]: input, gamma (`w`), beta (`b`).
    fn batch_norm_backward(op: &BatchNorm<Self>, dy: &Tensor<Self>, grads: LayerGrads<'_, Self>) -> Result<()>
    where
        Self: Backend;
    /// Binary cross-entropy of logits against targets in [0, 1], summed and scaled; gradient with respect to the logits.
    fn bce_logits(
        logits: &Tensor<Self>,
        targets: &Tensor<Self>,
        scale: f32,
        grad: bool,
    ) -> Result<SumAndGrads<Self, 1>>
    where
        Self: Backend;
    /// Divergence of N(mu, e^logvar) from N(0, 1), `-1/2 Σ (1 + logvar - mu² - e^logvar)`, scaled; gradients of both.
    fn gaussian_kld(mu: &Tensor<Self>, logvar: &Tensor<Self>, scale: f32, grad: bool) -> Result<SumAndGrads<Self, 2>>
    where
        Self: Backend;
    /// `mu + e^(logvar / 2) noise` (Kingma & Welling 2014).
    fn reparametrise(mu: &Tensor<Self>, logvar: &Tensor<Self>, noise: &Tensor<Self>) -> Result<Tensor<Self>>
    where
        Self: Backend;
    /// Gradient of [`ImageOps::reparametrise`] with respect to logvar; that of mu is `dy` itself.
    fn reparametrise_backward(logvar: &Tensor<Self>, noise: &Tensor<Self>, dy: &Tensor<Self>) -> Result<Tensor<Self>>
    where
        Self: Backend;
}
