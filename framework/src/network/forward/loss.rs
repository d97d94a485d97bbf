//! What a variational loss needs of a pass: samples.

use super::Forward;
use crate::backend::Backend;
use crate::error::Result;
use crate::tensor::Tensor;
use rand_distr::{Distribution as _, StandardNormal};

impl<B: Backend> Forward<'_, B> {
    /// A sample of N(mu, e^logvar) while training; `mu` itself in evaluation.
    ///
    /// # Errors
    /// If the shapes differ.
    pub fn sample(&mut self, name: &str, mu: &Tensor<B>, logvar: &Tensor<B>) -> Result<Tensor<B>> {
        let Some(seed) = self.noise else { return Ok(mu.clone()) };
        let noise = StandardNormal.sample_iter(seed.stream("sample", &[name])).take(mu.count()).collect();
        let noise = Tensor::from_vec(mu.device(), noise, mu.shape())?;
        self.tape.reparametrise(mu, logvar, &noise)
    }
}
