//! Whether operands fit each other; the same checks and messages on every device.

use super::{BatchNorm, ConvTranspose2d, Pool};
use crate::backend::Backend;
use crate::backend::cpu::kernels::{conv_transpose::ConvTranspose, patches::Patches};
use crate::backend::tensor::Tensor;
use crate::backend::vision::fit::parameters;
use crate::error::{Error, Result};

/// Batch, inputs, and the windows over the output of a transposed convolution.
pub(in crate::backend) fn conv_transpose2d<B: Backend>(op: &ConvTranspose2d<B>) -> Result<(usize, Patches, usize)> {
    const WHAT: &str = "transposed convolution";
    let ([batch, channels, height, width], [inputs, outputs, rows, cols]) =
        (image(WHAT, &op.x)?, image(WHAT, &op.w.value)?);
    if channels != inputs {
        let message = format!("input {} does not fit weight {}", op.x.shape(), op.w.value.shape());
        return Err(Error::shape(WHAT, message));
    }
    parameters(WHAT, &op.w, op.b.as_ref(), outputs)?;
    if op.act.needs_pre(false) {
        return Err(Error::shape(WHAT, format!("{:?} cannot be fused: apply it on its own", op.act)));
    }
    let (side, kernel, stride) = ((height, width), (rows, cols), op.stride.max(1));
    let patches = ConvTranspose::patches(outputs, side, kernel, stride, op.padding).ok_or_else(|| {
        let message = format!("nothing is left of {height}x{width} images with padding {}", op.padding);
        Error::shape(WHAT, message)
    })?;
    Ok((batch, patches, inputs))
}

/// The windows of a pooling.
pub(in crate::backend) fn pool<B: Backend>(x: &Tensor<B>, pool: Pool) -> Result<Patches> {
    let [_, channels, height, width] = image("pooling", x)?;
    let Pool { kernel, stride, padding, .. } = pool;
    if stride == 0 || 2 * padding > kernel || height.min(width) + 2 * padding < kernel {
        let message = format!("windows {kernel}x{kernel}, stride {stride}, padding {padding} do not fit {}", x.shape());
        return Err(Error::shape("pooling", message));
    }
    Ok(Patches { channels, height, width, kernel: (kernel, kernel), stride, padding })
}

/// Batch, channels and values of a channel of one example.
pub(in crate::backend) fn channels<B: Backend>(x: &Tensor<B>) -> Result<(usize, usize, usize)> {
    match *x.shape() {
        [batch, channels, ref rest @ ..] => Ok((batch, channels, rest.iter().product())),
        _ => Err(Error::shape("batch norm", format!("input {} must have the axes [batch, channels, ...]", x.shape()))),
    }
}

/// The same of the input of a batch normalisation.
pub(in crate::backend) fn batch_norm<B: Backend>(op: &BatchNorm<B>) -> Result<(usize, usize, usize)> {
    let shape = channels(&op.x)?;
    let sizes = [&op.gamma, &op.beta, &op.stats.mean, &op.stats.variance].map(|t| t.count());
    if sizes.iter().any(|&n| n != shape.1) {
        let message = format!("scale, shift or statistics {sizes:?} do not fit input {}", op.x.shape());
        return Err(Error::shape("batch norm", message));
    }
    Ok(shape)
}

/// Whether two tensors have as many elements.
pub(in crate::backend) fn same<B: Backend>(what: &str, a: &Tensor<B>, b: &Tensor<B>) -> Result<()> {
    if a.count() == b.count() { Ok(()) } else { Err(Error::shape(what, format!("{} and {}", a.shape(), b.shape()))) }
}

fn image<B: Backend>(what: &str, x: &Tensor<B>) -> Result<[usize; 4]> {
    x.shape()[..].try_into().map_err(|_| {
        Error::shape(what, format!("images {} must have the axes [batch, channels, rows, columns]", x.shape()))
    })
}
