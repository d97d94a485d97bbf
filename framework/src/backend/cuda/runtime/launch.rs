//! Launches of kernels.

use super::args::{Args, Dim};
use super::context::Context;
use super::failure::describe;
use crate::error::{Error, Result};
use cudarc::driver::sys;
use std::sync::atomic::Ordering;

/// Multiprocessors of the GPUs that work is cut for; others get the same pieces, so that the bits are the same on all
/// of them.
pub(crate) const PROCESSORS: usize = 132;

impl Context {
    /// Starts a kernel behind everything started before; nothing happens on an empty grid.
    ///
    /// Its arguments must be what it declares: pointers as [`Ptr`], `unsigned` as u32, `float` as f32.
    pub(crate) fn launch(
        &self,
        name: &'static str,
        grid: impl Into<Dim>,
        block: impl Into<Dim>,
        shared: usize,
        args: impl Args,
    ) -> Result<()> {
        let (Dim(gx, gy, gz), Dim(bx, by, bz)) = (grid.into(), block.into());
        if gx == 0 || gy == 0 || gz == 0 {
            return Ok(());
        }
        let fail = |message| Error::Device { device: self.label.clone(), what: format!("kernel `{name}`"), message };
        let (function, handle) = self.kernels.function(name, &args).map_err(fail)?;
        let shared = shared as u32;
        if shared > function.shared.load(Ordering::Relaxed) {
            use sys::CUfunction_attribute_enum::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES as LIMIT;
            // SAFETY: the handle is a function of a loaded module.
            let code = unsafe { sys::cuFuncSetAttribute(handle, LIMIT, shared as i32) };
            code.result().map_err(|e| fail(describe(e.0)))?;
            function.shared.store(shared, Ordering::Relaxed);
        }
        let code = args.with(|args| {
            // SAFETY: the arguments are as many and as large as the kernel declares (checked where the driver can
            // tell), and point to memory that is in use at least until the kernel is done: memory goes back only behind
            // it on the stream.
            unsafe {
                let (args, extra) = (args.as_mut_ptr(), std::ptr::null_mut());
                sys::cuLaunchKernel(handle, gx, gy, gz, bx, by, bz, shared, std::ptr::null_mut(), args, extra)
            }
        });
        code.result().map_err(|e| fail(describe(e.0)))
    }

    /// Starts a kernel that strides over `n` elements, four a thread at a time.
    pub(crate) fn launch_over(&self, name: &'static str, n: usize, args: impl Args) -> Result<()> {
        const THREADS: usize = 256;
        // A few waves of blocks: enough to hide latency, few enough to cost nothing.
        let most = 16 * self.processors as usize;
        let blocks = n.div_ceil(4 * THREADS).min(most);
        self.launch(name, blocks as u32, THREADS as u32, 0, args)
    }
}

/// Into how many pieces a channel of `count` values is cut for sums over it: enough blocks for the GPU, each with
/// enough to do.
pub(crate) fn pieces(channels: usize, count: usize) -> usize {
    (8 * PROCESSORS / channels.max(1)).clamp(1, 64).min(count.div_ceil(4096)).max(1)
}
