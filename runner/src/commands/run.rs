//! `secateur run`

use std::fs;
use std::path::Path;

use serde_json::{Map, Value};

use crate::cli::{Cli, Layers, RunArgs};
use crate::config::Resolved;
use crate::engine::Workbench;
use crate::failure::Failure;
use crate::output::{Progress, headlines};
use crate::run::{self, Interrupt, Opened, REPORT, RunDir, SUMMARY, Saved};

pub fn execute(arguments: &RunArgs, cli: &Cli, workbench: &Workbench) -> Result<(), Failure> {
    if let Some(dir) = &arguments.resume {
        return resume(dir, &arguments.layers(), cli, workbench);
    }
    let config = super::resolve_layers(&arguments.layers, cli, workbench)?;
    match RunDir::open(Path::new(&config.run.output.dir), &config.folder_name(), arguments.force)? {
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
            run::begin(&config, &folder, workbench)?;
            alone(&config, &folder, None, cli.quiet, workbench)
        }
    }
}

/// Goes on with an interrupted run, as its folder or the same configs say.
fn resume(dir: &Path, layers: &Layers, cli: &Cli, workbench: &Workbench) -> Result<(), Failure> {
    if run::is_finished(dir) {
        super::print(&already_finished(dir));
        return Ok(());
    }
    let (folder, checkpoint) = RunDir::reopen(dir)?;
    let config = super::resolve_layers(layers, cli, workbench)?;
    let differences = config.differences(&folder.config()?, workbench);
    if !differences.is_empty() {
        return Err(Failure::Usage(format!(
            "{}: the checkpoint is of another config\n  {}\n  fix: resume it as it was begun: secateur run --resume {}",
            dir.display(),
            differences.join("\n  "),
            dir.display()
        )));
    }
    alone(&config, &folder, Some(&checkpoint), cli.quiet, workbench)
}

/// Carries out one run on the screen.
fn alone(
    config: &Resolved,
    folder: &RunDir,
    from: Option<&Saved>,
    quiet: bool,
    workbench: &Workbench,
) -> Result<(), Failure> {
    let interrupt = Interrupt::listen()?;
    let summary = run::execute(config, folder, from, Progress::new(quiet), &interrupt, workbench);
    let summary = summary.map_err(|failure| match failure {
        Failure::Stopped(why) => {
            Failure::Stopped(format!("{why}; go on with: secateur run --resume {}", folder.path().display()))
        }
        other => other,
    })?;
    super::print(&results(folder.path(), &summary));
    Ok(())
}

fn already_finished(path: &Path) -> String {
    let summary = fs::read(path.join(SUMMARY)).ok();
    let summary: Map<String, Value> = summary.and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
    let hint =
        "This run finished before; nothing was done. Run it again with --force, or another one with --set seed=N.";
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
