//! `index.sqlite`: the results of all run folders under a folder, for fast comparisons and for any tool that speaks
//! SQL.
//!
//! The folders are the truth: the index only repeats what they hold, is brought up to date whenever it is opened, and
//! may be deleted.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rayon::prelude::*;
use rusqlite::{Connection, Error, ErrorCode, Row, params};
use serde_json::{Map, Value};

pub use super::record::{Record, read};
use super::record::{is_run, stamp};
use crate::failure::Failure;

/// The file's name.
pub const INDEX: &str = "index.sqlite";

/// Raised when columns change; an index of another version is made anew.
const VERSION: i64 = 3;

const SCHEMA: &str = "
CREATE TABLE runs (
  folder TEXT PRIMARY KEY,    -- relative to the index
  stamp TEXT NOT NULL,        -- time and size of the files that were read
  seal TEXT NOT NULL,         -- SHA-256 of what a comparison takes from this row
  name TEXT, seed INTEGER,
  status TEXT NOT NULL,       -- finished, failed, unfinished, damaged
  error TEXT,
  version TEXT,               -- of the program that ran it
  sweep TEXT,
  control TEXT,               -- random, shuffled, small-dense, unpruned; null for a run of its own
  control_of TEXT,            -- folder of the run it belongs to
  test_accuracy REAL, test_loss REAL, sparsity REAL, unit_sparsity REAL, params_kept INTEGER, macs_kept INTEGER,
  seconds REAL, peak_memory_bytes INTEGER,
  config TEXT,                -- JSON: json_extract(config, '$.criterion.name')
  summary TEXT                -- JSON
) STRICT";

/// An open index.
pub struct Index {
    root: PathBuf,
    db: Connection,
}

impl Index {
    /// Opens the index of a folder: the one there, or in the nearest of the two folders above that has one; a new one
    /// otherwise, beside a run's folder and not in it. One that is damaged is made anew; where none can be written, it
    /// lives in memory.
    pub fn open(folder: &Path) -> rusqlite::Result<Self> {
        let folder = fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
        let there = folder.ancestors().take(3).find(|above| above.join(INDEX).is_file());
        let beside = folder.parent().filter(|_| is_run(&folder)).unwrap_or(&folder);
        let root = there.unwrap_or(beside).to_owned();
        let db = connected(&root.join(INDEX))?;
        Ok(Self { root, db })
    }

    /// Takes in one run folder.
    pub fn add(&self, folder: &Path) -> rusqlite::Result<()> {
        let folder = fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
        self.insert(&read(&folder), &stamp(&folder))
    }

    /// Brings the index up to date with the run folders under a folder, and returns them all, sorted by folder. What
    /// the index says is checked: where it is damaged, the folders are read again, and so they are where it cannot be
    /// written.
    pub fn records(&mut self, under: &Path) -> rusqlite::Result<Vec<Record>> {
        let path = self.root.join(INDEX);
        let mut found = self.up_to_date(under);
        if let Some(error) = found.as_ref().err().filter(|error| is_damage(error, &path)) {
            self.db = Connection::open_in_memory()?;
            begin_anew(&path, error);
            self.db = connected(&path)?;
            found = self.up_to_date(under);
        }
        if let Err(error) = &found {
            self.db = in_memory(&path, error)?;
            found = self.up_to_date(under);
        }
        found
    }

    fn up_to_date(&self, under: &Path) -> rusqlite::Result<Vec<Record>> {
        let under = fs::canonicalize(under).unwrap_or_else(|_| under.to_owned());
        let prefix = self.relative(&under);
        let within = |name: &str| prefix.is_empty() || name == prefix || name.starts_with(&format!("{prefix}/"));
        let rows: Vec<Written> = self
            .db
            .prepare("SELECT folder, stamp, seal, status, error, control, config, summary, version FROM runs")?
            .query_map([], Written::of)?
            .collect::<rusqlite::Result<_>>()?;
        let root = &self.root;
        let mut known: HashMap<String, (String, Option<Record>)> =
            rows.into_par_iter().filter(|row| within(&row.folder)).map(|row| row.record(root)).collect();
        let mut folders = run_folders(&under);
        folders.sort();
        let stamps: Vec<String> = folders.par_iter().map(|folder| stamp(folder)).collect();
        let transaction = self.db.unchecked_transaction()?;
        let mut all = Vec::with_capacity(folders.len());
        for (folder, stamp) in folders.iter().zip(&stamps) {
            all.push(match known.remove(&self.relative(folder)) {
                Some((there, Some(record))) if there == *stamp => record,
                _ => {
                    let record = read(folder);
                    self.insert(&record, stamp)?;
                    record
                }
            });
        }
        let present: HashSet<String> = folders.iter().map(|folder| self.relative(folder)).collect();
        for gone in known.keys().filter(|name| !present.contains(*name)) {
            self.db.execute("DELETE FROM runs WHERE folder = ?1", [gone])?;
        }
        transaction.commit()?;
        all.sort_by_key(|record| self.relative(&record.folder));
        Ok(all)
    }

