//! Dropout.

use super::Cuda;
use super::runtime::{Context, extent};
use crate::backend::{Dropout, DropoutOps};
use crate::error::Result;
use crate::tensor::Tensor;

impl DropoutOps for Cuda {
    fn dropout(x: &Tensor<Self>, p: f32, seed: u64) -> Result<Tensor<Self>> {
        if p <= 0.0 {
            return Ok(x.detach());
        }
        let (cx, n, dropout) = (Context::get()?, x.count(), Dropout { p, seed });
        let y = cx.tensor(x.shape())?;
        let (threshold, scale) = dropout.threshold_and_scale();
        cx.launch_over("dropout", n, (extent(n)?, dropout.start(), threshold, scale, x.ptr(), y.ptr()))?;
        Ok(y)
    }
}
