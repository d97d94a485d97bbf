//! What holds tensors: memory, and the way to it and back.

use super::{Buffer, Tensor};
use crate::error::Result;
use dfdx::tensor::Tensor as DfdxTensor;
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// A device's memory: all that a [`Tensor`] needs of it.
///
/// Bundles dfdx's own bounds, so that plugin code never spells them: a `Tensor<B>`'s [`dfdx`](Tensor::dfdx) form has
/// all of dfdx.
///
/// It is not `Send` itself, because dfdx's `Cuda` holds a bare handle; its tensors are.
pub trait Device: dfdx::tensor_ops::Device<f32> + dfdx::tensor::CopySlice<f32> {
    /// `cpu` or `cuda`.
    const NAME: &'static str;
    /// Training steps whose results may be pending on the device before somebody reads them: reading one waits for its
    /// step.
    const PENDING_STEPS: usize;
    /// Indices on the device.
    type Ints: Clone + fmt::Debug + Send + Sync + 'static;
    /// Small numbers on the device.
    type Bytes: Clone + fmt::Debug + Send + Sync + 'static;
    /// Where the nonzeros of a weight are, in the form in which the device multiplies by them alone.
    type Pattern: fmt::Debug + Send + Sync + 'static;

    /// Moves values to the device.
    ///
    /// # Errors
    /// If memory runs out; so for every operation.
    fn upload(&self, data: Vec<f32>) -> Result<Buffer<Self>>;
    /// Copies values to the device.
    fn copied(&self, data: &[f32]) -> Result<Buffer<Self>> {
        self.upload(data.to_vec())
    }
    /// Values that somebody holds in the host's memory: read there by the device that is the host, copied by others.
    #[doc(hidden)]
    fn lasting(&self, values: Arc<dyn AsRef<[f32]> + Send + Sync>) -> Result<Buffer<Self>> {
        self.copied((*values).as_ref())
    }
    /// A buffer of zeros.
    fn zeroed(&self, count: usize) -> Result<Buffer<Self>> {
        self.upload(vec![0.0; count])
    }
    /// Takes back the memory of a buffer that nobody uses any more, for devices where a new allocation costs more than
    /// memory.
    ///
    /// `addr` is the one the buffer was made with.
    #[doc(hidden)]
    fn recycle(memory: DfdxTensor<(usize,), f32, Self>, addr: *mut f32) {
        let _ = (memory, addr);
    }
    /// As `recycle`, for a buffer of so many elements that was lent: its memory may be in use elsewhere.
    #[doc(hidden)]
    fn let_go(count: usize) {
        let _ = count;
    }
    /// Gives unused memory back, after the sizes of a network have changed and at the end of a run.
    fn trim(&self) {}
    /// Values on the host, borrowed where they are there already.
    fn host(t: &Tensor<Self>) -> Cow<'_, [f32]>;
    /// A buffer of its own with the same values.
    fn duplicate(t: &Tensor<Self>) -> Result<Buffer<Self>>;
    /// Overwrites the values in place.
    fn write(t: &mut Tensor<Self>, data: &[f32]) -> Result<()>;
    /// Values of several tensors on the host, waiting once.
    fn host_all(tensors: &[&Tensor<Self>]) -> Vec<Vec<f32>> {
        tensors.iter().map(|t| t.to_vec()).collect()
    }
    /// Indices on the host.
    fn host_ints(ints: &Self::Ints) -> Cow<'_, [u32]>;
}
