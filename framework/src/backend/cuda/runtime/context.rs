//! The GPU that this process uses, and everything that belongs to it.

use super::address::check_addresses;
use super::blas::Blas;
use super::driver;
use super::failure::{describe, driver_code, no_device};
use super::kernels::Kernels;
use super::memory_pool::{MemoryUse, Pool};
use crate::error::{Error, Result};
use cudarc::driver::{DriverError, result, sys};
use dfdx::tensor::Cuda;
use std::cell::Cell;
use std::ffi::CStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

/// Everything that belongs to one GPU. All work goes to one stream, in the order of the calls: so memory that is given
/// back may be handed out again at once.
pub(crate) struct Context {
    pub(crate) device: Cuda,
    pub(super) blas: Blas,
    pub(crate) pool: Pool,
    pub(super) kernels: Kernels,
    /// The device's name in configs.
    pub(super) label: String,
    /// Streaming multiprocessors.
    pub(crate) processors: u32,
    /// Bytes of shared memory that a block can have.
    pub(crate) shared: usize,
    ordinal: usize,
    primary: sys::CUcontext,
    failed: AtomicBool,
    failure: Mutex<Option<(String, String)>>,
}

// SAFETY: `primary` is a handle that the driver allows on any thread.
unsafe impl Send for Context {}
// SAFETY: as above; everything else in it is `Sync`.
unsafe impl Sync for Context {}

static CONTEXT: OnceLock<Context> = OnceLock::new();

/// CUDA version whose PTX the kernels are: 13000 for 13.0. A driver must be at least as new.
const NEEDED: i32 = parse(env!("SECATEUR_CUDA_VERSION"));

/// The GPU with this number, ready for use. A process uses one GPU: later calls return the same one.
///
/// # Errors
/// In one sentence with the fix: no driver, no GPU, no GPU of this number, a driver that is too old, no memory left, or
/// another GPU in use by this process.
pub fn cuda(ordinal: usize) -> Result<Cuda> {
    static CREATING: Mutex<()> = Mutex::new(());
    let _alone = CREATING.lock().unwrap_or_else(PoisonError::into_inner);
    let cx = match CONTEXT.get() {
        Some(cx) => cx,
        None => {
            let cx = Context::new(ordinal)?;
            CONTEXT.get_or_init(|| cx)
        }
    };
    if cx.ordinal != ordinal {
        let message = format!("this process already uses cuda:{}; run one process for each GPU", cx.ordinal);
        return Err(no_device(ordinal, message));
    }
    cx.bind()?;
    Ok(cx.device.clone())
}

/// Computes matrix products in TF32 (10 bits of mantissa, several times as fast) or, as it starts out, in f32.
///
/// # Errors
/// Where no GPU is in use.
pub fn allow_tf32(allow: bool) -> Result<()> {
    let cx = Context::get()?;
    cx.blas_result(cx.blas.allow_tf32(allow))
}

/// Gives unused memory back to the driver.
///
/// # Errors
/// Where no GPU is in use.
pub fn trim() -> Result<()> {
    Context::get()?.trim();
    Ok(())
}

/// How much of the GPU's memory tensors take.
///
/// # Errors
/// Where no GPU is in use.
pub fn memory() -> Result<MemoryUse> {
    Ok(Context::get()?.pool.memory())
}

