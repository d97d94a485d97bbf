//! Runs that leave another one: they begin with its state, which is looked for, or made by repeating the other run up to
//! there.

mod state;
mod until;

use std::path::Path;

use serde_json::{Map, Value, json};

use crate::config::Resolved;
use crate::engine::{Left, Workbench};
use crate::failure::Failure;
use crate::output::Progress;
use crate::run::{self, FORK, Interrupt, Made, PROVENANCE, RunDir};
use state::States;

/// What a run is carried out with.
pub struct With<'a> {
    /// Makes a display for each of the runs that are carried out.
    pub progress: &'a dyn Fn() -> Progress,
    /// Whether someone asked for an end.
    pub interrupt: &'a Interrupt,
    /// The plugins and the data.
    pub workbench: &'a Workbench,
    /// Whether a run may be left that another build made, or another kind of processor.
    pub accept: bool,
}

/// Carries out a run that begins: from its first step, or from the state in which it leaves another one.
///
/// # Errors
/// Whatever ends the run early; another run that is not what the config says, or cannot be repeated.
pub fn execute(config: &Resolved, folder: &RunDir, with: &With<'_>) -> Result<Map<String, Value>, Failure> {
    let begin = |saved: Option<&run::Saved>| {
        run::execute(config, folder, saved, (with.progress)(), with.interrupt, with.workbench)
    };
    let (Some(at), Some(other)) = (config.fork_at(), config.before_fork(with.workbench)?) else { return begin(None) };
    let left = with.workbench.leaves(config, &other, at)?;
    changed(config, &other, folder, with)?;
    folder.write(FORK, about(config, &other, left).to_string().as_bytes())?;
    if left.step == 0 {
        return begin(None);
    }
    let states = States { out: Path::new(&config.run.output.dir), with };
    let saved = states.take(&other, config.run.fork.from.as_deref().map(Path::new), left, folder)?;
    begin(Some(&saved))
}

/// What a run's summary says of the one that it left. Runs with one `state` were the same run until then.
fn about(config: &Resolved, other: &Resolved, left: Left) -> Value {
    let state = format!("{}@{}", &other.identity()[..12], left.step);
    let from = config.run.fork.from.as_deref().and_then(|from| Path::new(from).file_name());
    let of = from.map_or_else(|| other.folder_name(), |from| from.to_string_lossy().into_owned());
    json!({"fork": {"at": config.run.fork.at, "step": left.step, "of": of, "state": state}})
}

/// Refuses a run that is not the one that the config says, or that is not made any more as it was, unless that is accepted.
fn changed(config: &Resolved, other: &Resolved, folder: &RunDir, with: &With<'_>) -> Result<(), Failure> {
    let Some(from) = config.run.fork.from.as_deref().map(Path::new).filter(|from| from.is_dir()) else { return Ok(()) };
    let refused = |problem: &str, differences: &[String], fix: &str| {
        let (from, differences) = (from.display(), differences.join("\n  "));
        Err(Failure::Failed(format!("{from}: {problem}\n  {differences}\n  fix: {fix}")))
    };
    let differences = other.differences(&run::config_of(from)?, with.workbench);
    if !differences.is_empty() {
        let fix = "name the folder of that run in fork.from, or leave it out: the run is then repeated up to the fork";
        return refused("this is not the run that is left", &differences, fix);
    }
    let there = run::made_there(from);
    // A folder that says nothing was not written by this program; its config alone counts.
    if there == Made::default() {
        return Ok(());
    }
    let changes = Made::here(other).changes(&there);
    if changes.is_empty() {
        return Ok(());
    }
    if !with.accept {
        let fix = "fork it where everything is as it was, or accept the change with --accept-changed: the run is then \
                   repeated with what is here";
        return refused("this run was made with something else, so that its state would not come again", &changes, fix);
    }
    let text = std::fs::read_to_string(folder.path().join(PROVENANCE)).unwrap_or_default();
    if let Ok(text) = run::with_changes(&text, "the run that was left", &changes) {
        folder.write(PROVENANCE, text.as_bytes())?;
    }
    Ok(())
}
