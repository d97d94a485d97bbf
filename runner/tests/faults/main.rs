//! What a run survives: signals, kills, changed data, damaged files, and the text of others.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "tests")]

mod damage;
mod identity;
#[path = "../common/program.rs"]
mod program;
mod signals;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use program::{ended, outcome, secateur, signal, text, wait_until};
use serde_json::Value;

/// The folders of runs under `runs`, sorted.
fn runs(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder.join("runs")) else { return vec![] };
    let mut all: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect();
    all.sort();
    all
}

fn summary(run: &Path) -> Value {
    serde_json::from_str(&text(run.join("summary.json"))).unwrap_or_default()
}

fn state(run: &Path) -> PathBuf {
    run.join("checkpoint/state.safetensors")
}