impl Context {
    /// The context, with the calling thread ready to use it.
    ///
    /// # Errors
    /// If there is none, or an earlier operation failed in a place that could not say so.
    pub(crate) fn get() -> Result<&'static Self> {
        let cx = CONTEXT.get().ok_or_else(|| {
            Error::Other("a CUDA tensor without a device: make devices with secateur::backend::cuda::cuda".into())
        })?;
        cx.bind()?;
        if cx.failed.load(Ordering::Relaxed) {
            let failure = cx.failure.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some((what, message)) = &*failure {
                return Err(Error::Device { device: cx.label.clone(), what: what.clone(), message: message.clone() });
            }
        }
        Ok(cx)
    }

    /// The context if there is one; the calling thread may not be ready to use it.
    pub(crate) fn existing() -> Option<&'static Self> {
        CONTEXT.get()
    }

    fn new(ordinal: usize) -> Result<Self> {
        let fail = |message: String| no_device(ordinal, message);
        driver::load().map_err(fail)?;
        let label = format!("cuda:{ordinal}");
        initialise(ordinal)?;
        let start = |e: dfdx::tensor::CudaError| match driver_code(&e) {
            Some(sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY) => {
                fail("no memory is left to start on; end what else runs on this GPU (nvidia-smi lists it)".into())
            }
            Some(code) => fail(format!("the device could not be set up: {}", describe(code))),
            None => fail(format!("the device could not be set up: {e:?}")),
        };
        let device = Cuda::try_build(ordinal, 0).map_err(start)?;
        let raw = |e: DriverError| fail(describe(e.0));
        let primary = result::ctx::get_current().map_err(raw)?.ok_or_else(|| fail("no context".into()))?;
        let cu_device = result::device::get(ordinal as i32).map_err(raw)?;
        // SAFETY: the device exists, and the driver is initialised.
        let attribute = |a| unsafe { result::device::get_attribute(cu_device, a) }.map_err(raw);
        use sys::CUdevice_attribute_enum as Attribute;
        let major = attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?;
        let minor = attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?;
        let processors = attribute(Attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)?;
        let shared = attribute(Attribute::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN)?;
        let kernels = Kernels::new((10 * major + minor) as u32).map_err(fail)?;
        let blas = Blas::new().map_err(fail)?;
        check_addresses(&device).map_err(fail)?;
        Ok(Self {
            device,
            blas,
            pool: Pool::default(),
            kernels,
            label,
            processors: processors.max(1) as u32,
            shared: shared.max(0) as usize,
            ordinal,
            primary,
            failed: AtomicBool::new(false),
            failure: Mutex::new(None),
        })
    }

    /// Makes the calling thread use this GPU.
    pub(super) fn bind(&self) -> Result<()> {
        thread_local!(static BOUND: Cell<bool> = const { Cell::new(false) });
        if !BOUND.get() {
            // SAFETY: the primary context lives as long as `self.device`, which is never dropped.
            unsafe { result::ctx::set_current(self.primary) }.map_err(|e| self.error("binding a thread", e.0))?;
            BOUND.set(true);
        }
        Ok(())
    }

    /// What the driver said, as an error of ours.
    pub(super) fn error(&self, what: &str, code: sys::CUresult) -> Error {
        Error::Device { device: self.label.clone(), what: what.into(), message: describe(code) }
    }

    /// Remembers a failure where none can be returned; the next operation returns it.
    pub(super) fn remember(&self, what: &str, code: sys::CUresult) {
        let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        failure.get_or_insert_with(|| (what.into(), describe(code)));
        self.failed.store(true, Ordering::Relaxed);
    }
}

/// Starts the driver and makes sure of what dfdx takes for granted.
fn initialise(ordinal: usize) -> Result<()> {
    let fail = |message: String| no_device(ordinal, message);
    let none = || {
        fail(
            "this machine has no GPU that CUDA can use (`nvidia-smi` lists them; CUDA_VISIBLE_DEVICES may hide some); \
              use device = \"cpu\""
                .into(),
        )
    };
    match result::init() {
        Ok(()) => {}
        Err(DriverError(sys::CUresult::CUDA_ERROR_NO_DEVICE)) => return Err(none()),
        Err(e) => return Err(fail(format!("the driver could not be started: {}", describe(e.0)))),
    }
    let mut version = 0;
    // SAFETY: `version` may be written.
    unsafe { sys::cuDriverGetVersion(&mut version) }.result().map_err(|e| fail(describe(e.0)))?;
    if version < NEEDED {
        let (has, needs) = (dotted(version), dotted(NEEDED));
        return Err(fail(format!(
            "the NVIDIA driver knows CUDA {has}, but this program needs {needs}; update the driver"
        )));
    }
    let count = match result::device::get_count() {
        Ok(0) | Err(DriverError(sys::CUresult::CUDA_ERROR_NO_DEVICE)) => return Err(none()),
        Ok(count) => count as usize,
        Err(e) => return Err(fail(describe(e.0))),
    };
    if ordinal >= count {
        let names: Vec<String> = (0..count).map(|i| format!("{i} ({})", name_of(i))).collect();
        let plural = if count == 1 { "GPU" } else { "GPUs" };
        return Err(fail(format!("this machine has {count} {plural}: {}", names.join(", "))));
    }
    Ok(())
}

fn name_of(ordinal: usize) -> String {
    let mut name = [0_u8; 256];
    let Ok(device) = result::device::get(ordinal as i32) else { return "unknown".into() };
    // SAFETY: the driver writes at most as many bytes, the last one zero.
    let code = unsafe { sys::cuDeviceGetName(name.as_mut_ptr().cast(), name.len() as i32, device) };
    match (code, CStr::from_bytes_until_nul(&name)) {
        (sys::CUresult::CUDA_SUCCESS, Ok(name)) => name.to_string_lossy().into_owned(),
        _ => "unknown".into(),
    }
}

fn dotted(version: i32) -> String {
    format!("{}.{}", version / 1000, version % 1000 / 10)
}

/// `13.0` as the driver writes it: 13000.
const fn parse(version: &str) -> i32 {
    let (bytes, mut parts, mut part, mut i) = (version.as_bytes(), [0, 0], 0, 0);
    while i < bytes.len() {
        if bytes[i] == b'.' {
            part += 1;
        } else {
            parts[part] = 10 * parts[part] + (bytes[i] - b'0') as i32;
        }
        i += 1;
    }
    1000 * parts[0] + 10 * parts[1]
}
