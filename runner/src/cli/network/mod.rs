//! The arguments of commands that take up a saved network.

pub mod compress;
pub mod export;
pub mod latency;
mod of_network;
pub mod predict;

pub use compress::{CompressArgs, DecompressArgs};
pub use export::ExportArgs;
pub use latency::LatencyArgs;
pub use of_network::OfNetwork;
pub use predict::{PredictArgs, VerifyArgs};
