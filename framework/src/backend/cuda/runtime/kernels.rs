//! Kernels: their images for the GPU at hand.

use super::args::Args;
use super::failure::describe;
use cudarc::driver::sys;
use std::collections::HashMap;
use std::ffi::{CString, c_void};
use std::sync::OnceLock;
use std::sync::atomic::AtomicU32;

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

pub(super) struct Function {
    source: usize,
    handle: OnceLock<Result<Handle, String>>,
    /// Dynamic shared memory it may use.
    pub(super) shared: AtomicU32,
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

    /// A kernel by its name, loaded, and made sure that it takes these arguments.
    pub(super) fn function(&self, name: &str, args: &impl Args) -> Result<(&Function, sys::CUfunction), String> {
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
