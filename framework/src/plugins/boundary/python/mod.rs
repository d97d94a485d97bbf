//! Criteria written in Python: a file that defines `score(view)`, run by a worker process of whatever interpreter there
//! is. Nothing of Python is linked in, so that every interpreter will do, and every NumPy.
//!
//! The worker maps memory that the program writes weights, gradients and inputs into, and is sent one message for all
//! that a pruning step asks ([`Criterion::announce`]).
//!
//! [`Criterion::announce`]: crate::pruning::criterion::Criterion::announce

mod arrays;
mod criterion;
mod exchange;
mod memory;
mod script;
mod worker;

pub use script::{PREFIX, Script};
