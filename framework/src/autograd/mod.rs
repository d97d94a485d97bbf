//! Reverse-mode differentiation over [`Backend`](crate::backend::Backend) kernels.
//!
//! Not dfdx's tape, for four measured reasons: a gradient's first write needs no zeroed buffer, gradients of
//! intermediates are freed as soon as they are used (dfdx keeps them all), a tensor may be used twice without care for
//! whose tape it carries, and gradients are tensors that criteria read without a copy. Operations of dfdx itself still
//! take part: see [`Tape::dfdx`].

mod activation;
mod attention;
mod bridge;
mod conv;
mod dropout;
mod elementwise;
mod grads;
mod kinks;
mod linear;
mod loss;
mod norm;
mod pool;
mod tape;
mod tokens;
mod trace;

pub use grads::Grads;
pub(crate) use kinks::KinkMode;
pub use kinks::Kinks;
pub use tape::Tape;
pub use trace::{Call, Mapping, Operation, Part, Written};
