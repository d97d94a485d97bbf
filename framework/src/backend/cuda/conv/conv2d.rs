//! Convolution with bias, activation and pooling.

use super::grouped::Grouped;
use super::output::Output;
use super::products::{Convolution, Finish};
use crate::backend::conv::check_conv2d;
use crate::backend::cuda::Cuda;
use crate::backend::cuda::runtime::{Bytes, Context, Dest, wanted};
use crate::backend::{Conv2d, Conv2dSaved, LayerGrads};
use crate::error::{Error, Result};
use crate::tensor::Tensor;

type T = Tensor<Cuda>;

pub(super) fn forward(op: &Conv2d<Cuda>, save: bool) -> Result<(T, Option<Conv2dSaved<Cuda>>)> {
    let (cx, conv) = (Context::get()?, shape(op)?);
    let (down, across) = conv.patches.windows();
    let (down, across) = if op.pool { (down / 2, across / 2) } else { (down, across) };
    let mut y = cx.tensor([conv.batch, conv.filters, down, across])?;
    let argmax = (save && op.pool).then(|| Bytes::unwritten(cx, y.count())).transpose()?;
    let to = Dest { ptr: y.ptr_mut()?, add: 0 };
    let finish = Finish { bias: op.b.as_ref(), act: op.act };
    let pooled = op.pool.then_some(argmax.as_ref());
    match Grouped::of(op.groups, conv) {
        Some(grouped) => grouped.forward(cx, op.x.ptr(), &op.w, finish, &to, pooled)?,
        None => conv.forward(cx, op.x.ptr(), &op.w, finish, &to, pooled)?,
    }
    let saved = save.then(|| Conv2dSaved { y: y.clone(), argmax });
    Ok((y, saved))
}

pub(super) fn backward(
    op: &Conv2d<Cuda>,
    saved: &Conv2dSaved<Cuda>,
    dy: &T,
    grads: LayerGrads<'_, Cuda>,
) -> Result<()> {
    let (cx, conv) = (Context::get()?, shape(op)?);
    if op.pool && saved.argmax.is_none() {
        return Err(Error::Other("conv2d: the forward pass saved no places of maxima".into()));
    }
    let dx = wanted(cx, grads.x, Some(&op.x))?;
    let dw = wanted(cx, grads.w, Some(&op.w.value))?;
    let db = wanted(cx, grads.b, op.b.as_ref())?;
    let argmax = saved.argmax.as_ref().filter(|_| op.pool);
    let (batch, channels, side) = (conv.batch, conv.filters, conv.patches.windows());
    let output = Output { batch, channels, side, act: op.act, y: &saved.y, dy, argmax };
    output.for_each(cx, dx.is_some() || dw.is_some(), db, |first, images, dpre| {
        let part = conv.of_images(images);
        let grouped = Grouped::of(op.groups, part);
        let skipped = 4 * first * conv.patches.image();
        if let Some(dx) = &dx {
            let to = Dest { ptr: dx.ptr.offset(skipped), add: dx.add };
            match &grouped {
                Some(grouped) => grouped.input_gradient(cx, dpre, &op.w, &to)?,
                None => part.transposed(cx, dpre, &op.w, Finish::NOTHING, &to)?,
            }
        }
        if let Some(dw) = &dw {
            let to = Dest { ptr: dw.ptr, add: u32::from(dw.add == 1 || first > 0) };
            let x = op.x.ptr().offset(skipped);
            match &grouped {
                Some(grouped) => grouped.weight_gradient(cx, x, dpre, &to)?,
                None => part.weight_gradient(cx, x, dpre, &to)?,
            }
        }
        Ok(())
    })
}

fn shape(op: &Conv2d<Cuda>) -> Result<Convolution> {
    let (batch, patches, filters) = check_conv2d(op)?;
    Ok(Convolution { batch, patches, filters })
}
