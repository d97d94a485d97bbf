//! Kernels: their images for the GPU at hand, and launches.

use super::Context;
use super::context::describe;
use super::memory::Ptr;
use crate::error::{Error, Result};
use cudarc::driver::sys;
use std::collections::HashMap;
use std::ffi::{CString, c_void};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// One file of kernels.
struct Source {
    name: &'static str,
    /// Names of its kernels.
    kernels: &'static [&'static str],
    /// PTX by compute capability, ascending; the driver compiles it for the GPU, and caches that.
    images: &'static [(u32, &'static str)],
}

include!(concat!(env!("OUT_DIR"), "/cuda_kernels.rs"));

/// All kernels; each file is loaded when one of its kernels is first launched.
pub(super) struct Kernels {
    functions: HashMap<&'static str, Function>,
    modules: Vec<OnceLock<Result<Handle, String>>>,
    compute: u32,
}

struct Function {
    source: usize,
    handle: OnceLock<Result<Handle, String>>,
    /// Dynamic shared memory it may use.
    shared: AtomicU32,
}

/// A `CUmodule` or `CUfunction`.
#[derive(Clone, Copy)]
struct Handle(*mut c_void);

// SAFETY: the driver allows its handles on any thread.
unsafe impl Send for Handle {}
// SAFETY: as above.
unsafe impl Sync for Handle {}

/// Dynamic shared memory that every kernel may use; more must be asked for.
const SHARED: u32 = 48 << 10;

/// Extents of a grid or a block.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Dim(u32, u32, u32);

impl From<u32> for Dim {
    fn from(x: u32) -> Self {
        Self(x, 1, 1)
    }
}

impl From<(u32, u32)> for Dim {
    fn from((x, y): (u32, u32)) -> Self {
        Self(x, y, 1)
    }
}

impl From<(u32, u32, u32)> for Dim {
    fn from((x, y, z): (u32, u32, u32)) -> Self {
        Self(x, y, z)
    }
}

/// A value that kernels take as it lies in memory.
pub(crate) trait Arg: Copy {}
impl Arg for Ptr {}
impl Arg for f32 {}
impl Arg for f64 {}
impl Arg for u32 {}
impl Arg for i32 {}
impl Arg for u64 {}

/// A kernel's arguments: a tuple.
pub(crate) trait Args {
    /// Bytes of each.
    fn sizes(&self) -> Vec<usize>;
    /// Their addresses, as the driver wants them.
    fn with<R>(self, f: impl FnOnce(&mut [*mut c_void]) -> R) -> R;
}

macro_rules! args {
    ($($letter:ident)*) => {
        impl<$($letter: Arg),*> Args for ($($letter,)*) {
            fn sizes(&self) -> Vec<usize> {
                vec![$(size_of::<$letter>()),*]
            }
            #[expect(non_snake_case, reason = "each value is named after its type")]
            fn with<R>(self, f: impl FnOnce(&mut [*mut c_void]) -> R) -> R {
                let ($($letter,)*) = self;
                f(&mut [$((&raw const $letter).cast_mut().cast()),*])
            }
        }
    };
}
/// Tuples of every length up to that of the list.
macro_rules! all_args {
    ($first:ident) => { args!($first); };
    ($first:ident $($rest:ident)+) => { args!($first $($rest)*); all_args!($($rest)*); };
}
all_args!(A B C D E F G H I J K L M N O P Q S T U V W X Y);

/// An extent as kernels take it.
///
/// # Errors
/// Beyond 2^31, more than kernels count to.
pub(crate) fn extent(n: usize) -> Result<u32> {
    u32::try_from(n)
        .ok()
        .filter(|n| *n <= i32::MAX as u32)
        .ok_or_else(|| Error::Other(format!("{n} elements are more than a kernel counts to")))
}

