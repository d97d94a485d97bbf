//! Memory of the host, and the operations that a tensor has by itself.

mod slot;
mod storage;

pub(super) use slot::wanted;
pub(super) use storage::filled;

use super::common::matrix::{Mat, MatMut};
use super::common::sparse::Pattern;
use super::common::{Accumulate, elementwise, gemm, reduce};
use crate::error::{Error, Result};
use crate::tensor::{Binary, Buffer, Device, Reduce, Tensor, TensorOps, Unary};
use dfdx::tensor::{Cpu, Tensor as DfdxTensor};
use std::borrow::Cow;
use std::sync::Arc;

impl Device for Cpu {
    const NAME: &'static str = "cpu";
    const PENDING_STEPS: usize = 1;
    type Ints = Vec<u32>;
    type Bytes = Vec<u8>;
    type Pattern = Pattern;

    fn upload(&self, data: Vec<f32>) -> Result<Buffer<Self>> {
        Ok(storage::own(self, data))
    }

    fn copied(&self, data: &[f32]) -> Result<Buffer<Self>> {
        Ok(storage::copied(self, data))
    }

    fn lasting(&self, values: Arc<dyn AsRef<[f32]> + Send + Sync>) -> Result<Buffer<Self>> {
        Ok(Buffer::lasting(self.clone(), values))
    }

    fn recycle(memory: DfdxTensor<(usize,), f32, Self>, addr: *mut f32) {
        storage::recycle(memory, addr);
    }

    fn trim(&self) {
        storage::trim();
    }

    fn host(t: &Tensor<Self>) -> Cow<'_, [f32]> {
        Cow::Borrowed(t.data())
    }

    fn duplicate(t: &Tensor<Self>) -> Result<Buffer<Self>> {
        Ok(storage::copied(t.device(), t.data()))
    }

    fn write(t: &mut Tensor<Self>, data: &[f32]) -> Result<()> {
        if data.len() != t.count() {
            return Err(Error::shape("write", format!("{} values into a tensor {}", data.len(), t.shape())));
        }
        t.data_mut()?.copy_from_slice(data);
        Ok(())
    }

    fn host_ints(ints: &Vec<u32>) -> Cow<'_, [u32]> {
        Cow::Borrowed(ints)
    }
}

impl TensorOps for Cpu {
    fn unary(op: Unary, x: &Tensor<Self>) -> Result<Tensor<Self>> {
        Ok(x.like(|y| match op {
            Unary::Abs => elementwise::abs(y, x.data()),
            Unary::Square => elementwise::square(y, x.data()),
            Unary::Sign => elementwise::sign(y, x.data()),
            Unary::Scale(s) => elementwise::scale(y, x.data(), s),
        }))
    }

    fn binary(op: Binary, a: &Tensor<Self>, b: &Tensor<Self>) -> Result<Tensor<Self>> {
        if a.shape() != b.shape() {
            return Err(Error::shape(
                format!("{op:?}").to_lowercase(),
                format!("{} and {} differ", a.shape(), b.shape()),
            ));
        }
        Ok(a.like(|y| match op {
            Binary::Add => elementwise::add(y, a.data(), b.data()),
            Binary::Sub => elementwise::sub(y, a.data(), b.data()),
            Binary::Mul => elementwise::mul(y, a.data(), b.data()),
            Binary::Max => elementwise::max(y, a.data(), b.data()),
            Binary::Div => elementwise::div(y, a.data(), b.data()),
        }))
    }

