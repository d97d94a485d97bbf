//! Sizes of the products in `tiles.cuh`.

/// Threads along the columns of a product.
pub(in crate::backend::cuda) const LANES: u32 = 8;
/// Rows of a thread.
pub(in crate::backend::cuda) const ROWS: usize = 3;
/// Floats from one row in shared memory to the next.
pub(in crate::backend::cuda) const PITCH: usize = 68;
/// Most rows of threads: as many rows of a product as it has columns.
pub(in crate::backend::cuda) const HEIGHT: usize = 24;
/// Most columns of a product.
const COLUMNS: usize = 72;

/// Rows of threads for so many rows of a product: whole warps.
pub(in crate::backend::cuda) fn height(rows: usize) -> usize {
    rows.div_ceil(ROWS).next_multiple_of(4).max(4)
}

/// Columns of a product at a time, in parts of about the same size: a multiple of four.
pub(in crate::backend::cuda) fn chunk(columns: usize) -> usize {
    let chunks = columns.div_ceil(COLUMNS).max(1);
    columns.div_ceil(chunks).next_multiple_of(4).max(4)
}

/// Columns that the kernel computes for a chunk.
pub(in crate::backend::cuda) fn columns(chunk: usize) -> usize {
    [24, 40, 56].into_iter().find(|c| chunk <= *c).unwrap_or(COLUMNS)
}
