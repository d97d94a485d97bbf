//! Where a value of the resolved config was set.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::key::{self, dotted};

/// The layer, and the place in it, that set a value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SetBy {
    /// A config file; `embedded` marks the copy inside the program.
    File {
        /// The path, relative to the working directory where it lies below it.
        file: String,
        /// Line of the key, from 1.
        line: usize,
        /// True for the copy inside the program.
        embedded: bool,
    },
    /// An environment variable, by name.
    Env(String),
    /// A command line flag: `--set`, `--device`.
    Flag(String),
    /// A plugin's default.
    Plugin {
        /// The kind of plugin: `criterion`.
        kind: String,
        /// The plugin: `magnitude`.
        name: String,
    },
    /// A default of the program itself.
    BuiltIn,
    /// The run's name, taken from the last config's file name.
    FileName,
    /// The value of another key.
    Reference {
        /// Who said so.
        by: Box<Self>,
        /// The keys that it refers to.
        to: String,
    },
}

impl fmt::Display for SetBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { file, line, embedded: false } => write!(f, "{file} line {line}"),
            Self::File { file, line, embedded: true } => write!(f, "{file} line {line} (built in)"),
            Self::Env(variable) => write!(f, "env {variable}"),
            Self::Flag(flag) => write!(f, "{flag}"),
            Self::Plugin { kind, name } => write!(f, "default of {kind} {name}"),
            Self::BuiltIn => write!(f, "built-in default"),
            Self::FileName => write!(f, "name of the config"),
            Self::Reference { by, to } => write!(f, "{by}, from {to}"),
        }
    }
}

/// Who set a key: for a table the origin of its first leaf, and for what lies within a leaf that leaf's.
pub fn set_by(origins: &BTreeMap<String, SetBy>, key: &str) -> SetBy {
    let within = |leaf: &str| leaf.strip_prefix(key).is_some_and(|rest| rest.starts_with('.'));
    if let Some(origin) = origins.get(key) {
        return origin.clone();
    }
    let mut after = origins.range(key.to_owned()..).take_while(|(leaf, _)| leaf.starts_with(key));
    if let Some((_, origin)) = after.find(|(leaf, _)| within(leaf)) {
        return origin.clone();
    }
    let mut parts = key::split(key).unwrap_or_default();
    while parts.pop().is_some() {
        if let Some(origin) = origins.get(&dotted(&parts)) {
            return origin.clone();
        }
    }
    SetBy::BuiltIn
}