    fn reduce(how: Reduce, x: &Tensor<Self>, axis: usize) -> Result<Tensor<Self>> {
        if axis >= x.shape().len() {
            return Err(Error::shape("reduce", format!("axis {axis} of a tensor {}", x.shape())));
        }
        let (outer, n, inner) = x.shape().around(axis);
        let measure = match how {
            Reduce::Sum => reduce::Measure::Sum,
            Reduce::L1 => reduce::Measure::AbsSum,
            Reduce::L2 => reduce::Measure::SquareSum,
            Reduce::Mean => reduce::Measure::Mean,
            Reduce::Max => reduce::Measure::MaxAbs,
        };
        let mut out = vec![0.0; outer * inner];
        reduce::over_axis(&mut out, x.data(), (outer, n, inner), measure);
        if how == Reduce::L2 {
            out.iter_mut().for_each(|v| *v = v.sqrt());
        }
        let axes: Vec<usize> = x.shape().iter().enumerate().filter(|(i, _)| *i != axis).map(|(_, &n)| n).collect();
        Tensor::from_vec(x.device(), out, &axes[..])
    }

    fn matmul(a: &Tensor<Self>, ta: bool, b: &Tensor<Self>, tb: bool) -> Result<Tensor<Self>> {
        let view = |t: &'_ Tensor<Self>| match *t.shape() {
            [rows, cols] => Ok((rows, cols)),
            _ => Err(Error::shape("matmul", format!("{} has not two axes", t.shape()))),
        };
        let ((ar, ac), (br, bc)) = (view(a)?, view(b)?);
        let (a_mat, b_mat) = (Mat::new(a.data(), ar, ac), Mat::new(b.data(), br, bc));
        let (m, k) = if ta { (ac, ar) } else { (ar, ac) };
        let (k2, n) = if tb { (bc, br) } else { (br, bc) };
        if k != k2 {
            return Err(Error::shape(
                "matmul",
                format!("{} (transposed: {ta}) does not fit {} (transposed: {tb})", a.shape(), b.shape()),
            ));
        }
        let (a_mat, b_mat) = (if ta { a_mat.t() } else { a_mat }, if tb { b_mat.t() } else { b_mat });
        Ok(filled(a.device(), [m, n].into(), |c| {
            gemm::gemm_parallel(MatMut::new(c, m, n), Accumulate::Overwrite, 1.0, a_mat, b_mat);
        }))
    }

    fn transpose(x: &Tensor<Self>) -> Result<Tensor<Self>> {
        let [outer @ .., a, b] = &*x.shape() else {
            return Err(Error::shape("transpose", format!("{} has not two axes", x.shape())));
        };
        let axes: Vec<usize> = outer.iter().copied().chain([*b, *a]).collect();
        Ok(filled(x.device(), axes[..].into(), |y| elementwise::transpose(y, x.data(), (*a, *b))))
    }

    fn scale_by(x: Tensor<Self>, factor: &Tensor<Self>) -> Result<Tensor<Self>> {
        match factor.data()[0] {
            1.0 => Ok(x),
            factor => x.scale(factor),
        }
    }

    fn accumulate(to: &mut Tensor<Self>, from: &Tensor<Self>) -> Result<()> {
        if to.count() != from.count() {
            return Err(Error::shape("accumulate", format!("{} into {}", from.shape(), to.shape())));
        }
        elementwise::add_assign(to.data_mut()?, from.data());
        Ok(())
    }

    fn norm_squared(x: &Tensor<Self>) -> Result<f64> {
        Ok(reduce::square_sum(x.data()))
    }

    fn select(x: &Tensor<Self>, axis: usize, keep: &[usize]) -> Result<Tensor<Self>> {
        let (outer, n, inner) = x.shape().around(axis);
        if let Some(i) = keep.iter().find(|&&i| i >= n) {
            return Err(Error::shape("select", format!("index {i} of axis {axis} of a tensor {}", x.shape())));
        }
        // Neighbours are copied together: along the last axis a slice would otherwise be a single value.
        let runs: Vec<&[usize]> = keep.chunk_by(|a, b| a + 1 == *b).collect();
        let mut data = Vec::with_capacity(outer * keep.len() * inner);
        for row in x.data().chunks_exact((n * inner).max(1)) {
            runs.iter().for_each(|run| data.extend_from_slice(&row[run[0] * inner..][..run.len() * inner]));
        }
        Tensor::from_vec(x.device(), data, x.shape().with(axis, keep.len()))
    }
}
