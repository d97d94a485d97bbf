//! Recorded operations against finite differences and against dfdx's own.
#![allow(clippy::unwrap_used, reason = "tests")]

mod activation;
mod attention;
#[path = "../common/mod.rs"]
mod common;
mod conv;
mod dropout;
mod linear;
mod loss;
mod norm;
mod pool;
mod tape;
mod tokens;
mod trace;
