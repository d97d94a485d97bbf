//! A run as its folder describes it, checked.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::printable::{in_one_line, printable};
use crate::run::{CONFIG, Damage, PROVENANCE, SUMMARY, read_summary};

/// One run, as its folder describes it.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// The run's folder.
    pub folder: PathBuf,
    /// What became of it: `finished`, `failed`, `unfinished`, `damaged`.
    pub status: String,
    /// Why it failed, or what is wrong with the folder.
    pub error: Option<String>,
    /// Version of the program that ran it; empty where the folder does not say.
    pub version: String,
    /// Which control it is, where it is one.
    pub control: Option<String>,
    /// By kind, the names of the folders of its controls, where a kept table says them; of folders their sweep says it.
    pub controls: BTreeMap<String, String>,
    /// The resolved config.
    pub config: Map<String, Value>,
    /// The final metrics.
    pub summary: Map<String, Value>,
}

impl Record {
    /// A hash of everything in it, of its folder as the index calls it, and of the stamp of the files that it was read
    /// from.
    pub fn seal(&self, folder: &str, stamp: &str) -> String {
        let Self { status, error, version, control, config, summary, .. } = self;
        let all = (folder, stamp, status, error, version, control, config, summary);
        // Text and numbers are JSON.
        Sha256::digest(serde_json::to_vec(&all).unwrap_or_default()).iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Whether a folder holds a run.
pub fn is_run(folder: &Path) -> bool {
    folder.join(CONFIG).is_file() || folder.join(SUMMARY).is_file()
}

/// Times and sizes of the files that a record is read from.
pub fn stamp(folder: &Path) -> String {
    let of = |name: &str| {
        let Ok(about) = fs::metadata(folder.join(name)) else { return "none".to_owned() };
        let time = about.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        format!("{} {}", time.map_or(0, |time| time.as_nanos()), about.len())
    };
    [SUMMARY, CONFIG, PROVENANCE].map(of).join(", ")
}

/// Reads a folder. What is wrong with it becomes its status, and nothing is taken from what is wrong.
pub fn read(folder: &Path) -> Record {
    let mut record = Record { folder: folder.to_owned(), ..Record::default() };
    let damaged = |file: &str, reason: &str| {
        let fix = "remove the folder and run it again";
        let error = format!("{}: {reason}\n  fix: {fix}", folder.join(file).display());
        let error = Some(printable(&error).into_owned());
        Record { folder: folder.to_owned(), error, status: "damaged".to_owned(), ..Record::default() }
    };
    let provenance =
        fs::read_to_string(folder.join(PROVENANCE)).unwrap_or_default().parse::<toml::Table>().unwrap_or_default();
    let version = provenance.get("program").and_then(|program| program.get("version")?.as_str());
    record.version = version.unwrap_or_default().to_owned();
    record.config = match fs::read_to_string(folder.join(CONFIG)) {
        Ok(text) => match toml::from_str(&text) {
            Ok(config) => config,
            Err(error) => return damaged(CONFIG, error.message()),
        },
        Err(error) => return damaged(CONFIG, &error.to_string()),
    };
    let summary = match read_summary(folder) {
        Ok(Some(summary)) => summary,
        Ok(None) => return Record { status: "unfinished".to_owned(), ..record },
        Err(Damage { file, reason }) => return damaged(file, &reason),
    };
    let text = |key: &str| summary.get(key).and_then(Value::as_str);
    record.error = text("error").map(|error| printable(error).into_owned());
    record.control = text("control").map(in_one_line);
    record.status = text("status").unwrap_or_default().to_owned();
    Record { summary, ..record }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_bears_folders_that_nobody_wrote() {
        let here = tempfile::tempdir().unwrap();
        let whole = [
            (CONFIG, "name = 'r'\nseed = 1\n[criterion]\nname = 'magnitude'\n[prune.table]\n'*' = 0.9\n"),
            (SUMMARY, r#"{"status": "finished", "test_accuracy": 0.5, "error": "x", "control": "random"}"#),
            (PROVENANCE, "[program]\nversion = '0.1.0'\n[[accepted]]\nat = 'x'\nchanges = ['y']\n"),
        ];
        let write_whole = || whole.iter().for_each(|(name, text)| fs::write(here.path().join(name), text).unwrap());
        for (name, text) in whole {
            write_whole();
            secateur_fuzz::bears(&format!("folder-{name}"), &[text.as_bytes().to_vec()], |bytes| {
                fs::write(here.path().join(name), bytes).unwrap();
                let record = read(here.path());
                assert!(!record.status.is_empty());
                let shown = record.error.iter().chain(&record.control).flat_map(|text| text.chars());
                assert!(!shown.into_iter().any(|c| c.is_control() && c != '\n'), "{record:?}");
                bytes.len()
            });
        }
    }
}
