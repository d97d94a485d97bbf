//! Checkpoints as they are found.

use std::fs;
use std::path::{Path, PathBuf};

use secateur::training::{Kept, checkpoint_name};

use crate::engine::Checkpoint;

/// How the names of checkpoints begin that are kept beside the newest one.
pub(super) const STEPS: &str = "steps-";

/// A checkpoint as it was found.
#[derive(Debug)]
pub struct Saved {
    /// The file that it was read from.
    pub path: PathBuf,
    /// The content of that file.
    pub bytes: Vec<u8>,
    /// Where it is of another run, which is left here: what is kept of that one's plugins.
    pub kept: Option<Kept>,
}

impl Saved {
    /// The same for training, under the name that it was taken by.
    pub fn checkpoint<'a>(&'a self, name: &'a str) -> Checkpoint<'a> {
        Checkpoint { file: &self.path, bytes: &self.bytes, name, kept: self.kept }
    }

    /// The same, or where it is damaged the newest of these, sorted, that is not.
    pub(super) fn or_an_earlier_one(self, kept: &[PathBuf]) -> Self {
        let whole = |bytes: &[u8]| checkpoint_name(bytes).is_ok();
        if whole(&self.bytes) {
            return self;
        }
        let earlier = kept
            .iter()
            .rev()
            .filter_map(|path| Some(Self { path: path.clone(), bytes: fs::read(path).ok()?, kept: None }));
        let Some(earlier) = earlier.into_iter().find(|earlier| whole(&earlier.bytes)) else { return self };
        tracing::warn!("{}: it is damaged; {} is whole", self.path.display(), earlier.path.display());
        earlier
    }
}

/// The checkpoints of a folder that are kept beside the newest one, sorted.
pub(super) fn kept(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut all: Vec<PathBuf> = entries
        .filter(|entry| entry.file_name().to_str().is_some_and(|name| name.starts_with(STEPS)))
        .map(|e| e.path())
        .collect();
    all.sort();
    all
}
