//! The folder of a run. Nothing in it that is half-written looks finished: files appear under their name when they are
//! complete, and `summary.json`, which says `"status": "finished"`, appears last.

mod checkpoints;
mod claim;
mod earlier;
mod large;
mod owner;

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use secateur::pruning::LatencyTable;
use serde_json::{Value, json};
use toml::Table;

use super::error::{RunDirError, failed};
use super::event_log::{self, EVENTS, EventLog};
use super::files::{is_unfinished, rename_made, sync_folder};
use super::resumed::config_of;
use super::saved::Saved;
use super::summary::{EVENTS_SEAL, is_finished, sealed};
use crate::failure::Failure;
use crate::output::PICTURES;
pub use checkpoints::{has_checkpoint, paused_after};
pub use claim::{CLAIM, Claim, Held, release_all};
pub use owner::{Owner, process_token};

/// Writes what a file holds.
type Content<'a> = &'a dyn Fn(&mut File) -> io::Result<()>;

/// The resolved config.
pub const CONFIG: &str = "config.toml";
/// Where its values came from, and what ran it.
pub const PROVENANCE: &str = "provenance.toml";
/// The final metrics and the status.
pub const SUMMARY: &str = "summary.json";
/// The pruned network.
pub const MODEL: &str = secateur::network::model_file::NAME;
/// The network of the best evaluation on validation data.
pub const BEST: &str = "best.safetensors";
/// How many pruning steps each weight survived.
pub const SURVIVAL: &str = "survival.safetensors";
/// The pruned network, compressed.
pub const COMPRESSED: &str = "model.compressed";
/// The page with the curves.
pub const REPORT: &str = "report.html";
/// Scalars for TensorBoard.
pub const TENSORBOARD: &str = "events.out.tfevents.0.secateur";
/// What part the run has in a sweep.
pub const SWEEP: &str = "sweep.json";
/// In the summary of a run of a sweep, the scheduler's job that ran it.
pub const JOB: &str = "job";
/// In the summary of a run that ended early, the step that it came to.
pub const STEP: &str = "step";
/// The status of a run that was ended after some epochs, to go on or not.
pub const PAUSED: &str = "stopped";
/// Which run it left, and where.
pub const FORK: &str = "fork.json";
/// The folder of the newest checkpoint.
pub const CHECKPOINT: &str = "checkpoint";

/// The file in [`CHECKPOINT`].
const STATE: &str = "state.safetensors";

/// The files of a run, the one first that says that it is finished.
const FILES: [&str; 13] = [
    SUMMARY,
    REPORT,
    MODEL,
    BEST,
    SURVIVAL,
    COMPRESSED,
    LatencyTable::FILE,
    TENSORBOARD,
    EVENTS,
    SWEEP,
    FORK,
    PROVENANCE,
    CONFIG,
];

/// What stands where a run wants its folder.
#[derive(Debug)]
pub enum Opened {
    /// An empty folder, claimed by this process.
    Ready(RunDir),
    /// The same run, finished before.
    Finished(PathBuf),
    /// The same run, which did not come to its end and left a checkpoint.
    Interrupted(RunDir),
}

/// A run's folder, claimed until this value is dropped. Nothing is written by a process that has lost its claim.
#[derive(Debug)]
pub struct RunDir {
    path: PathBuf,
    claim: Claim,
}

impl RunDir {
    /// Creates or takes over the folder `out/name`.
    ///
    /// A finished run, and one that can be resumed, are left alone unless `force` is set. What an earlier run left that
    /// may have cost hours is kept aside until this one has come to its end, see [`earlier`](Self::earlier); what else
    /// it left is removed first.
    ///
    /// # Errors
    /// The folder cannot be created or written, or another process has it.
    pub fn open(out: &Path, name: &str, force: bool) -> Result<Opened, RunDirError> {
        let path = out.join(name);
        fs::create_dir_all(&path).map_err(failed(&path, "create it"))?;
        let folder = match Self::claimed(path.clone()) {
            Ok(folder) => folder,
            // Also one that may not be written, or that another process has come to the end of just now.
            Err(_) if !force && is_finished(&path) => return Ok(Opened::Finished(path)),
            Err(error) => return Err(error),
        };
        if !force && is_finished(&folder.path) {
            folder.tidy();
            return Ok(Opened::Finished(path));
        }
        if !force && folder.state().exists() {
            return Ok(Opened::Interrupted(folder));
        }
        if folder.state().exists() || folder.path.join(MODEL).exists() {
            folder.set_aside()?
        } else {
            folder.clear()?
        }
        Ok(Opened::Ready(folder))
    }

