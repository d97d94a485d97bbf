//! Matrix views, and the product of two by a crate: what every other product here is made of, or held against.

use super::Accumulate;
use std::marker::PhantomData;

/// A matrix view with strides; transposing is free.
#[derive(Clone, Copy, Debug)]
pub struct Mat<'a> {
    pub(super) data: &'a [f32],
    pub(super) rows: usize,
    pub(super) cols: usize,
    pub(super) row_stride: usize,
    pub(super) col_stride: usize,
}

impl<'a> Mat<'a> {
    /// A row-major matrix [rows, cols].
    pub fn new(data: &'a [f32], rows: usize, cols: usize) -> Self {
        Self::strided(data, rows, cols, cols)
    }

    /// A row-major matrix [rows, cols] whose rows are `row_stride` elements apart.
    pub fn strided(data: &'a [f32], rows: usize, cols: usize, row_stride: usize) -> Self {
        let needed = if rows == 0 || cols == 0 { 0 } else { (rows - 1) * row_stride + cols };
        assert!(data.len() >= needed, "a [{rows}, {cols}] matrix needs {needed} elements, found {}", data.len());
        Self { data, rows, cols, row_stride, col_stride: 1 }
    }

    /// The transpose.
    pub fn t(self) -> Self {
        Self {
            rows: self.cols,
            cols: self.rows,
            row_stride: self.col_stride,
            col_stride: self.row_stride,
            data: self.data,
        }
    }

    /// `rows` rows from `first`.
    pub fn rows_from(self, first: usize, rows: usize) -> Self {
        assert!(first + rows <= self.rows, "rows {first}+{rows} of {}", self.rows);
        let start = (first * self.row_stride).min(self.data.len());
        Self { data: &self.data[start..], rows, ..self }
    }

    /// `cols` columns from `first`.
    pub fn cols_from(self, first: usize, cols: usize) -> Self {
        self.t().rows_from(first, cols).t()
    }
}

/// A row-major destination, possibly a tile of a wider matrix. Tiles of one matrix never overlap.
#[derive(Debug)]
pub struct MatMut<'a> {
    pub(super) data: *mut f32,
    pub(super) rows: usize,
    pub(super) cols: usize,
    pub(super) row_stride: usize,
    first_row: usize,
    first_col: usize,
    life: PhantomData<&'a mut [f32]>,
}

// SAFETY: a `MatMut` is the only owner of its elements for 'a, as `&mut [f32]` is, and f32 is Send.
unsafe impl Send for MatMut<'_> {}

impl<'a> MatMut<'a> {
    /// A matrix [rows, cols].
    pub fn new(data: &'a mut [f32], rows: usize, cols: usize) -> Self {
        assert_eq!(data.len(), rows * cols, "length of a [{rows}, {cols}] matrix");
        Self::strided(data, rows, cols, cols)
    }

    /// A matrix [rows, cols] whose rows are `row_stride >= cols` elements apart.
    pub fn strided(data: &'a mut [f32], rows: usize, cols: usize, row_stride: usize) -> Self {
        let needed = if rows == 0 || cols == 0 { 0 } else { (rows - 1) * row_stride + cols };
        assert!(data.len() >= needed && row_stride >= cols, "a [{rows}, {cols}] matrix with stride {row_stride}");
        Self { data: data.as_mut_ptr(), rows, cols, row_stride, first_row: 0, first_col: 0, life: PhantomData }
    }

