//! What a run survives: signals, kills, changed data, damaged files, and the text of others.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "tests")]

mod damage;
mod identity;
mod signals;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

/// Waiting is for what comes for certain, so that this only bounds a test that fails.
const PATIENCE: Duration = Duration::from_secs(300);

/// The program, its argument list begun.
fn secateur(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_secateur"));
    command.current_dir(folder).args(arguments).env_remove("SECATEUR_DATA").env("HOME", folder);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
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

/// The folders of runs under `runs`, sorted.
fn runs(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder.join("runs")) else { return vec![] };
    let mut all: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect();
    all.sort();
    all
}

fn text(file: PathBuf) -> String {
    fs::read_to_string(file).unwrap_or_default()
}

fn summary(run: &Path) -> Value {
    serde_json::from_str(&text(run.join("summary.json"))).unwrap_or_default()
}

fn state(run: &Path) -> PathBuf {
    run.join("checkpoint/state.safetensors")
}

fn wait_until(what: &str, child: &mut Child, mut met: impl FnMut() -> bool) {
    let began = Instant::now();
    while !met() {
        assert!(child.try_wait().unwrap().is_none(), "the run ended before {what}");
        assert!(began.elapsed() < PATIENCE, "{what} never came");
        sleep(Duration::from_millis(2));
    }
}

fn signal(child: &Child, name: &str) {
    assert!(Command::new("kill").args([name, &child.id().to_string()]).status().unwrap().success());
}
