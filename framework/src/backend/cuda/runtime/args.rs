//! What kernels take: addresses, numbers, extents.

use crate::error::{Error, Result};
use crate::tensor::{Buffer, Tensor};
use dfdx::tensor::Cuda;
use std::ffi::c_void;

/// Warps of a block where each works alone.
pub(crate) const WARPS: usize = 8;

/// An address in device memory, as kernels take it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub(crate) struct Ptr(pub(super) u64);

impl Ptr {
    /// What a kernel gets where there is nothing.
    pub const NULL: Self = Self(0);

    /// Where a buffer's elements are.
    pub(crate) fn of(buffer: &Buffer<Cuda>) -> Self {
        Self(buffer.addr() as u64)
    }

    /// `bytes` further on.
    pub fn offset(self, bytes: usize) -> Self {
        Self(self.0 + bytes as u64)
    }
}

impl Tensor<Cuda> {
    /// Where its elements are; for kernels that read them.
    pub(crate) fn ptr(&self) -> Ptr {
        Ptr::of(self.buffer())
    }

    /// Where its elements are, for kernels that write them; made this tensor's own first where they are shared.
    pub(crate) fn ptr_mut(&mut self) -> Result<Ptr> {
        Ok(Ptr::of(self.buffer_mut()?))
    }
}

/// Address of a tensor that may be missing.
pub(crate) fn ptr_or_null(t: Option<&Tensor<Cuda>>) -> Ptr {
    t.map_or(Ptr::NULL, Tensor::ptr)
}

/// Extents of a grid or a block.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Dim(pub(super) u32, pub(super) u32, pub(super) u32);

impl From<u32> for Dim {
    fn from(x: u32) -> Self {
        Self(x, 1, 1)
    }
}

impl From<(u32, u32)> for Dim {
    fn from((x, y): (u32, u32)) -> Self {
        Self(x, y, 1)
    }
}

impl From<(u32, u32, u32)> for Dim {
    fn from((x, y, z): (u32, u32, u32)) -> Self {
        Self(x, y, z)
    }
}

/// A value that kernels take as it lies in memory.
pub(crate) trait Arg: Copy {}
impl Arg for Ptr {}
impl Arg for f32 {}
impl Arg for f64 {}
impl Arg for u32 {}
impl Arg for i32 {}
impl Arg for u64 {}

/// A kernel's arguments: a tuple.
pub(crate) trait Args {
    /// Bytes of each.
    fn sizes(&self) -> Vec<usize>;
    /// Their addresses, as the driver wants them.
    fn with<R>(self, f: impl FnOnce(&mut [*mut c_void]) -> R) -> R;
}

macro_rules! args {
    ($($letter:ident)*) => {
        impl<$($letter: Arg),*> Args for ($($letter,)*) {
            fn sizes(&self) -> Vec<usize> {
                vec![$(size_of::<$letter>()),*]
            }
            #[expect(non_snake_case, reason = "each value is named after its type")]
            fn with<R>(self, f: impl FnOnce(&mut [*mut c_void]) -> R) -> R {
                let ($($letter,)*) = self;
                f(&mut [$((&raw const $letter).cast_mut().cast()),*])
            }
        }
    };
}
/// Tuples of every length up to that of the list.
macro_rules! all_args {
    ($first:ident) => { args!($first); };
    ($first:ident $($rest:ident)+) => { args!($first $($rest)*); all_args!($($rest)*); };
}
all_args!(A B C D E F G H I J K L M N O P Q S T U V W X Y);

/// An extent as kernels take it.
///
/// # Errors
/// Beyond 2^31, more than kernels count to.
pub(crate) fn extent(n: usize) -> Result<u32> {
    u32::try_from(n)
        .ok()
        .filter(|n| *n <= i32::MAX as u32)
        .ok_or_else(|| Error::Other(format!("{n} elements are more than a kernel counts to")))
}
