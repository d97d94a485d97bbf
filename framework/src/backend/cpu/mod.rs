//! The CPU.
pub mod kernels;
