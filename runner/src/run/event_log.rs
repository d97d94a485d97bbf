//! `events.jsonl`: one fact a line, written at once.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use secateur::training::event::EvalAt;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::error::{RunDirError, failed};
use super::files::{rename_made, sync_folder};

/// The file's name.
pub const EVENTS: &str = "events.jsonl";

/// The part of an event that says where it belongs.
#[derive(Deserialize)]
struct Place {
    step: Option<u64>,
    /// Of evaluations and pictures.
    at: Option<EvalAt>,
}

impl Place {
    /// Whether it stays in the log of a run that goes on with a step, and with an evaluation before it where one is
    /// named; what comes after the last step is always done again.
    fn is_before(&self, step: u64, first: Option<EvalAt>) -> bool {
        let again = first.is_some() && self.at == first && self.step.is_some_and(|at| at + 1 == step);
        self.step.is_some_and(|at| at < step) && self.at != Some(EvalAt::End) && !again
    }
}

/// The lines of a run's log, one at a time: a long run's log is larger than a page about it. Bytes that are no text are
/// replaced.
///
/// # Errors
/// It cannot be opened.
pub fn lines(folder: &Path) -> Result<impl Iterator<Item = String> + use<>, RunDirError> {
    let path = folder.join(EVENTS);
    let mut all = BufReader::new(File::open(&path).map_err(failed(&path, "read it"))?);
    let mut line = Vec::new();
    Ok(std::iter::from_fn(move || {
        line.clear();
        let read = all.read_until(b'\n', &mut line).unwrap_or(0);
        (read > 0).then(|| String::from_utf8_lossy(&line).trim_end().to_owned())
    }))
}

/// SHA-256 of a run's log.
///
/// # Errors
/// It cannot be read.
pub(super) fn sha256(folder: &Path) -> io::Result<String> {
    let (mut log, mut digest) = (BufReader::with_capacity(1 << 16, File::open(folder.join(EVENTS))?), Sha256::new());
    loop {
        let piece = log.fill_buf()?;
        let read = piece.len();
        if read == 0 {
            return Ok(digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect());
        }
        digest.update(piece);
        log.consume(read);
    }
}

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

    /// Drops what a run that goes on with `step` will tell again: the events of it and of later ones, the evaluation
    /// after the step before where it is made `first`, and lines that are damaged or were cut off. The file may be
    /// larger than memory.
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub fn drop_from(&mut self, step: u64, first: Option<EvalAt>) -> Result<(), RunDirError> {
        if self.file.metadata().map_err(failed(&self.path, "read it"))?.len() == 0 {
            return Ok(());
        }
        let folder = self.path.parent().unwrap_or(Path::new("."));
        let keep = |file: &mut File| {
            let (mut all, mut line) = (BufReader::new(File::open(&self.path)?), Vec::new());
            let mut kept = BufWriter::new(file);
            while all.read_until(b'\n', &mut line)? > 0 {
                let before = |place: Place| place.is_before(step, first);
                // Bytes that are no text pass for JSON where nobody asks for their field.
                let text = std::str::from_utf8(&line).unwrap_or_default();
                if text.ends_with('\n') && serde_json::from_str(text).is_ok_and(before) {
                    kept.write_all(&line)?;
                }
                line.clear();
            }
            kept.flush()
        };
        rename_made(folder, EVENTS, keep, || Ok(()))?;
        sync_folder(folder).map_err(failed(&self.path, "write it"))?;
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
    use serde_json::{Value, json};
    use std::fs;

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
        log.drop_from(2, None).unwrap();
        log.append(&json!({"event": "step", "step": 2})).unwrap();
        let text = fs::read_to_string(out.path().join(EVENTS)).unwrap();
        let steps: Vec<u64> =
            text.lines().map(|l| serde_json::from_str::<Value>(l).unwrap()["step"].as_u64().unwrap()).collect();
        assert_eq!(steps, [0, 1, 2]);
    }

    #[test]
    fn an_evaluation_that_is_made_again_and_what_came_after_the_last_step_are_told_again() {
        let log = [
            r#"{"event":"eval","step":1,"at":"epoch"}"#,
            r#"{"event":"eval","step":3,"at":"before-prune"}"#,
            r#"{"event":"eval","step":3,"at":"epoch"}"#,
            r#"{"event":"eval","step":3,"at":"end"}"#,
            r#"{"event":"picture","step":3,"at":"end","file":"a.png"}"#,
        ];
        for (first, kept) in [(None, 3), (Some(EvalAt::Epoch), 2)] {
            let out = tempfile::tempdir().unwrap();
            fs::write(out.path().join(EVENTS), log.join("\n") + "\n").unwrap();
            EventLog::open(out.path()).unwrap().drop_from(4, first).unwrap();
            assert_eq!(lines(out.path()).unwrap().collect::<Vec<_>>(), log[..kept], "{first:?}");
        }
    }

    #[test]
    fn bytes_that_are_no_text_cost_their_line_only() {
        let out = tempfile::tempdir().unwrap();
        fs::write(out.path().join(EVENTS), b"{\"step\":0}\n{\"step\":1,\"x\":\"\xff\"}\n{\"step\":2}\n").unwrap();
        assert_eq!(lines(out.path()).unwrap().count(), 3);
        EventLog::open(out.path()).unwrap().drop_from(9, None).unwrap();
        assert_eq!(fs::read(out.path().join(EVENTS)).unwrap(), b"{\"step\":0}\n{\"step\":2}\n");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_full_disk_is_said_to_be_full() {
        let mut log = EventLog { path: "events.jsonl".into(), file: File::create("/dev/full").unwrap() };
        let error = log.append(&json!({"event": "step"})).unwrap_err().to_string();
        assert!(error.contains("events.jsonl: cannot write it: the disk is full\n  fix: free some space"), "{error}");
    }

    #[test]
    fn a_log_that_nobody_wrote_is_borne_and_dropped_line_by_line() {
        let out = tempfile::tempdir().unwrap();
        let log: String =
            (0..9).map(|step| json!({"event": "eval", "step": step, "at": "end"}).to_string() + "\n").collect();
        secateur_fuzz::bears("log", &[log.into_bytes()], |bytes| {
            fs::write(out.path().join(EVENTS), bytes).unwrap();
            let before: usize = lines(out.path()).unwrap().map(|line| line.len()).sum();
            EventLog::open(out.path()).unwrap().drop_from(5, Some(EvalAt::Epoch)).unwrap();
            // What is left is whole.
            for line in lines(out.path()).unwrap() {
                assert!(serde_json::from_str::<Value>(&line).is_ok(), "{line}");
            }
            before
        });
    }
}
