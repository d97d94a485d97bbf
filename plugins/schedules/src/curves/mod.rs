//! A sparsity that follows a curve, step by step.

mod agp;
pub(crate) mod cubic;
mod cyclic;
pub(crate) mod exponential;
pub(crate) mod linear;