impl Kernels {
    /// The kernels for a compute capability: 90 for 9.0.
    pub(super) fn new(compute: u32) -> Result<Self, String> {
        let least = SOURCES.iter().filter_map(|s| s.images.first()).map(|(c, _)| *c).max().unwrap_or(0);
        if compute < least {
            let dotted = |c: u32| format!("{}.{}", c / 10, c % 10);
            return Err(format!(
                "this GPU has compute capability {}, but this program has kernels for {} and newer; rebuild it with \
                 SECATEUR_CUDA_ARCHS={compute}",
                dotted(compute),
                dotted(least)
            ));
        }
        let named = |(source, s): (usize, &Source)| {
            let function =
                move |&name| (name, Function { source, handle: OnceLock::new(), shared: AtomicU32::new(SHARED) });
            s.kernels.iter().map(function).collect::<Vec<_>>()
        };
        Ok(Self {
            functions: SOURCES.iter().enumerate().flat_map(named).collect(),
            modules: SOURCES.iter().map(|_| OnceLock::new()).collect(),
            compute,
        })
    }

    fn module(&self, source: usize) -> Result<Handle, String> {
        let load = || {
            let Source { name, images, .. } = &SOURCES[source];
            let image = images.iter().rev().find(|(c, _)| *c <= self.compute).map_or("\0", |(_, image)| *image);
            let mut module = std::ptr::null_mut();
            // SAFETY: the image ends with a zero byte, and `module` may be written.
            match unsafe { sys::cuModuleLoadData(&mut module, image.as_ptr().cast()) } {
                sys::CUresult::CUDA_SUCCESS => Ok(Handle(module.cast())),
                sys::CUresult::CUDA_ERROR_UNSUPPORTED_PTX_VERSION => {
                    Err(format!("the driver is too old for the kernels of `{name}`; update the NVIDIA driver"))
                }
                _ if image.len() == 1 => {
                    Err("this program was built with the feature cuda-check, which leaves kernels out; build with cuda"
                        .into())
                }
                code => Err(format!("the kernels of `{name}` could not be loaded: {}", describe(code))),
            }
        };
        self.modules[source].get_or_init(load).clone()
    }

    fn function(&self, name: &str, args: &impl Args) -> Result<(&Function, sys::CUfunction), String> {
        let function = self.functions.get(name).ok_or_else(|| format!("there is no kernel `{name}`"))?;
        let find = || {
            let module = self.module(function.source)?;
            let text = CString::new(name).map_err(|e| e.to_string())?;
            let mut handle = std::ptr::null_mut();
            // SAFETY: the module is loaded, the name ends with a zero byte, and `handle` may be written.
            match unsafe { sys::cuModuleGetFunction(&mut handle, module.0.cast(), text.as_ptr()) } {
                sys::CUresult::CUDA_SUCCESS => check_args(handle, &args.sizes()).map(|()| Handle(handle.cast())),
                code => Err(describe(code)),
            }
        };
        let handle = function.handle.get_or_init(find).clone()?;
        Ok((function, handle.0.cast()))
    }
}

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
            // SAFETY: the arguments are as many and as large as the kernel declares (checked where the driver can tell), and
            // point to memory that is in use at least until the kernel is done: memory goes back only behind it on the stream.
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

unsafe extern "C" {
    /// Newer than cudarc's declarations: offset and size of a parameter.
    fn cuFuncGetParamInfo(
        function: sys::CUfunction,
        index: usize,
        offset: *mut usize,
        size: *mut usize,
    ) -> sys::CUresult;
}

/// Compares arguments with a kernel's declaration; drivers before 12.4 cannot tell.
fn check_args(function: sys::CUfunction, sizes: &[usize]) -> Result<(), String> {
    use sys::CUresult::{CUDA_ERROR_INVALID_VALUE, CUDA_ERROR_STUB_LIBRARY, CUDA_SUCCESS};
    for i in 0..=sizes.len() {
        let (mut offset, mut size) = (0, 0);
        // SAFETY: the function is loaded, and both numbers may be written.
        let code = unsafe { cuFuncGetParamInfo(function, i, &mut offset, &mut size) };
        match (code, sizes.get(i)) {
            (CUDA_SUCCESS, Some(given)) if *given == size => {}
            (CUDA_SUCCESS, Some(given)) => {
                return Err(format!("argument {i} has {given} bytes, the kernel takes {size}"));
            }
            (CUDA_SUCCESS, None) => return Err(format!("{} arguments are too few", sizes.len())),
            (CUDA_ERROR_INVALID_VALUE, None) | (CUDA_ERROR_STUB_LIBRARY, _) => return Ok(()),
            _ => return Err(format!("{} arguments are too many", sizes.len())),
        }
    }
    Ok(())
}
