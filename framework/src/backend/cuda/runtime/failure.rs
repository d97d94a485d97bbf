//! What the driver says, as errors of ours.

use crate::error::Error;
use cudarc::driver::{DriverError, sys};
use dfdx::tensor::CudaError;
use std::ffi::CStr;

/// The error of a GPU that cannot be used.
pub(super) fn no_device(ordinal: usize, message: String) -> Error {
    Error::NoDevice { device: format!("cuda:{ordinal}"), message }
}

/// The driver's name and sentence for a code.
pub(super) fn describe(code: sys::CUresult) -> String {
    let text = |ask: unsafe extern "C" fn(sys::CUresult, *mut *const std::ffi::c_char) -> sys::CUresult| {
        let mut text = std::ptr::null();
        // SAFETY: `text` may be written; where the driver succeeds it points to a string that lives as long as the
        // program.
        unsafe {
            let known = ask(code, &mut text) == sys::CUresult::CUDA_SUCCESS && !text.is_null();
            known.then(|| CStr::from_ptr(text).to_string_lossy())
        }
    };
    match (text(sys::cuGetErrorName), text(sys::cuGetErrorString)) {
        (Some(name), Some(sentence)) => format!("{sentence} ({name})"),
        _ => format!("{code:?}"),
    }
}

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
