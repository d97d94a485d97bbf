//! Transposed convolution with bias and activation: the products of a convolution, with input and output exchanged.

use super::output::Output;
use super::products::{Convolution, Finish};
use crate::backend::conv::check_conv_transpose2d;
use crate::backend::cuda::Cuda;
use crate::backend::cuda::runtime::{Context, Dest, wanted};
use crate::backend::{ConvTranspose2d, LayerGrads};
use crate::error::Result;
use crate::tensor::Tensor;

type T = Tensor<Cuda>;

pub(super) fn forward(op: &ConvTranspose2d<Cuda>) -> Result<T> {
    let (cx, conv) = (Context::get()?, shape(op)?);
    let p = conv.patches;
    let mut y = cx.tensor([conv.batch, p.channels, p.height, p.width])?;
    let to = Dest { ptr: y.ptr_mut()?, add: 0 };
    conv.transposed(cx, op.x.ptr(), &op.w, Finish { bias: op.b.as_ref(), act: op.act }, &to)?;
    Ok(y)
}

pub(super) fn backward(op: &ConvTranspose2d<Cuda>, y: &T, dy: &T, grads: LayerGrads<'_, Cuda>) -> Result<()> {
    let (cx, conv) = (Context::get()?, shape(op)?);
    let dx = wanted(cx, grads.x, Some(&op.x))?;
    let dw = wanted(cx, grads.w, Some(&op.w.value))?;
    let db = wanted(cx, grads.b, op.b.as_ref())?;
    let p = conv.patches;
    let (batch, channels, side) = (conv.batch, p.channels, (p.height, p.width));
    let output = Output { batch, channels, side, act: op.act, y, dy, argmax: None };
    output.for_each(cx, dx.is_some() || dw.is_some(), db, |first, images, dpre| {
        let part = conv.of_images(images);
        let skipped = 4 * first * conv.filters * conv.plane();
        if let Some(dx) = &dx {
            let to = Dest { ptr: dx.ptr.offset(skipped), add: dx.add };
            part.forward(cx, dpre, &op.w, Finish::NOTHING, &to, None)?;
        }
        if let Some(dw) = &dw {
            let to = Dest { ptr: dw.ptr, add: u32::from(dw.add == 1 || first > 0) };
            part.weight_gradient(cx, dpre, op.x.ptr().offset(skipped), &to)?;
        }
        Ok(())
    })
}

/// Its input's channels are the filters of the convolution whose gradient it is.
fn shape(op: &ConvTranspose2d<Cuda>) -> Result<Convolution> {
    let (batch, patches, filters) = check_conv_transpose2d(op)?;
    Ok(Convolution { batch, patches, filters })
}
