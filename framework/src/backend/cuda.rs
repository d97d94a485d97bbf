//! NVIDIA GPUs: dfdx's `Cuda` with cuBLAS and kernels of our own.
//!
//! Tensors are dfdx CUDA tensors; kernels get their device addresses. All work goes to one stream and nothing waits for it but
//! what a caller asks to see on the host.

mod address;
mod arrays;
mod blas;
mod context;
mod contribution;
mod draw;
mod driver;
mod elementwise;
mod images;
mod launch;
mod linear;
mod loss;
mod many;
mod memory;
mod pool;
mod ranking;
mod reduce;
mod vision;

use super::{Backend, Binary, Contribution, Linear, LinearGrads, LinearSaved, LossValue, Reduce, Slot, Unary, Updated};
use crate::backend::Act;
use crate::backend::tensor::{Buffer, Tensor};
use crate::data::{Picks, Values};
use crate::error::{Error, Result};
use dfdx::tensor::Tensor as DfdxTensor;
use std::borrow::Cow;

pub use arrays::{Bytes, Ints};
pub use context::{allow_tf32, cuda, memory, trim};
pub use dfdx::tensor::Cuda;
pub use pool::MemoryUse;

use context::Context;
use memory::Ptr;

/// Where a kernel leaves a gradient.
struct Dest {
    ptr: Ptr,
    /// 1 where the kernel adds to what is there, 0 where it overwrites.
    add: u32,
}

impl Slot<Cuda> {
    /// The gradient as a kernel's destination: what is there to add to, or a new tensor to overwrite.
    fn dest(&mut self, cx: &Context, like: &Tensor<Cuda>) -> Result<Dest> {
        let add = u32::from(self.0.is_some());
        if self.0.is_none() {
            self.0 = Some(cx.tensor(like.shape())?);
        }
        let gradient = self.0.as_mut().expect("was just filled");
        Ok(Dest { ptr: gradient.ptr_mut()?, add })
    }
}

/// The destination of a gradient that may not be wanted.
fn wanted(cx: &Context, slot: Option<&mut Slot<Cuda>>, like: Option<&Tensor<Cuda>>) -> Result<Option<Dest>> {
    slot.zip(like).map(|(s, t)| s.dest(cx, t)).transpose()
}

impl Backend for Cuda {
    const NAME: &'static str = "cuda";
    const LOSSES_AT_ONCE: usize = 32;
    type Ints = Ints;
    type Bytes = Bytes;
    type Examples = draw::Examples;

    fn upload(&self, data: Vec<f32>) -> Result<Buffer<Self>> {
        let cx = Context::get()?;
        let buffer = cx.allocate(data.len())?;
        cx.copy_in(Ptr(buffer.addr() as u64), &data)?;
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
        cx.copy_within(Ptr(buffer.addr() as u64), t.ptr(), 4 * t.count())?;
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
        many::host_all(tensors)
    }

    fn host_ints(ints: &Ints) -> Cow<'_, [u32]> {
        let mut data = vec![0; ints.count()];
        if let Ok(cx) = Context::get() {
            cx.copy_out_or_remember(&mut data, ints.ptr());
        }
        Cow::Owned(data)
    }

    fn examples(&self, values: &Values) -> Result<Option<draw::Examples>> {
        draw::examples(values)
    }

    fn draw(&self, from: &draw::Examples, picks: &Picks<'_>) -> Result<Tensor<Self>> {
        draw::draw(from, picks)
    }

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
        linear::matmul(a, ta, b, tb)
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

    fn clip_scale(grads: &[&Tensor<Self>], limit: f64) -> Result<Tensor<Self>> {
        many::clip_scale(grads, limit)
    }

    fn select(x: &Tensor<Self>, axis: usize, keep: &[usize]) -> Result<Tensor<Self>> {
        elementwise::select(x, axis, keep)
    }

    fn keep_best(scores: &[Tensor<Self>], alive: &[Option<Tensor<Self>>], total: usize) -> Result<Vec<Tensor<Self>>> {
        ranking::keep_best(scores, alive, total)
    }

    fn contribution(
        activation: &Tensor<Self>,
        weight: &Tensor<Self>,
        signed_eps: Option<f32>,
        with_max: bool,
    ) -> Result<Contribution<Self>> {
        contribution::observe(activation, weight, signed_eps, with_max)
    }

    fn linear(op: &Linear<Self>, save: bool) -> Result<(Tensor<Self>, LinearSaved<Self>)> {
        linear::forward(op, save)
    }

    fn linear_backward(
        op: &Linear<Self>,
        saved: LinearSaved<Self>,
        dy: Tensor<Self>,
        grads: LinearGrads<'_, Self>,
    ) -> Result<()> {
        linear::backward(op, &saved, &dy, grads)
    }

    fn activation(act: Act, x: &Tensor<Self>) -> Result<Tensor<Self>> {
        elementwise::activation(act, x)
    }

    fn activation_backward(act: Act, x: &Tensor<Self>, dy: &Tensor<Self>) -> Result<Tensor<Self>> {
        elementwise::activation_backward(act, x, dy)
    }

    fn cross_entropy(logits: &Tensor<Self>, classes: &[u32], smoothing: f32, grad: bool) -> Result<LossValue<Self>> {
        loss::cross_entropy(logits, classes, smoothing, grad)
    }

    fn binary_cross_entropy(logits: &Tensor<Self>, classes: &[u32], grad: bool) -> Result<LossValue<Self>> {
        loss::binary_cross_entropy(logits, classes, grad)
    }

    fn update(params: &mut [Updated<'_, Self>], scale: Option<&Tensor<Self>>) -> Result<()> {
        many::update(params, scale)
    }
}
