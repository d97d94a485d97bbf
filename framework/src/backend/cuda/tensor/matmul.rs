//! Products of matrices.

use crate::backend::cuda::Cuda;
use crate::backend::cuda::runtime::{Context, Gemm};
use crate::error::{Error, Result};
use crate::tensor::Tensor;

type T = Tensor<Cuda>;

pub(super) fn matmul(a: &T, ta: bool, b: &T, tb: bool) -> Result<T> {
    let axes = |t: &T| match *t.shape() {
        [rows, cols] => Ok((rows, cols)),
        _ => Err(Error::shape("matmul", format!("{} has not two axes", t.shape()))),
    };
    let ((ar, ac), (br, bc)) = (axes(a)?, axes(b)?);
    let ((m, k), (k2, n)) = (if ta { (ac, ar) } else { (ar, ac) }, if tb { (bc, br) } else { (br, bc) });
    if k != k2 {
        let message = format!("{} (transposed: {ta}) does not fit {} (transposed: {tb})", a.shape(), b.shape());
        return Err(Error::shape("matmul", message));
    }
    let cx = Context::get()?;
    let c = cx.tensor([m, n])?;
    cx.gemm(Gemm { m, n, k, a: (a.ptr(), ta), b: (b.ptr(), tb), c: c.ptr(), add: false })?;
    Ok(c)
}