    /// Removes what a process left of a finished run's checkpoint that was ended before it came to that, unless another
    /// process has the folder.
    pub fn tidy_finished(path: &Path) {
        if let Ok(folder) = Self::claimed(path.to_owned())
            && is_finished(path)
        {
            folder.tidy();
        }
    }

    /// Takes over the folder of a run that did not come to its end; gives its newest checkpoint too.
    ///
    /// # Errors
    /// There is no such run, or another process has it.
    pub fn reopen(path: &Path) -> Result<(Self, Saved), RunDirError> {
        if !path.join(CONFIG).exists() {
            let fix = "give a run's folder, such as runs/NAME-HASH: it holds config.toml and checkpoint/";
            return Err(RunDirError::NotResumable { path: path.to_owned(), problem: "not the folder of a run", fix });
        }
        let folder = Self::claimed(path.to_owned())?;
        let saved = folder.saved()?;
        Ok((folder, saved))
    }

    /// Creates or takes over a folder that holds no run of its own, but what others begin with.
    ///
    /// # Errors
    /// The folder cannot be created or written, or another process, or another run of this one, has it.
    pub fn shared(path: &Path) -> Result<Self, RunDirError> {
        fs::create_dir_all(path).map_err(failed(path, "create it"))?;
        Self::claimed(path.to_owned())
    }

    fn claimed(path: PathBuf) -> Result<Self, RunDirError> {
        let folder = Self { claim: Claim::take(&path)?, path };
        claim::sweep_up(&folder.path);
        // What processes before this one were ended in the middle of writing.
        for inner in [&folder.path, &folder.path.join(CHECKPOINT)] {
            for entry in fs::read_dir(inner).into_iter().flatten().flatten() {
                if is_unfinished(&entry.file_name()) {
                    _ = fs::remove_file(entry.path());
                }
            }
        }
        Ok(folder)
    }

    /// The file of the newest checkpoint.
    fn state(&self) -> PathBuf {
        self.path.join(CHECKPOINT).join(STATE)
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The config that the run was begun with.
    ///
    /// # Errors
    /// It cannot be read, or is not TOML.
    pub fn config(&self) -> Result<Table, Failure> {
        config_of(&self.path)
    }

    /// Writes a whole file: under another name first, then synced, then renamed. That the name is on the disk too is
    /// seen to when the run ends.
    ///
    /// # Errors
    /// It cannot be written; then neither it nor a part of it is there.
    pub fn write(&self, name: &str, content: &[u8]) -> Result<(), RunDirError> {
        self.put(&self.path, name, &|file| file.write_all(content))
    }

    /// Tells whoever asks how far the run has come: it begins, or goes on, at a step of so many.
    pub fn begin(&self, step: u64, steps: u64) {
        self.claim.begin(step, steps);
    }

    /// So many steps were made.
    pub fn progress(&self, step: u64) {
        self.claim.progress(step);
    }

    /// Whether another process was found to have taken the folder over.
    pub fn is_lost(&self) -> bool {
        self.claim.is_lost()
    }

    /// Whether another process has taken the folder over from this one: looked at now, on the disk.
    pub fn is_taken_over(&self) -> bool {
        self.claim.check().is_err()
    }

    /// Writes a whole file into one of the run's folders.
    fn put(&self, folder: &Path, name: &str, write: Content<'_>) -> Result<(), RunDirError> {
        rename_made(folder, name, write, || self.claim.check())
    }

    /// The same, and sees to it that its name is on the disk.
    fn replace(&self, folder: &Path, name: &str, content: &[u8]) -> Result<(), RunDirError> {
        self.put(folder, name, &|file| file.write_all(content))?;
        sync_folder(folder).map_err(failed(&folder.join(name), "write it"))
    }

    /// Writes a file into [`PICTURES`].
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write_picture(&self, name: &str, content: &[u8]) -> Result<(), RunDirError> {
        self.claim.check()?;
        let folder = self.path.join(PICTURES);
        fs::create_dir_all(&folder).map_err(failed(&folder, "create it"))?;
        self.replace(&folder, name, content)
    }

    /// Opens `events.jsonl`; what is in it stays.
    ///
    /// # Errors
    /// It cannot be created.
    pub fn events(&self) -> Result<EventLog, RunDirError> {
        EventLog::open(&self.path)
    }

    /// Ends the run: `summary.json` with the given metrics and `"status": "finished"`. Everything else must be there;
    /// the checkpoint is of no more use and goes, and so does what an earlier run left.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn finish(&self, metrics: &serde_json::Map<String, Value>) -> Result<(), RunDirError> {
        self.summary("finished", metrics.clone())?;
        self.tidy();
        Ok(())
    }

