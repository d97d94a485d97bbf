//! Convolution: y = act(x * (w * mask) + bias), with a 2x2 max-pool behind it if wanted, and its gradients; transposed
//! convolution.
//!
//! As in PyTorch, the kernel is not flipped. At stride 1 the convolution is computed directly from padded images, or where
//! windows of 3x3 lie over enough channels in Winograd's form with fewer products; behind a pooling gradients go over its
//! winners alone. Other strides and groups go through patch columns and a matrix product for each group, and filters of one
//! channel, as a depthwise convolution has them, through a direct kernel of their own at every stride; a held mask that
//! leaves few weights, over these alone. Images under few windows share one product of their patches. Bias, activation and
//! pooling happen while an image's result is in cache.

mod backward;
mod columns;
mod depthwise;
mod direct;
mod epilogue;
mod forward;
mod layer;
mod nonzeros;
mod panels;
mod phases;
mod ready;
mod small;
#[cfg(test)]
mod tests;
mod tiles;
mod transpose;

pub use backward::backward;
pub use forward::forward;
pub use layer::{Conv, ConvGrads};

use super::common::sparse::Nonzeros;
use super::tensor::{filled, wanted};
use crate::backend::conv::{check_conv_transpose2d, check_conv2d};
use crate::backend::{Conv2d, Conv2dSaved, ConvOps, ConvTranspose2d, LayerGrads, ReadyConv2d, Weight};
use crate::error::{Error, Result};
use crate::tensor::{Shape, Tensor};
use dfdx::tensor::Cpu;
use ready::Ready;
use transpose::ConvTranspose;

type T = Tensor<Cpu>;

impl ConvOps for Cpu {
    fn conv2d(op: &Conv2d<Self>, save: bool) -> Result<(T, Option<Conv2dSaved<Self>>)> {
        let layer = layer(op)?;
        let (filters, rows, cols) = layer.output();
        let shape = Shape::from([layer.batch, filters, rows, cols]);
        let mut argmax = (save && op.pool).then(|| vec![0; shape.count()]);
        let over = Nonzeros::of(&op.w).filter(|nonzeros| nonzeros.convolves(&layer.patches));
        let y = filled(op.x.device(), shape, |y| match over {
            Some(over) => nonzeros::forward(&layer, over, op.x.data(), y, argmax.as_deref_mut()),
            None => with_weight(&op.w, |weight| {
                forward(&Conv { weight, ..layer }, op.x.data(), y, argmax.as_deref_mut());
            }),
        });
        let saved = save.then(|| Conv2dSaved { y: y.clone(), argmax });
        Ok((y, saved))
    }

    fn ready_conv2d(op: &Conv2d<Self>) -> Result<Option<ReadyConv2d<Self>>> {
        let layer = layer(op)?;
        let Some(ready) = with_weight(&op.w, |weight| Ready::of(&Conv { weight, ..layer })) else { return Ok(None) };
        let (axes, device) = (op.x.shape(), op.x.device().clone());
        Ok(Some(Box::new(move |x, added| {
            let batch = x.shape().first().copied().unwrap_or(0);
            let (filters, rows, cols) = ready.conv(batch).output();
            let shape = Shape::from([batch, filters, rows, cols]);
            if x.shape()[1..] != axes[1..] || added.is_some_and(|added| added.shape() != shape) {
                let added = added.map(|added| format!(" and {}", added.shape())).unwrap_or_default();
                let message = format!("input {}{added} for a convolution of {axes} to {shape}", x.shape());
                return Err(Error::shape("conv2d", message));
            }
            Ok(filled(&device, shape, |y| ready.forward(x.data(), added.map(Tensor::data), y)))
        })))
    }

