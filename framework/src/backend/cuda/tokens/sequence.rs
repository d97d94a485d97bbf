//! Sequences: patches of images, class token and positions, means and single tokens.

use crate::backend::cuda::Cuda;
use crate::backend::cuda::runtime::{Context, WARPS, check_count, dest_or_null, extent, ptr_or_null, wanted};
use crate::backend::tokens::{check_embed, check_patches, check_sizes, check_token, check_tokens};
use crate::backend::{LayerGrads, Slot};
use crate::error::Result;
use crate::tensor::Tensor;

type T = Tensor<Cuda>;

pub(super) fn patches(x: &T, side: usize) -> Result<T> {
    let [batch, channels, height, width] = check_patches(x, side)?;
    let cx = Context::get()?;
    let y = cx.tensor([batch * (height / side) * (width / side), channels * side * side])?;
    let n = y.count();
    let args = (extent(n)?, extent(channels)?, extent(height)?, extent(width)?, extent(side)?, x.ptr(), y.ptr());
    cx.launch_over("patches", n, args)?;
    Ok(y)
}

pub(super) fn embed(x: &T, class: Option<&T>, position: Option<&T>) -> Result<T> {
    let (batch, tokens, after, dim) = check_embed(x, class, position)?;
    let cx = Context::get()?;
    let y = cx.tensor([batch, after, dim])?;
    let n = y.count();
    let (class, position) = (ptr_or_null(class), ptr_or_null(position));
    cx.launch_over("embed", n, (extent(n)?, extent(tokens)?, extent(dim)?, x.ptr(), class, position, y.ptr()))?;
    Ok(y)
}

pub(super) fn embed_backward(
    x: &T,
    class: Option<&T>,
    position: Option<&T>,
    dy: &T,
    grads: LayerGrads<'_, Cuda>,
) -> Result<()> {
    let (batch, _, after, dim) = check_embed(x, class, position)?;
    let cx = Context::get()?;
    let len = after * dim;
    check_count("embed", dy, batch * len)?;
    extent(dy.count())?;
    let (dx, add_x) = dest_or_null(wanted(cx, grads.x, Some(x))?);
    let (dclass, add_class) = dest_or_null(wanted(cx, grads.w, class)?);
    let (dposition, add_position) = dest_or_null(wanted(cx, grads.b, position)?);
    let sizes = (extent(batch)?, extent(len)?, class.map_or(0, |_| dim as u32));
    let args = (sizes.0, sizes.1, sizes.2, dy.ptr(), dx, add_x, dclass, add_class, dposition, add_position);
    cx.launch("embed_backward", extent(len.div_ceil(32))?, (32, 8), 0, args)
}

pub(super) fn mean(x: &T, sizes: Option<&T>) -> Result<T> {
    let (batch, tokens, dim) = check_tokens("mean of tokens", x)?;
    check_sizes("mean of tokens", sizes, batch, tokens)?;
    extent(x.count())?;
    let cx = Context::get()?;
    let y = cx.tensor([batch, dim])?;
    let grid = (extent(batch)?, extent(dim.div_ceil(32))?);
    let args = (extent(tokens)?, extent(dim)?, x.ptr(), ptr_or_null(sizes), y.ptr());
    cx.launch("mean_tokens", grid, (32, 8), 0, args)?;
    Ok(y)
}

pub(super) fn mean_backward(x: &T, sizes: Option<&T>, dy: &T, dx: &mut Slot<Cuda>) -> Result<()> {
    let (batch, tokens, dim) = check_tokens("mean of tokens", x)?;
    check_sizes("mean of tokens", sizes, batch, tokens)?;
    check_count("mean of tokens", dy, batch * dim)?;
    extent(x.count())?;
    let cx = Context::get()?;
    let (all, to) = (batch * tokens, dx.dest(cx, x)?);
    let args = (extent(all)?, extent(tokens)?, extent(dim)?, ptr_or_null(sizes), dy.ptr(), to.ptr, to.add);
    cx.launch("mean_tokens_backward", extent(all.div_ceil(WARPS))?, 32 * WARPS as u32, 0, args)
}

pub(super) fn take(x: &T, index: usize) -> Result<T> {
    let (batch, tokens, dim) = check_token(x, index)?;
    extent(x.count())?;
    let cx = Context::get()?;
    let y = cx.tensor([batch, dim])?;
    let n = y.count();
    let args = (extent(n)?, extent(tokens)?, extent(dim)?, extent(index)?, x.ptr(), y.ptr());
    cx.launch_over("take_token", n, args)?;
    Ok(y)
}

pub(super) fn take_backward(x: &T, index: usize, dy: &T, dx: &mut Slot<Cuda>) -> Result<()> {
    let (batch, tokens, dim) = check_token(x, index)?;
    check_count("take token", dy, batch * dim)?;
    extent(x.count())?;
    let cx = Context::get()?;
    let to = dx.dest(cx, x)?;
    // Where gradients are added, those of the other tokens stay as they are.
    let (kernel, n) = match to.add {
        0 => ("take_token_backward", x.count()),
        _ => ("take_token_backward_add", dy.count()),
    };
    let args = (extent(n)?, extent(tokens)?, extent(dim)?, extent(index)?, dy.ptr(), to.ptr);
    cx.launch_over(kernel, n, args)
}
