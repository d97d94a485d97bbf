//! Secateur prunes neural networks while they train.
//!
//! Everything a researcher would want to swap is a plugin: the pruning [`Criterion`](criterion::Criterion), its
//! [`Schedule`](schedule::Schedule), the data [`Compressor`](compressor::Compressor) in front of the network, and the
//! [`Model`](model::Model). The [training loop](train) knows none of them by name.

extern crate self as secateur;

pub mod error;
pub mod seed;
pub mod state;

pub mod options;

pub mod tensor;

pub mod backend;

pub mod autograd;

pub mod data;

pub mod network;

pub mod pruning;

pub mod training;

pub mod plugins;

pub mod prelude;

pub use dfdx;
pub use error::{Error, Result};
pub use serde;

/// The README's examples compile.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
