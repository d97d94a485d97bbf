//! The GPU that this process uses: driver, memory, launches of kernels, matrix products.

mod address;
mod args;
mod arrays;
mod blas;
mod context;
mod destination;
mod driver;
mod failure;
mod gemm;
mod kernels;
mod launch;
mod memory;
mod memory_pool;

pub(crate) use args::{Arg, Ptr, WARPS, extent, ptr_or_null};
pub use arrays::{Bytes, Ints};
pub(crate) use context::Context;
pub use context::{allow_tf32, cuda, memory, trim};
pub(crate) use destination::{Dest, check_count, dest_or_null, wanted};
pub(crate) use gemm::Gemm;
pub(crate) use launch::{PROCESSORS, pieces};
pub use memory_pool::MemoryUse;
