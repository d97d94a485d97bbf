//! From a config to the results in a run's folder.

use std::fs;

use secateur::train::checkpoint_name;
use serde_json::{Map, Value};

use super::folder::{CONFIG, MODEL, PROVENANCE, REPORT, RunDir, SWEEP, Saved, TENSORBOARD};
use super::recorder::Recorder;
use super::{EVENTS, Interrupt, provenance};
use crate::config::{Resolved, earlier_identity};
use crate::engine::{Checkpoint, Trained, Workbench};
use crate::failure::Failure;
use crate::output::{self, Progress};

/// Writes what a run's folder says before the run begins.
///
/// # Errors
/// It cannot be written.
pub fn begin(config: &Resolved, folder: &RunDir, workbench: &Workbench) -> Result<(), Failure> {
    folder.write(CONFIG, config.to_toml().as_bytes())?;
    folder.write(PROVENANCE, provenance::describe(config, workbench.plugins_of(&config.run)).as_bytes())?;
    Ok(())
}

/// Runs a config in its folder to the end, from a checkpoint on where one is given.
///
/// # Errors
/// Whatever ended the run early; the folder's summary says so too.
pub fn execute(
    config: &Resolved,
    folder: &RunDir,
    from: Option<&Saved>,
    progress: Progress,
    interrupt: &Interrupt,
    workbench: &Workbench,
) -> Result<Map<String, Value>, Failure> {
    let identity = from.map_or_else(|| config.identity(), |saved| name_of(saved, config, folder, workbench));
    let mut recorder = Recorder::new(folder, identity.clone(), &config.run.output, progress, interrupt.clone())?;
    let checkpoint = from.map(|saved| Checkpoint { file: &saved.path, bytes: &saved.bytes, name: &identity });
    let trained = workbench.train(config, checkpoint, &mut recorder, Recorder::loading);
    recorder.clear_screen();
    drop(recorder);
    let ended = trained.and_then(|trained| finish(config, folder, trained));
    if let Err(failure) = &ended {
        let status = if matches!(failure, Failure::Stopped(_)) { "interrupted" } else { "failed" };
        // The reason why the run ended matters more than a disk that is too full to note it.
        _ = folder.give_up(status, failure.message());
        let ending = [("status".to_owned(), status.into()), ("error".to_owned(), failure.message().into())];
        _ = write_report(config, folder, &Map::from_iter(ending));
    }
    ended
}

/// The name under which a run's checkpoints are taken: its identity, or in a folder that an earlier version began, the
/// hash of the whole config there, where that config is this one.
fn name_of(saved: &Saved, config: &Resolved, folder: &RunDir, workbench: &Workbench) -> String {
    let begun = folder.config().ok().filter(|begun| config.differences(begun, workbench).is_empty());
    let earlier = begun.as_ref().map(earlier_identity);
    earlier.filter(|name| checkpoint_name(&saved.bytes).is_ok_and(|there| there == *name)).unwrap_or(config.identity())
}

/// Writes what a run leaves, the summary last: only then does it look finished.
fn finish(config: &Resolved, folder: &RunDir, trained: Trained) -> Result<Map<String, Value>, Failure> {
    let mut summary = trained.summary;
    summary.extend(part_in_sweep(folder));
    summary.insert("status".to_owned(), "finished".into());
    folder.write(MODEL, &trained.model)?;
    if config.run.output.tensorboard {
        folder.write(TENSORBOARD, &output::tensorboard(&events(folder)?))?;
    }
    write_report(config, folder, &summary)?;
    folder.finish(&summary)?;
    Ok(summary)
}

/// What a sweep noted in the folder: which sweep it is, and what the run is a control of.
fn part_in_sweep(folder: &RunDir) -> Map<String, Value> {
    let text = fs::read(folder.path().join(SWEEP)).ok();
    text.and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default()
}

fn write_report(config: &Resolved, folder: &RunDir, summary: &Map<String, Value>) -> Result<(), Failure> {
    let files = |name: &str| fs::read(folder.path().join(name)).ok();
    Ok(folder.write(REPORT, output::report(config, &events(folder)?, summary, &files).as_bytes())?)
}

fn events(folder: &RunDir) -> Result<String, Failure> {
    let path = folder.path().join(EVENTS);
    let unreadable = |error| Failure::Failed(format!("{}: cannot read it: {error}", path.display()));
    fs::read_to_string(&path).map_err(unreadable)
}
