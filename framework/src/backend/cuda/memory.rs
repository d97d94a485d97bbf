//! Device memory: a pool of dfdx tensors, copies, small arrays of integers.
//!
//! dfdx allocates with a memset every time. Here a tensor's memory goes back to a pool when nobody uses it any more, and is
//! handed out again with no call to the driver; the shapes of a training step repeat, so after the first step nothing is
//! allocated.

use super::{Context, Cuda};
use crate::backend::tensor::{Buffer, Shape, Tensor};
use crate::error::{Error, Result};
use cudarc::driver::{DriverError, result, sys};
use dfdx::prelude::HasShape as _;
use dfdx::tensor::{CudaError, Tensor as DfdxTensor, ZerosTensor};
use std::collections::HashMap;
use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

type Flat = DfdxTensor<(usize,), f32, Cuda>;

/// An address in device memory, as kernels take it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub(crate) struct Ptr(pub(super) u64);

impl Ptr {
    /// What a kernel gets where there is nothing.
    pub const NULL: Self = Self(0);

    /// `bytes` further on.
    pub fn offset(self, bytes: usize) -> Self {
        Self(self.0 + bytes as u64)
    }
}

/// What the process has of a GPU's memory, in bytes; cuBLAS and the driver's own part are not in it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MemoryUse {
    /// Of tensors that live.
    pub in_use: u64,
    /// The most that were ever in use at once.
    pub peak: u64,
    /// Taken from the driver: in use, or kept to be handed out again.
    pub reserved: u64,
}

/// Unused memory by element count, and how much there is of everything.
#[derive(Default)]
pub(super) struct Pool(Mutex<Held>);

#[derive(Default)]
struct Held {
    unused: HashMap<usize, Vec<Unused>>,
    memory: MemoryUse,
    /// Counts allocations.
    now: u64,
}

/// Memory that nobody uses since an allocation ago.
struct Unused {
    memory: Flat,
    addr: *mut f32,
    since: u64,
}

// SAFETY: the address is that of the tensor beside it, which may move between threads.
unsafe impl Send for Unused {}

/// Allocations after which memory that nobody used meanwhile goes back: many training steps. What a step needs is used again in the
/// next one; the sizes of an evaluation, or of a network before it shrank, are not.
const IDLE: u64 = 8192;

impl Pool {
    fn lock(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes memory back.
    pub(super) fn put(&self, memory: Flat, addr: *mut f32) {
        let count = memory.shape().0;
        let mut held = self.lock();
        held.memory.in_use -= bytes(count);
        let since = held.now;
        held.unused.entry(count).or_default().push(Unused { memory, addr, since });
    }

    /// Forgets memory that somebody else has now.
    pub(super) fn let_go(&self, count: usize) {
        let mut held = self.lock();
        held.memory.in_use -= bytes(count);
        held.memory.reserved -= bytes(count);
    }

    pub(super) fn memory(&self) -> MemoryUse {
        self.lock().memory
    }

    fn take(&self, count: usize) -> Option<(Flat, *mut f32)> {
        let mut held = self.lock();
        held.now += 1;
        let now = held.now;
        let idle = if now.is_multiple_of(IDLE) { held.give_up(now - IDLE) } else { vec![] };
        // The one that was used last: the others may turn out to be idle.
        let found = held.unused.get_mut(&count).and_then(Vec::pop)?;
        held.use_more(count);
        drop(held);
        drop(idle);
        Some((found.memory, found.addr))
    }

    /// Counts memory that is new. What is unused goes where it is more than ever was in use: sizes that do not come back.
    fn add(&self, count: usize) {
        let mut held = self.lock();
        held.memory.reserved += bytes(count);
        held.use_more(count);
        let now = held.now;
        let MemoryUse { peak, reserved, .. } = held.memory;
        let gone = if reserved > 2 * peak { held.give_up(now) } else { vec![] };
        drop(held);
        drop(gone);
    }

    fn empty(&self) {
        let mut held = self.lock();
        let now = held.now;
        let gone = held.give_up(now);
        drop(held);
        drop(gone);
    }
}

impl Held {
    fn use_more(&mut self, count: usize) {
        self.memory.in_use += bytes(count);
        self.memory.peak = self.memory.peak.max(self.memory.in_use);
    }

    /// What has been unused since then or longer; for the caller to drop.
    fn give_up(&mut self, since: u64) -> Vec<Unused> {
        let mut gone = vec![];
        self.unused.retain(|_, list| {
            // The longest unused come first.
            gone.extend(list.drain(..list.partition_point(|u| u.since <= since)));
            !list.is_empty()
        });
        self.memory.reserved -= gone.iter().map(|u| bytes(u.memory.shape().0)).sum::<u64>();
        gone
    }
}

fn bytes(count: usize) -> u64 {
    4 * count as u64
}

impl Context {
    /// A new tensor whose contents are whatever was there: a kernel must write all of it before anything reads it.
    pub(crate) fn tensor(&self, shape: impl Into<Shape>) -> Result<Tensor<Cuda>> {
        let shape = shape.into();
        Ok(Tensor::from_buffer(self.allocate(shape.count())?, shape))
    }

