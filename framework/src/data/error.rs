//! What can be wrong with a data set or with the options that ask for one.

use std::fmt::{self, Write as _};
use std::io;
use std::path::{Path, PathBuf};

/// Why a data set could not be loaded; the text names the key or the file, what was found and the fix.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// `data.name` is none of the known data sets.
    #[error("data.name = \"{name}\": there is no such data set{}; known are {}", suggest(.nearest), .known.join(", "))]
    Unknown {
        /// The name that was asked for.
        name: String,
        /// The known name closest to it, if one is close.
        nearest: Option<&'static str>,
        /// All known names.
        known: Vec<&'static str>,
    },
    /// An option is out of range or does not fit the data set.
    #[error("{key} = {found}: {allowed}")]
    Option {
        /// The dotted key in the config.
        key: String,
        /// The value it has.
        found: String,
        /// What is allowed, and the fix.
        allowed: String,
    },
    /// The files of a data set are in none of the places where they are looked for.
    #[error("{}", missing(.name, .places, .wanted, .get))]
    Missing {
        /// The data set.
        name: String,
        /// Every place that was searched, in order.
        places: Vec<Place>,
        /// The file or folder names that are looked for.
        wanted: Vec<String>,
        /// How to get them.
        get: &'static str,
    },
    /// A file was found, but what it holds is wrong.
    #[error("{}: {problem}; {fix}", path.display())]
    Content {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
        /// What to do about it.
        fix: String,
    },
    /// The operating system refused to read or write a file.
    #[error("{}: cannot {action}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// The system's reason.
        source: io::Error,
    },
}

/// One folder that was searched for a data set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The folder.
    pub path: PathBuf,
    /// What was there.
    pub found: Found,
}

/// What a searched folder held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// The folder does not exist.
    NoFolder,
    /// The folder exists, but holds none of the files.
    Nothing,
    /// Some files are there and some are not.
    Part {
        /// The names of the files that were not found.
        lacks: Vec<String>,
    },
    /// Everything is there.
    All,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoFolder => f.write_str("no such folder"),
            Self::Nothing => f.write_str("holds none of the files"),
            Self::Part { lacks } => write!(f, "lacks {}", lacks.join(", ")),
            Self::All => f.write_str("found"),
        }
    }
}

impl DataError {
    pub(super) fn option(key: &str, found: impl fmt::Display, allowed: impl Into<String>) -> Self {
        Self::Option { key: format!("data.{key}"), found: found.to_string(), allowed: allowed.into() }
    }

    pub(super) fn content(path: &Path, problem: impl Into<String>, fix: impl Into<String>) -> Self {
        Self::Content { path: path.to_owned(), problem: problem.into(), fix: fix.into() }
    }

    pub(super) fn io(path: &Path, action: &'static str, source: io::Error) -> Self {
        Self::Io { path: path.to_owned(), action, source }
    }
}

fn suggest(nearest: &Option<&'static str>) -> String {
    nearest.map(|name| format!("; did you mean \"{name}\"?")).unwrap_or_default()
}

fn missing(name: &str, places: &[Place], wanted: &[String], get: &str) -> String {
    let mut text = format!("the data set \"{name}\" was not found; looked in");
    for place in places {
        // Writing to a String cannot fail.
        let _ = write!(text, "\n  {} ({})", place.path.display(), place.found);
    }
    let _ = write!(text, "\nit needs {}\n{get}", wanted.join(", "));
    text.push_str("\nthen set data.dir (--set data.dir=DIR) or the environment variable SECATEUR_DATA to its folder");
    text
}
