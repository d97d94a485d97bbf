//! What a mask tells of the data that made it: bounds on the mutual information `I(mask; data)`, and the effective
//! parameter count `nnz + I` (Kumar, Luo & Sellke 2024, "No Free Prune", arXiv 2402.01089).
//!
//! [`Masks`] holds the masks of many networks that were made alike, each of a data set of its own; [`Estimate`] is what
//! they tell. [`toy`] is a network so small that the information is known exactly: every data set is trained on.
//!
//! All information is in bits. The paper adds it to a count of weights, "up to logarithmic factors": a sum of bits and
//! weights orders methods at equal counts, and is no number of parameters that one could store.

mod bounds;
mod entropy;
mod estimate;
mod fano;
mod masks;
mod overlap;
pub mod toy;

pub use bounds::{EntropyBounds, binary_entropy, ln_factorial, log2_choose};
pub use entropy::{entropy, miller_madow};
pub use estimate::{Estimate, PEff};
pub use fano::{Identified, Procedure, fano, upper_limit};
pub use masks::{Mask, Masks};
pub use overlap::{Overlap, chance};