    fn insert(&self, record: &Record, stamp: &str) -> rusqlite::Result<()> {
        let summary = &record.summary;
        let number = |key: &str| summary.get(key).and_then(Value::as_f64);
        let whole = |key: &str| summary.get(key).and_then(Value::as_i64);
        let text = |map: &Map<String, Value>, key: &str| map.get(key).and_then(Value::as_str).map(str::to_owned);
        let mut statement = self.db.prepare_cached(
            "INSERT OR REPLACE INTO runs VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16,?17,?18,?19,?20,?21)",
        )?;
        statement.execute(params![
            self.relative(&record.folder),
            stamp,
            record.seal(&self.relative(&record.folder), stamp),
            text(&record.config, "name"),
            record.config.get("seed").and_then(Value::as_i64),
            record.status,
            record.error,
            record.version,
            text(summary, "sweep"),
            record.control,
            text(summary, "control_of"),
            number("test_accuracy"),
            number("test_loss"),
            number("sparsity"),
            number("unit_sparsity"),
            whole("params_kept"),
            whole("macs_kept"),
            seconds(summary),
            whole("peak_memory_bytes"),
            Value::Object(record.config.clone()).to_string(),
            Value::Object(summary.clone()).to_string(),
        ])?;
        Ok(())
    }

    fn relative(&self, folder: &Path) -> String {
        folder.strip_prefix(&self.root).unwrap_or(folder).to_string_lossy().replace('\\', "/")
    }
}

/// A row as it stands there.
struct Written {
    folder: String,
    stamp: String,
    seal: String,
    status: String,
    error: Option<String>,
    control: Option<String>,
    config: String,
    summary: String,
    version: String,
}

impl Written {
    fn of(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            folder: row.get(0)?,
            stamp: row.get(1)?,
            seal: row.get(2)?,
            status: row.get(3)?,
            error: row.get(4)?,
            control: row.get(5)?,
            config: row.get(6)?,
            summary: row.get(7)?,
            version: row.get(8)?,
        })
    }

    /// The folder, its stamp, and the record, where that is what was written.
    fn record(self, root: &Path) -> (String, (String, Option<Record>)) {
        let Self { folder, stamp, seal, status, error, control, config, summary, version } = self;
        let json = |text: &str| serde_json::from_str(text).ok();
        let record = json(&config).zip(json(&summary)).map(|(config, summary)| {
            let folder = root.join(&folder);
            Record { folder, status, error, control, version, config, summary, ..Record::default() }
        });
        let record = record.filter(|record| record.seal(&folder, &stamp) == seal);
        (folder, (stamp, record))
    }
}

/// Training, pruning and evaluation together.
pub fn seconds(summary: &Map<String, Value>) -> Option<f64> {
    let part = |key: &str| summary.get(key).and_then(Value::as_f64);
    part("seconds_train")
        .map(|train| train + part("seconds_prune").unwrap_or(0.0) + part("seconds_eval").unwrap_or(0.0))
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Failed(format!("{}: {error}\n  fix: delete the file, it is made again from the run folders", INDEX))
    }
}

/// Opens an index, or makes a new one where it is damaged; in memory where none can be written.
fn connected(path: &Path) -> rusqlite::Result<Connection> {
    let open = || Connection::open(path).and_then(prepared);
    let opened = open().or_else(|error| match is_damage(&error, path) {
        true => {
            begin_anew(path, &error);
            open()
        }
        false => Err(error),
    });
    opened.or_else(|error| in_memory(path, &error))
}

/// What stands in for an index that cannot be used.
fn in_memory(path: &Path, error: &Error) -> rusqlite::Result<Connection> {
    tracing::warn!("{}: {error}; results are read without an index", path.display());
    prepared(Connection::open_in_memory()?)
}

/// Removes an index that is damaged: everything in it stands in the folders.
fn begin_anew(path: &Path, error: &Error) {
    tracing::warn!("{}: {error}; it is made again from the run folders", path.display());
    _ = fs::remove_file(path);
}

/// Whether an error says that the file is not what was written, rather than that it cannot be used just now.
fn is_damage(error: &Error, path: &Path) -> bool {
    match error.sqlite_error_code() {
        // A byte of the file says the same of one that may be written.
        Some(ErrorCode::ReadOnly) => fs::OpenOptions::new().append(true).open(path).is_ok(),
        Some(
            ErrorCode::DatabaseBusy
            | ErrorCode::DatabaseLocked
            | ErrorCode::CannotOpen
            | ErrorCode::DiskFull
            | ErrorCode::PermissionDenied
            | ErrorCode::OutOfMemory,
        ) => false,
        _ => true,
    }
}

fn prepared(db: Connection) -> rusqlite::Result<Connection> {
    db.busy_timeout(Duration::from_secs(10))?;
    db.pragma_update(None, "synchronous", "OFF")?;
    let version: i64 = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if version != VERSION {
        db.execute_batch(&format!(
            "BEGIN; DROP TABLE IF EXISTS runs; {SCHEMA}; PRAGMA user_version = {VERSION}; COMMIT"
        ))?;
    }
    Ok(db)
}

