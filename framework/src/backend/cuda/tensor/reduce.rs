//! Sums along an axis, and of everything.

use super::multi_tensor;
use crate::backend::cuda::Cuda;
use crate::backend::cuda::runtime::{Context, Dest, Ptr, extent};
use crate::error::{Error, Result};
use crate::tensor::{Reduce, Tensor};

type T = Tensor<Cuda>;

pub(super) fn over_axis(how: Reduce, x: &T, axis: usize) -> Result<T> {
    if axis >= x.shape().len() {
        return Err(Error::shape("reduce", format!("axis {axis} of a tensor {}", x.shape())));
    }
    let cx = Context::get()?;
    let (outer, n, inner) = x.shape().around(axis);
    let axes: Vec<usize> = x.shape().iter().enumerate().filter(|(i, _)| *i != axis).map(|(_, &n)| n).collect();
    let y = cx.tensor(&axes[..])?;
    let how = match how {
        Reduce::Sum => 0_u32,
        Reduce::L1 => 1,
        Reduce::L2 => 2,
        Reduce::Mean => 3,
        Reduce::Max => 4,
    };
    if inner == 1 {
        cx.launch("reduce_rows", extent(outer)?, 256, 0, (how, extent(n)?, x.ptr(), y.ptr()))?;
        return Ok(y);
    }
    // A grid's second extent ends at 65,535.
    let at_once = 65_535;
    for first in (0..outer).step_by(at_once) {
        let grid = (extent(inner.div_ceil(32))?, extent(at_once.min(outer - first))?);
        let (from, to) = (x.ptr().offset(4 * first * n * inner), y.ptr().offset(4 * first * inner));
        cx.launch("reduce_columns", grid, (32, 8), 0, (how, extent(n)?, extent(inner)?, from, to))?;
    }
    Ok(y)
}

/// The sum of the squares of all elements; the host waits for it.
pub(super) fn norm_squared(x: &T) -> Result<f64> {
    let cx = Context::get()?;
    let mut found = [0.0_f64];
    cx.copy_out(&mut found, multi_tensor::norm_squared(cx, &[x])?.ptr())?;
    Ok(found[0])
}

/// Column sums of `x [rows, cols]` with few rows.
pub(in crate::backend::cuda) fn column_sums(
    cx: &Context,
    (rows, cols): (usize, usize),
    x: Ptr,
    to: &Dest,
) -> Result<()> {
    let args = (extent(rows)?, extent(cols)?, x, to.ptr, to.add);
    cx.launch("column_sums", extent(cols.div_ceil(128))?, 128, 0, args)
}
