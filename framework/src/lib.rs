//! Secateur prunes neural networks while they train.
//!
//! Everything a researcher would want to swap is a plugin: the pruning [`Criterion`](criterion::Criterion), its
//! [`Schedule`](schedule::Schedule), the data [`Compressor`](compressor::Compressor) in front of the network, and the
//! [`Model`](model::Model). The [training loop](train) knows none of them by name.

extern crate self as secateur;

mod archive;
pub mod autograd;
pub mod backend;
pub mod compressor;
pub mod criterion;
pub mod data;
pub mod error;
pub mod event;
pub mod forward;
pub mod measure;
pub mod model;
pub mod options;
pub mod params;
pub mod picture;
pub mod plugin;
pub mod prelude;
pub mod prune;
pub mod registry;
pub mod schedule;
pub mod seed;
pub mod structure;
pub mod tensor;
pub mod testing;
pub mod train;

pub use dfdx;
pub use error::{Error, Result};
pub use serde;

/// The README's examples compile.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
