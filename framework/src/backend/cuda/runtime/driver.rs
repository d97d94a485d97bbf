//! NVIDIA's libraries, opened at run time.
//!
//! cudarc declares the functions of libcuda, libcublas and libnvrtc as ordinary foreign functions, which would tie a
//! program to machines that have these libraries. The names are defined here instead: each jumps through a slot that
//! [`load`] fills from the libraries it finds. So a program built with CUDA starts without any of them, and links where
//! there is no toolkit.

use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use std::arch::global_asm;
use std::error::Error as _;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

#[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))))]
compile_error!("the feature `cuda` is for Linux on x86_64 or aarch64");

/// What a function answers before its library is opened, or where its library lacks it: `CUDA_ERROR_STUB_LIBRARY`, and
/// no success to cuBLAS and nvrtc either.
extern "C" fn absent() -> u32 {
    34
}

/// The instructions that jump to the address in a slot.
#[cfg(target_arch = "x86_64")]
macro_rules! jump {
    ($slot:expr) => {
        concat!("jmp [rip + ", $slot, "]\n")
    };
}
#[cfg(target_arch = "aarch64")]
macro_rules! jump {
    ($slot:expr) => {
        concat!("adrp x16, ", $slot, "\nldr x16, [x16, :lo12:", $slot, "]\nbr x16\n")
    };
}

/// Defines functions that jump through slots; `$table` is the slots, in the order of `$names`.
macro_rules! library {
    ($table:ident, $names:ident, [$($name:ident)*]) => {
        static $names: &[&str] = &[$(stringify!($name)),*];
        // Hidden symbols: another library that looks for these names (cuBLAS looks for the driver's) must find the real
        // ones.
        global_asm!(
            ".pushsection .data.rel.local, \"aw\", @progbits",
            ".balign 8",
            concat!(".globl ", stringify!($table), "\n.hidden ", stringify!($table), "\n", stringify!($table), ":"),
            $(concat!(".Lslot_", stringify!($name), ": .quad {absent}"),)*
            ".popsection",
            ".pushsection .text.secateur_cuda, \"ax\", @progbits",
            $(concat!(
                ".globl ", stringify!($name), "\n.hidden ", stringify!($name), "\n.type ", stringify!($name), ", @function\n",
                stringify!($name), ": ", jump!(concat!(".Lslot_", stringify!($name))),
            ),)*
            ".popsection",
            absent = sym absent,
        );
        unsafe extern "C" {
            static $table: [AtomicUsize; $names.len()];
        }
    };
}

library!(secateur_cuda_driver, DRIVER, [
    cuInit cuDriverGetVersion cuGetErrorName cuGetErrorString cuDeviceGet cuDeviceGetCount cuDeviceGetName
    cuDeviceGetAttribute cuDeviceTotalMem_v2 cuDevicePrimaryCtxRetain cuDevicePrimaryCtxRelease_v2 cuCtxGetCurrent
    cuCtxSetCurrent cuMemGetInfo_v2 cuMemAlloc_v2 cuMemFree_v2 cuMemAllocAsync cuMemFreeAsync cuMemsetD8_v2 cuMemsetD8Async
    cuMemcpyHtoD_v2 cuMemcpyDtoH_v2 cuMemcpyDtoD_v2 cuMemcpyHtoDAsync_v2 cuMemcpyDtoHAsync_v2 cuMemcpyDtoDAsync_v2
    cuModuleLoad cuModuleLoadData cuModuleGetFunction cuModuleUnload cuFuncSetAttribute cuFuncGetParamInfo cuLaunchKernel
    cuStreamCreate cuStreamDestroy_v2 cuStreamSynchronize cuStreamWaitEvent cuEventCreate cuEventDestroy_v2 cuEventRecord
    cuEventElapsedTime cuOccupancyAvailableDynamicSMemPerBlock cuOccupancyMaxActiveBlocksPerMultiprocessor
    cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags cuOccupancyMaxActiveClusters cuOccupancyMaxPotentialBlockSize
    cuOccupancyMaxPotentialBlockSizeWithFlags cuOccupancyMaxPotentialClusterSize cuImportExternalMemory
    cuDestroyExternalMemory cuExternalMemoryGetMappedBuffer cuProfilerStart cuProfilerStop
]);
library!(secateur_cublas, CUBLAS, [
    cublasCreate_v2 cublasDestroy_v2 cublasSetStream_v2 cublasSetMathMode cublasSetWorkspace_v2 cublasSgemm_v2
    cublasSgemmStridedBatched cublasSgemv_v2 cublasDgemm_v2 cublasDgemmStridedBatched cublasDgemv_v2 cublasGemmEx
    cublasGemmStridedBatchedEx
]);
library!(secateur_nvrtc, NVRTC, [
    nvrtcCreateProgram nvrtcDestroyProgram nvrtcCompileProgram nvrtcGetPTX nvrtcGetPTXSize nvrtcGetProgramLog
    nvrtcGetProgramLogSize
]);