    /// Removes what a finished run needs no more, also where a process before this one was ended before it came to
    /// that. What cannot be removed takes room, and harms nobody.
    fn tidy(&self) {
        _ = fs::remove_dir_all(self.path.join(CHECKPOINT));
        self.earlier().iter().for_each(|folder| _ = fs::remove_dir_all(folder));
    }

    /// Ends a run early: `summary.json` with a status such as `failed`, the reason, and the step that it came to.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn give_up(&self, status: &str, reason: &str) -> Result<(), RunDirError> {
        let mut told = serde_json::Map::from_iter([("error".to_owned(), json!(reason))]);
        told.extend(self.claim.step().map(|step| (STEP.to_owned(), json!(step))));
        self.summary(status, told)
    }

    fn summary(&self, status: &str, mut metrics: serde_json::Map<String, Value>) -> Result<(), RunDirError> {
        metrics.insert("status".to_owned(), json!(status));
        metrics.extend(event_log::sha256(&self.path).ok().map(|log| (EVENTS_SEAL.to_owned(), json!(log))));
        let text = sealed(metrics, fs::read(self.path.join(CONFIG)).ok().as_deref());
        // The names of all other files first: a summary is never there without them.
        sync_folder(&self.path).map_err(failed(&self.path, "write it"))?;
        self.replace(&self.path, SUMMARY, text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::super::saved::{STEPS, kept};
    use super::*;

    fn ready(out: &Path, force: bool) -> RunDir {
        match RunDir::open(out, "r-1", force).unwrap() {
            Opened::Ready(folder) => folder,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn only_a_summary_that_says_so_is_finished() {
        let out = tempfile::tempdir().unwrap();
        let folder = ready(out.path(), false);
        let path = folder.path().to_owned();
        folder.write(MODEL, b"weights").unwrap();
        folder.write(REPORT, b"html").unwrap();
        assert!(!is_finished(&path));
        folder.give_up("failed", "loss is NaN").unwrap();
        assert!(!is_finished(&path));
        fs::write(path.join(SUMMARY), "{\"status\": \"finis").unwrap();
        assert!(!is_finished(&path));
        folder.finish(&serde_json::Map::new()).unwrap();
        assert!(is_finished(&path));
    }

    #[test]
    fn a_finished_run_is_kept_unless_forced() {
        let out = tempfile::tempdir().unwrap();
        let folder = ready(out.path(), false);
        folder.write(MODEL, b"weights").unwrap();
        folder.finish(&serde_json::Map::new()).unwrap();
        drop(folder);
        assert!(matches!(RunDir::open(out.path(), "r-1", false).unwrap(), Opened::Finished(_)));
        assert!(out.path().join("r-1").join(MODEL).exists());
        let folder = ready(out.path(), true);
        assert!(!is_finished(folder.path()) && !folder.path().join(MODEL).exists());
        let earlier = folder.earlier();
        assert!(is_finished(&earlier[0]) && fs::read(earlier[0].join(MODEL)).unwrap() == b"weights", "{earlier:?}");
        folder.finish(&serde_json::Map::new()).unwrap();
        assert_eq!(folder.earlier(), [""; 0].map(PathBuf::from), "it has a successor");
    }

    #[test]
    fn what_may_have_cost_hours_is_kept_until_a_successor_is_finished() {
        let out = tempfile::tempdir().unwrap();
        ready(out.path(), false).write_checkpoint(&|file| file.write_all(b"first"), 1, 7).unwrap();
        ready(out.path(), true).write_checkpoint(&|file| file.write_all(b"second"), 1, 7).unwrap();
        let folder = ready(out.path(), true);
        let states: Vec<_> =
            folder.earlier().iter().map(|at| fs::read(at.join(CHECKPOINT).join(STATE)).unwrap()).collect();
        assert_eq!(states, [b"first".to_vec(), b"second".to_vec()]);
        folder.give_up("failed", "loss is NaN").unwrap();
        assert_eq!(folder.earlier().len(), 2);
    }

    #[test]
    fn what_a_process_left_that_was_killed_right_after_its_summary_goes() {
        let out = tempfile::tempdir().unwrap();
        let folder = ready(out.path(), false);
        folder.finish(&serde_json::Map::new()).unwrap();
        folder.write_checkpoint(&|file| file.write_all(b"state"), 1, 7).unwrap();
        drop(folder);
        fs::write(out.path().join("r-1/.report.html.0123.unfinished"), "half").unwrap();
        assert!(matches!(RunDir::open(out.path(), "r-1", false).unwrap(), Opened::Finished(_)));
        let mut left: Vec<_> =
            fs::read_dir(out.path().join("r-1")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, [SUMMARY]);
    }

    #[test]
    fn what_an_unfinished_run_left_is_removed() {
        let out = tempfile::tempdir().unwrap();
        let folder = ready(out.path(), false);
        folder.events().unwrap().append(&json!({"event": "step"})).unwrap();
        folder.write_checkpoint(&|file| file.write_all(b"state"), 1, 7).unwrap();
        fs::write(folder.path().join("network.onnx"), "of that network").unwrap();
        drop(folder);
        assert!(matches!(RunDir::open(out.path(), "r-1", false).unwrap(), Opened::Interrupted(_)));
        assert_eq!(RunDir::reopen(&out.path().join("r-1")).unwrap_err().to_string().lines().count(), 2);
        fs::remove_dir_all(out.path().join("r-1").join(CHECKPOINT)).unwrap();
        let folder = ready(out.path(), true);
        let path = folder.path().to_owned();
        drop(folder);
        assert_eq!(fs::read_dir(path).unwrap().count(), 0);
    }

    #[test]
    fn as_many_checkpoints_stay_as_are_kept() {
        let out = tempfile::tempdir().unwrap();
        let folder = ready(out.path(), false);
        let names = || {
            let all = kept(&folder.path().join(CHECKPOINT));
            all.iter()
                .map(|path| path.file_stem().unwrap().to_str().unwrap()[STEPS.len()..].parse().unwrap())
                .collect::<Vec<u64>>()
        };
        for steps in [8, 9, 10, 100] {
            folder.write_checkpoint(&|file| file.write_all(format!("after {steps}").as_bytes()), 3, steps).unwrap();
        }
        assert_eq!(names(), [9, 10, 100]);
        assert_eq!(fs::read(folder.state()).unwrap(), b"after 100");
        folder.write_checkpoint(&|file| file.write_all(b"alone"), 1, 101).unwrap();
        assert_eq!((names(), fs::read(folder.state()).unwrap()), (vec![], b"alone".to_vec()));
    }

    #[test]
    fn two_processes_cannot_share_a_folder() {
        let out = tempfile::tempdir().unwrap();
        let folder = ready(out.path(), false);
        assert!(matches!(RunDir::open(out.path(), "r-1", true), Err(RunDirError::Busy(_))));
        drop(folder);
        ready(out.path(), false);
    }

    #[test]
    fn a_process_that_lost_its_folder_replaces_nothing_there() {
        let out = tempfile::tempdir().unwrap();
        let folder = ready(out.path(), false);
        folder.write(MODEL, b"ours").unwrap();
        fs::remove_dir_all(folder.path().join(".claim")).unwrap();
        let other = Claim::take(folder.path()).unwrap();
        let finished = || folder.finish(&serde_json::Map::new());
        let tried = [
            folder.write(MODEL, b"late"),
            folder.write_checkpoint(&|file| file.write_all(b"late"), 1, 7),
            folder.give_up("failed", "late"),
            finished(),
        ];
        assert!(tried.iter().all(|tried| matches!(tried, Err(RunDirError::Lost(..)))), "{tried:?}");
        assert!(folder.is_taken_over());
        assert_eq!(fs::read(folder.path().join(MODEL)).unwrap(), b"ours");
        assert!(!folder.path().join(SUMMARY).exists() && !folder.state().exists());
        let left = fs::read_dir(folder.path()).unwrap().flatten().any(|entry| is_unfinished(&entry.file_name()));
        assert!(!left);
        drop(folder);
        other.check().unwrap();
    }

    #[test]
    fn a_file_in_the_way_is_named() {
        let out = tempfile::tempdir().unwrap();
        let file = out.path().join("runs");
        fs::write(&file, "").unwrap();
        let error = RunDir::open(&file, "r-1", false).unwrap_err().to_string();
        assert!(error.contains("r-1: cannot create it: a file stands where a folder should be"), "{error}");
        assert!(error.contains("--out DIR"));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_full_disk_is_said_to_be_full_and_leaves_nothing() {
        let out = tempfile::tempdir().unwrap();
        let folder = ready(out.path(), false);
        let unfinished = folder.path().join(crate::run::files::unfinished(MODEL));
        std::os::unix::fs::symlink("/dev/full", &unfinished).unwrap();
        let error = folder.write(MODEL, b"weights").unwrap_err().to_string();
        assert!(error.contains("the disk is full"), "{error}");
        assert!(!folder.path().join(MODEL).exists() && !unfinished.exists());
    }
}
