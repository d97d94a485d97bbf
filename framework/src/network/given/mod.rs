//! Weights that a network begins with, from a file: whose they are, which parameter each tensor is, and whether it fits.

mod config;
mod fit;
mod names;
mod order;
mod pickle;
mod state_dict;
mod tensor;
#[cfg(test)]
mod tests;
mod weights;
mod zip;

pub use config::{GivenMasks, InitConfig};
pub use fit::{Fitted, Given};
pub use tensor::{Numbers, TensorInFile};
pub use weights::Weights;
