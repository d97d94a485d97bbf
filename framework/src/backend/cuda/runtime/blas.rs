//! The handle of cuBLAS.

use cudarc::cublas::sys::{self, cublasMath_t as Math, cublasStatus_t as Status};

/// A cuBLAS handle on the null stream, in plain f32 unless told otherwise.
pub(super) struct Blas(pub(super) sys::cublasHandle_t);

// SAFETY: cuBLAS allows a handle on any thread.
unsafe impl Send for Blas {}
// SAFETY: cuBLAS allows calls with one handle from several threads; only `allow_tf32` changes it, between products.
unsafe impl Sync for Blas {}

impl Blas {
    pub(super) fn new() -> Result<Self, String> {
        let mut handle = std::ptr::null_mut();
        // SAFETY: the handle may be written; the calling thread has a context, which dfdx made current.
        let status = unsafe { sys::cublasCreate_v2(&mut handle) };
        match status {
            Status::CUBLAS_STATUS_SUCCESS => Ok(Self(handle)),
            other => Err(format!("cuBLAS could not be started: {other:?}")),
        }
    }

    pub(super) fn allow_tf32(&self, allow: bool) -> Status {
        let mode = if allow { Math::CUBLAS_TF32_TENSOR_OP_MATH } else { Math::CUBLAS_DEFAULT_MATH };
        // SAFETY: the handle is valid.
        unsafe { sys::cublasSetMathMode(self.0, mode) }
    }
}
