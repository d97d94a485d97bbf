//! `secateur run`

use std::cell::Cell;
use std::path::Path;

use serde_json::{Map, Value};

use crate::cli::{Cli, RunArgs};
use crate::config::Resolved;
use crate::engine::Workbench;
use crate::failure::Failure;
use crate::forks::{self, With};
use crate::output::{Progress, headlines};
use crate::run::{self, Interrupt, Opened, REPORT, RunDir};

pub fn execute(arguments: &RunArgs, cli: &Cli, interrupt: &Interrupt, workbench: &Workbench) -> Result<(), Failure> {
    run::ask_repository();
    if let Some(dir) = &arguments.resume {
        return resume(dir, arguments, cli, interrupt, workbench);
    }
    let config = super::resolve_layers(&arguments.layers, cli, workbench)?;
    let (config, progress) = identified(config, cli.quiet, workbench)?;
    match RunDir::open(Path::new(&config.run.output.dir), &config.folder_name(), arguments.force)? {
        Opened::Finished(path) => {
            super::print(&already_finished(&path));
            Ok(())
        }
        Opened::Interrupted(folder) => Err(Failure::Usage(format!(
            "{0}: this run was interrupted before; nothing was done\n  fix: go on with it: secateur run --resume {0}\n  \
             or start it anew, with --force",
            folder.path().display()
        ))),
        Opened::Ready(folder) => {
            run::begin(&config, &folder, workbench)?;
            // Where a run is repeated first that this one leaves, each has its own display.
            let first = Cell::new(Some(progress));
            let progress = || first.take().unwrap_or_else(|| Progress::new(cli.quiet));
            let with = With { progress: &progress, interrupt, workbench, accept: false };
            alone(&folder, forks::execute(&config, &folder, &with))
        }
    }
}

/// Goes on with an interrupted run, as its folder or the same configs say.
fn resume(
    dir: &Path,
    arguments: &RunArgs,
    cli: &Cli,
    interrupt: &Interrupt,
    workbench: &Workbench,
) -> Result<(), Failure> {
    let config = || super::resolve_layers(&arguments.layers(), cli, workbench);
    let refused = |differences: Vec<String>, problem: &str, fix: &str| {
        let (dir, differences) = (dir.display(), differences.join("\n  "));
        Err(Failure::Usage(format!("{dir}: {problem}\n  {differences}\n  fix: {fix}")))
    };
    if run::is_finished(dir) {
        // The folder's own config is what it was.
        let other = !arguments.layers.words.is_empty() || !arguments.layers.sets.is_empty();
        let differences = if other { config()?.differences(&run::config_of(dir)?, workbench) } else { Vec::new() };
        if !differences.is_empty() {
            let fix = "run it as a run of its own, without --resume: what follows depends on the whole config from the first \
                       step on";
            return refused(differences, "this run is finished, and was of another config", fix);
        }
        RunDir::tidy_finished(dir);
        super::print(&already_finished(dir));
        return Ok(());
    }
    let (folder, checkpoint) = RunDir::reopen(dir)?;
    let (config, progress) = identified(config()?, cli.quiet, workbench)?;
    let differences = config.differences(&folder.config()?, workbench);
    if !differences.is_empty() {
        let fix = format!("resume it as it was begun: secateur run --resume {}", dir.display());
        return refused(differences, "the checkpoint is of another config", &fix);
    }
    run::same_or_accepted(&config, &folder, &checkpoint, arguments.accept_changed)?;
    alone(&folder, run::execute(&config, &folder, Some(&checkpoint), progress, interrupt, workbench))
}

/// The config with the content of its data, which takes a while to read; whoever waits is shown how far that has come.
fn identified(config: Resolved, quiet: bool, workbench: &Workbench) -> Result<(Resolved, Progress), Failure> {
    let mut progress = Progress::new(quiet);
    progress.loading(None);
    let identified = workbench.identified(config, &mut |some| progress.loading(Some(some)));
    progress.clear();
    Ok((identified?, progress))
}

/// Says on the screen how a run ended.
fn alone(folder: &RunDir, summary: Result<Map<String, Value>, Failure>) -> Result<(), Failure> {
    let summary = summary.map_err(|failure| {
        let stopped = matches!(failure, Failure::Stopped(_));
        failure.saying(|mut why| {
            if stopped {
                why += &format!("; go on with: secateur run --resume {}", folder.path().display());
            }
            if let Some(earlier) = folder.earlier().last() {
                why += &format!("\n  what the earlier run left is in {} until this one is finished", earlier.display());
            }
            why
        })
    })?;
    super::print(&results(folder.path(), &summary));
    Ok(())
}

fn already_finished(path: &Path) -> String {
    let summary = run::read_summary(path).ok().flatten().unwrap_or_default();
    let hint = "This run finished before; nothing was done. Run it again with --force, or another one with seed=N.";
    format!("{}\n{hint}\n", results(path, &summary))
}

/// The headlines as a small table, and where the rest is.
fn results(path: &Path, summary: &Map<String, Value>) -> String {
    let headlines = headlines(summary);
    let width = headlines.iter().map(|headline| headline.value.chars().count()).max().unwrap_or(0);
    let mut text = format!("{}\n", path.display());
    for headline in headlines {
        text.push_str(&format!("  {:>width$}  {}\n", headline.value, headline.label));
    }
    text + &format!("  report: {}\n", path.join(REPORT).display())
}
