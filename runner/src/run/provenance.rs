//! `provenance.toml`: which layer set each value, and what ran it where.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;
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

/// Asks about the repository, where nobody has yet. A process that is made while a folder is locked holds that lock too
/// until it runs its own program, longer than this one may live: so this is done before any folder is opened.
pub fn ask_repository() {
    GIT.get_or_init(git);
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
    let ask = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).output().ok().filter(|output| output.status.success())?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let commit = ask(&["rev-parse", "HEAD"])?;
    let changes = ask(&["status", "--porcelain", "--untracked-files=no"])?;
    Some(Git { commit, uncommitted_changes: !changes.is_empty() })
}
