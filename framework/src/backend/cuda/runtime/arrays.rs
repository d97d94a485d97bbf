//! Small arrays of integers on the device.

use super::args::Ptr;
use super::context::Context;
use crate::error::Result;
use crate::tensor::Buffer;
use dfdx::tensor::Cuda;
use std::fmt;
use std::sync::Arc;

/// Declares a small array on the device.
macro_rules! array {
    ($(#[$doc:meta])* $name:ident of $of:ty) => {
        $(#[$doc])*
        #[derive(Clone)]
        pub struct $name {
            memory: Arc<Buffer<Cuda>>,
            count: usize,
        }

        impl $name {
            /// An array whose contents are whatever was there, for a kernel to write.
            pub(crate) fn unwritten(cx: &Context, count: usize) -> Result<Self> {
                let words = (count * size_of::<$of>()).div_ceil(4);
                Ok(Self { memory: Arc::new(cx.allocate(words)?), count })
            }

            /// An array with these values.
            pub(crate) fn upload(cx: &Context, data: &[$of]) -> Result<Self> {
                let array = Self::unwritten(cx, data.len())?;
                cx.copy_in(array.ptr(), data)?;
                Ok(array)
            }

            /// Where its values are.
            pub(crate) fn ptr(&self) -> Ptr {
                Ptr::of(&self.memory)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "[{}] on cuda"), self.count)
            }
        }
    };
}
array!(
    /// Whole numbers on the device: class ids, indices.
    Ints of u32
);
array!(
    /// Bytes on the device: pixels, positions in small windows.
    Bytes of u8
);

impl Ints {
    /// Number of values.
    pub(crate) fn count(&self) -> usize {
        self.count
    }
}
