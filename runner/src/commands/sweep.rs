//! `secateur sweep`

use std::fs;
use std::sync::Mutex;
use std::thread;

use crate::cli::{Cli, HowArgs, SweepArgs};
use crate::config::ConfigErrors;
use crate::engine::Workbench;
use crate::experiments::index::{self, Index};
use crate::experiments::sweep::{SweepPlan, Tally, Waves, Workers, fails_again, time};
use crate::failure::Failure;
use crate::run::{Interrupt, ask_repository};

/// Cells of a dry run that are resolved in full, contradictions between single values included.
const RESOLVED_IN_DRY_RUN: usize = 500;

pub fn execute(arguments: &SweepArgs, cli: &Cli, workbench: &Workbench) -> Result<(), Failure> {
    let interrupt = Interrupt::listen(cli.quiet)?;
    ask_repository();
    let plan = SweepPlan::make(&super::layered(&arguments.layers, cli)?, workbench)?;
    carry_out(&plan, &arguments.how, cli.quiet, interrupt, workbench)
}

/// Runs everything of a plan that is not finished, or says what that would be.
///
/// # Errors
/// A cell's config that is wrong; whatever failed; a sweep that was stopped.
pub(super) fn carry_out(
    plan: &SweepPlan,
    how: &HowArgs,
    quiet: bool,
    interrupt: Interrupt,
    workbench: &Workbench,
) -> Result<(), Failure> {
    let (jobs, threads) = workers(how, plan, workbench)?;
    if how.dry_run {
        return dry_run(plan, jobs, workbench);
    }
    check(plan, plan.cells.len(), workbench)?;
    fs::create_dir_all(&plan.folder)
        .map_err(|error| Failure::Failed(format!("{}: cannot create it: {error}", plan.folder.display())))?;
    if !quiet {
        plan.notes.iter().for_each(|note| eprintln!("note: {note}"));
    }
    let (retry_failed, accept) = (how.retry_failed, how.accept_changed);
    let run = |plan: &SweepPlan| {
        let (interrupt, index) = (interrupt.clone(), Mutex::new(Index::open(&plan.out)?));
        Workers { plan, workbench, jobs, threads, retry_failed, interrupt, accept, index }.run(quiet)
    };
    let Some(until) = plan.until() else { return report(plan, &run(plan)?, &[], quiet) };
    let mut waves = Waves::open(plan, until)?;
    let mut tally = run(&plan.part(waves.cells(plan, false)))?;
    while tally.left == 0 && !waves.is_over() {
        let records = Index::open(&plan.folder)?.records(&plan.folder)?;
        let more = match waves.look(plan, until, records) {
            // Why nothing can be compared is then known.
            Err(_) if !tally.failed.is_empty() || !tally.untried.is_empty() => break,
            more => more?,
        };
        if more {
            tally.add(run(&plan.part(waves.cells(plan, true)))?);
        }
    }
    report(plan, &tally, &waves.told(), quiet)
}

/// How many runs at a time, and the threads of each. In a sweep, cores go to runs: `threads = 0` means one.
fn workers(how: &HowArgs, plan: &SweepPlan, workbench: &Workbench) -> Result<(usize, usize), Failure> {
    let first = plan.resolve(&plan.cells[0], &[], workbench)?;
    let threads = first.run.top.threads.max(1);
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let jobs = how.jobs.map_or((cores / threads).max(1), usize::from);
    Ok((jobs.min(plan.cells.len().max(1) * 4), threads))
}

/// Resolves cells in full, so that what is wrong is known before anything runs.
fn check(plan: &SweepPlan, cells: usize, workbench: &Workbench) -> Result<(), Failure> {
    use rayon::prelude::*;
    let wrong =
        plan.cells[..cells].par_iter().find_map_first(|cell| Some((cell, plan.resolve(cell, &[], workbench).err()?)));
    wrong.map_or(Ok(()), |(cell, ConfigErrors(errors))| {
        let text = errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        Err(Failure::Usage(format!("in the cell {}\n{text}", plan.label(cell))))
    })
}

fn dry_run(plan: &SweepPlan, jobs: usize, workbench: &Workbench) -> Result<(), Failure> {
    use std::fmt::Write as _;
    check(plan, plan.cells.len().min(RESOLVED_IN_DRY_RUN), workbench)?;
    let mut text = String::new();
    for cell in &plan.cells {
        _ = writeln!(text, "{}", plan.label(cell));
    }
    _ = writeln!(text, "\n{}: {} cells{}", plan.name, plan.cells.len(), left_out(plan.excluded));
    for axis in plan.axes() {
        _ = writeln!(text, "  {axis}");
    }
    if !plan.controls().is_empty() {
        let names: Vec<&str> = plan.controls().iter().map(|control| control.name()).collect();
        _ = writeln!(text, "  controls: {} (added as cells finish; equal ones are run once)", names.join(", "));
    }
    if let Some(until) = plan.until() {
        let looks = until.looks().iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
        _ = writeln!(
            text,
            "  seeds are added until every comparison is settled: looks after {looks} of them, the cells above at most"
        );
    }
    plan.notes.iter().for_each(|note| _ = writeln!(text, "  note: {note}"));
    let (done, failed) = ended(plan);
    let left = plan.cells.len().saturating_sub(done.len() + failed);
    let mean = done.iter().sum::<f64>() / done.len().max(1) as f64;
    let estimate = if done.is_empty() {
        "no estimate of the time: none of them has run yet".to_owned()
    } else {
        format!("about {}, from the {} that are finished", time(mean * left as f64 / jobs as f64), done.len())
    };
    _ = writeln!(text, "{left} to run, {jobs} at a time: {estimate}");
    super::print(&text);
    Ok(())
}

