//! The parts of a variational loss.

use crate::backend::SumAndGrads;
use crate::backend::cuda::Cuda;
use crate::backend::cuda::runtime::{Context, Ptr, extent, ptr_or_null};
use crate::error::Result;
use crate::tensor::{Tensor, check_same};

type T = Tensor<Cuda>;

pub(super) fn bce_logits(logits: &T, targets: &T, scale: f32, grad: bool) -> Result<SumAndGrads<Cuda, 1>> {
    check_same("binary cross-entropy", logits, targets)?;
    let (cx, n) = (Context::get()?, logits.count());
    let dx = grad.then(|| cx.tensor(logits.shape())).transpose()?;
    let sum = sum_by_blocks(cx, n, scale, |blocks, sums, result| {
        let args = (extent(n)?, scale, logits.ptr(), targets.ptr(), sums, result, ptr_or_null(dx.as_ref()));
        cx.launch("bce_logits", blocks, THREADS, 0, args)
    })?;
    Ok((sum, dx.map(|dx| [dx])))
}

pub(super) fn gaussian_kld(mu: &T, logvar: &T, scale: f32, grad: bool) -> Result<SumAndGrads<Cuda, 2>> {
    check_same("Gaussian divergence", mu, logvar)?;
    let (cx, n) = (Context::get()?, mu.count());
    let grads = grad.then(|| Ok::<_, crate::error::Error>([cx.tensor(mu.shape())?, cx.tensor(logvar.shape())?]));
    let grads = grads.transpose()?;
    let [dmu, dlogvar] = grads.as_ref().map_or([Ptr::NULL; 2], |[m, l]| [m.ptr(), l.ptr()]);
    let sum = sum_by_blocks(cx, n, scale, |blocks, sums, result| {
        let args = (extent(n)?, scale, mu.ptr(), logvar.ptr(), sums, result, dmu, dlogvar);
        cx.launch("gaussian_kld", blocks, THREADS, 0, args)
    })?;
    Ok((sum, grads))
}

pub(super) fn reparametrise(mu: &T, logvar: &T, noise: &T) -> Result<T> {
    check_same("reparametrisation", mu, logvar)?;
    check_same("reparametrisation", mu, noise)?;
    let (cx, n) = (Context::get()?, mu.count());
    let z = cx.tensor(mu.shape())?;
    cx.launch_over("reparametrise", n, (extent(n)?, mu.ptr(), logvar.ptr(), noise.ptr(), z.ptr()))?;
    Ok(z)
}

pub(super) fn reparametrise_backward(logvar: &T, noise: &T, dy: &T) -> Result<T> {
    check_same("reparametrisation", logvar, noise)?;
    check_same("reparametrisation", logvar, dy)?;
    let (cx, n) = (Context::get()?, logvar.count());
    let d = cx.tensor(logvar.shape())?;
    cx.launch_over("reparametrise_backward", n, (extent(n)?, logvar.ptr(), noise.ptr(), dy.ptr(), d.ptr()))?;
    Ok(d)
}

const THREADS: u32 = 256;

/// A sum over `n` elements, `[1]`: one launch where a block suffices, otherwise a second one for the sums of all
/// blocks. Their number follows from `n` alone, so that every GPU comes to the same bits.
fn sum_by_blocks(cx: &Context, n: usize, scale: f32, launch: impl Fn(u32, Ptr, Ptr) -> Result<()>) -> Result<T> {
    let blocks = n.div_ceil(4 * THREADS as usize).clamp(1, 512);
    let result = cx.tensor([1])?;
    // Numbers of eight bytes.
    let sums = cx.tensor([2 * blocks])?;
    launch(extent(blocks)?, sums.ptr(), result.ptr())?;
    if blocks > 1 {
        cx.launch("sum_of_blocks", 1, THREADS, 0, (extent(blocks)?, scale, sums.ptr(), result.ptr()))?;
    }
    Ok(result)
}
