//! Normalisation: of batches, channel by channel, and of rows.

use crate::error::{Error, Result};
use crate::tensor::{Device, LayerGrads, Tensor};

/// Mean and variance of each channel, `[channels]`.
#[derive(Debug, Clone)]
pub struct ChannelStats<B: Device> {
    /// Mean of each channel.
    pub mean: Tensor<B>,
    /// Biased variance of each channel.
    pub variance: Tensor<B>,
}

/// Operands of a batch normalisation (Ioffe & Szegedy 2015).
#[derive(Debug, Clone)]
pub struct BatchNorm<B: Device> {
    /// The input, `[batch, channels, ...]`.
    pub x: Tensor<B>,
    /// The scale, `[channels]`.
    pub gamma: Tensor<B>,
    /// The shift, `[channels]`.
    pub beta: Tensor<B>,
    /// The statistics that are subtracted and divided by.
    pub stats: ChannelStats<B>,
    /// Whether the statistics are those of `x`, so that its gradient flows through them (training), or constants
    /// (evaluation).
    pub of_batch: bool,
    /// The number that is added to the variances.
    pub eps: f32,
}

/// Normalisation on a device.
pub trait NormOps: Device {
    /// Mean and variance of every channel of `[batch, channels, ...]`.
    ///
    /// # Errors
    /// If memory runs out, or the shapes do not fit; so for every operation.
    fn channel_stats(x: &Tensor<Self>) -> Result<ChannelStats<Self>>;
    /// `running + momentum (batch - running)`, the variance unbiased by the `count` values of a channel (PyTorch's
    /// rule).
    fn running_stats(
        running: &ChannelStats<Self>,
        batch: &ChannelStats<Self>,
        count: usize,
        momentum: f32,
    ) -> Result<ChannelStats<Self>>;
    /// `(x - mean) / sqrt(variance + eps) * gamma + beta`.
    fn batch_norm(op: &BatchNorm<Self>) -> Result<Tensor<Self>>;
    /// Gradients of [`NormOps::batch_norm`]: input, gamma (`w`), beta (`b`).
    fn batch_norm_backward(op: &BatchNorm<Self>, dy: &Tensor<Self>, grads: LayerGrads<'_, Self>) -> Result<()>;

    /// Rows of `x [rows, n]` normalised, then scaled by `gamma` and shifted by `beta`; also `[rows, 2]` statistics.
    fn layer_norm(
        x: &Tensor<Self>,
        gamma: &Tensor<Self>,
        beta: &Tensor<Self>,
        eps: f32,
    ) -> Result<(Tensor<Self>, Tensor<Self>)>;
    /// Gradients of [`NormOps::layer_norm`]: input, gamma (`w`), beta (`b`).
    fn layer_norm_backward(
        x: &Tensor<Self>,
        gamma: &Tensor<Self>,
        stats: &Tensor<Self>,
        dy: &Tensor<Self>,
        grads: LayerGrads<'_, Self>,
    ) -> Result<()>;
}

/// Batch, channels and values of a channel of one example.
pub(super) fn check_channels<B: Device>(x: &Tensor<B>) -> Result<(usize, usize, usize)> {
    match *x.shape() {
        [batch, channels, ref rest @ ..] => Ok((batch, channels, rest.iter().product())),
        _ => Err(Error::shape("batch norm", format!("input {} must have the axes [batch, channels, ...]", x.shape()))),
    }
}

/// The same of the input of a batch normalisation.
pub(super) fn check_batch_norm<B: Device>(op: &BatchNorm<B>) -> Result<(usize, usize, usize)> {
    let shape = check_channels(&op.x)?;
    let sizes = [&op.gamma, &op.beta, &op.stats.mean, &op.stats.variance].map(|t| t.count());
    if sizes.iter().any(|&n| n != shape.1) {
        let message = format!("scale, shift or statistics {sizes:?} do not fit input {}", op.x.shape());
        return Err(Error::shape("batch norm", message));
    }
    Ok(shape)
}

/// Features of a layer normalisation.
pub(super) fn check_layer_norm<B: Device>(x: &Tensor<B>, gamma: &Tensor<B>, beta: &Tensor<B>) -> Result<usize> {
    let n = gamma.count();
    if n == 0 || beta.count() != n || x.shape().last() != Some(&n) {
        return Err(Error::shape("layer norm", format!("input {} does not fit {} features", x.shape(), n)));
    }
    Ok(n)
}
