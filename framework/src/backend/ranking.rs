//! The best of many scores.

use crate::error::Result;
use crate::tensor::{Device, Tensor};

/// Ranking on a device.
pub trait RankingOps: Device {
    /// One and zero for what stays and goes: of the elements that `alive` marks (all where absent), those with the
    /// `total` highest scores over all lists stay; among equal scores the ones that come first go first. Scores are
    /// finite.
    ///
    /// # Errors
    /// If memory runs out, or the shapes do not fit; so for every operation.
    fn keep_best(scores: &[Tensor<Self>], alive: &[Option<Tensor<Self>>], total: usize) -> Result<Vec<Tensor<Self>>>;
}
