//! `controls.json` of a sweep's folder: which run is the control of which cell. Cells share controls, and a control may
//! be a cell of the sweep itself, so that no run can say alone whose control it is.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::run::{Claim, RunDirError, write_whole};

/// The file's name.
const TIES: &str = "controls.json";
/// The folder in which each task of a sweep has a file of its own: then none waits for another.
const OF_TASKS: &str = "controls";
/// Whoever writes the file is done within this.
const PATIENCE: Duration = Duration::from_secs(10);

/// By the name of a cell's folder, the kinds of its controls and the names of their folders.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ties(BTreeMap<String, BTreeMap<String, String>>);

impl Ties {
    /// Those of a sweep's folder; none where it has none, or a file that cannot be read: summaries say some of it too.
    pub fn read(folder: &Path) -> Self {
        let mut all = Self::of(&folder.join(TIES));
        let entries = fs::read_dir(folder.join(OF_TASKS)).into_iter().flatten().flatten();
        let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
        // A file that is being written has a name that begins with a dot.
        files.retain(|path| path.file_name().is_some_and(|name| !name.to_string_lossy().starts_with('.')));
        files.sort();
        files.iter().for_each(|file| all.0.extend(Self::of(file).0));
        all
    }

    fn of(file: &Path) -> Self {
        let text = fs::read(file).ok();
        text.and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default()
    }

    /// Adds them to those that a sweep's folder has.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn add_to(&self, folder: &Path) -> Result<(), RunDirError> {
        if self.0.is_empty() {
            return Ok(());
        }
        // Of several sweeps that end here at once, each adds to what the other wrote.
        let since = Instant::now();
        let _alone = loop {
            match Claim::take(folder) {
                Err(RunDirError::Busy(_)) if since.elapsed() < PATIENCE => thread::sleep(Duration::from_millis(20)),
                claim => break claim,
            }
        };
        self.add_to_file(&folder.join(TIES))
    }

    /// Adds them to those that a task of a sweep has noted, in a file of its own.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn add_to_task(&self, folder: &Path, task: &str) -> Result<(), RunDirError> {
        if self.0.is_empty() {
            return Ok(());
        }
        let folder = folder.join(OF_TASKS);
        // Where it cannot be made, the file in it cannot be written.
        _ = fs::create_dir_all(&folder);
        self.add_to_file(&folder.join(format!("{task}.json")))
    }

    fn add_to_file(&self, file: &Path) -> Result<(), RunDirError> {
        let before = Self::of(file);
        let mut all = before.clone();
        all.0.extend(self.0.clone());
        if all == before {
            return Ok(());
        }
        write_whole(file, format!("{:#}\n", serde_json::json!(all)).as_bytes())
    }

    /// Notes a cell's controls.
    pub fn insert(&mut self, cell: &str, controls: impl IntoIterator<Item = (String, String)>) {
        self.0.insert(cell.to_owned(), controls.into_iter().collect());
    }

    /// Calls `visit` with each cell, a kind of control, and the control.
    pub fn each(&self, mut visit: impl FnMut(&str, &str, &str)) {
        for (cell, controls) in &self.0 {
            controls.iter().for_each(|(kind, control)| visit(cell, kind, control));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_bears_ties_that_nobody_wrote() {
        let here = tempfile::tempdir().unwrap();
        let whole = br#"{"a-1": {"random": "control-2"}, "b-3": {"unpruned": "a-1", "shuffled": "c-4"}}"#.to_vec();
        secateur_fuzz::bears("ties", &[whole], |bytes| {
            fs::write(here.path().join(TIES), bytes).unwrap();
            let mut length = 0;
            Ties::read(here.path()).each(|cell, kind, control| length += cell.len() + kind.len() + control.len());
            length
        });
    }
}
