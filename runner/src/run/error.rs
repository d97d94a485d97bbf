//! What can go wrong with a run's folder, in words for people.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::folder::Held;
use crate::failure::Failure;

/// What can go wrong with a run's folder.
#[derive(Debug, thiserror::Error)]
pub enum RunDirError {
    /// Another process writes in the folder.
    #[error(
        "{}: another process is running in this folder: {}\n  fix: wait for it (one of another machine is taken for dead \
         after three minutes of silence), or choose another folder with --out",
        .0.run.display(), .0
    )]
    Busy(Box<Held>),
    /// This process wrote in the folder, was silent for long, and another one goes on in its place.
    #[error("{}: another process has taken this folder over: {}\n  fix: leave it to that one", .0.display(), .1)]
    Lost(PathBuf, String),
    /// There is no run that can go on.
    #[error("{}: {problem}\n  fix: {fix}", .path.display())]
    NotResumable {
        /// The folder.
        path: PathBuf,
        /// What is missing.
        problem: &'static str,
        /// What to do.
        fix: &'static str,
    },
    /// A file that is not what was written.
    #[error("{}: {reason}\n  fix: bring the file back, or make the run again with --force", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A file or folder that cannot be read or written.
    #[error("{}: cannot {action}: {}\n  fix: {}", .path.display(), reason(.source), fix(.source, " with --out DIR"))]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What could not be done: `write it`, `create it`.
        action: &'static str,
        /// The system's reason.
        source: io::Error,
    },
    /// A file that was asked for by its name.
    #[error("{}: cannot write it: {}\n  fix: {}", .path.display(), reason_of_asked(.source), fix_of_asked(.source))]
    Asked {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

impl RunDirError {
    /// The same of a file that was asked for by its name, so that no folder can be chosen for it.
    pub fn asked(self) -> Self {
        match self {
            Self::Write { path, source, .. } => Self::Asked { path, source },
            other => other,
        }
    }
}

impl From<RunDirError> for Failure {
    fn from(error: RunDirError) -> Self {
        Self::Failed(error.to_string())
    }
}

/// What `path` could not have done to it, for `map_err`.
pub(super) fn failed(path: &Path, action: &'static str) -> impl FnOnce(io::Error) -> RunDirError {
    let path = path.to_owned();
    move |source| RunDirError::Write { path, action, source }
}

fn reason(source: &io::Error) -> String {
    match source.kind() {
        ErrorKind::StorageFull => "the disk is full".to_owned(),
        ErrorKind::QuotaExceeded => "the disk quota is used up".to_owned(),
        ErrorKind::FileTooLarge => "no file may be so large here (ulimit -f)".to_owned(),
        ErrorKind::ReadOnlyFilesystem => "the disk is read-only".to_owned(),
        ErrorKind::PermissionDenied => "permission denied".to_owned(),
        ErrorKind::NotADirectory | ErrorKind::AlreadyExists => "a file stands where a folder should be".to_owned(),
        ErrorKind::IsADirectory => "a folder has that name".to_owned(),
        ErrorKind::InvalidData => "it holds something else than it should".to_owned(),
        _ => source.to_string(),
    }
}

/// Why a file that was asked for by its name cannot be written.
fn reason_of_asked(source: &io::Error) -> String {
    match source.kind() {
        ErrorKind::NotFound => "its folder is not there".to_owned(),
        _ => reason(source),
    }
}

/// What to do about a file that was asked for by its name.
fn fix_of_asked(source: &io::Error) -> String {
    match source.kind() {
        ErrorKind::IsADirectory => "name a file".to_owned(),
        ErrorKind::NotFound => "make the folder, or choose another".to_owned(),
        _ => fix(source, ""),
    }
}

/// Too many open files: on Unix a number, for which the library has no kind.
const EMFILE: i32 = 24;

fn fix(source: &io::Error, how: &str) -> String {
    if cfg!(unix) && source.raw_os_error() == Some(EMFILE) {
        return "raise the limit of open files (ulimit -n)".to_owned();
    }
    match source.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => format!("free some space, or write elsewhere{how}"),
        ErrorKind::FileTooLarge => format!("raise the limit, or write elsewhere{how}"),
        ErrorKind::InvalidData => "the file is damaged: start the run anew, with --force".to_owned(),
        _ => format!("choose a folder that you can write to{how}"),
    }
}
