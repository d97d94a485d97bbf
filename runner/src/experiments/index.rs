//! `index.sqlite`: the results of all run folders under a folder, for fast comparisons and for any tool that speaks
//! SQL.
//!
//! The folders are the truth: the index only repeats what they hold, is brought up to date whenever it is opened, and
//! may be deleted.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use rusqlite::{Connection, ErrorCode, params};
use serde_json::{Map, Value};

use crate::failure::Failure;
use crate::run::{CONFIG, PROVENANCE, SUMMARY};

/// The file's name.
pub const INDEX: &str = "index.sqlite";

/// Raised when columns change; an index of another version is made anew.
const VERSION: i64 = 2;

const SCHEMA: &str = "
CREATE TABLE runs (
  folder TEXT PRIMARY KEY,    -- relative to the index
  stamp TEXT NOT NULL,        -- time and size of summary.json when it was read
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
    /// The resolved config.
    pub config: Map<String, Value>,
    /// The final metrics.
    pub summary: Map<String, Value>,
}

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
        let path = root.join(INDEX);
        let open = || Connection::open(&path).and_then(prepared);
        let opened = open().or_else(|error| match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
                tracing::warn!("{}: {error}; it is made again from the run folders", path.display());
                _ = fs::remove_file(&path);
                open()
            }
            _ => Err(error),
        });
        let db = opened.or_else(|error| {
            tracing::warn!("{}: {error}; results are read without an index", path.display());
            prepared(Connection::open_in_memory()?)
        })?;
        Ok(Self { root, db })
    }

    /// Takes in one run folder.
    pub fn add(&self, folder: &Path) -> rusqlite::Result<()> {
        let folder = fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
        self.insert(&read(&folder), &stamp(&folder))
    }

    /// Brings the index up to date with the run folders under a folder, and returns them all, sorted by folder.
    pub fn records(&mut self, under: &Path) -> rusqlite::Result<Vec<Record>> {
        let under = fs::canonicalize(under).unwrap_or_else(|_| under.to_owned());
        let known: HashMap<String, String> = self
            .db
            .prepare("SELECT folder, stamp FROM runs")?
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<rusqlite::Result<_>>()?;
        let mut folders = run_folders(&under);
        folders.sort();
        let stamps: Vec<String> = folders.iter().map(|folder| stamp(folder)).collect();
        let transaction = self.db.unchecked_transaction()?;
        let mut there = Vec::with_capacity(folders.len());
        for (folder, stamp) in folders.iter().zip(&stamps) {
            let name = self.relative(folder);
            if known.get(&name) != Some(stamp) {
                self.insert(&read(folder), stamp)?;
            }
            there.push(name);
        }
        let prefix = self.relative(&under);
        let present: HashSet<&String> = there.iter().collect();
        let within = |name: &str| prefix.is_empty() || name == prefix || name.starts_with(&format!("{prefix}/"));
        for gone in known.keys().filter(|name| within(name) && !present.contains(name)) {
            self.db.execute("DELETE FROM runs WHERE folder = ?1", [gone])?;
        }
        transaction.commit()?;
        let mut all = self
            .db
            .prepare("SELECT folder, status, error, control, config, summary, version FROM runs ORDER BY folder")?;
        let rows = all.query_map([], |row| {
            let json =
                |text: Option<String>| text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
            let folder: String = row.get(0)?;
            Ok((
                folder.clone(),
                Record {
                    folder: self.root.join(folder),
                    status: row.get(1)?,
                    error: row.get(2)?,
                    control: row.get(3)?,
                    config: json(row.get(4)?),
                    summary: json(row.get(5)?),
                    version: row.get(6)?,
                },
            ))
        })?;
        rows.filter_map(|row| row.map(|(name, record)| within(&name).then_some(record)).transpose()).collect()
    }

    fn insert(&self, record: &Record, stamp: &str) -> rusqlite::Result<()> {
        let summary = &record.summary;
        let number = |key: &str| summary.get(key).and_then(Value::as_f64);
        let whole = |key: &str| summary.get(key).and_then(Value::as_i64);
        let text = |map: &Map<String, Value>, key: &str| map.get(key).and_then(Value::as_str).map(str::to_owned);
        let mut statement = self.db.prepare_cached(
            "INSERT OR REPLACE INTO runs VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16,?17,?18,?19,?20)",
        )?;
        statement.execute(params![
            self.relative(&record.folder),
            stamp,
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
fn run_folders(under: &Path) -> Vec<PathBuf> {
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

fn is_run(folder: &Path) -> bool {
    folder.join(CONFIG).is_file() || folder.join(SUMMARY).is_file()
}

fn stamp(folder: &Path) -> String {
    let Ok(about) = fs::metadata(folder.join(SUMMARY)) else { return "unfinished".to_owned() };
    let time = about.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    format!("{} {}", time.map_or(0, |time| time.as_nanos()), about.len())
}

fn read(folder: &Path) -> Record {
    let mut record = Record { folder: folder.to_owned(), ..Record::default() };
    let damaged = |file: &str, reason: String| {
        let fix = "remove the folder and run it again";
        (format!("{}: {reason}\n  fix: {fix}", folder.join(file).display()), "damaged".to_owned())
    };
    let provenance =
        fs::read_to_string(folder.join(PROVENANCE)).unwrap_or_default().parse::<toml::Table>().unwrap_or_default();
    let version = provenance.get("program").and_then(|program| program.get("version")?.as_str());
    record.version = version.unwrap_or_default().to_owned();
    match fs::read_to_string(folder.join(CONFIG)) {
        Ok(text) => match toml::from_str::<Map<String, Value>>(&text) {
            Ok(config) => record.config = config,
            Err(error) => {
                let (error, status) = damaged(CONFIG, error.message().to_owned());
                return Record { error: Some(error), status, ..record };
            }
        },
        Err(error) => {
            let (error, status) = damaged(CONFIG, error.to_string());
            return Record { error: Some(error), status, ..record };
        }
    }
    let Ok(text) = fs::read(folder.join(SUMMARY)) else {
        return Record { status: "unfinished".to_owned(), ..record };
    };
    match serde_json::from_slice::<Map<String, Value>>(&text) {
        Ok(summary) => {
            let text = |key: &str| summary.get(key).and_then(Value::as_str).map(str::to_owned);
            (record.error, record.control) = (text("error"), text("control"));
            match text("status") {
                Some(status) => record.status = status,
                None => {
                    let (error, status) = damaged(SUMMARY, "it has no status".to_owned());
                    (record.error, record.status) = (Some(error), status);
                }
            }
            record.summary = summary;
        }
        Err(error) => {
            let (error, status) = damaged(SUMMARY, error.to_string());
            (record.error, record.status) = (Some(error), status);
        }
    }
    record
}
