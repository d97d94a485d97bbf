//! Matrix products by cuBLAS.

use super::args::Ptr;
use super::context::Context;
use crate::error::{Error, Result};
use cudarc::cublas::sys::{self, cublasOperation_t as Op, cublasStatus_t as Status};

/// `c [m, n] = op(a) [m, k] op(b) [k, n]`, everything row-major; added to what is in `c` where `add`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Gemm {
    /// Rows of the product.
    pub m: usize,
    /// Columns of the product.
    pub n: usize,
    /// The extent that is summed over.
    pub k: usize,
    /// Left factor, and whether it lies there as `[k, m]`.
    pub a: (Ptr, bool),
    /// Right factor, and whether it lies there as `[n, k]`.
    pub b: (Ptr, bool),
    /// The product.
    pub c: Ptr,
    /// Whether the product is added to what is there.
    pub add: bool,
}

impl Context {
    /// One matrix product.
    pub(crate) fn gemm(&self, g: Gemm) -> Result<()> {
        self.gemm_batched(g, 1, [0; 3])
    }

    /// `count` products; operands of the next lie `strides` elements (a, b, c) further on.
    pub(crate) fn gemm_batched(&self, g: Gemm, count: usize, strides: [usize; 3]) -> Result<()> {
        let Gemm { m, n, k, a: (a, ta), b: (b, tb), c, add } = g;
        if m * n * count == 0 {
            return Ok(());
        }
        let int = |n: usize| {
            i32::try_from(n).map_err(|_| Error::Other(format!("matrix product: {n} is too large an extent")))
        };
        let op = |t: bool| if t { Op::CUBLAS_OP_T } else { Op::CUBLAS_OP_N };
        let (rows, cols, inner) = (int(m)?, int(n)?, int(k)?);
        let (lda, ldb) = (if ta { rows } else { inner }.max(1), if tb { inner } else { cols }.max(1));
        let (one, beta) = (1.0_f32, if add { 1.0_f32 } else { 0.0 });
        let (a, b, c) = (a.0 as *const f32, b.0 as *const f32, c.0 as *mut f32);
        // cuBLAS counts by columns, where a row-major matrix is its transpose: c^T = op(b)^T op(a)^T.
        // SAFETY: the caller owns operands of these sizes; the scalars are read before the call returns.
        let status = unsafe {
            if count == 1 {
                sys::cublasSgemm_v2(
                    self.blas.0,
                    op(tb),
                    op(ta),
                    cols,
                    rows,
                    inner,
                    &one,
                    b,
                    ldb,
                    a,
                    lda,
                    &beta,
                    c,
                    cols,
                )
            } else {
                let [sa, sb, sc] = strides.map(|s| s as i64);
                sys::cublasSgemmStridedBatched(
                    self.blas.0,
                    op(tb),
                    op(ta),
                    cols,
                    rows,
                    inner,
                    &one,
                    b,
                    ldb,
                    sb,
                    a,
                    lda,
                    sa,
                    &beta,
                    c,
                    cols,
                    sc,
                    int(count)?,
                )
            }
        };
        self.blas_result(status)
    }

    /// What cuBLAS said, as an error of ours.
    pub(super) fn blas_result(&self, status: Status) -> Result<()> {
        match status {
            Status::CUBLAS_STATUS_SUCCESS => Ok(()),
            other => Err(Error::Device {
                device: self.label.clone(),
                what: "a matrix product".into(),
                message: format!("{other:?}"),
            }),
        }
    }
}