/// Opens the libraries, once; later calls return what the first one found.
///
/// # Errors
/// A sentence that names the missing library and the fix. nvrtc may be missing: only some of dfdx's own operations need
/// it.
pub(super) fn load() -> Result<(), String> {
    static LOADED: OnceLock<Result<(), String>> = OnceLock::new();
    LOADED.get_or_init(open_all).clone()
}

fn open_all() -> Result<(), String> {
    let driver = open(&["libcuda.so.1"]).map_err(|e| {
        format!("the NVIDIA driver's library was not found ({e}); install the driver (`nvidia-smi` must work), or use device = \"cpu\"")
    })?;
    let cublas = open(&["libcublas.so.13", "libcublas.so.12", "libcublas.so.11"]).map_err(|e| {
        format!(
            "cuBLAS was not found ({e}); put the folder that holds libcublas.so.13 (or .12, .11) on LD_LIBRARY_PATH: that of a \
             CUDA toolkit, or site-packages/nvidia/cu13/lib (older: site-packages/nvidia/cublas/lib) where PyTorch came from wheels"
        )
    })?;
    // SAFETY: the assembly above lays each table out as that many words.
    let (driver_slots, cublas_slots, nvrtc_slots) =
        unsafe { (&secateur_cuda_driver, &secateur_cublas, &secateur_nvrtc) };
    fill(driver, DRIVER, driver_slots);
    fill(cublas, CUBLAS, cublas_slots);
    if let Ok(nvrtc) = open(&["libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so.11.2"]) {
        fill(nvrtc, NVRTC, nvrtc_slots);
    }
    Ok(())
}

/// The first of these that opens, through the loader's own search and then where toolkits are installed.
fn open(names: &[&str]) -> Result<Library, String> {
    let mut first = None;
    for folder in ["", "/usr/local/cuda/lib64/"] {
        for name in names {
            // SAFETY: NVIDIA's libraries may be opened at any time; their initialisers ask nothing of the program.
            match unsafe { Library::open(Some(format!("{folder}{name}")), RTLD_NOW | RTLD_LOCAL) } {
                Ok(library) => return Ok(library),
                // The loader's own words stand behind libloading's.
                Err(e) => first = first.or_else(|| Some(e.source().map_or_else(|| e.to_string(), ToString::to_string))),
            }
        }
    }
    Err(first.unwrap_or_default())
}

fn fill(library: Library, names: &[&str], slots: &[AtomicUsize]) {
    for (name, slot) in names.iter().zip(slots) {
        // SAFETY: only the address is taken; cudarc's declarations say how it is called.
        if let Ok(symbol) = unsafe { library.get::<unsafe extern "C" fn()>(*name) } {
            slot.store(*symbol as usize, Ordering::Release);
        }
    }
    // The addresses are used until the program ends.
    std::mem::forget(library);
}
