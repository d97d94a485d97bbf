//! What whole pruning steps and runs must hold to, whatever is pruned and however.
#![allow(clippy::unwrap_used, reason = "tests")]

mod achieved;
#[path = "../common/mod.rs"]
mod common;
mod growth;
mod paths;
mod shrink;
mod unit_state;
