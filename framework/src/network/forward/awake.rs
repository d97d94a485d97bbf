//! Threads that stay awake for the operations of a training pass.

use crate::backend::{Backend, Cpu, Device as _, together};
use crate::network::params::ParamStore;
use std::ops::Range;

/// Weights times examples for which it is worth it: a pass over fewer is over before another thread is awake. In a long
/// one waking threads costs little, and they share out what they do better where they take pieces of pieces.
const WORTH: Range<usize> = 1 << 19..1 << 25;

/// Runs a forward and a backward pass over so many examples. On the host the other threads of the pool wait for its pieces
/// meanwhile ([`together`]), if there is enough to do and not very much.
pub fn with_threads_awake<B: Backend, R>(params: &ParamStore<B>, examples: usize, pass: impl FnOnce() -> R) -> R {
    let weights: usize = params.iter().map(|p| p.spec().shape.count()).sum();
    if B::NAME == Cpu::NAME && WORTH.contains(&weights.saturating_mul(examples)) { together(pass) } else { pass() }
}