/// Folders that hold a run: the folder itself, its children, or theirs.
pub fn run_folders(under: &Path) -> Vec<PathBuf> {
    fn add(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) {
        if is_run(folder) {
            found.push(folder.to_owned());
        } else if depth > 0
            && let Ok(entries) = fs::read_dir(folder)
        {
            let folders = entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
            folders.for_each(|entry| add(&entry.path(), depth - 1, found));
        }
    }
    let mut found = Vec::new();
    add(under, 2, &mut found);
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn run(folder: &Path, accuracy: f64) {
        fs::create_dir_all(folder).unwrap();
        fs::write(folder.join("config.toml"), "seed = 1\n[criterion]\nname = 'magnitude'\n").unwrap();
        let summary = json!({ "status": "finished", "test_accuracy": accuracy, "seconds_train": 1.5 });
        fs::write(folder.join("summary.json"), summary.to_string()).unwrap();
    }

    fn shown(records: &[Record]) -> Vec<String> {
        records.iter().map(|record| format!("{record:?}")).collect()
    }

    #[test]
    fn no_changed_byte_of_the_index_gives_other_figures() {
        let here = tempfile::tempdir().unwrap();
        (0..2).for_each(|i| run(&here.path().join(format!("r-{i}")), 0.5 + f64::from(i) / 10.0));
        let expected = shown(&Index::open(here.path()).unwrap().records(here.path()).unwrap());
        let path = here.path().join(INDEX);
        let whole = fs::read(&path).unwrap();
        // Every byte that something is written in, with a bit of it turned.
        for at in (0..whole.len()).filter(|at| whole[*at] != 0) {
            let mut damaged = whole.clone();
            damaged[at] ^= 1 << (at % 8);
            fs::write(&path, damaged).unwrap();
            let found = Index::open(here.path()).unwrap().records(here.path());
            assert_eq!(shown(&found.unwrap()), expected, "byte {at}");
            for end in ["-journal", "-wal", "-shm"] {
                _ = fs::remove_file(here.path().join(format!("{INDEX}{end}")));
            }
        }
        for end in [0, 1, 100, whole.len() / 2, whole.len() - 1] {
            fs::write(&path, &whole[..end]).unwrap();
            assert_eq!(
                shown(&Index::open(here.path()).unwrap().records(here.path()).unwrap()),
                expected,
                "cut to {end}"
            );
        }
    }

    #[test]
    fn an_index_that_cannot_take_a_new_run_stands_in_no_way() {
        let here = tempfile::tempdir().unwrap();
        let path = here.path().join(INDEX);
        run(&here.path().join("r-0"), 0.5);
        let mut index = Index::open(here.path()).unwrap();
        assert_eq!(index.records(here.path()).unwrap().len(), 1);
        // As if another program wrote there, for ever.
        let other = Connection::open(&path).unwrap();
        other.execute_batch("BEGIN EXCLUSIVE").unwrap();
        index.db.busy_timeout(Duration::ZERO).unwrap();
        run(&here.path().join("r-1"), 0.6);
        assert_eq!(index.records(here.path()).unwrap().len(), 2);
        drop(other);
        // The header's byte 18: only to be read.
        let mut bytes = fs::read(&path).unwrap();
        bytes[18] = 9;
        fs::write(&path, bytes).unwrap();
        assert_eq!(Index::open(here.path()).unwrap().records(here.path()).unwrap().len(), 2);
        assert!(fs::read(&path).unwrap()[18] < 3, "it is made anew");
    }

    #[test]
    fn a_config_that_is_cut_after_it_was_read_is_seen() {
        let here = tempfile::tempdir().unwrap();
        let folder = here.path().join("r-1");
        run(&folder, 0.5);
        let status = || Index::open(here.path()).unwrap().records(here.path()).unwrap()[0].status.clone();
        assert_eq!(status(), "finished");
        let (config, summary) = (folder.join("config.toml"), folder.join("summary.json"));
        let sealed = crate::run::sealed(
            serde_json::from_slice(&fs::read(&summary).unwrap()).unwrap(),
            Some(&fs::read(&config).unwrap()),
        );
        fs::write(summary, sealed).unwrap();
        assert_eq!(status(), "finished");
        fs::write(config, "seed = 1\n").unwrap();
        assert_eq!(status(), "damaged");
    }

    #[test]
    fn a_reader_bears_indexes_that_nobody_wrote() {
        let here = tempfile::tempdir().unwrap();
        (0..2).for_each(|i| run(&here.path().join(format!("r-{i}")), 0.5 + f64::from(i) / 10.0));
        let expected = shown(&Index::open(here.path()).unwrap().records(here.path()).unwrap());
        let path = here.path().join(INDEX);
        let whole = fs::read(&path).unwrap();
        secateur_fuzz::bears_part(20, "index", &[whole], |bytes| {
            fs::write(&path, bytes).unwrap();
            let found = Index::open(here.path()).unwrap().records(here.path()).unwrap();
            assert_eq!(shown(&found), expected);
            bytes.len()
        });
    }
}
