//! Memory that tensors share.

use super::Device;
use dfdx::prelude::{HasShape, Tensor as DfdxTensor};
use std::any::Any;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

/// Device memory behind a [`Tensor`](super::Tensor).
pub struct Buffer<B: Device> {
    memory: Memory<B>,
    /// Taken from the `Vec` (or device allocation) before dfdx took it over, so that it covers the whole allocation; a
    /// reference to dfdx's first element would only cover that element under Stacked Borrows.
    addr: *mut f32,
    /// Set once a dfdx tensor that shares the memory was handed out: writing in place is then no longer allowed.
    lent: AtomicBool,
}

/// Who owns a buffer's memory.
enum Memory<B: Device> {
    /// This dfdx tensor; taken out only when the buffer is dropped.
    Own(Option<DfdxTensor<(usize,), f32, B>>),
    /// Someone else, as on the other side of a plugin boundary; read only.
    Foreign {
        device: B,
        count: usize,
        copy: OnceLock<DfdxTensor<(usize,), f32, B>>,
        /// Dropped with the buffer, which lets go of the memory.
        _owner: Box<dyn Any + Send + Sync>,
    },
}

// SAFETY: `addr` points into the allocation that `memory` owns or keeps alive; it is read through `&Buffer` and written
// only through `&mut Buffer`.
unsafe impl<B: Device> Send for Buffer<B> {}
// SAFETY: as above; shared access only reads.
unsafe impl<B: Device> Sync for Buffer<B> {}

impl<B: Device> Buffer<B> {
    /// Pairs a contiguous dfdx tensor with the address of its data.
    ///
    /// # Safety
    /// `addr` must point to the `flat.shape().0` elements of `flat`, with provenance over all of them, and `flat` must
    /// share its storage with no other tensor.
    pub(crate) unsafe fn new(flat: DfdxTensor<(usize,), f32, B>, addr: *mut f32) -> Self {
        Self { memory: Memory::Own(Some(flat)), addr, lent: AtomicBool::new(false) }
    }

    /// Memory that something else owns; it is never written to.
    ///
    /// # Safety
    /// `addr` must point to `count` elements on `device` that are not written to while `owner` lives.
    pub(crate) unsafe fn foreign(device: B, addr: *const f32, count: usize, owner: Box<dyn Any + Send + Sync>) -> Self {
        let memory = Memory::Foreign { device, count, copy: OnceLock::new(), _owner: owner };
        Self { memory, addr: addr.cast_mut(), lent: AtomicBool::new(false) }
    }

    /// The values that `owner` holds, on a device that reads the host's memory.
    pub(crate) fn lasting(device: B, owner: Arc<dyn AsRef<[f32]> + Send + Sync>) -> Self {
        let values = (*owner).as_ref();
        let (addr, count) = (values.as_ptr(), values.len());
        // SAFETY: the slice was borrowed from what the owner shares, and nobody can have that for writing as long as it is
        // shared with this buffer.
        unsafe { Self::foreign(device, addr, count, Box::new(owner)) }
    }

    pub(super) fn count(&self) -> usize {
        match &self.memory {
            Memory::Own(flat) => owned(flat).shape().0,
            Memory::Foreign { count, .. } => *count,
        }
    }

    /// Address of the first element, on the device that holds it.
    pub(crate) fn addr(&self) -> *mut f32 {
        self.addr
    }

    /// The device that holds the memory.
    pub(super) fn device(&self) -> &B {
        match &self.memory {
            Memory::Own(flat) => DfdxTensor::device(owned(flat)),
            Memory::Foreign { device, .. } => device,
        }
    }

    /// The memory as a dfdx tensor, shared where it is one already; otherwise a tensor made of `values`, once.
    pub(super) fn dfdx(&self, values: impl FnOnce() -> Vec<f32>) -> DfdxTensor<(usize,), f32, B> {
        match &self.memory {
            Memory::Own(flat) => {
                self.lent.store(true, Ordering::Relaxed);
                owned(flat).clone()
            }
            Memory::Foreign { device, count, copy, .. } => {
                copy.get_or_init(|| device.tensor_from_vec(values(), (*count,))).clone()
            }
        }
    }

    pub(super) fn is_read_only(&self) -> bool {
        matches!(self.memory, Memory::Foreign { .. }) || self.lent.load(Ordering::Relaxed)
    }
}

impl<B: Device> Drop for Buffer<B> {
    fn drop(&mut self) {
        if let Memory::Own(flat) = &mut self.memory
            && let Some(flat) = flat.take()
        {
            if *self.lent.get_mut() { B::let_go(flat.shape().0) } else { B::recycle(flat, self.addr) }
        }
    }
}

fn owned<T>(flat: &Option<T>) -> &T {
    flat.as_ref().expect("only dropping the buffer takes its memory")
}
