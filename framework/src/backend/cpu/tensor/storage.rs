//! Slices of dfdx's CPU tensors, and their memory.
//!
//! Large memory that nobody uses any more waits in a pool of its thread: the shapes of a training step repeat, and
//! pages from the system come zeroed, which costs as much as the passes that fill them.

use crate::backend::cpu::common::scratch;
use crate::error::Result;
use crate::tensor::{Buffer, Shape, Tensor};
use dfdx::prelude::HasShape as _;
use dfdx::tensor::{Cpu, Tensor as DfdxTensor, TensorFromVec};
use std::cell::RefCell;
use std::collections::HashMap;

type Flat = DfdxTensor<(usize,), f32, Cpu>;

/// Elements from which memory is worth keeping.
const LARGE: usize = 1 << 14;
/// Takings after which the pool looks for what nobody has asked for since the last time.
const AGE: u32 = 2048;

/// Memory by element count.
#[derive(Default)]
struct Pool {
    sizes: HashMap<usize, Size>,
    taken: u32,
}

/// Memory of one size.
#[derive(Default)]
struct Size {
    unused: Vec<Unused>,
    /// How often it was taken and did not come back: no more than that is kept, whatever else has this size.
    out: usize,
}

struct Unused {
    memory: Flat,
    addr: *mut f32,
    /// Takings so far when it came.
    since: u32,
}

thread_local!(static POOL: RefCell<Pool> = RefCell::default());

impl Pool {
    fn take(&mut self, count: usize) -> Option<Unused> {
        self.taken = self.taken.wrapping_add(1);
        if self.taken.is_multiple_of(AGE) {
            // Sizes that a network no longer has, or had only once.
            let taken = self.taken;
            self.sizes.values_mut().for_each(|size| size.unused.retain(|u| taken.wrapping_sub(u.since) < AGE));
            self.sizes.retain(|_, size| !size.unused.is_empty() || size.out > 0);
        }
        let size = self.sizes.entry(count).or_default();
        size.out += 1;
        size.unused.pop()
    }

    fn put(&mut self, count: usize, memory: Flat, addr: *mut f32) {
        if let Some(size) = self.sizes.get_mut(&count).filter(|size| size.out > 0) {
            size.out -= 1;
            size.unused.push(Unused { memory, addr, since: self.taken });
        }
    }
}

/// Keeps memory for the next tensor of its size.
pub(super) fn recycle(memory: Flat, addr: *mut f32) {
    let count = memory.shape().0;
    if count >= LARGE {
        // A thread that ends has no pool any more.
        let _ = POOL.try_with(|pool| pool.borrow_mut().put(count, memory, addr));
    }
}

/// Gives the thread's unused memory back, and what kernels work in.
pub(super) fn trim() {
    POOL.with_borrow_mut(|pool| pool.sizes.values_mut().for_each(|size| size.unused.clear()));
    scratch::trim();
}

/// Memory that may hold anything.
///
/// # Safety
/// Every element must be written before it is read.
pub(super) unsafe fn unwritten(device: &Cpu, count: usize) -> Buffer<Cpu> {
    let pooled = if count >= LARGE { POOL.with_borrow_mut(|pool| pool.take(count)) } else { None };
    match pooled {
        Some(Unused { memory, addr, .. }) => {
            #[cfg(debug_assertions)]
            // SAFETY: the address covers `count` elements that nobody else uses.
            unsafe {
                std::slice::from_raw_parts_mut(addr, count).fill(f32::NAN);
            }
            // SAFETY: memory and address came from a buffer that nobody had lent out, and belong to nobody else now.
            unsafe { Buffer::new(memory, addr) }
        }
        // SAFETY: the caller's promise.
        None => own(device, unsafe { scratch::unwritten(count) }),
    }
}

/// Moves a `Vec` into a dfdx tensor and remembers where its elements are.
pub(super) fn own(device: &Cpu, mut data: Vec<f32>) -> Buffer<Cpu> {
    let addr = data.as_mut_ptr();
    let n = data.len();
    let flat = device.tensor_from_vec(data, (n,));
    // SAFETY: `tensor_from_vec` moves the Vec into the tensor, which leaves its heap allocation where it is; the
    // address was taken from the Vec itself and so covers all of its elements; the tensor is new and shares its storage
    // with no other.
    unsafe { Buffer::new(flat, addr) }
}

