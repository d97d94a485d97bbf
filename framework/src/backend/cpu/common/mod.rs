//! What kernels are made of: vector code, threads, working memory, sums, products of matrices.

pub(crate) mod bf16;
pub mod elementwise;
pub mod gemm;
pub mod grad;
pub(crate) mod lanes;
pub mod matrix;
pub(crate) mod panels;
pub mod par;
pub mod reduce;
pub mod scratch;
pub mod simd;
pub mod sparse;
pub(crate) mod team;
#[cfg(test)]
pub(crate) mod testing;
pub(crate) mod transpose;

pub use grad::{Accumulate, Grad};
