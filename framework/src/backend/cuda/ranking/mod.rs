//! The exact k lowest of many scores, found and marked on the device.

use super::Cuda;
use super::runtime::{Context, Ints, extent, ptr_or_null};
use crate::backend::RankingOps;
use crate::error::{Error, Result};
use crate::tensor::Tensor;

type T = Tensor<Cuda>;

impl RankingOps for Cuda {
    fn keep_best(scores: &[Tensor<Self>], alive: &[Option<Tensor<Self>>], total: usize) -> Result<Vec<Tensor<Self>>> {
        best(scores, alive, total)
    }
}

/// Shift and width of the digits that scores are ranked by, highest first.
const DIGITS: [(u32, u32); 3] = [(21, 11), (10, 11), (0, 10)];
/// Values of a digit.
const VALUES: usize = 2048;
/// Elements that one block marks; as in `ranking.cu`.
const CHUNK: usize = 2048;

/// See [`RankingOps::keep_best`].
fn best(scores: &[T], alive: &[Option<T>], total: usize) -> Result<Vec<T>> {
    let misfit = scores.iter().zip(alive).find(|(s, a)| a.as_ref().is_some_and(|a| a.count() != s.count()));
    if let Some((scores, _)) = misfit {
        return Err(Error::shape("ranking", format!("scores {} and their marks differ in size", scores.shape())));
    }
    let cx = Context::get()?;
    let count: usize = scores.iter().map(Tensor::count).sum();
    extent(count)?;
    let total = extent(total.min(count))?;
    let lists = || scores.iter().zip(alive).map(|(s, a)| (s, ptr_or_null(a.as_ref())));
    let found = Ints::unwritten(cx, 2)?;
    let counts = Ints::upload(cx, &[0; VALUES])?;
    for (shift, bits) in DIGITS {
        for (scores, alive) in lists() {
            let n = scores.count();
            let args = (shift, bits, extent(n)?, scores.ptr(), alive, found.ptr(), counts.ptr());
            // Each block empties a digit's counts of its own first: few blocks with much to do.
            let blocks = extent(n.div_ceil(4 * VALUES))?.min(4 * cx.processors);
            cx.launch("ranking_count", blocks, 256, 0, args)?;
        }
        let first = u32::from(shift == DIGITS[0].0);
        cx.launch("ranking_digit", 1, 1024, 0, (shift, first, total, found.ptr(), counts.ptr()))?;
    }
    // Chunks of all lists, one list after the other: equal scores go in this order.
    let chunks: usize = scores.iter().map(|s| s.count().div_ceil(CHUNK)).sum();
    let ties = Ints::unwritten(cx, chunks.max(1))?;
    let mut first = 0;
    for (scores, alive) in lists() {
        let (n, own) = (scores.count(), scores.count().div_ceil(CHUNK));
        let args = (extent(n)?, scores.ptr(), alive, found.ptr(), ties.ptr().offset(4 * first));
        cx.launch("ranking_ties", extent(own)?, 256, 0, args)?;
        first += own;
    }
    cx.launch("ranking_before", u32::from(chunks > 0), 1024, 0, (extent(chunks)?, ties.ptr()))?;
    first = 0;
    lists()
        .map(|(scores, alive)| {
            let (marks, n, own) = (cx.tensor(scores.shape())?, scores.count(), scores.count().div_ceil(CHUNK));
            let before = ties.ptr().offset(4 * first);
            let args = (extent(n)?, scores.ptr(), alive, found.ptr(), before, marks.ptr());
            cx.launch("ranking_marks", extent(own)?, 256, 0, args)?;
            first += own;
            Ok(marks)
        })
        .collect()
}
