//! Device memory: allocations and copies.

use super::address::address;
use super::args::Ptr;
use super::context::Context;
use super::failure::driver_code;
use super::memory_pool::Flat;
use crate::error::{Error, Result};
use crate::tensor::{Buffer, Shape, Tensor};
use cudarc::driver::{result, sys};
use dfdx::tensor::{Cuda, ZerosTensor};

impl Context {
    /// A new tensor whose contents are whatever was there: a kernel must write all of it before anything reads it.
    pub(crate) fn tensor(&self, shape: impl Into<Shape>) -> Result<Tensor<Cuda>> {
        let shape = shape.into();
        Ok(Tensor::from_buffer(self.allocate(shape.count())?, shape))
    }

    pub(crate) fn allocate(&self, count: usize) -> Result<Buffer<Cuda>> {
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
        // SAFETY: the address is that of this tensor's memory, which nobody else uses: it is new, or came from the
        // pool.
        Ok(unsafe { Buffer::new(memory, addr) })
    }

    pub(crate) fn allocate_zeros(&self, count: usize) -> Result<Buffer<Cuda>> {
        let buffer = self.allocate(count)?;
        self.fill_bytes(Ptr::of(&buffer), 0, 4 * count)?;
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
    pub(crate) fn copy_in<T: Plain>(&self, to: Ptr, data: &[T]) -> Result<()> {
        if data.is_empty() {
            return Ok(());
        }
        // SAFETY: the caller owns as much memory at `to`; from pageable memory the driver copies before it returns.
        unsafe { result::memcpy_htod_async(to.0, data, std::ptr::null_mut()) }
            .map_err(|e| self.error("copying to the device", e.0))
    }

    /// Copies values to the host, once everything before it is done.
    pub(crate) fn copy_out<T: Plain>(&self, data: &mut [T], from: Ptr) -> Result<()> {
        if data.is_empty() {
            return Ok(());
        }
        // SAFETY: the caller owns as much memory at `from`.
        unsafe { result::memcpy_dtoh_sync(data, from.0) }.map_err(|e| self.error("copying to the host", e.0))
    }

    /// As [`Context::copy_out`]; a failure is told by the next operation.
    pub(crate) fn copy_out_or_remember<T: Plain>(&self, data: &mut [T], from: Ptr) {
        if data.is_empty() {
            return;
        }
        // SAFETY: as in `copy_out`.
        if let Err(e) = unsafe { result::memcpy_dtoh_sync(data, from.0) } {
            self.remember("copying to the host", e.0);
        }
    }

    /// Copies within the device.
    pub(crate) fn copy_within(&self, to: Ptr, from: Ptr, bytes: usize) -> Result<()> {
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
pub(crate) trait Plain: Copy {}
impl Plain for f32 {}
impl Plain for f64 {}
impl Plain for u32 {}
impl Plain for u64 {}
impl Plain for u8 {}
