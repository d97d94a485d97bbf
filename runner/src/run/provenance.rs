//! `provenance.toml`: which layer set each value, and what ran it where.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::{env, fs, thread};

use serde::Serialize;

use super::folder::PROVENANCE;
use super::made::Made;
use crate::config::Resolved;
use crate::engine::PluginInUse;

#[derive(Serialize)]
struct Provenance {
    /// What the bits depend on beside the config.
    made: Made,
    program: Program,
    machine: Machine,
    #[serde(skip_serializing_if = "Option::is_none")]
    git: Option<Git>,
    origins: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    part: Vec<PluginInUse>,
}

#[derive(Serialize)]
struct Program {
    version: &'static str,
    profile: &'static str,
    /// Threads that this run may use.
    threads: usize,
}

#[derive(Serialize)]
struct Machine {
    os: &'static str,
    arch: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu: Option<String>,
    logical_cpus: usize,
}

/// The repository of the working directory, where it is one.
#[derive(Clone, Serialize)]
struct Git {
    commit: String,
    uncommitted_changes: bool,
}

/// The repository, asked about once: a sweep describes many runs.
static GIT: OnceLock<Option<Git>> = OnceLock::new();
/// The question, which is answered while configs are read.
static ASKED: OnceLock<Mutex<Option<Child>>> = OnceLock::new();

/// Asks about the repository, where nobody has yet. A process that is made while a folder is locked holds that lock too
/// until it runs its own program, longer than this one may live: so this is done before any folder is opened.
pub fn ask_repository() {
    ASKED.get_or_init(|| {
        // Without locks, so that it is in nobody's way.
        let arguments = ["--no-optional-locks", "status", "--porcelain=v2", "--branch", "--untracked-files=no"];
        let mut git = Command::new("git");
        let git = git.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        Mutex::new(git.spawn().ok())
    });
}

/// What is noted of a resume that was asked for although not everything was as it had been.
///
/// # Errors
/// The file's text is no TOML.
pub fn with_changes(text: &str, step: &str, changes: &[String]) -> Result<String, toml::de::Error> {
    let mut table: toml::Table = text.parse()?;
    let accepted = table.entry("accepted").or_insert_with(|| toml::Value::Array(Vec::new()));
    if let Some(all) = accepted.as_array_mut() {
        let entry = [("at".to_owned(), step.into()), ("changes".to_owned(), changes.to_vec().into())];
        all.push(toml::Value::Table(toml::Table::from_iter(entry)));
    }
    Ok(table.to_string())
}

/// What made the run of a folder; nothing of it where the folder does not say.
pub fn made(folder: &Path) -> Made {
    let text = fs::read_to_string(folder.join(PROVENANCE)).unwrap_or_default();
    let table = text.parse::<toml::Table>().unwrap_or_default();
    let part = |key: &str| Some(table.get("made")?.get(key)?.as_str()?.to_owned());
    Made { data: part("data"), init: part("init"), build: part("build"), vector: part("vector") }
}

/// The text of the file.
pub fn describe(config: &Resolved, plugins: Vec<PluginInUse>) -> String {
    let logical_cpus = thread::available_parallelism().map_or(1, usize::from);
    let provenance = Provenance {
        made: Made::here(config),
        program: Program {
            version: env!("CARGO_PKG_VERSION"),
            profile: if cfg!(debug_assertions) { "debug" } else { "release" },
            threads: if config.run.top.threads > 0 { config.run.top.threads } else { logical_cpus },
        },
        machine: Machine { os: env::consts::OS, arch: env::consts::ARCH, cpu: cpu_model(), logical_cpus },
        git: GIT.get_or_init(git).clone(),
        origins: config.origins(),
        part: plugins,
    };
    toml::to_string(&provenance).expect("text and numbers are TOML")
}

fn cpu_model() -> Option<String> {
    let info = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = info.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn git() -> Option<Git> {
    ask_repository();
    // A panic elsewhere leaves the question whole.
    let asked = ASKED.get()?.lock().unwrap_or_else(PoisonError::into_inner).take()?;
    let answer = asked.wait_with_output().ok().filter(|output| output.status.success())?;
    Git::read(&String::from_utf8_lossy(&answer.stdout))
}

impl Git {
    /// What `git status --porcelain=v2 --branch` says; nothing before the first commit.
    fn read(status: &str) -> Option<Self> {
        let commit = status.lines().find_map(|line| line.strip_prefix("# branch.oid "))?;
        let uncommitted_changes = status.lines().any(|line| !line.starts_with('#'));
        (commit != "(initial)").then(|| Self { commit: commit.to_owned(), uncommitted_changes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_about_a_repository_is_read() {
        let read = |status: &str| Git::read(status).map(|git| (git.commit, git.uncommitted_changes));
        let clean = "# branch.oid 0f10e4\n# branch.head main\n# branch.ab +1 -0\n";
        assert_eq!(read(clean), Some(("0f10e4".to_owned(), false)));
        let changed = format!("{clean}1 .M N... 100644 100644 100644 51 51 a.rs\n");
        assert_eq!(read(&changed), Some(("0f10e4".to_owned(), true)));
        assert_eq!(read("# branch.oid (initial)\n# branch.head main\n"), None);
        assert_eq!(read(""), None);
    }
}
