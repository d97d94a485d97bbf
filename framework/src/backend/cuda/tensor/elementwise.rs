//! Functions of single elements or pairs; elements in other places.

use crate::backend::cuda::Cuda;
use crate::backend::cuda::runtime::{Context, Ints, extent};
use crate::error::{Error, Result};
use crate::tensor::{Binary, Tensor, Unary};

type T = Tensor<Cuda>;

pub(in crate::backend::cuda) fn unary(op: Unary, x: &T) -> Result<T> {
    let (code, factor) = match op {
        Unary::Abs => (0_u32, 0.0),
        Unary::Square => (1, 0.0),
        Unary::Sign => (2, 0.0),
        Unary::Scale(factor) => (3, factor),
    };
    let (cx, n) = (Context::get()?, x.count());
    let y = cx.tensor(x.shape())?;
    cx.launch_over("unary", n, (code, factor, extent(n)?, x.ptr(), y.ptr()))?;
    Ok(y)
}

pub(in crate::backend::cuda) fn binary(op: Binary, a: &T, b: &T) -> Result<T> {
    if a.shape() != b.shape() {
        let message = format!("{} and {} differ", a.shape(), b.shape());
        return Err(Error::shape(format!("{op:?}").to_lowercase(), message));
    }
    let (cx, n) = (Context::get()?, a.count());
    let y = cx.tensor(a.shape())?;
    cx.launch_over("binary", n, (binary_code(op), extent(n)?, a.ptr(), b.ptr(), y.ptr()))?;
    Ok(y)
}

pub(in crate::backend::cuda) fn accumulate(to: &mut T, from: &T) -> Result<()> {
    if to.count() != from.count() {
        return Err(Error::shape("accumulate", format!("{} into {}", from.shape(), to.shape())));
    }
    let (cx, n, sum) = (Context::get()?, to.count(), to.ptr_mut()?);
    cx.launch_over("binary", n, (binary_code(Binary::Add), extent(n)?, sum, from.ptr(), sum))
}

pub(in crate::backend::cuda) fn select(x: &T, axis: usize, keep: &[usize]) -> Result<T> {
    let (outer, n, inner) = x.shape().around(axis);
    if let Some(i) = keep.iter().find(|&&i| i >= n) {
        return Err(Error::shape("select", format!("index {i} of axis {axis} of a tensor {}", x.shape())));
    }
    let cx = Context::get()?;
    let y = cx.tensor(x.shape().with(axis, keep.len()))?;
    let indices = keep.iter().map(|&i| extent(i)).collect::<Result<Vec<u32>>>()?;
    let indices = Ints::upload(cx, &indices)?;
    let count = outer * keep.len() * inner;
    extent(x.count())?;
    let sizes = (extent(count)?, extent(n)?, extent(keep.len())?, extent(inner)?);
    let args = (sizes.0, sizes.1, sizes.2, sizes.3, x.ptr(), indices.ptr(), y.ptr());
    cx.launch_over("select_indices", count, args)?;
    Ok(y)
}

pub(in crate::backend::cuda) fn transpose(x: &T) -> Result<T> {
    let [outer @ .., a, b] = &*x.shape() else {
        return Err(Error::shape("transpose", format!("{} has not two axes", x.shape())));
    };
    let axes: Vec<usize> = outer.iter().copied().chain([*b, *a]).collect();
    let cx = Context::get()?;
    let y = cx.tensor(&axes[..])?;
    const SIDE: usize = 32;
    extent(x.count())?;
    let (rows, columns) = (extent(*a)?, extent(*b)?);
    let tiles = extent(a.div_ceil(SIDE) * b.div_ceil(SIDE))?;
    // A grid's second extent ends at 65,535.
    let (matrices, at_once) = (outer.iter().product::<usize>(), 65_535);
    for first in (0..matrices).step_by(at_once) {
        let offset = 4 * first * a * b;
        let grid = (tiles, extent(at_once.min(matrices - first))?);
        cx.launch("transpose", grid, (32, 8), 0, (rows, columns, x.ptr().offset(offset), y.ptr().offset(offset)))?;
    }
    Ok(y)
}

pub(in crate::backend::cuda) fn scale_by(x: T, factor: &T) -> Result<T> {
    let (cx, n) = (Context::get()?, x.count());
    let y = cx.tensor(x.shape())?;
    cx.launch_over("scale_by", n, (extent(n)?, x.ptr(), factor.ptr(), y.ptr()))?;
    Ok(y)
}

fn binary_code(op: Binary) -> u32 {
    match op {
        Binary::Add => 0,
        Binary::Sub => 1,
        Binary::Mul => 2,
        Binary::Max => 3,
        Binary::Div => 4,
    }
}
