//! What a site's Slurm says. Nothing is kept of it, and where it says nothing there is none.

use std::collections::HashMap;
use std::process::{Command, Stdio};

/// What a program of Slurm prints; `None` where there is none, or it fails.
pub fn ask(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Whether there is a Slurm here that takes jobs.
pub fn submits() -> bool {
    let mut sbatch = Command::new("sbatch");
    sbatch.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    sbatch.status().is_ok()
}

/// The tasks of arrays that are in the queue, each with its state: `12_3`, `PENDING`. `None` where there is no Slurm.
///
/// # Errors
/// Slurm does not answer: then nobody knows what is in its queue.
pub fn queue(arrays: &[String]) -> Result<Option<HashMap<String, String>>, String> {
    let mut tasks = HashMap::new();
    for array in arrays {
        let mut squeue = Command::new("squeue");
        squeue.args(["--noheader", "--array", "--jobs", array, "--format", "%F_%K %T"]).stdin(Stdio::null());
        let Ok(output) = squeue.output() else { return Ok(None) };
        let said = String::from_utf8_lossy(&output.stderr);
        // An array that is long over is not known any more.
        if !output.status.success() && !said.contains("Invalid job id") {
            return Err(format!("squeue: {}", said.trim()));
        }
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            if let Some((task, state)) = line.trim().split_once(' ') {
                tasks.insert(task.to_owned(), state.trim().to_owned());
            }
        }
    }
    Ok(Some(tasks))
}
