//! The arguments of commands that take up a saved network.

pub mod compress;
pub mod export;
pub mod latency;
mod of_network;
pub mod predict;

pub use of_network::OfNetwork;
