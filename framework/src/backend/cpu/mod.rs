//! The host: dfdx's `Cpu` with fused kernels.
//!
//! Each family's file goes from tensors to kernels; the kernels are arithmetic on plain slices: row-major `f32`,
//! PyTorch's layouts, forward and backward. What they are made of is in [`common`].
//!
//! Results depend on the inputs and their shapes, never on the number of threads: work is cut by shape alone, and
//! partial results are combined in a fixed order. They may differ in the last bits between processors.
//!
//! A slice of the wrong length is a programming error and panics; shapes are checked where a user can get them wrong,
//! before a kernel is called.

pub mod activation;
mod attention;
pub mod common;
pub mod contribution;
pub mod conv;
mod draw;
mod dropout;
pub mod linear;
pub mod loss;
mod norm;
pub mod optimizer;
mod pool;
mod ranking;
mod tensor;
mod tokens;
