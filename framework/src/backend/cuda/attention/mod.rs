//! Attention over short sequences.

pub(super) mod tiles;

use super::Cuda;
use super::runtime::{Context, check_count, extent, ptr_or_null};
use crate::backend::attention::check_attention;
use crate::backend::{AttentionOps, Heads, Precision, Slot};
use crate::error::{Error, Result};
use crate::tensor::Tensor;

type T = Tensor<Cuda>;

impl AttentionOps for Cuda {
    fn attention(shape: Heads, qkv: &T, sizes: Option<&T>, _: Precision, save: bool) -> Result<(T, Option<T>)> {
        forward(shape, qkv, sizes, save)
    }
    fn attention_backward(
        shape: Heads,
        qkv: &T,
        probabilities: &T,
        dy: &T,
        _: Precision,
        dqkv: &mut Slot<Self>,
    ) -> Result<()> {
        backward(shape, qkv, probabilities, dy, dqkv)
    }
}

/// Keys of which one block of the backward pass makes the gradients.
const KEYS: usize = 80;
/// Rows of queries that it has in shared memory at once; as in `attention.cu`.
const ROWS: usize = 32;

/// How `attention.cu` cuts the queries of a head, and where in shared memory (in floats) its parts are.
struct Plan {
    /// Queries of a block.
    tile: usize,
    /// Blocks of a head.
    tiles: usize,
    /// Rows of threads.
    height: usize,
    /// Keys, and then values, in shared memory at once.
    chunk: usize,
    keys: usize,
    scores: usize,
    /// Distance of rows of scores.
    pitch: usize,
    logs: usize,
    bytes: usize,
}

impl Plan {
    /// As many queries as `ROWS_AT_MOST` allows and leave room for two blocks on a processor; fewer where the sequence
    /// is long.
    fn new(cx: &Context, shape: Heads) -> Result<Self> {
        let plans = (1..=tiles::HEIGHT / 4).rev().map(|quarter| Self::of_height(4 * quarter, shape.tokens));
        let half = cx.shared / 2;
        let mut fitting = plans.filter(|p| p.bytes <= cx.shared).peekable();
        let largest = fitting.peek().map(|p| p.height);
        let smaller = fitting.find(|p| p.bytes <= half);
        // Where not even the smallest fits twice, one block has to do: the largest.
        smaller.or_else(|| largest.map(|height| Self::of_height(height, shape.tokens))).ok_or_else(|| {
            let message = format!(
                "{} tokens: the scores of so long a sequence do not fit the {} KiB of shared memory that this GPU has; use \
                 larger patches or merge tokens earlier",
                shape.tokens,
                cx.shared >> 10
            );
            Error::shape("attention", message)
        })
    }

    /// The plan with at most so many rows of threads.
    fn of_height(height: usize, tokens: usize) -> Self {
        let (tile, tiles) = even(tokens, tiles::ROWS * height);
        let height = tiles::height(tile);
        let chunk = tiles::chunk(tokens);
        let rows = tiles::ROWS * height;
        // Rows of scores start in other banks.
        let pitch = 4 * (tokens.div_ceil(4) | 1);
        let keys = tiles::PITCH * rows.max(chunk);
        let (of_keys, of_scores) = (tiles::PITCH * tiles::columns(chunk), pitch * rows);
        // The keys are not needed any more once all scores are there.
        let scores = if chunk >= tokens { keys } else { keys + of_keys };
        let logs = (keys + of_keys).max(scores + of_scores);
        Self { tile, tiles, height, chunk, keys, scores, pitch, logs, bytes: 4 * (logs + tokens) }
    }
}

/// Parts of about the same size, at most `most`: that size and how many there are.
fn even(count: usize, most: usize) -> (usize, usize) {
    let parts = count.div_ceil(most).max(1);
    let part = count.div_ceil(parts).max(1);
    (part, count.div_ceil(part))
}

/// Makes sure that kernels can count everything there is.
fn countable(shape: Heads, qkv: &T) -> Result<()> {
    extent(shape.batch * shape.heads * shape.tokens * shape.tokens)?;
    extent(qkv.count()).map(drop)
}

fn forward(shape: Heads, qkv: &T, sizes: Option<&T>, save: bool) -> Result<(T, Option<T>)> {
    let (rows, width) = check_attention(shape, qkv, sizes)?;
    let (cx, Heads { batch, tokens, heads, head_dim, scale }) = (Context::get()?, shape);
    countable(shape, qkv)?;
    let y = cx.tensor([rows, width])?;
    let probabilities = save.then(|| cx.tensor([batch * heads * tokens * tokens])).transpose()?;
    if y.count() > 0 {
        let plan = Plan::new(cx, shape)?;
        let int = extent;
        let grid = (int(batch * heads)?, int(plan.tiles)?);
        let of_shape = (int(tokens)?, int(heads)?, int(head_dim)?);
        let (sizes, kept) = (ptr_or_null(sizes), ptr_or_null(probabilities.as_ref()));
        let args = (
            of_shape.0,
            of_shape.1,
            of_shape.2,
            scale,
            int(plan.tile)?,
            int(plan.chunk)?,
            int(plan.keys)?,
            int(plan.scores)?,
            int(plan.pitch)?,
            int(plan.logs)?,
            qkv.ptr(),
            sizes,
            y.ptr(),
            kept,
        );
        cx.launch("attention", grid, (tiles::LANES, plan.height as u32), plan.bytes, args)?;
    }
    Ok((y, probabilities))
}

fn backward(shape: Heads, qkv: &T, probabilities: &T, dy: &T, dqkv: &mut Slot<Cuda>) -> Result<()> {
    let (rows, width) = check_attention(shape, qkv, None)?;
    let (cx, Heads { batch, tokens, heads, head_dim, scale }) = (Context::get()?, shape);
    countable(shape, qkv)?;
    check_count("attention", dy, rows * width)?;
    check_count("attention", probabilities, batch * heads * tokens * tokens)?;
    let to = dqkv.dest(cx, qkv)?;
    if dy.count() == 0 {
        return Ok(());
    }
    let plan = Plan::new(cx, shape)?;
    let scores = cx.tensor(probabilities.shape())?;
    let int = extent;
    let blocks = int(batch * heads)?;
    let of_shape = (int(tokens)?, int(heads)?, int(head_dim)?);
    let args = (
        of_shape.0,
        of_shape.1,
        of_shape.2,
        scale,
        int(plan.tile)?,
        int(plan.chunk)?,
        int(plan.keys)?,
        int(plan.scores)?,
        int(plan.pitch)?,
        qkv.ptr(),
        probabilities.ptr(),
        dy.ptr(),
        scores.ptr(),
        to.ptr,
        to.add,
    );
    let block = (tiles::LANES, plan.height as u32);
    cx.launch("attention_backward_queries", (blocks, int(plan.tiles)?), block, plan.bytes, args)?;

    let (tile, count) = even(tokens, KEYS);
    // Four keys a thread, and whole warps.
    let height = tile.div_ceil(16) * 4;
    let bytes = 4 * ROWS * (tiles::PITCH + 4 * height);
    let args = (
        of_shape.0,
        of_shape.1,
        of_shape.2,
        scale,
        int(tile)?,
        qkv.ptr(),
        probabilities.ptr(),
        scores.ptr(),
        dy.ptr(),
        to.ptr,
        to.add,
    );
    cx.launch("attention_backward_keys", (blocks, int(count)?, 2), (tiles::LANES, height as u32), bytes, args)
}