    /// A matrix of the same shape and place, in other memory.
    pub fn over<'b>(&self, data: &'b mut [f32]) -> MatMut<'b> {
        MatMut { first_row: self.first_row, first_col: self.first_col, ..MatMut::new(data, self.rows, self.cols) }
    }

    /// Rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Columns.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// Index of the first row in the matrix this is a tile of.
    pub fn first_row(&self) -> usize {
        self.first_row
    }

    /// Index of the first column in the matrix this is a tile of.
    pub fn first_col(&self) -> usize {
        self.first_col
    }

    /// Cuts into tiles of at most [tile_rows, tile_cols], row by row.
    pub fn tiles(self, (tile_rows, tile_cols): (usize, usize)) -> impl Iterator<Item = MatMut<'a>> {
        let (rows, cols) = (self.rows, self.cols);
        let (down, across) = (rows.div_ceil(tile_rows.max(1)), cols.div_ceil(tile_cols.max(1)));
        (0..down * across).map(move |i| {
            let (r, c) = (i / across * tile_rows, i % across * tile_cols);
            MatMut {
                // SAFETY: r < rows and c < cols, so the offset stays inside the matrix; tiles cover disjoint rows or
                // columns, and `self` was consumed, so nothing else reaches these elements.
                data: unsafe { self.data.add(r * self.row_stride + c) },
                rows: tile_rows.min(rows - r),
                cols: tile_cols.min(cols - c),
                row_stride: self.row_stride,
                first_row: self.first_row + r,
                first_col: self.first_col + c,
                life: PhantomData,
            }
        })
    }

    /// Whether the rows touch, so that [`Self::blocks`] gives all of them at once.
    fn contiguous(&self) -> bool {
        self.row_stride == self.cols
    }

    /// The elements as slices of whole rows: one slice if the rows touch, one a row otherwise.
    pub fn blocks(&mut self) -> impl Iterator<Item = &mut [f32]> {
        let (count, len) = if self.contiguous() { (1, self.rows * self.cols) } else { (self.rows, self.cols) };
        let (data, stride) = (self.data, self.row_stride);
        // SAFETY: each slice lies inside the matrix, and slices are a row stride >= cols apart, so they are disjoint.
        (0..count).map(move |i| unsafe { std::slice::from_raw_parts_mut(data.add(i * stride), len) })
    }

    /// The slices of `other` that lie where [`Self::blocks`] do; `other` is laid out as the matrix this is a tile of.
    pub fn blocks_in<'b>(&self, other: &'b [f32]) -> impl Iterator<Item = &'b [f32]> + use<'b> {
        let (count, len) = if self.contiguous() { (1, self.rows * self.cols) } else { (self.rows, self.cols) };
        let (stride, first) = (self.row_stride, self.first_row * self.row_stride + self.first_col);
        (0..count).map(move |i| &other[first + i * stride..][..len])
    }
}

/// c = alpha a b, or c += alpha a b, on this thread, by the crate `gemm`: it chooses its kernel by the processor, and cuts
/// sums by the size of its caches.
pub(crate) fn general(c: &mut MatMut<'_>, mode: Accumulate, alpha: f32, a: Mat<'_>, b: Mat<'_>) {
    let (m, n, k) = (c.rows, c.cols, a.cols);
    assert_eq!((a.rows, b.rows, b.cols), (m, k, n), "[{m}, {n}] = [{}, {k}] [{}, {}]", a.rows, b.rows, b.cols);
    if m == 0 || n == 0 {
        return;
    }
    if k == 0 {
        if mode == Accumulate::Overwrite {
            c.blocks().for_each(|block| block.fill(0.0));
        }
        return;
    }
    // SAFETY: constructors of the views checked that their last elements exist, the shapes agree, c is exclusively
    // ours, and gemm does not read c unless told to.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            c.data,
            1,
            c.row_stride as isize,
            mode == Accumulate::Add,
            a.data.as_ptr(),
            a.col_stride as isize,
            a.row_stride as isize,
            b.data.as_ptr(),
            b.col_stride as isize,
            b.row_stride as isize,
            1.0,
            alpha,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

/// Multiplications and additions of an [m, k] by [k, n] product.
pub fn flops(m: usize, n: usize, k: usize) -> usize {
    m.saturating_mul(n).saturating_mul(k).saturating_mul(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_cover_every_element_once() {
        let mut c = vec![0.0; 37 * 29];
        for mut t in MatMut::new(&mut c, 37, 29).tiles((8, 10)) {
            t.blocks().for_each(|row| row.iter_mut().for_each(|v| *v += 1.0));
        }
        assert!(c.iter().all(|&v| v == 1.0));
    }
}
