//! `secateur sweep`

mod dry_run;
mod search;
mod slurm;
mod status;
mod task;

use std::fs;
use std::path::Path;
use std::sync::Mutex;

use serde_json::json;

use crate::cli::{Cli, HowArgs, SweepArgs};
use crate::config::{ConfigErrors, Layer};
use crate::engine::Workbench;
use crate::experiments::claims;
use crate::experiments::cluster::{Submission, submits};
use crate::experiments::index::Index;
use crate::experiments::sweep::{CELLS, Frozen, SweepPlan, Tally, Waves, Workers, Written};
use crate::failure::Failure;
use crate::printable::counted;
use crate::run::{Interrupt, ask_repository, remove_leftovers, write_asked, write_whole};

/// Listens for signals, and has a task of Slurm go back into the queue where it is warned of its end.
pub fn listen(arguments: &SweepArgs, quiet: bool) -> Result<Interrupt, Failure> {
    let interrupt = Interrupt::default();
    if let Some(requeue) = task::requeue(&arguments.cluster) {
        interrupt.at_end(move || requeue.where_warned());
    }
    interrupt.listen(quiet)
}

pub fn execute(arguments: &SweepArgs, cli: &Cli, interrupt: Interrupt, workbench: &Workbench) -> Result<(), Failure> {
    ask_repository();
    let cluster = &arguments.cluster;
    let plan = match &cluster.plan {
        Some(file) => Frozen::read(file)?.by_this_program(arguments.how.accept_changed || cluster.status)?,
        None => SweepPlan::make(&super::many(&arguments.layers, cli)?, workbench)?,
    };
    let mut what = None;
    let plan = match plan.search() {
        // A share of a search is a process that helps with it.
        Some(search) if !(cluster.status || cluster.slurm || cluster.freeze.is_some()) => {
            let (how, share) = (&arguments.how, cluster.task);
            return match how.dry_run {
                true => search::dry_run(&plan, search, workers(how, &plan, workbench)?.0, workbench),
                false => search::carry_out(&plan, search, share, how, cli.quiet, &interrupt, workbench),
            };
        }
        // Of a search that grows, the part that is run now is a plan like any other.
        Some(search) => match search::now(&plan, search, workbench)? {
            Some(part) => {
                what = Some(part.what);
                part.plan
            }
            None => {
                search::over(&plan);
                return Ok(());
            }
        },
        None => plan,
    };
    what.iter().for_each(|what| super::print(&format!("{what}\n")));
    if cluster.status {
        let survey = status::Survey::of(&plan, workbench)?;
        // The flags for the scheduler are those that were given before.
        let before = Submission::of_sweep(&plan.folder).pop().map(|submission| submission.command);
        // Where nothing was submitted and nothing can be, the sweep goes on as a command of its own.
        let next = match before {
            Some(command) => ("submit", command),
            None if submits() => ("submit", slurm::command(arguments)),
            None => ("run", slurm::plain_command()),
        };
        super::print(&survey.text(&plan, (next.0, &next.1)));
        return Ok(());
    }
    if plan.until().is_some() && (cluster.freeze.is_some() || cluster.slurm || cluster.task.is_some()) {
        let problem = "sweep.seeds: seeds that are added until comparisons are settled make a plan that grows, of which nobody has a share";
        return Err(Failure::Usage(format!("{problem}\n  fix: run it as one command, or give a number of seeds")));
    }
    if let Some(file) = &cluster.freeze {
        return freeze(plan, file, workbench);
    }
    if cluster.slurm {
        let (_, threads) = workers(&arguments.how, &plan, workbench)?;
        return slurm::submit(arguments, plan, (arguments.how.jobs.map(usize::from), threads), workbench);
    }
    match cluster.task {
        Some(share) => task::carry_out(&plan, share, arguments, cli.quiet, interrupt, workbench),
        None => carry_out(&plan, &arguments.how, cli.quiet, interrupt, workbench),
    }
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
        return dry_run::dry_run(plan, jobs, workbench);
    }
    begin(plan, &every(plan), quiet, workbench)?;
    let (retry_failed, accept) = (how.retry_failed, how.accept_changed);
    let run = |plan: &SweepPlan| {
        let (interrupt, written) = (interrupt.clone(), Written::Whole(Mutex::new(Index::open(&plan.out)?)));
        let cells = every(plan);
        Workers { plan, cells, workbench, jobs, threads, retry_failed, interrupt, accept, written }.run(quiet)
    };
    let Some(until) = plan.until() else { return report(plan, &run(plan)?, &[], quiet) };
    let mut waves = Waves::open(plan, until)?;
    let told = |waves: &Waves| {
        if !quiet {
            eprintln!("{}", waves.part());
            waves.note().iter().for_each(|note| eprintln!("note: {note}"));
        }
    };
    told(&waves);
    let mut tally = run(&plan.part(waves.cells(plan, false)))?;
    // What another process runs is not known yet: the same command, given later, goes on.
    while tally.left == 0 && tally.elsewhere.is_empty() && !waves.is_over() {
        let records = Index::open(&plan.folder)?.records(&plan.folder)?;
        let more = match waves.look(plan, until, records) {
            // Why nothing can be compared is then known.
            Err(_) if !tally.failed.is_empty() || !tally.untried.is_empty() => break,
            more => more?,
        };
        if more {
            told(&waves);
            tally.add(run(&plan.part(waves.cells(plan, true)))?);
        }
    }
    report(plan, &tally, &waves.told(), quiet)
}

