//! Deep compression (Han, Mao & Dally 2015) of a network that was pruned: the weights of a layer share a few values
//! ([`SharedWeights`]), the shared values are trained on ([`TrainOn`]), and what is left goes into one file
//! ([`encode`], [`Decoded`]) as Huffman codes of cluster indices and of relative offsets.

mod bits;
mod decode;
mod encode;
mod entries;
mod file;
mod huffman;
mod kmeans;
mod shared;
#[cfg(test)]
mod tests;
mod training;

pub use decode::Decoded;
pub use encode::{Encoded, LayerSize, encode};
pub use file::VERSION;
pub use kmeans::{Clusters, cluster};
pub use shared::{Bits, SharedWeights, is_conv};
pub use training::TrainOn;
