//! Dropout, by the name of its layer.

use super::Forward;
use crate::backend::Backend;
use crate::error::Result;
use crate::tensor::Tensor;
use rand::RngExt as _;

impl<B: Backend> Forward<'_, B> {
    /// Dropout while training; `x` itself in evaluation.
    ///
    /// # Errors
    /// If memory runs out.
    pub fn dropout(&mut self, name: &str, x: &Tensor<B>, p: f64) -> Result<Tensor<B>> {
        match self.noise.filter(|_| p > 0.0) {
            Some(seed) => self.tape.dropout(x, p as f32, seed.stream("dropout", &[name]).random()),
            None => Ok(x.clone()),
        }
    }
}
