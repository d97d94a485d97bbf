//! The program as a process of its own, and what is done to it from outside.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Waiting is for what comes for certain, so that this only bounds a test that fails.
const PATIENCE: Duration = Duration::from_secs(300);

/// The program, its argument list begun.
pub fn secateur(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_secateur"));
    command.current_dir(folder).args(arguments).env_remove("SECATEUR_DATA").env("HOME", folder);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Exit code, and both outputs together.
pub fn ended(output: Output) -> (Option<i32>, String) {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout) + &text(&output.stderr))
}

pub fn outcome(folder: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    ended(secateur(folder, arguments).output().unwrap())
}

/// What a file holds; nothing where it is not there yet.
pub fn text(file: PathBuf) -> String {
    fs::read_to_string(file).unwrap_or_default()
}

pub fn wait_until(what: &str, child: &mut Child, mut met: impl FnMut() -> bool) {
    let began = Instant::now();
    while !met() {
        assert!(child.try_wait().unwrap().is_none(), "the run ended before {what}");
        assert!(began.elapsed() < PATIENCE, "{what} never came");
        sleep(Duration::from_millis(2));
    }
}

pub fn signal(child: &Child, name: &str) {
    assert!(Command::new("kill").args([name, &child.id().to_string()]).status().unwrap().success());
}
