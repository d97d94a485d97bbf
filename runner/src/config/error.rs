//! What can be wrong with a config; all of it is reported at once.

use std::fmt;

use super::set_by::SetBy;
use crate::failure::Failure;

/// One thing wrong in the configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// There is no such config.
    #[error("{wanted}: no such config{}\n  looked for: {}{}\n  fix: {fix}", asked_by(.by), .looked.join(", "), listed("built in", .known))]
    NotFound {
        /// The config as it was asked for.
        wanted: String,
        /// The file whose `extends` asked for it.
        by: Option<String>,
        /// The places tried.
        looked: Vec<String>,
        /// The built-in names, where no near one was found.
        known: Vec<String>,
        /// What to do.
        fix: String,
    },
    /// A config file that cannot be read.
    #[error("{file}: cannot read it: {cause}\n  fix: check that it is a readable text file")]
    Unreadable {
        /// The path.
        file: String,
        /// The system's words.
        cause: std::io::Error,
    },
    /// A config that is not TOML.
    #[error("{file} line {line}: not valid TOML: {message}\n  found: {found}\n  fix: correct that line")]
    Syntax {
        /// The path.
        file: String,
        /// The number of the line, from 1.
        line: usize,
        /// The parser's words.
        message: String,
        /// The line itself.
        found: String,
    },
    /// Configs that extend each other.
    #[error("`extends` goes in a circle: {}\n  fix: remove one of these `extends`", .0.join(" -> "))]
    Cycle(Vec<String>),
    /// `extends` that is not a list of names.
    #[error("{key}: {problem}\n  set by: {origin}\n  found: {found}\n  fix: {fix}")]
    Extends {
        /// `extends`, or what others call it.
        key: &'static str,
        /// What is wrong.
        problem: &'static str,
        /// Who set it.
        origin: SetBy,
        /// The value.
        found: String,
        /// What to write.
        fix: String,
    },
    /// A `--set` or an environment variable that cannot be read as a key and a value.
    #[error("{origin}: {problem}\n  found: {found}\n  fix: {fix}")]
    Assignment {
        /// The flag or variable.
        origin: SetBy,
        /// What is wrong.
        problem: String,
        /// The text that was given.
        found: String,
        /// What to write.
        fix: String,
    },
    /// A value that a layer asks for and none gives.
    #[error(
        "{key}: must be given a value\n  asked for by: {origin}\n  fix: {key}=VALUE, on the command line or in a later config"
    )]
    Mandatory {
        /// The full dotted key.
        key: String,
        /// Who asks for it.
        origin: SetBy,
    },
    /// A value that refers to another key, and cannot.
    #[error("{key}: {problem}\n  set by: {origin}\n  found: {found}\n  fix: {fix}")]
    Reference {
        /// The full dotted key.
        key: String,
        /// What is wrong.
        problem: String,
        /// Who set it.
        origin: SetBy,
        /// The text, or the circle.
        found: String,
        /// What to write.
        fix: String,
    },
    /// A key that was to be taken back, and that nothing sets.
    #[error(
        "~{key}: there is nothing to take back: no weaker layer sets {key}\n  asked for by: {origin}\n  fix: {fix}"
    )]
    NothingToTakeBack {
        /// The full dotted key.
        key: String,
        /// Who asks for it.
        origin: SetBy,
        /// What to do.
        fix: String,
    },
    /// A key nobody knows.
    #[error("{key}: unknown key{}\n  set by: {origin}{}\n  fix: {fix}", of_plugin(.plugin), listed("known here", .known))]
    UnknownKey {
        /// The full dotted key.
        key: String,
        /// Who set it.
        origin: SetBy,
        /// The chosen plugin, as `criterion magnitude`, where the key would be one of its options.
        plugin: Option<String>,
        /// The keys of that place.
        known: Vec<String>,
        /// What to do.
        fix: String,
    },
    /// A plugin nobody knows.
    #[error("{key} = \"{found}\": unknown {kind}\n  set by: {origin}{}\n  fix: {fix}", listed("known", .known))]
    UnknownPlugin {
        /// The full dotted key.
        key: String,
        /// The kind of plugin: `criterion`.
        kind: String,
        /// The name asked for.
        found: String,
        /// Who set it.
        origin: SetBy,
        /// The names of that kind.
        known: Vec<String>,
        /// What to do.
        fix: String,
    },
    /// A plugin section without `name`.
    #[error("{key}: not set, so no {kind} is chosen{}\n  fix: set {key} in a config, or --set {key}=NAME", listed("known", .known))]
    NoPlugin {
        /// The full dotted key.
        key: String,
        /// The kind of plugin: `criterion`.
        kind: String,
        /// The names of that kind.
        known: Vec<String>,
    },
    /// A config with a `[sweep]` where one run is asked for.
    #[error(
        "sweep: this config describes many runs, not one\n  set by: {origin}\n  fix: secateur sweep CONFIG runs them all, secateur sweep CONFIG --dry-run lists them"
    )]
    ManyRuns {
        /// Who set it.
        origin: SetBy,
    },
    /// Something wrong in the `[sweep]` section.
    #[error("{key}: {problem}{}\n  fix: {fix}", set_by(.origin))]
    Sweep {
        /// The full dotted key.
        key: String,
        /// Who set it.
        origin: Option<SetBy>,
        /// What is wrong.
        problem: String,
        /// What to do.
        fix: String,
    },
    /// Something wrong with some cells of a sweep, and not with the config alone.
    #[error("{text}\n  {place}\n  {}: {fix}", if .text.contains("\n  fix: ") { "or" } else { "fix" })]
    InCell {
        /// What is wrong, as it is told of a config.
        text: String,
        /// The first cell that has it.
        place: String,
        /// What to do with the sweep.
        fix: String,
    },
    /// A value of the wrong type or out of range.
    #[error("{key}: not a value it can have\n  set by: {origin}\n  found: {found}\n  allowed: {allowed}")]
    Value {
        /// The full dotted key.
        key: String,
        /// Who set it.
        origin: SetBy,
        /// The value.
        found: String,
        /// What it may be.
        allowed: String,
    },
}

