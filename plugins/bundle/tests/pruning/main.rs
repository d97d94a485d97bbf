//! What whole pruning steps and runs must hold to, whatever is pruned and however.
#![allow(clippy::unwrap_used, reason = "tests")]

mod achieved;
mod activations;
mod bounds;
#[path = "../common/mod.rs"]
mod common;
mod costs;
mod foretold;
mod growth;
mod latency;
mod paths;
mod scene;
mod shrink;
mod unit_scores;
mod unit_state;
