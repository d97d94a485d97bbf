//! `summary.json`: sealed when it is written, and checked whenever it is read. What does not fit its seal, its types or
//! the config beside it is damaged, and nobody takes a figure from it.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::error::RunDirError;
use super::event_log::{self, EVENTS};
use super::folder::{CONFIG, PAUSED, SUMMARY};

/// SHA-256 of all other entries, as JSON without blanks, sorted by name.
const SEAL: &str = "sha256";
/// SHA-256 of `config.toml`.
const CONFIG_SEAL: &str = "config_sha256";
/// SHA-256 of `events.jsonl`.
pub(super) const EVENTS_SEAL: &str = "events_sha256";

/// Entries that are numbers, where they are there and known.
const NUMBERS: [&str; 20] = [
    "test_loss",
    "validation_loss",
    "nnz",
    "nnz_effective",
    "units_cut_off",
    "pruned",
    "regrown",
    "params_dense",
    "params_kept",
    "macs_dense",
    "macs_kept",
    "steps",
    "epochs",
    "seconds_train",
    "seconds_prune",
    "seconds_eval",
    "peak_memory_bytes",
    "seed",
    "threads",
    "jobs",
];
/// Entries that are fractions.
const FRACTIONS: [&str; 5] = ["test_accuracy", "train_accuracy", "validation_accuracy", "sparsity", "unit_sparsity"];
/// Entries that are text.
const TEXTS: [&str; 10] =
    ["status", "error", "control", "control_of", "sweep", "device", "bits", SEAL, CONFIG_SEAL, EVENTS_SEAL];

/// What became of a run.
const STATUSES: [&str; 4] = ["finished", "failed", "interrupted", PAUSED];

/// What is wrong with a folder, and with which of its files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The file.
    pub file: &'static str,
    /// What is wrong with it.
    pub reason: String,
}

/// Reads a folder's summary, where there is one.
///
/// # Errors
/// It is no JSON, or not what was written; a known entry is of another type; the config beside it is not the one that
/// it is the summary of.
pub fn read_summary(folder: &Path) -> Result<Option<Map<String, Value>>, Damage> {
    let damage = |file, reason: String| Damage { file, reason };
    let text = match fs::read(folder.join(SUMMARY)) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(damage(SUMMARY, error.to_string())),
    };
    let summary: Map<String, Value> =
        serde_json::from_slice(&text).map_err(|error| damage(SUMMARY, error.to_string()))?;
    check(&summary).map_err(|reason| damage(SUMMARY, reason))?;
    if let Some(expected) = summary.get(CONFIG_SEAL).and_then(Value::as_str) {
        let config = fs::read(folder.join(CONFIG)).map_err(|error| damage(CONFIG, error.to_string()))?;
        if sha256(&config) != expected {
            return Err(damage(CONFIG, "it is not the config that was run: its checksum is another".to_owned()));
        }
    }
    Ok(Some(summary))
}

/// Whether the log beside the summary of a run that came to its end is the one that it wrote. Summaries of versions
/// that did not seal it pass, and so does a folder that is gone: kept tables have none.
///
/// # Errors
/// It is another, or cannot be read.
pub fn check_events(folder: &Path, summary: &Map<String, Value>) -> Result<(), Damage> {
    let damage = |reason: String| Err(Damage { file: EVENTS, reason });
    let finished = summary.get("status").is_some_and(|status| status == "finished");
    match summary.get(EVENTS_SEAL).and_then(Value::as_str) {
        Some(expected) if finished && folder.is_dir() => match event_log::sha256(folder) {
            Ok(found) if found == expected => Ok(()),
            Ok(_) => damage("it is not the log of this run: its checksum is another".to_owned()),
            Err(error) => damage(error.to_string()),
        },
        _ => Ok(()),
    }
}

/// The lines of a run's log, one at a time, checked against its summary where there is one.
///
/// # Errors
/// It cannot be opened, or is not the one that the run wrote.
pub fn event_lines(folder: &Path) -> Result<impl Iterator<Item = String> + use<>, RunDirError> {
    let summary = read_summary(folder).ok().flatten().unwrap_or_default();
    match check_events(folder, &summary) {
        Ok(()) => event_log::lines(folder),
        Err(Damage { file, reason }) => Err(RunDirError::Damaged { path: folder.join(file), reason }),
    }
}

/// Whether a folder holds a run that came to its end, with the results that it had there.
pub fn is_finished(folder: &Path) -> bool {
    let summary = read_summary(folder).ok().flatten();
    summary.is_some_and(|summary| summary.get("status").is_some_and(|status| status == "finished"))
}

/// The text of a summary with its seal, for a run whose config is this text.
pub fn sealed(mut summary: Map<String, Value>, config: Option<&[u8]>) -> String {
    summary.remove(SEAL);
    summary.extend(config.map(|config| (CONFIG_SEAL.to_owned(), sha256(config).into())));
    // As a reader will find the numbers.
    let text = Value::Object(summary).to_string();
    let mut summary: Map<String, Value> = serde_json::from_str(&text).unwrap_or_default();
    summary.insert(SEAL.to_owned(), seal(&summary).into());
    format!("{:#}\n", Value::Object(summary))
}

fn seal(summary: &Map<String, Value>) -> String {
    let mut rest = summary.clone();
    rest.remove(SEAL);
    sha256(Value::Object(rest).to_string().as_bytes())
}