    /// A new tensor of zeros.
    #[allow(dead_code, reason = "for kernels that add to what is there")]
    pub(crate) fn zeros(&self, shape: impl Into<Shape>) -> Result<Tensor<Cuda>> {
        let shape = shape.into();
        Ok(Tensor::from_buffer(self.allocate_zeros(shape.count())?, shape))
    }

    pub(super) fn allocate(&self, count: usize) -> Result<Buffer<Cuda>> {
        let (memory, addr) = match self.pool.take(count) {
            Some(found) => found,
            None => {
                let fresh = self.fresh(count)?;
                self.pool.add(count);
                fresh
            }
        };
        if cfg!(feature = "cuda-check") {
            // NaN everywhere: a kernel that leaves something unwritten does not go unnoticed.
            self.fill_bytes(Ptr(addr as u64), 0xff, 4 * count)?;
        }
        // SAFETY: the address is that of this tensor's memory, which nobody else uses: it is new, or came from the pool.
        Ok(unsafe { Buffer::new(memory, addr) })
    }

    pub(super) fn allocate_zeros(&self, count: usize) -> Result<Buffer<Cuda>> {
        let buffer = self.allocate(count)?;
        self.fill_bytes(Ptr(buffer.addr() as u64), 0, 4 * count)?;
        Ok(buffer)
    }

    /// New memory from the driver; where there is none, what the pool holds is given up first.
    fn fresh(&self, count: usize) -> Result<(Flat, *mut f32)> {
        let memory = self.device.try_zeros_like(&(count,)).or_else(|e| match driver_code(&e) {
            Some(sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY) => {
                self.trim();
                self.device.try_zeros_like(&(count,))
            }
            _ => Err(e),
        });
        let memory = memory.map_err(|e| match driver_code(&e) {
            Some(sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY) => {
                let (free, total) = result::mem_get_info().unwrap_or_default();
                let device = self.label.clone();
                Error::OutOfMemory { device, asked: 4 * count as u64, free: free as u64, total: total as u64 }
            }
            Some(code) => self.error("allocating memory", code),
            None => Error::Other(format!("{}: allocating memory: {e:?}", self.label)),
        })?;
        let addr = address(&memory).ok_or_else(|| Error::Other("the address of a dfdx tensor is not known".into()))?;
        Ok((memory, addr.0 as *mut f32))
    }

    /// Gives all unused memory back to the driver.
    pub(crate) fn trim(&self) {
        self.pool.empty();
        // Freed memory is there again only once the stream has come to the point where it was freed.
        // SAFETY: the null stream always exists.
        if let Err(e) = unsafe { result::stream::synchronize(std::ptr::null_mut()) } {
            self.remember("giving memory back", e.0);
        }
    }

    /// Copies values from the host; returns once they may be changed or dropped there.
    pub(super) fn copy_in<T: Plain>(&self, to: Ptr, data: &[T]) -> Result<()> {
        if data.is_empty() {
            return Ok(());
        }
        // SAFETY: the caller owns as much memory at `to`; from pageable memory the driver copies before it returns.
        unsafe { result::memcpy_htod_async(to.0, data, std::ptr::null_mut()) }
            .map_err(|e| self.error("copying to the device", e.0))
    }

    /// Copies values to the host, once everything before it is done.
    pub(super) fn copy_out<T: Plain>(&self, data: &mut [T], from: Ptr) -> Result<()> {
        if data.is_empty() {
            return Ok(());
        }
        // SAFETY: the caller owns as much memory at `from`.
        unsafe { result::memcpy_dtoh_sync(data, from.0) }.map_err(|e| self.error("copying to the host", e.0))
    }

    /// As [`Context::copy_out`]; a failure is told by the next operation.
    pub(super) fn copy_out_or_remember<T: Plain>(&self, data: &mut [T], from: Ptr) {
        if data.is_empty() {
            return;
        }
        // SAFETY: as in `copy_out`.
        if let Err(e) = unsafe { result::memcpy_dtoh_sync(data, from.0) } {
            self.remember("copying to the host", e.0);
        }
    }

    /// Copies within the device.
    pub(super) fn copy_within(&self, to: Ptr, from: Ptr, bytes: usize) -> Result<()> {
        if bytes == 0 {
            return Ok(());
        }
        // SAFETY: the caller owns as much memory at both addresses.
        unsafe { result::memcpy_dtod_async(to.0, from.0, bytes, std::ptr::null_mut()) }
            .map_err(|e| self.error("copying on the device", e.0))
    }

    fn fill_bytes(&self, to: Ptr, byte: u8, bytes: usize) -> Result<()> {
        if bytes == 0 {
            return Ok(());
        }
        // SAFETY: the caller owns as much memory at `to`.
        unsafe { result::memset_d8_async(to.0, byte, bytes, std::ptr::null_mut()) }
            .map_err(|e| self.error("filling memory", e.0))
    }
}

/// Values without padding or pointers, the same on host and device.
pub(super) trait Plain: Copy {}
impl Plain for f32 {}
impl Plain for f64 {}
impl Plain for u32 {}
impl Plain for u64 {}
impl Plain for u8 {}

impl Tensor<Cuda> {
    /// Where its elements are; for kernels that read them.
    pub(crate) fn ptr(&self) -> Ptr {
        Ptr(self.buffer().addr() as u64)
    }

