//! Sweeps that many processes run: shares of a plan, claims, what became of the cells, and Slurm, which stands here as
//! a few shell scripts (`fake`). `reliability/slurm` has the real one.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "tests")]

mod claims;
mod slurm;
mod status;
mod task;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

/// Three settings, two seeds each, of a run of a fraction of a second.
const CONFIG: &str = r#"
extends = ["experiment/quickstart"]
data.glyphs = { train = 600, test = 200 }
train = { epochs = 6, batch_size = 60 }
schedule.first = 2
output.pictures = 0

[sweep]
seeds = 2
axes.criterion = ["criterion/magnitude", "criterion/random"]

[[sweep.when]]
if = { criterion.name = "magnitude" }
axes = { criterion.norm = ["l1", "l2"] }
"#;

/// Waiting is for what comes for certain, so that this only bounds a test that fails.
const PATIENCE: Duration = Duration::from_secs(300);

fn here() -> tempfile::TempDir {
    let here = tempfile::tempdir().unwrap();
    fs::write(here.path().join("s.toml"), CONFIG).unwrap();
    here
}

/// The program, outside of every scheduler's job, with the fake Slurm first on the path.
fn secateur(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_secateur"));
    command.current_dir(folder).args(arguments).env("HOME", folder).env("FAKE", folder);
    for (name, _) in std::env::vars_os() {
        if name
            .to_str()
            .is_some_and(|name| ["SECATEUR_", "SLURM_", "PBS_", "LSB_"].iter().any(|start| name.starts_with(start)))
        {
            command.env_remove(name);
        }
    }
    let fake = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cluster/fake");
    command.env("PATH", format!("{}:{}", fake.display(), std::env::var("PATH").unwrap()));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Exit code, and both outputs together.
fn ended(output: Output) -> (Option<i32>, String) {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout) + &text(&output.stderr))
}

fn outcome(folder: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    ended(secateur(folder, arguments).output().unwrap())
}

/// What must end well.
fn works(folder: &Path, arguments: &[&str]) -> String {
    let (code, text) = outcome(folder, arguments);
    assert_eq!(code, Some(0), "{arguments:?}: {text}");
    text
}

fn text(file: PathBuf) -> String {
    fs::read_to_string(file).unwrap_or_default()
}

fn summary(run: &Path) -> Value {
    serde_json::from_str(&text(run.join("summary.json"))).unwrap_or_default()
}

/// The folders of the sweep's runs, sorted.
fn runs(here: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(here.join("runs/s")).into_iter().flatten();
    let mut all: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    all.retain(|path| path.file_name().unwrap().to_str().unwrap().starts_with("s-"));
    all.sort();
    all
}

/// Every network, by the name of its run.
fn networks(here: &Path) -> BTreeMap<String, Vec<u8>> {
    let name = |run: &PathBuf| run.file_name().unwrap().to_str().unwrap().to_owned();
    runs(here).iter().map(|run| (name(run), fs::read(run.join("model.safetensors")).unwrap_or_default())).collect()
}

/// The controls of each cell, whichever files say so.
fn ties(here: &Path) -> BTreeMap<String, Value> {
    let folder = here.join("runs/s");
    let own = fs::read_dir(folder.join("controls")).into_iter().flatten().map(|entry| entry.unwrap().path());
    let files = own.chain([folder.join("controls.json")]).map(text).filter(|text| !text.is_empty());
    files.flat_map(|text| serde_json::from_str::<BTreeMap<String, Value>>(&text).unwrap()).collect()
}

fn wait_until(what: &str, child: &mut Child, mut met: impl FnMut() -> bool) {
    let began = Instant::now();
    while !met() {
        assert!(child.try_wait().unwrap().is_none(), "it ended before {what}");
        assert!(began.elapsed() < PATIENCE, "{what} never came");
        sleep(Duration::from_millis(2));
    }
}

fn signal(child: &Child, name: &str) {
    assert!(Command::new("kill").args([name, &child.id().to_string()]).status().unwrap().success());
}

/// Whether a run is well inside its epochs.
fn under_way(run: &Path) -> bool {
    text(run.join("events.jsonl")).contains("\"epoch\":3")
}
