//! Pooling.

use super::Cuda;
use super::runtime::{Context, Ints, extent};
use crate::backend::pool::check_pool;
use crate::backend::{Patches, Pool, PoolOps, Pooling, Slot};
use crate::error::{Error, Result};
use crate::tensor::Tensor;

type T = Tensor<Cuda>;

impl PoolOps for Cuda {
    fn pool(x: &T, pool: Pool) -> Result<(T, Option<Ints>)> {
        forward(x, pool)
    }
    fn pool_backward(x: &T, pool: Pool, argmax: Option<&Ints>, dy: &T, dx: &mut Slot<Self>) -> Result<()> {
        backward(x, pool, argmax, dy, dx)
    }
}

fn forward(x: &T, pool: Pool) -> Result<(T, Option<Ints>)> {
    let (cx, p) = (Context::get()?, check_pool(x, pool)?);
    let (down, across) = p.windows();
    let y = cx.tensor([x.shape()[0], p.channels, down, across])?;
    let (n, s) = (extent(y.count())?, numbers(x, &p)?);
    if pool.kind == Pooling::Mean {
        let args = (n, s[0], s[1], s[2], s[3], s[4], s[5], s[6], x.ptr(), y.ptr());
        cx.launch_over("pool_mean", y.count(), args)?;
        return Ok((y, None));
    }
    let argmax = Ints::unwritten(cx, y.count())?;
    let args = (n, s[0], s[1], s[2], s[3], s[4], s[5], s[6], x.ptr(), y.ptr(), argmax.ptr());
    cx.launch_over("pool_max", y.count(), args)?;
    Ok((y, Some(argmax)))
}

fn backward(x: &T, pool: Pool, argmax: Option<&Ints>, dy: &T, dx: &mut Slot<Cuda>) -> Result<()> {
    let (cx, p) = (Context::get()?, check_pool(x, pool)?);
    let (down, across) = p.windows();
    let outputs = x.shape()[0] * p.channels * down * across;
    if dy.count() != outputs || argmax.is_some_and(|a| a.count() != outputs) {
        return Err(Error::shape("pooling", format!("gradient {} does not fit input {}", dy.shape(), x.shape())));
    }
    let (n, s, dx) = (extent(x.count())?, numbers(x, &p)?, dx.dest(cx, x)?);
    match argmax {
        Some(argmax) => {
            let args = (n, s[0], s[1], s[2], s[3], s[4], s[5], s[6], dy.ptr(), argmax.ptr(), dx.ptr, dx.add);
            cx.launch_over("pool_max_backward", x.count(), args)
        }
        None => {
            let args = (n, s[0], s[1], s[2], s[3], s[4], s[5], s[6], dy.ptr(), dx.ptr, dx.add);
            cx.launch_over("pool_mean_backward", x.count(), args)
        }
    }
}

/// Height, width, windows down and across, kernel, stride, padding.
fn numbers(x: &T, p: &Patches) -> Result<[u32; 7]> {
    extent(x.count())?;
    let (down, across) = p.windows();
    let mut words = [0; 7];
    for (word, n) in words.iter_mut().zip([p.height, p.width, down, across, p.kernel.0, p.stride, p.padding]) {
        *word = extent(n)?;
    }
    Ok(words)
}