impl ConfigError {
    /// The dotted key that is wrong, where it is one.
    pub fn key(&self) -> Option<&str> {
        match self {
            Self::Mandatory { key, .. }
            | Self::Reference { key, .. }
            | Self::NothingToTakeBack { key, .. }
            | Self::UnknownKey { key, .. }
            | Self::UnknownPlugin { key, .. }
            | Self::NoPlugin { key, .. }
            | Self::Sweep { key, .. }
            | Self::Value { key, .. } => Some(key),
            Self::Extends { key, .. } => Some(key),
            Self::ManyRuns { .. } => Some("sweep"),
            Self::NotFound { .. }
            | Self::Unreadable { .. }
            | Self::Syntax { .. }
            | Self::Cycle(_)
            | Self::Assignment { .. }
            | Self::InCell { .. } => None,
        }
    }
}

/// Everything wrong in a configuration, in the order in which it was found.
#[derive(Debug)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl std::error::Error for ConfigErrors {}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [only] = self.0.as_slice() {
            return write!(f, "{only}");
        }
        write!(f, "{} problems in the configuration", self.0.len())?;
        for error in &self.0 {
            write!(f, "\n\n{error}")?;
        }
        Ok(())
    }
}

impl From<ConfigErrors> for Failure {
    fn from(errors: ConfigErrors) -> Self {
        Self::Usage(errors.to_string())
    }
}

/// The name nearest to `wanted`, where one is near enough to be a slip of the finger.
pub fn nearest<'a>(wanted: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|name| (strsim::jaro_winkler(wanted, name), name))
        .filter(|(likeness, _)| *likeness > 0.82)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, name)| name)
}

/// The dotted key nearest to `wanted`: a slip in its last part, the same last part elsewhere, or a slip in its section.
pub fn nearest_key<'a>(wanted: &str, known: &[&'a str]) -> Option<&'a str> {
    let split = |key| -> (&str, &str) { str::rsplit_once(key, '.').unwrap_or(("", key)) };
    let (section, last) = split(wanted);
    let beside = known.iter().copied().filter(|key| split(key).0 == section);
    let slip = nearest(last, beside.clone().map(|key| split(key).1));
    if let Some(near) = slip {
        return beside.into_iter().find(|key| split(key).1 == near);
    }
    let named: Vec<&str> = known.iter().copied().filter(|key| split(key).1 == last).collect();
    let near = nearest(section, named.iter().map(|key| split(key).0));
    near.and_then(|near| named.iter().copied().find(|key| split(key).0 == near)).or_else(|| named.first().copied())
}

fn listed(label: &str, names: &[String]) -> String {
    if names.is_empty() { String::new() } else { format!("\n  {label}: {}", names.join(", ")) }
}

fn asked_by(by: &Option<String>) -> String {
    by.as_ref().map_or_else(String::new, |file| format!(", asked for by `extends` in {file}"))
}

fn set_by(origin: &Option<SetBy>) -> String {
    origin.as_ref().map_or_else(String::new, |origin| format!("\n  set by: {origin}"))
}

fn of_plugin(plugin: &Option<String>) -> String {
    plugin.as_ref().map_or_else(String::new, |plugin| format!(" for {plugin}"))
}
