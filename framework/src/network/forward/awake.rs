//! Threads that stay awake for the operations of a training pass.

use crate::backend::{Backend, Cpu, Device as _, together};
use crate::network::params::ParamStore;

/// Weights times examples from which it is worth it: a pass over fewer is over before another thread is awake.
const WORTH: usize = 1 << 19;

/// Runs a forward and a backward pass over so many examples. On the host the other threads of the pool wait for its pieces
/// meanwhile ([`together`]), if there is enough to do.
pub fn with_threads_awake<B: Backend, R>(params: &ParamStore<B>, examples: usize, pass: impl FnOnce() -> R) -> R {
    let weights: usize = params.iter().map(|p| p.spec().shape.count()).sum();
    if B::NAME == Cpu::NAME && weights.saturating_mul(examples) >= WORTH { together(pass) } else { pass() }
}