/// The places of all cells.
fn every(plan: &SweepPlan) -> Vec<usize> {
    (0..plan.cells.len()).collect()
}

/// Sees that these cells can run, and where to.
fn begin(plan: &SweepPlan, cells: &[usize], quiet: bool, workbench: &Workbench) -> Result<(), Failure> {
    check(plan, cells, workbench)?;
    fs::create_dir_all(&plan.folder)
        .map_err(|error| Failure::Failed(format!("{}: cannot create it: {error}", plan.folder.display())))?;
    remove_leftovers(&plan.folder);
    note_cells(plan)?;
    claims::note_before(&plan.folder, plan.claims())?;
    if !quiet {
        plan.notes.iter().for_each(|note| eprintln!("note: {note}"));
    }
    Ok(())
}

/// Writes which cells there are, for whoever follows the sweep. Of many tasks, the first one does.
fn note_cells(plan: &SweepPlan) -> Result<(), Failure> {
    let labels: Vec<String> = plan.cells.iter().map(|cell| plan.label(cell)).collect();
    let (path, text) = (plan.folder.join(CELLS), json!(labels).to_string());
    if fs::read(&path).is_ok_and(|before| before == text.as_bytes()) {
        return Ok(());
    }
    Ok(write_whole(&path, text.as_bytes())?)
}

/// Writes the plan with the runs that its cells are, for processes that run it later or elsewhere.
fn freeze(mut plan: SweepPlan, file: &Path, workbench: &Workbench) -> Result<(), Failure> {
    let all = every(&plan);
    check(&plan, &all, workbench)?;
    for number in &all {
        let run = plan.run_of(&plan.cells[*number], None, &Layer::default(), workbench)?;
        plan.cells[*number].folder = Some(run.folder_name());
    }
    write_asked(file, plan.freeze()?.as_bytes())?;
    let shares = format!("secateur sweep --plan {} --task I/N", file.display());
    super::print(&format!("{}: {}\n  {shares}\n", file.display(), cells(all.len())));
    Ok(())
}

/// How many runs at a time, and the threads of each. In a sweep, cores go to runs: `threads = 0` means one.
fn workers(how: &HowArgs, plan: &SweepPlan, workbench: &Workbench) -> Result<(usize, usize), Failure> {
    let first = plan.resolve(&plan.cells[0], &[], workbench)?;
    let threads = first.run.top.threads.max(1);
    let jobs = how.jobs.map_or((task::cores() / threads).max(1), usize::from);
    Ok((jobs.min(plan.cells.len().max(1) * 4), threads))
}

/// Resolves cells in full, so that what is wrong is known before anything runs.
fn check(plan: &SweepPlan, cells: &[usize], workbench: &Workbench) -> Result<(), Failure> {
    use rayon::prelude::*;
    let wrong = cells.par_iter().map(|cell| &plan.cells[*cell]);
    let wrong = wrong.find_map_first(|cell| Some((cell, plan.resolve(cell, &[], workbench).err()?)));
    wrong.map_or(Ok(()), |(cell, ConfigErrors(errors))| {
        let text = errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        Err(Failure::Usage(format!("in the cell {}\n{text}", plan.label(cell))))
    })
}

fn report(plan: &SweepPlan, tally: &Tally, told: &[String], quiet: bool) -> Result<(), Failure> {
    let mut text =
        format!("{}\n  {} finished now, {} before", plan.folder.display(), cells(tally.finished), tally.skipped);
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
    if !tally.elsewhere.is_empty() {
        let (count, reasons) = (cells(tally.elsewhere.len()), reasons(&tally.elsewhere).replace('\n', "\n  "));
        text.push_str(&format!("\n  {count} left to other processes:\n  {reasons}"));
    }
    told.iter().for_each(|line| text.push_str(&format!("\n  {line}")));
    text.push_str(&format!("\n  secateur compare {}\n", plan.folder.display()));
    if !quiet || tally.failed.is_empty() {
        super::print(&text);
    }
    match (tally.failed.as_slice(), tally.left) {
        ([], 0) => Ok(()),
        ([], left) => Err(Failure::Stopped(format!("stopped with {} left; go on with the same command", cells(left)))),
        (failed, _) => Err(Failure::Failed(format!("{} failed\n\n{}", cells(failed.len()), reasons(failed)))),
    }
}

fn cells(count: usize) -> String {
    counted(count, "cell")
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Request;

    #[test]
    fn the_sweeps_that_come_with_the_program_have_no_idle_settings() {
        let (workbench, mut names) = (Workbench::new(&[]).unwrap(), Vec::new());
        for folder in ["sweep", "sweep/evidence"] {
            let files = fs::read_dir(format!("{}/../configs/{folder}", env!("CARGO_MANIFEST_DIR"))).unwrap();
            let files = files.map(|file| file.unwrap().path()).filter(|path| path.is_file());
            names.extend(files.map(|path| format!("{folder}/{}", path.file_stem().unwrap().to_str().unwrap())));
        }
        for name in names {
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
