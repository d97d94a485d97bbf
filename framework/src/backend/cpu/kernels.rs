//! The arithmetic of training on plain slices: row-major `f32`, PyTorch's layouts, forward and backward.
//!
//! Results depend on the inputs and their shapes, never on the number of threads: work is cut by shape alone, and
//! partial results are combined in a fixed order. They may differ in the last bits between processors.
//!
//! A slice of the wrong length is a programming error and panics; callers check shapes where a user can get them wrong.

pub mod activation;
pub mod attention;
pub mod batch_norm;
pub mod contribution;
pub mod conv;
mod conv_epilogue;
mod conv_tiles;
pub mod conv_transpose;
pub mod dropout;
pub mod elementwise;
pub mod gemm;
pub mod grad;
mod lanes;
pub mod layer_norm;
pub mod linear;
pub mod loss;
pub mod merge;
pub mod optim;
#[cfg(target_arch = "x86_64")]
mod panel_tiles;
mod panels;
pub mod par;
pub mod patches;
pub mod pool;
pub mod reduce;
pub mod regression;
pub mod scratch;
pub mod select;
pub mod simd;
#[cfg(test)]
mod testing;
pub mod tokens;
mod transpose;

pub use activation::Act;
pub use grad::{Accumulate, Grad};
