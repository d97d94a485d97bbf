//! Data sets: examples from a [`DataSource`], split by seed, delivered as batches of normalised host memory.
//!
//! A data set is a plugin: its [`DataSource`] reads or makes [`Examples`], and these become a [`Dataset`] once the seed
//! has drawn its splits. A program that has its examples in memory already hands them to [`Examples::in_memory`].

mod batches;
mod caught;
mod config;
mod dataset;
mod digest;
mod examples;
mod folders;
mod noise;
mod normalize;
mod source;
mod split;

pub use crate::backend::{Pick, Picks, Values};
pub use batches::{Batches, Order};
pub use caught::caught;
pub(crate) use caught::words;
pub use config::{Augment, DataConfig, Holdout};
pub use dataset::{DataOrigin, Dataset, SourceFile};
pub use examples::{Examples, Pool, TestExamples};
pub use folders::{DataFiles, Folders, FoundFiles, FoundInDir, SearchedDir};
pub use normalize::{Normalize, Normalizer, Statistics};
pub use source::{DataSource, LoadProgress, check_dir, load};
pub use split::{Responses, Split, SplitName};

/// What the data module draws random numbers for: the first number of a stream of
/// [`Seed::numbered`](crate::seed::Seed::numbered).
pub mod purpose {
    /// The validation split.
    pub const VALIDATION: u64 = 1;
    /// The training examples that a limit keeps.
    pub const TRAIN_LIMIT: u64 = 2;
    /// The test examples that a limit keeps.
    pub const TEST_LIMIT: u64 = 3;
    /// The test split of a set that brings none.
    pub const TEST_HOLDOUT: u64 = 4;
    /// The order of an epoch's examples.
    pub const SHUFFLE: u64 = 5;
    /// The random change of one example in one epoch.
    pub const AUGMENT: u64 = 6;
    /// The examples of a generated data set, drawn from the set's own seed or from that of the data.
    pub const EXAMPLE: u64 = 7;
    /// The noise on the inputs of one example.
    pub const NOISE: u64 = 8;
    /// What a generated data set draws once: the network or the directions that its targets come from.
    pub const TRUTH: u64 = 9;
}