/// The same values in memory of their own.
pub(super) fn copied(device: &Cpu, data: &[f32]) -> Buffer<Cpu> {
    // SAFETY: all of it is written here.
    let buffer = unsafe { unwritten(device, data.len()) };
    // SAFETY: the address covers as many elements as `data` has, which nobody else has seen yet.
    unsafe { std::slice::from_raw_parts_mut(buffer.addr(), data.len()) }.copy_from_slice(data);
    buffer
}

/// A new tensor; `fill` must write every element before it reads any.
pub(in crate::backend::cpu) fn filled(device: &Cpu, shape: Shape, fill: impl FnOnce(&mut [f32])) -> Tensor<Cpu> {
    // SAFETY: every caller hands the buffer to a kernel that overwrites all of it.
    let buffer = unsafe { unwritten(device, shape.count()) };
    let addr = buffer.addr();
    // SAFETY: the address covers the buffer's elements, which nobody else has seen yet.
    fill(unsafe { std::slice::from_raw_parts_mut(addr, shape.count()) });
    Tensor::from_buffer(buffer, shape)
}

impl Tensor<Cpu> {
    /// The elements, in row-major order.
    pub(crate) fn data(&self) -> &[f32] {
        // SAFETY: the address covers `count` elements that live as long as the buffer, which `self` keeps alive; they
        // are written only through `data_mut`, which needs the buffer for itself alone.
        unsafe { std::slice::from_raw_parts(self.buffer().addr(), self.count()) }
    }

    /// The elements for writing; copied first where they are shared.
    pub(crate) fn data_mut(&mut self) -> Result<&mut [f32]> {
        let count = self.count();
        let addr = self.buffer_mut()?.addr();
        // SAFETY: as in `data`; `buffer_mut` made the buffer unique to `self`, and no dfdx tensor that shares it was
        // handed out.
        Ok(unsafe { std::slice::from_raw_parts_mut(addr, count) })
    }

    /// A new tensor of this shape; `fill` must write every element.
    pub(in crate::backend::cpu) fn like(&self, fill: impl FnOnce(&mut [f32])) -> Self {
        filled(self.device(), self.shape(), fill)
    }

    /// A new tensor of zeros of another shape on the same device.
    pub(in crate::backend::cpu) fn zeros_like(&self, shape: Shape) -> Self {
        Self::from_buffer(own(self.device(), vec![0.0; shape.count()]), shape)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr_of_new(count: usize) -> usize {
        // SAFETY: nothing is read.
        unsafe { unwritten(&Cpu::default(), count) }.addr() as usize
    }

    fn unused() -> Vec<usize> {
        POOL.with_borrow(|p| p.sizes.iter().filter(|(_, size)| !size.unused.is_empty()).map(|(n, _)| *n).collect())
    }

    #[test]
    fn large_memory_is_used_again_by_tensors_of_its_size() {
        let first = addr_of_new(LARGE + 1);
        assert_eq!(addr_of_new(LARGE + 1), first);
        addr_of_new(LARGE - 1);
        assert_eq!(unused(), [LARGE + 1]);
        trim();
        assert!(unused().is_empty());
    }

    #[test]
    fn what_nobody_asks_for_is_given_back() {
        addr_of_new(LARGE + 2);
        for _ in 0..2 * AGE {
            addr_of_new(LARGE + 3);
        }
        assert_eq!(unused(), [LARGE + 3]);
    }

    #[test]
    fn memory_from_elsewhere_does_not_pile_up() {
        (0..3).for_each(|_| drop(own(&Cpu::default(), vec![0.0; LARGE])));
        assert!(unused().is_empty());
    }

    #[test]
    fn memory_that_was_lent_is_never_used_again() {
        // SAFETY: nothing is read.
        let tensor = Tensor::from_buffer(unsafe { unwritten(&Cpu::default(), LARGE) }, [LARGE].into());
        let lent = tensor.dfdx();
        drop(tensor);
        assert!(unused().is_empty());
        drop(lent);
    }
}
