//! Slices of dfdx's CPU tensors.

use super::ops::filled;
use crate::backend::tensor::{Buffer, Shape, Tensor};
use crate::error::Result;
use dfdx::tensor::{Cpu, TensorFromVec};

/// Moves a `Vec` into a dfdx tensor and remembers where its elements are.
pub(super) fn own(device: &Cpu, mut data: Vec<f32>) -> Buffer<Cpu> {
    let addr = data.as_mut_ptr();
    let n = data.len();
    let flat = device.tensor_from_vec(data, (n,));
    // SAFETY: `tensor_from_vec` moves the Vec into the tensor, which leaves its heap allocation where it is; the address was
    // taken from the Vec itself and so covers all of its elements; the tensor is new and shares its storage with no other.
    unsafe { Buffer::new(flat, addr) }
}

impl Tensor<Cpu> {
    /// The elements, in row-major order.
    pub(crate) fn data(&self) -> &[f32] {
        // SAFETY: the address covers `count` elements that live as long as the buffer, which `self` keeps alive; they are written
        // only through `data_mut`, which needs the buffer for itself alone.
        unsafe { std::slice::from_raw_parts(self.buffer().addr(), self.count()) }
    }

    /// The elements for writing; copied first where they are shared.
    pub(crate) fn data_mut(&mut self) -> Result<&mut [f32]> {
        let count = self.count();
        let addr = self.buffer_mut()?.addr();
        // SAFETY: as in `data`; `buffer_mut` made the buffer unique to `self`, and no dfdx tensor that shares it was handed out.
        Ok(unsafe { std::slice::from_raw_parts_mut(addr, count) })
    }

    /// A new tensor of this shape; `fill` must write every element.
    pub(super) fn like(&self, fill: impl FnOnce(&mut [f32])) -> Self {
        filled(self.device(), self.shape(), fill)
    }

    /// A new tensor of zeros of another shape on the same device.
    pub(super) fn zeros_like(&self, shape: Shape) -> Self {
        Self::from_buffer(own(self.device(), vec![0.0; shape.count()]), shape)
    }
}
