//! `secateur run`

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use serde_json::{Map, Value};

use crate::cli::RunArgs;
use crate::config::Resolved;
use crate::failure::Failure;
use crate::program::{Program, Trained};
use crate::progress::Progress;
use crate::recorder::Recorder;
use crate::run_dir::{self, CONFIG, EVENTS, MODEL, Opened, PROVENANCE, REPORT, RunDir, TENSORBOARD};
use crate::{provenance, report, tensorboard};

pub fn execute(arguments: &RunArgs, quiet: bool, program: &dyn Program) -> Result<(), Failure> {
    let config = super::resolve_layers(&arguments.layers, program)?;
    match RunDir::open(&out(&config), &config.folder_name(), arguments.force)? {
        Opened::Finished(path) => {
            super::print(&already_finished(&path));
            Ok(())
        }
        Opened::Ready(folder) => {
            let summary = run(&config, &folder, quiet, program)?;
            super::print(&results(folder.path(), &summary));
            Ok(())
        }
    }
}

fn run(config: &Resolved, folder: &RunDir, quiet: bool, program: &dyn Program) -> Result<Map<String, Value>, Failure> {
    execute_run(config, folder, Progress::new(quiet), &Arc::default(), Vec::new(), program)
}

/// Runs a config in its folder; `marks` go to the summary.
///
/// # Errors
/// Whatever ended the run early; the folder's summary says so too.
pub fn execute_run(
    config: &Resolved,
    folder: &RunDir,
    progress: Progress,
    stop: &Arc<AtomicBool>,
    marks: Vec<(String, Value)>,
    program: &dyn Program,
) -> Result<Map<String, Value>, Failure> {
    folder.write(CONFIG, config.to_toml().as_bytes())?;
    folder.write(PROVENANCE, provenance::describe(config, program.parts(config)).as_bytes())?;
    let mut recorder = Recorder::new(folder.events()?, progress).stopped_by(Arc::clone(stop));
    let trained = program.train(config, &mut recorder);
    recorder.clear_screen();
    drop(recorder);
    let ended = trained.and_then(|mut trained| {
        trained.summary.extend(marks);
        finish(config, folder, trained)
    });
    if let Err(failure) = &ended {
        // The reason why the run failed matters more than a disk that is too full to note it.
        _ = folder.fail(failure.message());
        _ = write_report(
            config,
            folder,
            &Map::from_iter([("status".to_owned(), "failed".into()), ("error".to_owned(), failure.message().into())]),
        );
    }
    ended
}

/// Writes what a run leaves, the summary last: only then does it look finished.
fn finish(config: &Resolved, folder: &RunDir, trained: Trained) -> Result<Map<String, Value>, Failure> {
    let mut summary = trained.summary;
    summary.insert("status".to_owned(), "finished".into());
    folder.write(MODEL, &trained.model)?;
    let wanted = config.table.get("output").and_then(|output| output.get("tensorboard")?.as_bool());
    if wanted == Some(true) {
        folder.write(TENSORBOARD, &tensorboard::file(&events(folder)?))?;
    }
    write_report(config, folder, &summary)?;
    folder.finish(&summary)?;
    Ok(summary)
}

fn write_report(config: &Resolved, folder: &RunDir, summary: &Map<String, Value>) -> Result<(), Failure> {
    Ok(folder.write(REPORT, report::render(config, &events(folder)?, summary).as_bytes())?)
}

fn events(folder: &RunDir) -> Result<String, Failure> {
    let path = folder.path().join(EVENTS);
    fs::read_to_string(&path).map_err(|error| Failure::Failed(format!("{}: cannot read it: {error}", path.display())))
}

fn out(config: &Resolved) -> PathBuf {
    let dir = config.table.get("output").and_then(|output| output.get("dir")?.as_str());
    dir.unwrap_or("runs").into()
}

fn already_finished(path: &Path) -> String {
    let summary = fs::read(path.join(run_dir::SUMMARY)).ok();
    let summary: Map<String, Value> = summary.and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
    let hint =
        "This run finished before; nothing was done. Run it again with --force, or another one with --set seed=N.";
    format!("{}\n{hint}\n", results(path, &summary))
}

/// The headline figures as a small table, and where the rest is.
fn results(path: &Path, summary: &Map<String, Value>) -> String {
    let figures = report::headlines(summary);
    let width = figures.iter().map(|figure| figure.value.chars().count()).max().unwrap_or(0);
    let mut text = format!("{}\n", path.display());
    for figure in figures {
        text.push_str(&format!("  {:>width$}  {}\n", figure.value, figure.label));
    }
    text + &format!("  report: {}\n", path.join(REPORT).display())
}
