//! Where gradients go: slots of tensors as destinations of kernels.

use super::storage;
use crate::backend::cpu::common::{Accumulate, Grad};
use crate::error::Result;
use crate::tensor::{Slot, Tensor};
use dfdx::tensor::Cpu;

impl Slot<Cpu> {
    /// The gradient as a kernel's destination: what is there to add to, or a new tensor to overwrite.
    pub(in crate::backend::cpu) fn grad(&mut self, like: &Tensor<Cpu>) -> Result<Grad<'_>> {
        let mode = if self.0.is_some() { Accumulate::Add } else { Accumulate::Overwrite };
        // SAFETY: kernels overwrite all of a destination that they are told to overwrite.
        let new = || Tensor::from_buffer(unsafe { storage::unwritten(like.device(), like.count()) }, like.shape());
        Ok(Grad { out: self.0.get_or_insert_with(new).data_mut()?, mode })
    }
}

/// The destination of a gradient that may not be wanted.
pub(in crate::backend::cpu) fn wanted<'s>(
    slot: Option<&'s mut Slot<Cpu>>,
    like: Option<&Tensor<Cpu>>,
) -> Result<Option<Grad<'s>>> {
    slot.zip(like).map(|(s, t)| s.grad(t)).transpose()
}