fn check(summary: &Map<String, Value>) -> Result<(), String> {
    let known = |key: &&str| summary.get(*key).is_some_and(|value| !value.is_null());
    let wrong = |key: &str, allowed: &str| Err(format!("{key} is {}, and must be {allowed}", summary[key]));
    for key in NUMBERS.iter().filter(|key| known(key)) {
        // A loss may be any number; all others count something.
        if !summary[*key].as_f64().is_some_and(|number| key.ends_with("_loss") || number >= 0.0) {
            return wrong(key, "a number");
        }
    }
    for key in FRACTIONS.iter().filter(|key| known(key)) {
        if !summary[*key].as_f64().is_some_and(|number| (0.0..=1.0).contains(&number)) {
            return wrong(key, "a number from 0 to 1");
        }
    }
    for key in TEXTS.iter().filter(|key| known(key)) {
        if !summary[*key].is_string() {
            return wrong(key, "text");
        }
    }
    if known(&"units") {
        let counts = |units: &Map<String, Value>| units.values().all(Value::is_u64);
        if !summary["units"].as_object().is_some_and(counts) {
            return wrong("units", "a count for each group");
        }
    }
    if !known(&"status") {
        return Err("it has no status".to_owned());
    }
    if !STATUSES.iter().any(|status| summary["status"] == *status) {
        return wrong("status", &STATUSES.join(", "));
    }
    match summary.get(SEAL).and_then(Value::as_str) {
        Some(expected) if expected != seal(summary) => Err("its checksum does not match its content".to_owned()),
        None if summary.contains_key(CONFIG_SEAL) => Err("its checksum is missing".to_owned()),
        _ => Ok(()),
    }
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(summary: &[u8], config: &[u8]) -> Result<Option<Map<String, Value>>, Damage> {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(SUMMARY), summary).unwrap();
        fs::write(folder.path().join(CONFIG), config).unwrap();
        read_summary(folder.path())
    }

    fn whole() -> Map<String, Value> {
        let value = json!({
            "status": "finished", "test_accuracy": 0.1 + 0.2, "test_loss": 1e-7, "units": {"fc1": 3}, "notes": ["ä"], "steps": 7,
            "seconds_train": 0.000_012_345,
        });
        value.as_object().unwrap().clone()
    }

    #[test]
    fn every_changed_byte_and_every_cut_of_summary_and_config_is_noticed() {
        let config = b"seed = 1\n[train]\nlr = 0.1\n";
        let text = sealed(whole(), Some(config));
        let expected = read(text.as_bytes(), config).unwrap().unwrap();
        assert_eq!(expected["test_accuracy"], json!(0.1 + 0.2));
        let harmless = |found: Result<Option<Map<String, Value>>, Damage>| {
            found.is_ok_and(|found| found.as_ref() == Some(&expected))
        };
        for i in 0..text.len() {
            for flip in [1, 0x10, 0x80] {
                let mut bytes = text.clone().into_bytes();
                bytes[i] ^= flip;
                let found = read(&bytes, config);
                assert!(found.is_err() || harmless(found), "byte {i} with {flip}");
            }
            let found = read(&text.as_bytes()[..i], config);
            assert!(found.is_err() || harmless(found), "cut to {i}");
        }
        for i in 0..config.len() {
            let mut bytes = config.to_vec();
            bytes[i] ^= 1;
            assert_eq!(read(text.as_bytes(), &bytes).unwrap_err().file, CONFIG, "byte {i}");
            assert_eq!(read(text.as_bytes(), &config[..i]).unwrap_err().file, CONFIG, "cut to {i}");
        }
    }

    #[test]
    fn a_summary_without_a_seal_must_hold_what_it_should() {
        let wrong = [
            (
                json!({"status": "finished", "test_accuracy": "x"}),
                "test_accuracy is \"x\", and must be a number from 0 to 1",
            ),
            (json!({"status": "finished", "test_accuracy": 97.0}), "must be a number from 0 to 1"),
            (json!({"status": "finished", "params_kept": [1]}), "params_kept is [1], and must be a number"),
            (json!({"status": "finished", "seconds_train": -1}), "seconds_train is -1"),
            (json!({"status": 1}), "status is 1, and must be text"),
            (json!({"status": ""}), "status is \"\", and must be finished, failed, interrupted, stopped"),
            (json!({"status": "finished", "units": {"fc1": "3"}}), "a count for each group"),
            (json!({"test_accuracy": 0.5}), "it has no status"),
        ];
        for (summary, expected) in wrong {
            let found = read(summary.to_string().as_bytes(), b"").unwrap_err();
            assert!(found.file == SUMMARY && found.reason.contains(expected), "{found:?}");
        }
        assert!(read(br#"{"status": "finished", "test_accuracy": null, "test_loss": -2.5}"#, b"").unwrap().is_some());
    }

    #[test]
    fn a_reader_bears_summaries_that_nobody_wrote() {
        let folder = tempfile::tempdir().unwrap();
        let config = b"seed = 1\n";
        fs::write(folder.path().join(CONFIG), config).unwrap();
        let unsealed = br#"{"status": "finished", "test_accuracy": 0.5, "units": {"fc1": 3}, "seed": 1}"#.to_vec();
        let expected = sealed(whole(), Some(config));
        let expected: Map<String, Value> = serde_json::from_str(&expected).unwrap();
        secateur_fuzz::bears("summary", &[sealed(whole(), Some(config)).into_bytes(), unsealed], |bytes| {
            fs::write(folder.path().join(SUMMARY), bytes).unwrap();
            let Ok(Some(found)) = read_summary(folder.path()) else { return 0 };
            // What still has its seal is what was sealed.
            assert!(!found.contains_key(CONFIG_SEAL) || found == expected, "{found:?}");
            bytes.len()
        });
    }
}
