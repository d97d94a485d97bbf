//! NVIDIA GPUs: dfdx's `Cuda` with cuBLAS and kernels of our own.
//!
//! Tensors are dfdx CUDA tensors; kernels get their device addresses. All work goes to one stream and nothing waits for
//! it but what a caller asks to see on the host. Each family has its kernels (`.cu`) beside the code that launches
//! them.

mod activation;
mod attention;
mod contribution;
mod conv;
mod draw;
mod dropout;
mod linear;
mod loss;
mod norm;
mod optimizer;
mod pool;
mod ranking;
mod runtime;
mod tensor;
mod tokens;

pub use dfdx::tensor::Cuda;
pub use draw::Examples;
pub use runtime::{Bytes, Ints, MemoryUse, allow_tf32, cuda, memory, trim};
