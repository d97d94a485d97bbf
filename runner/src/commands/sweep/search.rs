//! `secateur sweep` of a config with `[sweep.search]`: part after part, until the best settings were run again.

use std::fmt::Write as _;
use std::sync::Mutex;
use std::thread::sleep;
use std::time::Duration;

use super::{begin, report, workers};
use crate::cli::{HowArgs, Share};
use crate::engine::Workbench;
use crate::experiments::index::Index;
use crate::experiments::search::Search;
use crate::experiments::sweep::{Part, Searched, SweepPlan, Tally, Trials, Workers, Written, fails_again, rungs};
use crate::failure::Failure;
use crate::printable::counted;
use crate::run::Interrupt;

/// How soon it is looked again whether other processes have come to the end of what they run.
const AGAIN: Duration = Duration::from_secs(2);

/// Runs a search to its end. Any number of processes may do so at once: each runs what nobody else has, waits for the others
/// at the end of a part, and decides on the same next one; `share` says which cells it takes first.
pub(super) fn carry_out(
    plan: &SweepPlan,
    search: &Search,
    share: Option<Share>,
    how: &HowArgs,
    quiet: bool,
    interrupt: &Interrupt,
    workbench: &Workbench,
) -> Result<(), Failure> {
    let (jobs, threads) = workers(how, plan, workbench)?;
    super::check(plan, &super::every(plan), workbench)?;
    let mut trials = Trials::open(plan, search, workbench)?;
    let mut all = Tally::default();
    while let Some(Part { plan: part, what }) = trials.part(plan, search) {
        let mut order = super::every(&part);
        let first = share.map(|share| share.of_cells(order.len())).unwrap_or_default();
        order.sort_by_key(|cell| !first.contains(cell));
        begin(&part, &order, quiet, workbench)?;
        if !quiet {
            eprintln!("{what}");
        }
        let written = match share {
            Some(share) => Written::OfTask(format!("search-{}-of-{}", share.number, share.of)),
            None => Written::Whole(Mutex::new(Index::open(&plan.out)?)),
        };
        let (retry_failed, accept) = (how.retry_failed, how.accept_changed);
        let workers = Workers {
            plan: &part,
            cells: order,
            workbench,
            jobs,
            threads,
            retry_failed,
            interrupt: interrupt.clone(),
            accept,
            written,
        };
        let mut tally = workers.run(quiet)?;
        // A trial whose loss became NaN is an answer.
        tally.untried.clear();
        let elsewhere = std::mem::take(&mut tally.elsewhere);
        let failed = std::mem::take(&mut tally.failed);
        let stopped = tally.left > 0;
        all.add(tally);
        let missing = if stopped { Vec::new() } else { trials.look(plan, search, workbench)? };
        if stopped || !missing.is_empty() && elsewhere.is_empty() {
            all.failed.extend(failed);
            all.left += missing.len();
            break;
        }
        if !missing.is_empty() {
            // Others have them; they may leave some.
            if interrupt.asked() {
                all.elsewhere = elsewhere;
                break;
            }
            sleep(AGAIN);
        }
    }
    let searched = Searched::new(trials);
    let mut told: Vec<String> = searched.notes();
    told.extend(failures(plan, &searched));
    report(plan, &all, &told, quiet)
}

/// Why trials have no figure, each reason once.
fn failures(plan: &SweepPlan, searched: &Searched) -> Vec<String> {
    let mut reasons: Vec<(String, usize)> = Vec::new();
    for trial in searched.trials.trials.iter().filter(|trial| trial.told().starts_with("failed")) {
        let why = fails_again(&plan.folder.join(&trial.run)).unwrap_or_else(|| trial.told());
        let why = why.lines().next().unwrap_or_default().to_owned();
        match reasons.iter_mut().find(|(known, _)| *known == why) {
            Some((_, count)) => *count += 1,
            None => reasons.push((why, 1)),
        }
    }
    reasons.into_iter().map(|(why, count)| format!("{} failed: {why}", counted(count, "trial"))).collect()
}

/// What a search would do.
pub(super) fn dry_run(plan: &SweepPlan, search: &Search, jobs: usize, workbench: &Workbench) -> Result<(), Failure> {
    super::check(plan, &super::every(plan), workbench)?;
    let rungs = rungs(plan, search, workbench)?;
    let settings = &search.settings;
    let epochs = plan.resolve(&plan.cells[0], &[], workbench)?.run.train.epochs;
    let again = search.replicate.top.min(settings.trials) * search.replicate.seeds;
    let mut text = format!("{}: a search of {}\n", plan.name, counted(settings.trials, "trial"));
    search.rule().iter().for_each(|line| _ = writeln!(text, "  {line}"));
    if let (Some(halving), false) = (&search.halving, rungs.is_empty()) {
        let whole = settings.trials / settings.wave;
        let last = settings.trials % settings.wave;
        let (cost, counts) = halving.cost(settings.wave, epochs);
        let rest = if last > 0 { halving.cost(last, epochs).0 } else { 0 };
        let (cost, all) = (cost * whole as u64 + rest, epochs * settings.trials as u64);
        let ends = rungs.iter().chain([&epochs]).zip(&counts).map(|(epoch, count)| format!("{count} to epoch {epoch}"));
        _ = writeln!(text, "  rungs of a wave of {}: {}", settings.wave, ends.collect::<Vec<_>>().join(", "));
        _ = writeln!(text, "  at most {cost} of {all} epochs");
    }
    if !plan.controls().is_empty() {
        let names: Vec<&str> = plan.controls().iter().map(|control| control.name()).collect();
        _ = writeln!(text, "  controls of what is run again: {}", names.join(", "));
    }
    _ = writeln!(
        text,
        "{} and {} at the end, {jobs} at a time",
        counted(settings.trials, "trial"),
        counted(again, "run")
    );
    if let Some(trials) = Trials::of(&plan.folder) {
        let what = trials.part(plan, search).map_or_else(|| "over".to_owned(), |part| part.what);
        _ = writeln!(text, "so far: {}; {what}", trials.cost());
    }
    crate::commands::print(&text);
    Ok(())
}

/// The part of a search that is run now, and what it is; `None` where all of it was run.
pub(super) fn now(plan: &SweepPlan, search: &Search, workbench: &Workbench) -> Result<Option<Part>, Failure> {
    let mut trials = Trials::open(plan, search, workbench)?;
    // What was run since it was looked at last may be all of it.
    while trials.part(plan, search).is_some() && trials.look(plan, search, workbench)?.is_empty() {}
    Ok(trials.part(plan, search))
}

/// Says that a search is over.
pub(super) fn over(plan: &SweepPlan) {
    let told = Trials::of(&plan.folder).map(|trials| Searched::new(trials).notes()).unwrap_or_default();
    let lines: String = told.iter().map(|line| format!("  {line}\n")).collect();
    crate::commands::print(&format!("{}: the search is over\n{lines}", plan.folder.display()));
}
