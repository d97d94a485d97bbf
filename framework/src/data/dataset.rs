//! A data set that a run can train on.

use super::config::Augment;
use super::normalize::Normalizer;
use super::split::{Split, SplitName};
use crate::error::{Error, Result};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use std::fs;
use std::path::{Path, PathBuf};

/// A data set, ready to be drawn from.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// The name in the config.
    pub name: String,
    /// Shape of one example: `[channels, height, width]` of an image, `[features]` of a point.
    pub shape: Vec<usize>,
    /// One name per class; none where targets are real-valued.
    pub class_names: Vec<String>,
    /// The examples that a run trains on.
    pub train: Split,
    /// The examples that a run may look at while it trains; empty unless asked for.
    pub validation: Split,
    /// The examples that a run is judged on.
    pub test: Split,
    /// Maps stored values to inputs; found on the training split alone.
    pub normalizer: Normalizer,
    /// Random changes of training images.
    pub augment: Augment,
    /// Where the examples come from.
    pub origin: DataOrigin,
}

/// Where the examples of a data set come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DataOrigin {
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
    /// A generator, which made them in memory.
    Generated {
        /// Name and version of the generator; the version changes whenever its output does.
        generator: &'static str,
        /// The generator's own seed.
        seed: u64,
    },
    /// The program that uses this library had them in memory.
    InMemory,
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
    pub fn split(&self, name: SplitName) -> &Split {
        match name {
            SplitName::Train => &self.train,
            SplitName::Validation => &self.validation,
            SplitName::Test => &self.test,
        }
    }
}

impl SourceFile {
    /// Reads a whole file: its bytes as they are stored, and the record of it.
    ///
    /// # Errors
    /// If the operating system refuses; the file is named.
    pub fn read(path: &Path) -> Result<(Vec<u8>, Self)> {
        let bytes = fs::read(path).map_err(|reason| Error::file(path, format!("cannot read it: {reason}")))?;
        let sha256 = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        let size = bytes.len() as u64;
        Ok((bytes, Self { path: path.to_owned(), bytes: size, sha256 }))
    }
}
