//! Secateur prunes neural networks while they train.
//!
//! Everything a researcher would want to swap is a plugin: the pruning [`Criterion`](pruning::criterion::Criterion),
//! its [`Schedule`](pruning::schedule::Schedule), the [`Compressor`](network::compressor::Compressor) of tokens, and
//! the [`Model`](network::model::Model). The [training loop](training) knows none of them by name.
//!
//! The modules stand in the order of use: each imports only what stands before it.

extern crate self as secateur;

// What readers take of a damaged file is measured.
#[cfg(test)]
#[global_allocator]
static ALLOCATOR: secateur_fuzz::Counting = secateur_fuzz::Counting;

pub mod error;
pub mod seed;
pub mod state;

pub mod options;

pub mod tensor;

pub mod backend;

pub mod information;

pub mod autograd;

pub mod data;

pub mod network;

pub mod pruning;

pub mod training;

pub mod deep_compression;

pub mod plugins;

pub mod prelude;

pub use dfdx;
pub use error::{Error, Result};
pub use serde;

/// The README's examples compile.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