/// Seconds of the sweep's finished cells, without controls, and how many failed and would fail again.
fn ended(plan: &SweepPlan) -> (Vec<f64>, usize) {
    if !plan.folder.is_dir() {
        return (Vec::new(), 0);
    }
    let records = Index::open(&plan.out).and_then(|mut index| index.records(&plan.folder)).unwrap_or_default();
    let own = records.iter().filter(|record| record.status == "finished" && record.control.is_none());
    let failed = records.iter().filter(|record| record.status == "failed" && fails_again(&record.folder).is_some());
    (own.filter_map(|record| index::seconds(&record.summary)).collect(), failed.count())
}

fn report(plan: &SweepPlan, tally: &Tally, told: &[String], quiet: bool) -> Result<(), Failure> {
    let mut text =
        format!("{}\n  {} cells finished now, {} before", plan.folder.display(), tally.finished, tally.skipped);
    if tally.left > 0 {
        text.push_str(&format!(", {} left", tally.left));
    }
    if tally.spent > 0.0 {
        let share = (1.0 - tally.within / tally.spent).max(0.0) * 100.0;
        text.push_str(&format!(
            "\n  {share:.1} % of the cells' time went to other things than training, pruning and evaluation"
        ));
    }
    if tally.unpaired > 0 {
        let have = if tally.unpaired == 1 { "has" } else { "have" };
        text.push_str(&format!(
            "\n  note: sweep.controls does nothing for some: {} {have} no control, because nothing was pruned there",
            cells(tally.unpaired)
        ));
    }
    if !tally.untried.is_empty() {
        let cells = cells(tally.untried.len());
        let reasons = reasons(&tally.untried).replace('\n', "\n  ");
        text.push_str(&format!("\n  {cells} failed before and would again (--retry-failed tries again):\n  {reasons}"));
    }
    told.iter().for_each(|line| text.push_str(&format!("\n  {line}")));
    text.push_str(&format!("\n  secateur compare {}\n", plan.folder.display()));
    if !quiet || tally.failed.is_empty() {
        super::print(&text);
    }
    match (tally.failed.as_slice(), tally.left) {
        ([], 0) => Ok(()),
        ([], left) => Err(Failure::Stopped(format!("stopped with {left} cells left; go on with the same command"))),
        (failed, _) => Err(Failure::Failed(format!("{} failed\n\n{}", cells(failed.len()), reasons(failed)))),
    }
}

fn cells(count: usize) -> String {
    if count == 1 { "1 cell".to_owned() } else { format!("{count} cells") }
}

/// Every reason once, with the cells that it stopped.
fn reasons(failed: &[(String, String)]) -> String {
    let mut cells: Vec<(&str, Vec<&str>)> = Vec::new();
    for (label, reason) in failed {
        match cells.iter_mut().find(|(known, _)| known == reason) {
            Some((_, labels)) => labels.push(label),
            None => cells.push((reason, vec![label])),
        }
    }
    let text = |(reason, labels): &(&str, Vec<&str>)| {
        let more = if labels.len() > 3 { format!("\n... and {} more", labels.len() - 3) } else { String::new() };
        let labels = labels.iter().take(3).copied().collect::<Vec<_>>().join("\n");
        format!("{labels}{more}\n  {}", reason.replace('\n', "\n  "))
    };
    let mut shown: Vec<String> = cells.iter().take(10).map(text).collect();
    if cells.len() > 10 {
        shown.push("...".to_owned());
    }
    shown.join("\n\n")
}

fn left_out(excluded: usize) -> String {
    if excluded > 0 { format!(", {excluded} excluded") } else { String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Request;

    #[test]
    fn the_sweeps_that_come_with_the_program_have_no_idle_settings() {
        let workbench = Workbench::new(&[]).unwrap();
        for file in fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../configs/sweep")).unwrap() {
            let path = file.unwrap().path();
            let name = format!("sweep/{}", path.file_stem().unwrap().to_str().unwrap());
            let plan = SweepPlan::make(&Request { configs: vec![name.clone()], ..Request::default() }, &workbench);
            let plan = plan.unwrap();
            assert_eq!(plan.notes, [""; 0], "{name}");
            for cell in &plan.cells {
                let config = plan.resolve(cell, &[], &workbench).unwrap();
                assert_eq!(workbench.idle(&config), [], "{name}: {}", plan.label(cell));
            }
        }
    }
}
