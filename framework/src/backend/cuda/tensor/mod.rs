//! Memory of the GPU, and the operations that a tensor has by itself.

pub(super) mod elementwise;
mod matmul;
pub(super) mod multi_tensor;
pub(super) mod reduce;

use super::runtime::{Bytes, Context, Ints, Ptr};
use crate::error::{Error, Result};
use crate::tensor::{Binary, Buffer, Device, Reduce, Tensor, TensorOps, Unary};
use dfdx::tensor::{Cuda, Tensor as DfdxTensor};
use std::borrow::Cow;

impl Device for Cuda {
    const NAME: &'static str = "cuda";
    const PENDING_STEPS: usize = 32;
    type Ints = Ints;
    type Bytes = Bytes;
    type Pattern = std::convert::Infallible;

    fn upload(&self, data: Vec<f32>) -> Result<Buffer<Self>> {
        let cx = Context::get()?;
        let buffer = cx.allocate(data.len())?;
        cx.copy_in(Ptr::of(&buffer), &data)?;
        Ok(buffer)
    }

    fn zeroed(&self, count: usize) -> Result<Buffer<Self>> {
        Context::get()?.allocate_zeros(count)
    }

    fn recycle(memory: DfdxTensor<(usize,), f32, Self>, addr: *mut f32) {
        if let Some(cx) = Context::existing() {
            cx.pool.put(memory, addr);
        }
    }

    fn let_go(count: usize) {
        if let Some(cx) = Context::existing() {
            cx.pool.let_go(count);
        }
    }

    fn trim(&self) {
        if let Ok(cx) = Context::get() {
            cx.trim();
        }
    }

    fn host(t: &Tensor<Self>) -> Cow<'_, [f32]> {
        // NaN where the device failed: this cannot say so, but the next operation does.
        let mut data = vec![f32::NAN; t.count()];
        if let Ok(cx) = Context::get() {
            cx.copy_out_or_remember(&mut data, t.ptr());
        }
        Cow::Owned(data)
    }

    fn duplicate(t: &Tensor<Self>) -> Result<Buffer<Self>> {
        let cx = Context::get()?;
        let buffer = cx.allocate(t.count())?;
        cx.copy_within(Ptr::of(&buffer), t.ptr(), 4 * t.count())?;
        Ok(buffer)
    }

    fn write(t: &mut Tensor<Self>, data: &[f32]) -> Result<()> {
        if data.len() != t.count() {
            return Err(Error::shape("write", format!("{} values into a tensor {}", data.len(), t.shape())));
        }
        let to = t.ptr_mut()?;
        Context::get()?.copy_in(to, data)
    }

    fn host_all(tensors: &[&Tensor<Self>]) -> Vec<Vec<f32>> {
        multi_tensor::host_all(tensors)
    }

    fn host_ints(ints: &Ints) -> Cow<'_, [u32]> {
        let mut data = vec![0; ints.count()];
        if let Ok(cx) = Context::get() {
            cx.copy_out_or_remember(&mut data, ints.ptr());
        }
        Cow::Owned(data)
    }
}

impl TensorOps for Cuda {
    fn unary(op: Unary, x: &Tensor<Self>) -> Result<Tensor<Self>> {
        elementwise::unary(op, x)
    }

    fn binary(op: Binary, a: &Tensor<Self>, b: &Tensor<Self>) -> Result<Tensor<Self>> {
        elementwise::binary(op, a, b)
    }

    fn reduce(how: Reduce, x: &Tensor<Self>, axis: usize) -> Result<Tensor<Self>> {
        reduce::over_axis(how, x, axis)
    }

    fn matmul(a: &Tensor<Self>, ta: bool, b: &Tensor<Self>, tb: bool) -> Result<Tensor<Self>> {
        matmul::matmul(a, ta, b, tb)
    }

    fn transpose(x: &Tensor<Self>) -> Result<Tensor<Self>> {
        elementwise::transpose(x)
    }

    fn scale_by(x: Tensor<Self>, factor: &Tensor<Self>) -> Result<Tensor<Self>> {
        elementwise::scale_by(x, factor)
    }

    fn accumulate(to: &mut Tensor<Self>, from: &Tensor<Self>) -> Result<()> {
        elementwise::accumulate(to, from)
    }

    fn norm_squared(x: &Tensor<Self>) -> Result<f64> {
        reduce::norm_squared(x)
    }

    fn select(x: &Tensor<Self>, axis: usize, keep: &[usize]) -> Result<Tensor<Self>> {
        elementwise::select(x, axis, keep)
    }
}
