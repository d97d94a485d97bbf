//! Gradients that training itself does not compute.

use crate::backend::Backend;
use crate::error::Result;
use crate::network::params::ParamStore;
use crate::tensor::Tensor;
use std::collections::BTreeMap;

/// What is differentiated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Objective {
    /// The training loss (SNIP, GraSP).
    Loss,
    /// The sum of all outputs (SynFlow).
    OutputSum,
}

/// What goes into the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProbeInput {
    /// A batch of training data; the same number gives the same batch within one pruning step.
    Batch(u64),
    /// One example of ones.
    Ones,
}

/// Answers a criterion's questions about the network during a pruning step.
///
/// A Hessian-vector product, as GraSP needs it, is a difference of two gradients: `H v ~ (g(w + e v) - g(w - e v)) /
/// 2e`.
pub trait Probe<B: Backend> {
    /// The parameters as they are.
    fn params(&self) -> &ParamStore<B>;

    /// Gradients by parameter name, at the current weights except those replaced.
    ///
    /// # Errors
    /// If a replacement does not fit its parameter.
    fn gradients(
        &mut self,
        input: ProbeInput,
        objective: Objective,
        replaced: &[(String, Tensor<B>)],
    ) -> Result<BTreeMap<String, Tensor<B>>>;
}
