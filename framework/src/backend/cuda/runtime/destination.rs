//! Where kernels leave gradients.

use super::args::Ptr;
use super::context::Context;
use crate::error::{Error, Result};
use crate::tensor::{Slot, Tensor};
use dfdx::tensor::Cuda;

/// Where a kernel leaves a gradient.
pub(crate) struct Dest {
    /// The gradient's address.
    pub ptr: Ptr,
    /// 1 where the kernel adds to what is there, 0 where it overwrites.
    pub add: u32,
}

impl Slot<Cuda> {
    /// The gradient as a kernel's destination: what is there to add to, or a new tensor to overwrite.
    pub(crate) fn dest(&mut self, cx: &Context, like: &Tensor<Cuda>) -> Result<Dest> {
        let add = u32::from(self.0.is_some());
        if self.0.is_none() {
            self.0 = Some(cx.tensor(like.shape())?);
        }
        let gradient = self.0.as_mut().expect("was just filled");
        Ok(Dest { ptr: gradient.ptr_mut()?, add })
    }
}

/// The destination of a gradient that may not be wanted.
pub(crate) fn wanted(cx: &Context, slot: Option<&mut Slot<Cuda>>, like: Option<&Tensor<Cuda>>) -> Result<Option<Dest>> {
    slot.zip(like).map(|(s, t)| s.dest(cx, t)).transpose()
}

/// A destination as kernels take it, and whether they add to it.
pub(crate) fn dest_or_null(dest: Option<Dest>) -> (Ptr, u32) {
    dest.map_or((Ptr::NULL, 0), |d| (d.ptr, d.add))
}

/// Makes sure that a kernel finds as many elements as it reads.
pub(crate) fn check_count(what: &str, t: &Tensor<Cuda>, count: usize) -> Result<()> {
    if t.count() == count {
        return Ok(());
    }
    Err(Error::shape(what, format!("{} has {} elements, {count} are needed", t.shape(), t.count())))
}