    /// Where its elements are, for kernels that write them; made this tensor's own first where they are shared.
    pub(crate) fn ptr_mut(&mut self) -> Result<Ptr> {
        Ok(Ptr(self.buffer_mut()?.addr() as u64))
    }
}

/// Address of a tensor that may be missing.
pub(crate) fn ptr_or_null(t: Option<&Tensor<Cuda>>) -> Ptr {
    t.map_or(Ptr::NULL, Tensor::ptr)
}

/// Declares a small array on the device.
macro_rules! array {
    ($(#[$doc:meta])* $name:ident of $of:ty) => {
        $(#[$doc])*
        #[derive(Clone)]
        #[allow(dead_code, reason = "not every kind of array is used yet")]
        pub struct $name {
            memory: Arc<Buffer<Cuda>>,
            count: usize,
        }

        #[allow(dead_code, reason = "not every kind of array is used in every way")]
        impl $name {
            /// An array whose contents are whatever was there, for a kernel to write.
            pub(crate) fn unwritten(cx: &Context, count: usize) -> Result<Self> {
                let words = (count * size_of::<$of>()).div_ceil(4);
                Ok(Self { memory: Arc::new(cx.allocate(words)?), count })
            }

            /// An array with these values.
            pub(crate) fn upload(cx: &Context, data: &[$of]) -> Result<Self> {
                let array = Self::unwritten(cx, data.len())?;
                cx.copy_in(array.ptr(), data)?;
                Ok(array)
            }

            /// The values on the host.
            pub(crate) fn download(&self, cx: &Context) -> Result<Vec<$of>> {
                let mut data = vec![0; self.count];
                cx.copy_out(&mut data, self.ptr())?;
                Ok(data)
            }

            /// Where its values are.
            pub(crate) fn ptr(&self) -> Ptr {
                Ptr(self.memory.addr() as u64)
            }

            /// Number of values.
            pub(crate) fn count(&self) -> usize {
                self.count
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "[{}] on cuda"), self.count)
            }
        }
    };
}
array!(
    /// Whole numbers on the device: class ids, indices.
    Ints of u32
);
array!(
    /// Bytes on the device: pixels, positions in small windows.
    Bytes of u8
);

/// The driver's code in an error of dfdx.
pub(super) fn driver_code(e: &CudaError) -> Option<sys::CUresult> {
    match e {
        CudaError::Driver(DriverError(code)) => Some(*code),
        CudaError::Blas(e) if e.0 == cudarc::cublas::sys::cublasStatus_t::CUBLAS_STATUS_ALLOC_FAILED => {
            Some(sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY)
        }
        _ => None,
    }
}

/// Makes sure that the address read from a tensor is where its values are.
pub(super) fn check_addresses(device: &Cuda) -> Result<(), String> {
    let tell = |e: CudaError| driver_code(&e).map_or_else(|| format!("{e:?}"), super::context::describe);
    let tensor: Flat = device.try_zeros_like(&(3,)).map_err(tell)?;
    let values = [1.5_f32, -2.0, 3.25];
    let addr =
        address(&tensor).ok_or("a dfdx tensor does not show its address; this program was built with another dfdx")?;
    // SAFETY: where the address is not that of the tensor's three values the driver refuses, or the test below fails.
    unsafe { result::memcpy_htod_sync(addr.0, &values) }.map_err(|e| super::context::describe(e.0))?;
    if tensor.as_vec() != values {
        return Err("a dfdx tensor does not show its address; this program was built with another dfdx".into());
    }
    Ok(())
}

/// Device address of a dfdx tensor's storage.
///
/// dfdx keeps it to itself; its derived `Debug` shows it, and nothing is formatted beyond that.
fn address(tensor: &Flat) -> Option<Ptr> {
    struct Found {
        /// Characters of the key seen last.
        matched: usize,
        value: Option<u64>,
        done: bool,
    }
    const KEY: &[u8] = b"cu_device_ptr: ";
    impl fmt::Write for Found {
        fn write_str(&mut self, s: &str) -> fmt::Result {
            for &b in s.as_bytes() {
                if self.matched < KEY.len() {
                    self.matched = if b == KEY[self.matched] { self.matched + 1 } else { usize::from(b == KEY[0]) };
                } else if b.is_ascii_digit() {
                    self.value =
                        self.value.unwrap_or(0).checked_mul(10).and_then(|v| v.checked_add(u64::from(b - b'0')));
                } else {
                    self.done = true;
                    return Err(fmt::Error); // ends the formatting
                }
            }
            Ok(())
        }
    }
    let mut found = Found { matched: 0, value: None, done: false };
    let _ = write!(found, "{tensor:?}");
    found.value.filter(|_| found.done).map(Ptr)
}
