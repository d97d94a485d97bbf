//! `controls.json` of a sweep's folder: which run is the control of which cell. Cells share controls, and a control may
//! be a cell of the sweep itself, so that no run can say alone whose control it is.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::run::{RunDirError, write_whole};

/// The file's name.
const TIES: &str = "controls.json";

/// By the name of a cell's folder, the kinds of its controls and the names of their folders.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ties(BTreeMap<String, BTreeMap<String, String>>);

impl Ties {
    /// Those of a sweep's folder; none where it has none, or a file that cannot be read: summaries say some of it too.
    pub fn read(folder: &Path) -> Self {
        let text = fs::read(folder.join(TIES)).ok();
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
        let before = Self::read(folder);
        let mut all = before.clone();
        all.0.extend(self.0.clone());
        if all == before {
            return Ok(());
        }
        let text = format!("{:#}\n", serde_json::json!(all));
        write_whole(&folder.join(TIES), text.as_bytes())
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
