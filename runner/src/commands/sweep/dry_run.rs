//! `secateur sweep --dry-run`

use std::collections::HashSet;
use std::fmt::Write as _;

use toml::Table;

use super::{cells, check};
use crate::commands::print;
use crate::engine::Workbench;
use crate::experiments::index::{self, Index, Record};
use crate::experiments::sweep::{SweepPlan, fails_again, time};
use crate::failure::Failure;
use crate::printable::in_one_line;
use crate::run::config_of;

/// Cells of a dry run that are resolved in full, contradictions between single values included.
const RESOLVED_IN_DRY_RUN: usize = 500;

/// The cells of a sweep, and how long they will take.
pub(super) fn dry_run(plan: &SweepPlan, jobs: usize, workbench: &Workbench) -> Result<(), Failure> {
    let some: Vec<usize> = (0..plan.cells.len().min(RESOLVED_IN_DRY_RUN)).collect();
    check(plan, &some, workbench)?;
    let mut text = String::new();
    for cell in &plan.cells {
        _ = writeln!(text, "{}", plan.label(cell));
    }
    _ = writeln!(text, "\n{}: {}{}", plan.name, cells(plan.cells.len()), left_out(plan.excluded));
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
    plan.claims().iter().for_each(|claim| _ = writeln!(text, "  claim: {}", in_one_line(&claim.claim)));
    plan.notes.iter().for_each(|note| _ = writeln!(text, "  note: {note}"));
    let (done, failed) = ended(plan, workbench);
    let left = plan.cells.len() - done.len() - failed;
    let mean = done.iter().sum::<f64>() / done.len().max(1) as f64;
    let estimate = if done.is_empty() {
        "no estimate of the time: none of them has run yet".to_owned()
    } else {
        format!("about {}, from the {} that are finished", time(mean * left as f64 / jobs as f64), done.len())
    };
    _ = writeln!(text, "{left} to run, {jobs} at a time: {estimate}");
    print(&text);
    Ok(())
}

/// Seconds of the cells of this grid that are finished, and how many failed and would fail again. The folder may hold
/// cells of other grids, and controls.
fn ended(plan: &SweepPlan, workbench: &Workbench) -> (Vec<f64>, usize) {
    if !plan.folder.is_dir() {
        return (Vec::new(), 0);
    }
    let records = Index::open(&plan.out).and_then(|mut index| index.records(&plan.folder)).unwrap_or_default();
    let configs: Vec<Table> = records.iter().map(|record| config_of(&record.folder).unwrap_or_default()).collect();
    let places = plan.places(configs.iter(), workbench);
    let mut seen = HashSet::new();
    let own: Vec<&Record> = (records.iter().zip(places))
        .filter(|(record, place)| place.is_some_and(|place| record.status != "unfinished" && seen.insert(place)))
        .map(|(record, _)| record)
        .collect();
    let finished = own.iter().filter(|record| record.status == "finished");
    let failed = own.iter().filter(|record| record.status == "failed" && fails_again(&record.folder).is_some());
    (finished.map(|record| index::seconds(&record.summary).unwrap_or(0.0)).collect(), failed.count())
}

fn left_out(excluded: usize) -> String {
    if excluded > 0 { format!(", {excluded} excluded") } else { String::new() }
}
