//! Pooling on its own.

use super::{Forward, LayerOperation};
use crate::backend::{Backend, Pool, Pooling};
use crate::error::Result;
use crate::tensor::Tensor;

impl<B: Backend> Forward<'_, B> {
    /// The maximum of windows of `x [batch, channels, rows, columns]`, after layer `name`; `kernel`, `stride` and
    /// `padding` in pixels.
    ///
    /// # Errors
    /// If the windows do not fit.
    pub fn max_pool(
        &mut self,
        name: &str,
        x: &Tensor<B>,
        (kernel, stride, padding): (usize, usize, usize),
    ) -> Result<Tensor<B>> {
        self.list(name, LayerOperation::MaxPool { kernel, stride, padding });
        self.tape.pool(x, Pool { kind: Pooling::Max, kernel, stride, padding })
    }
}
