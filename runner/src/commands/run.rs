//! `secateur run`

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde_json::{Map, Value};
use toml::Table;

use crate::checkpoints::Checkpoints;
use crate::cli::{Cli, Layers, RunArgs};
use crate::config::Resolved;
use crate::failure::Failure;
use crate::interrupt::Interrupt;
use crate::program::{Program, Trained};
use crate::progress::Progress;
use crate::recorder::Recorder;
use crate::run_dir::{self, CONFIG, EVENTS, MODEL, Opened, PROVENANCE, REPORT, RunDir, SWEEP, Saved, TENSORBOARD};
use crate::{provenance, report, tensorboard};

pub fn execute(arguments: &RunArgs, cli: &Cli, program: &dyn Program) -> Result<(), Failure> {
    if let Some(dir) = &arguments.resume {
        return resume(dir, &arguments.layers(), cli, program);
    }
    let config = super::resolve_layers(&arguments.layers, cli, program)?;
    match RunDir::open(&out(&config), &config.folder_name(), arguments.force)? {
        Opened::Finished(path) => {
            super::print(&already_finished(&path));
            Ok(())
        }
        Opened::Interrupted(path) => Err(Failure::Usage(format!(
            "{0}: this run was interrupted before; nothing was done\n  fix: go on with it: secateur run --resume {0}\n  \
             or start it anew, with --force",
            path.display()
        ))),
        Opened::Ready(folder) => {
            begin(&config, &folder, program)?;
            run(&config, &folder, None, cli.quiet, program)
        }
    }
}

/// Goes on with an interrupted run, as its folder or the same configs say.
fn resume(dir: &Path, layers: &Layers, cli: &Cli, program: &dyn Program) -> Result<(), Failure> {
    if run_dir::is_finished(dir) {
        super::print(&already_finished(dir));
        return Ok(());
    }
    let (folder, checkpoint) = RunDir::reopen(dir)?;
    let file = dir.join(CONFIG);
    let config = super::resolve_layers(layers, cli, program)?;
    let text = fs::read_to_string(&file).map_err(|error| unreadable(&file, &error))?;
    let there: Table = text.parse().map_err(|error| unreadable(&file, &error))?;
    let differences = config.differences(&there);
    if !differences.is_empty() {
        return Err(Failure::Usage(format!(
            "{}: the checkpoint is of another config\n  {}\n  fix: resume it as it was begun: secateur run --resume {}",
            dir.display(),
            differences.join("\n  "),
            dir.display()
        )));
    }
    run(&config, &folder, Some(&checkpoint), cli.quiet, program)
}

/// One run, alone, on the screen.
fn run(
    config: &Resolved,
    folder: &RunDir,
    from: Option<&Saved>,
    quiet: bool,
    program: &dyn Program,
) -> Result<(), Failure> {
    let interrupt = Interrupt::listen()?;
    let summary = execute_run(config, folder, from, Progress::new(quiet), &interrupt, program);
    let summary = summary.map_err(|failure| match failure {
        Failure::Stopped(why) => Failure::Stopped(go_on(&why, folder.path())),
        other => other,
    })?;
    super::print(&results(folder.path(), &summary));
    Ok(())
}

/// Writes what a run's folder says before the run begins.
///
/// # Errors
/// It cannot be written.
pub fn begin(config: &Resolved, folder: &RunDir, program: &dyn Program) -> Result<(), Failure> {
    folder.write(CONFIG, config.to_toml().as_bytes())?;
    folder.write(PROVENANCE, provenance::describe(config, program.parts(config)).as_bytes())?;
    Ok(())
}

/// Runs a config in its folder to the end, from a checkpoint on where one is given.
///
/// # Errors
/// Whatever ended the run early; the folder's summary says so too.
pub fn execute_run(
    config: &Resolved,
    folder: &RunDir,
    from: Option<&Saved>,
    progress: Progress,
    interrupt: &Interrupt,
    program: &dyn Program,
) -> Result<Map<String, Value>, Failure> {
    let every = config.table.get("output").and_then(|output| output.get("checkpoint_every")?.as_integer());
    let checkpoints = Checkpoints::new(every.map(i64::cast_unsigned), Instant::now());
    let mut recorder = Recorder::new(folder, progress, checkpoints, interrupt.clone())?;
    let trained = program.train(config, from, &mut recorder);
    recorder.clear_screen();
    drop(recorder);
    let ended = trained.and_then(|trained| finish(config, folder, trained));
    if let Err(failure) = &ended {
        let status = if matches!(failure, Failure::Stopped(_)) { "interrupted" } else { "failed" };
        // The reason why the run ended matters more than a disk that is too full to note it.
        _ = folder.give_up(status, failure.message());
        let figures = [("status".to_owned(), status.into()), ("error".to_owned(), failure.message().into())];
        _ = write_report(config, folder, &Map::from_iter(figures));
    }
    ended
}

fn go_on(why: &str, folder: &Path) -> String {
    format!("{why}; go on with: secateur run --resume {}", folder.display())
}

fn unreadable(path: &Path, error: &dyn std::fmt::Display) -> Failure {
    Failure::Failed(format!("{}: cannot read it: {error}", path.display()))
}

/// Writes what a run leaves, the summary last: only then does it look finished.
fn finish(config: &Resolved, folder: &RunDir, trained: Trained) -> Result<Map<String, Value>, Failure> {
    let mut summary = trained.summary;
    summary.extend(part_in_sweep(folder));
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

/// What a sweep noted in the folder: which sweep it is, and what the run is a control of.
fn part_in_sweep(folder: &RunDir) -> Map<String, Value> {
    let text = fs::read(folder.path().join(SWEEP)).ok();
    text.and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default()
}

fn write_report(config: &Resolved, folder: &RunDir, summary: &Map<String, Value>) -> Result<(), Failure> {
    let files = |name: &str| fs::read(folder.path().join(name)).ok();
    Ok(folder.write(REPORT, report::render(config, &events(folder)?, summary, &files).as_bytes())?)
}

fn events(folder: &RunDir) -> Result<String, Failure> {
    let path = folder.path().join(EVENTS);
    fs::read_to_string(&path).map_err(|error| unreadable(&path, &error))
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
