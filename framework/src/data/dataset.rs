//! Examples in memory, and the views of them that a run trains, validates and tests on.

use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;

use super::config::Augment;
use super::normalize::Normalizer;
pub use crate::backend::Values;

/// A data set, ready to be drawn from.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// The name in the config.
    pub name: String,
    /// Shape of one example: `[channels, height, width]` of an image, `[features]` of a point.
    pub shape: Vec<usize>,
    /// One name per class.
    pub class_names: Vec<String>,
    /// What a run trains on.
    pub train: Split,
    /// What a run may look at while it trains; empty unless asked for.
    pub validation: Split,
    /// What a run is judged on.
    pub test: Split,
    /// Maps stored values to inputs; found on the training split alone.
    pub normalizer: Normalizer,
    /// Random changes of training images.
    pub augment: Augment,
    /// Where the examples come from.
    pub origin: Origin,
}

/// One of the three splits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Part {
    /// [`Dataset::train`].
    Train,
    /// [`Dataset::validation`].
    Validation,
    /// [`Dataset::test`].
    Test,
}

/// A choice of examples out of a pool that several splits may share.
#[derive(Debug, Clone)]
pub struct Split {
    values: Values,
    item: usize,
    targets: Arc<Vec<u32>>,
    indices: Vec<u32>,
}

/// Where the examples of a data set come from, for the record of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// Files, each with its hash.
    Files(Vec<SourceFile>),
    /// A folder of images.
    Folder {
        /// The folder.
        path: PathBuf,
        /// How many image files it holds.
        files: usize,
        /// Their size together.
        bytes: u64,
        /// SHA-256 over relative paths and contents.
        sha256: String,
    },
    /// Made in memory.
    Generated {
        /// Name and version of the generator; the version changes whenever its output does.
        generator: &'static str,
        /// The generator's own seed.
        seed: u64,
    },
}

/// A file that was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SourceFile {
    /// Where it is.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// SHA-256 of the file as it is stored.
    pub sha256: String,
}

impl Dataset {
    /// Number of classes.
    pub fn classes(&self) -> usize {
        self.class_names.len()
    }

    /// Number of values of one example.
    pub fn item(&self) -> usize {
        self.shape.iter().product()
    }

    /// The split of that name.
    pub fn part(&self, part: Part) -> &Split {
        match part {
            Part::Train => &self.train,
            Part::Validation => &self.validation,
            Part::Test => &self.test,
        }
    }
}

impl Split {
    /// Every example of a pool of `targets.len()` examples with `item` values each.
    pub(super) fn whole(values: Values, item: usize, targets: Arc<Vec<u32>>) -> Self {
        let indices = (0..targets.len() as u32).collect();
        debug_assert_eq!(values.len(), targets.len() * item);
        Self { values, item, targets, indices }
    }

    /// The examples of the same pool with these indices.
    pub(super) fn select(&self, indices: Vec<u32>) -> Self {
        Self { values: self.values.clone(), item: self.item, targets: Arc::clone(&self.targets), indices }
    }

    /// Number of examples.
    pub fn len(&self) -> usize {
        self.indices.len()
    }

    /// Whether there are no examples.
    pub fn is_empty(&self) -> bool {
        self.indices.is_empty()
    }

    /// Number of values of one example.
    pub fn item(&self) -> usize {
        self.item
    }

    /// The pool's values, as stored.
    pub fn values(&self) -> &Values {
        &self.values
    }

    /// The examples' positions in the pool.
    pub fn indices(&self) -> &[u32] {
        &self.indices
    }

    /// The class of each example, in the split's order.
    pub fn targets(&self) -> impl ExactSizeIterator<Item = u32> + '_ {
        self.indices.iter().map(|&i| self.targets[i as usize])
    }

    /// The class of the example at this position in the pool.
    pub(super) fn target_at(&self, index: u32) -> u32 {
        self.targets[index as usize]
    }

    /// How many examples each of `classes` classes has.
    pub fn class_counts(&self, classes: usize) -> Vec<usize> {
        let mut counts = vec![0; classes];
        self.targets().for_each(|t| counts[t as usize] += 1);
        counts
    }
}

impl Values {
    /// Number of stored values.
    pub fn len(&self) -> usize {
        match self {
            Self::U8(values) => values.len(),
            Self::F32(values) => values.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