    fn conv2d_backward(
        op: &Conv2d<Self>,
        saved: &Conv2dSaved<Self>,
        dy: &T,
        grads: LayerGrads<'_, Self>,
    ) -> Result<()> {
        let wanted = ConvGrads {
            dx: wanted(grads.x, Some(&op.x))?,
            dw: wanted(grads.w, Some(op.w.learning()))?,
            dense_dw: is_dense(&op.w),
            db: wanted(grads.b, op.b.as_ref())?,
        };
        let (layer, x, y, dy) = (layer(op)?, op.x.data(), saved.y.data(), dy.data());
        let argmax = saved.argmax.as_deref();
        let dense = |wanted: ConvGrads<'_>| {
            with_weight(&op.w, |weight| backward(&Conv { weight, ..layer }, x, y, argmax, dy, wanted));
        };
        match Nonzeros::of(&op.w) {
            None => dense(wanted),
            Some(held) => {
                let over = |wanted: ConvGrads<'_>| nonzeros::backward(&layer, held, x, (y, argmax), dy, wanted);
                nonzeros::share_out(held, &layer.patches, wanted, over, dense);
            }
        }
        Ok(())
    }

    fn conv_transpose2d(op: &ConvTranspose2d<Self>) -> Result<T> {
        let layer = transposed(op)?;
        let p = layer.patches;
        let shape = Shape::from([layer.batch, p.channels, p.height, p.width]);
        Ok(filled(op.x.device(), shape, |y| {
            if op.x.count() == 0 {
                y.fill(0.0);
            }
            match Nonzeros::of(&op.w).filter(|nonzeros| nonzeros.convolves(&p)) {
                Some(over) => nonzeros::transpose::forward(&layer, over, op.x.data(), y),
                None => with_weight(&op.w, |weight| {
                    transpose::forward(&ConvTranspose { weight, ..layer }, op.x.data(), y);
                }),
            }
        }))
    }

    fn conv_transpose2d_backward(op: &ConvTranspose2d<Self>, y: &T, dy: &T, grads: LayerGrads<'_, Self>) -> Result<()> {
        let wanted = ConvGrads {
            dx: wanted(grads.x, Some(&op.x))?,
            dw: wanted(grads.w, Some(op.w.learning()))?,
            dense_dw: is_dense(&op.w),
            db: wanted(grads.b, op.b.as_ref())?,
        };
        let (layer, x, y, dy) = (transposed(op)?, op.x.data(), y.data(), dy.data());
        let dense = |wanted: ConvGrads<'_>| {
            with_weight(&op.w, |weight| {
                transpose::backward(&ConvTranspose { weight, ..layer }, x, y, dy, wanted);
            });
        };
        match Nonzeros::of(&op.w) {
            None => dense(wanted),
            Some(held) => {
                let over = |wanted: ConvGrads<'_>| nonzeros::transpose::backward(&layer, held, x, y, dy, wanted);
                nonzeros::share_out(held, &layer.patches, wanted, over, dense);
            }
        }
        Ok(())
    }
}

/// Lends `f` the whole weight.
fn with_weight<R>(w: &Weight<Cpu>, f: impl FnOnce(&[f32]) -> R) -> R {
    match Nonzeros::of(w) {
        Some(nonzeros) => nonzeros.with_whole(f),
        None => f(w.value.data()),
    }
}

/// Whether the gradient of a weight is wanted where a mask is zero as well.
fn is_dense(w: &Weight<Cpu>) -> bool {
    w.nonzeros.as_ref().is_none_or(|nonzeros| nonzeros.dense_gradient)
}

/// The layer without its weight: products over nonzeros do without.
fn layer(op: &Conv2d<Cpu>) -> Result<Conv<'_>> {
    let (batch, patches, filters) = check_conv2d(op)?;
    let (weight, mask) = (&[][..], op.w.mask.as_ref().map(Tensor::data));
    Ok(Conv {
        batch,
        patches,
        filters,
        groups: op.groups,
        weight,
        mask,
        bias: op.b.as_ref().map(Tensor::data),
        act: op.act,
        pool: op.pool,
        precision: op.w.precision,
    })
}

/// As [`layer`].
fn transposed(op: &ConvTranspose2d<Cpu>) -> Result<ConvTranspose<'_>> {
    let (batch, patches, inputs) = check_conv_transpose2d(op)?;
    let (weight, mask) = (&[][..], op.w.mask.as_ref().map(Tensor::data));
    let bias = op.b.as_ref().map(Tensor::data);
    Ok(ConvTranspose { batch, patches, inputs, weight, mask, bias, act: op.act, precision: op.w.precision })
}
