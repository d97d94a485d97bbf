//! Layer normalisation.

use crate::backend::LayerGrads;
use crate::backend::cuda::Cuda;
use crate::backend::cuda::runtime::{Context, WARPS, check_count, dest_or_null, extent, ptr_or_null, wanted};
use crate::backend::norm::check_layer_norm;
use crate::error::Result;
use crate::tensor::Tensor;

type T = Tensor<Cuda>;

/// Most pieces of the rows that have sums of their own: a few for every processor.
const PIECES: usize = 512;
/// Shared memory that any GPU gives a block without being asked.
const SHARED: usize = 48 << 10;

pub(super) fn forward(x: &T, gamma: &T, beta: &T, eps: f32) -> Result<(T, T)> {
    let n = check_layer_norm(x, gamma, beta)?;
    let (cx, rows) = (Context::get()?, x.count() / n);
    let (y, stats) = (cx.tensor(x.shape())?, cx.tensor([rows, 2])?);
    extent(x.count())?;
    let args = (extent(rows)?, extent(n)?, eps, x.ptr(), gamma.ptr(), beta.ptr(), y.ptr(), stats.ptr());
    cx.launch("layer_norm", extent(rows.div_ceil(WARPS))?, 32 * WARPS as u32, 0, args)?;
    Ok((y, stats))
}

pub(super) fn backward(x: &T, gamma: &T, stats: &T, dy: &T, grads: LayerGrads<'_, Cuda>) -> Result<()> {
    let n = check_layer_norm(x, gamma, gamma)?;
    let (cx, rows) = (Context::get()?, x.count() / n);
    check_count("layer norm", dy, x.count())?;
    check_count("layer norm", stats, 2 * rows)?;
    let dx = wanted(cx, grads.x, Some(x))?;
    let (dgamma, dbeta) = (wanted(cx, grads.w, Some(gamma))?, wanted(cx, grads.b, Some(gamma))?);
    let summed = dgamma.is_some() || dbeta.is_some();

    // Each warp has sums of its own: fewer warps where rows are long.
    let of_warp = 8 * n.next_multiple_of(4);
    let warps = if summed { (SHARED / of_warp).clamp(1, WARPS) } else { WARPS };
    let piece = rows.div_ceil(PIECES).max(warps);
    let pieces = rows.div_ceil(piece);
    let sums = summed.then(|| cx.tensor([pieces, 2, n])).transpose()?;
    if summed || dx.is_some() {
        extent(x.count())?;
        let (to, add) = dest_or_null(dx);
        let sizes = (extent(rows)?, extent(n)?, extent(piece)?);
        let sums = ptr_or_null(sums.as_ref());
        let args = (sizes.0, sizes.1, sizes.2, x.ptr(), gamma.ptr(), stats.ptr(), dy.ptr(), to, add, sums);
        let shared = if summed { warps * of_warp } else { 0 };
        cx.launch("layer_norm_backward", extent(pieces)?, 32 * warps as u32, shared, args)?;
    }
    let Some(sums) = sums else { return Ok(()) };
    let ((dgamma, add_gamma), (dbeta, add_beta)) = (dest_or_null(dgamma), dest_or_null(dbeta));
    let args = (extent(pieces)?, extent(n)?, sums.ptr(), dgamma, add_gamma, dbeta, add_beta);
    cx.launch("layer_norm_backward_sums", extent((2 * n).div_ceil(32))?, (32, 32), 0, args)
}
