//! Token merging.

use crate::backend::cuda::Cuda;
use crate::backend::cuda::attention::tiles;
use crate::backend::cuda::runtime::{Context, Ints, WARPS, check_count, extent};
use crate::backend::tokens::{check_merging, check_tokens};
use crate::backend::{Merge, Slot};
use crate::error::Result;
use crate::tensor::Tensor;

type T = Tensor<Cuda>;

pub(super) fn matching(metric: &T, r: usize, protected: usize) -> Result<Merge<Cuda>> {
    let (batch, tokens, dim) = check_tokens("matching", metric)?;
    extent(metric.count())?;
    let cx = Context::get()?;
    let r = r.min(tokens.saturating_sub(protected) / 2);
    let target = Ints::unwritten(cx, batch * tokens)?;
    if r == 0 {
        cx.launch_over("match_nothing", batch * tokens, (extent(batch * tokens)?, extent(tokens)?, target.ptr()))?;
        return Ok(Merge { tokens, kept: tokens, target });
    }
    // There is one block for each image: it has as many threads as it can use, if only to compute the norms.
    let (height, rows) = (tiles::HEIGHT, tiles::ROWS * tiles::HEIGHT);
    let chunk = tiles::chunk(tokens / 2 - protected / 2);
    let right = tiles::PITCH * rows.max(chunk);
    let lists = right + tiles::PITCH * tiles::columns(chunk);
    let bytes = 4 * (lists + tokens + 2 * tokens.div_ceil(2));
    let args = (
        extent(tokens)?,
        extent(dim)?,
        extent(r)?,
        extent(protected)?,
        extent(rows)?,
        extent(chunk)?,
        extent(right)?,
        extent(lists)?,
        metric.ptr(),
        target.ptr(),
    );
    cx.launch("match_tokens", extent(batch)?, (tiles::LANES, height as u32), bytes, args)?;
    Ok(Merge { tokens, kept: tokens - r, target })
}

pub(super) fn forward(merge: &Merge<Cuda>, x: &T, sizes: &T) -> Result<(T, T)> {
    let (batch, tokens, dim) = check_merging((merge.tokens, merge.target.count()), x, sizes)?;
    extent(x.count())?;
    let (cx, kept) = (Context::get()?, merge.kept);
    let (y, kept_sizes) = (cx.tensor([batch, kept, dim])?, cx.tensor([batch, kept])?);
    let all = batch * kept;
    let counts = (extent(all)?, extent(tokens)?, extent(kept)?, extent(dim)?);
    let (target, from) = (merge.target.ptr(), (x.ptr(), sizes.ptr()));
    let args = (counts.0, counts.1, counts.2, counts.3, target, from.0, from.1, y.ptr(), kept_sizes.ptr());
    cx.launch("merge_tokens", extent(all.div_ceil(WARPS))?, 32 * WARPS as u32, 0, args)?;
    Ok((y, kept_sizes))
}

pub(super) fn backward(merge: &Merge<Cuda>, x: &T, dy: &T, sizes: &T, kept: &T, dx: &mut Slot<Cuda>) -> Result<()> {
    let (batch, tokens, dim) = check_merging((merge.tokens, merge.target.count()), x, sizes)?;
    check_count("merging", dy, batch * merge.kept * dim)?;
    check_count("merging", kept, batch * merge.kept)?;
    extent(x.count())?;
    let cx = Context::get()?;
    let (all, to) = (batch * tokens, dx.dest(cx, x)?);
    let counts = (extent(all)?, extent(tokens)?, extent(merge.kept)?, extent(dim)?);
    let (target, of) = (merge.target.ptr(), (sizes.ptr(), kept.ptr()));
    let args = (counts.0, counts.1, counts.2, counts.3, target, of.0, of.1, dy.ptr(), to.ptr, to.add);
    cx.launch("merge_tokens_backward", extent(all.div_ceil(WARPS))?, 32 * WARPS as u32, 0, args)
}
