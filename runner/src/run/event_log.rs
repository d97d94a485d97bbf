//! `events.jsonl`: one fact a line, written at once.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::error::{RunDirError, failed};
use super::files::replace;

/// The file's name.
pub const EVENTS: &str = "events.jsonl";

/// The open `events.jsonl`.
#[derive(Debug)]
pub struct EventLog {
    path: PathBuf,
    file: File,
}

impl EventLog {
    /// Opens the log of a run's folder; what is in it stays.
    ///
    /// # Errors
    /// It cannot be created.
    pub(super) fn open(folder: &Path) -> Result<Self, RunDirError> {
        let path = folder.join(EVENTS);
        let file = OpenOptions::new().create(true).append(true).read(true).open(&path);
        let file = file.map_err(failed(&path, "create it"))?;
        Ok(Self { path, file })
    }

    /// Appends one event as a line of its own, at once: a reader beside the run sees whole lines.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn append(&mut self, event: &impl serde::Serialize) -> Result<(), RunDirError> {
        let line = serde_json::to_vec(event).map_err(io::Error::from);
        let written = line.and_then(|mut line| {
            line.push(b'\n');
            self.file.write_all(&line)
        });
        written.map_err(failed(&self.path, "write it"))
    }

    /// Drops the events of `step` and later ones, and a last line that was cut off.
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub fn drop_from(&mut self, step: u64) -> Result<(), RunDirError> {
        let before = |line: &&str| {
            let event: Option<Value> = serde_json::from_str(line).ok();
            event.and_then(|event| event["step"].as_u64()).is_some_and(|at| at < step)
        };
        let text = fs::read_to_string(&self.path).map_err(failed(&self.path, "read it"))?;
        let kept: String = text.lines().filter(before).flat_map(|line| [line, "\n"]).collect();
        if kept == text {
            return Ok(());
        }
        let folder = self.path.parent().unwrap_or(Path::new("."));
        replace(folder, EVENTS, kept.as_bytes())?;
        let reopened = OpenOptions::new().append(true).open(&self.path);
        self.file = reopened.map_err(failed(&self.path, "write it"))?;
        Ok(())
    }

    /// Waits until every event is on the disk.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn sync(&self) -> Result<(), RunDirError> {
        self.file.sync_data().map_err(failed(&self.path, "write it"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn events_are_whole_lines_at_once() {
        let out = tempfile::tempdir().unwrap();
        let mut log = EventLog::open(out.path()).unwrap();
        log.append(&json!({"event": "step", "step": 1})).unwrap();
        log.append(&json!({"event": "step", "step": 2})).unwrap();
        let text = fs::read_to_string(out.path().join(EVENTS)).unwrap();
        assert_eq!(text, "{\"event\":\"step\",\"step\":1}\n{\"event\":\"step\",\"step\":2}\n");
    }

    #[test]
    fn events_go_on_where_the_checkpoint_was_taken() {
        let out = tempfile::tempdir().unwrap();
        let mut log = EventLog::open(out.path()).unwrap();
        for step in 0..4 {
            log.append(&json!({"event": "step", "step": step})).unwrap();
        }
        fs::write(out.path().join(EVENTS), {
            let mut text = fs::read_to_string(out.path().join(EVENTS)).unwrap();
            text.push_str("{\"event\":\"step\",\"st");
            text
        })
        .unwrap();
        let mut log = EventLog::open(out.path()).unwrap();
        log.drop_from(2).unwrap();
        log.append(&json!({"event": "step", "step": 2})).unwrap();
        let text = fs::read_to_string(out.path().join(EVENTS)).unwrap();
        let steps: Vec<u64> =
            text.lines().map(|l| serde_json::from_str::<Value>(l).unwrap()["step"].as_u64().unwrap()).collect();
        assert_eq!(steps, [0, 1, 2]);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_full_disk_is_said_to_be_full() {
        let mut log = EventLog { path: "events.jsonl".into(), file: File::create("/dev/full").unwrap() };
        let error = log.append(&json!({"event": "step"})).unwrap_err().to_string();
        assert!(error.contains("events.jsonl: cannot write it: the disk is full\n  fix: free some space"), "{error}");
    }
}
