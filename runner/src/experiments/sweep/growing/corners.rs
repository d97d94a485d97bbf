//! What of a search is checked before anything runs: its space, with every value of a choice and both ends of a range, one
//! at a time, everything else at its first value; and that there is something to compare trials by.

use std::collections::BTreeSet;

use crate::config::{ConfigErrors, Schema, Stack};
use crate::engine::Workbench;
use crate::experiments::search::{Dimension, Drawn, Kind, Search, is_active};
use crate::experiments::sweep::grid::Cell;
use crate::experiments::sweep::plan::{SweepPlan, label};
use crate::experiments::sweep::problems::Problems;
use crate::experiments::sweep::section::{Pick, Sections};
use crate::experiments::sweep::spec::Spec;
use crate::failure::Failure;
use crate::printable::counted;

/// What may be done with values that do not go together.
const FIX: &str = "leave that out of the space, or bind it with [[sweep.search.when]] to the choice that it goes with";

/// The cells; each axis of the section belongs to the dimension of its place.
///
/// # Errors
/// What is wrong with any of them.
pub fn corners(search: &Search, spec: &Spec, stack: &Stack, schema: &dyn Schema) -> Result<Vec<Cell>, ConfigErrors> {
    let mut sections = Sections::new(stack, spec, schema);
    let (mut cells, mut seen, mut problems) = (Vec::new(), BTreeSet::new(), Problems::new(stack, spec, schema));
    let mut all = vec![picks(&search.space, None)];
    for (at, axis) in spec.axes.iter().enumerate() {
        all.extend((0..axis.values.len()).map(|value| picks(&search.space, Some((at, value)))));
    }
    for picks in all {
        if !seen.insert(picks.clone()) {
            continue;
        }
        let picked = sections.pick(&picks);
        let cell = Cell { picks, print: picked.print(), folder: None };
        let place = || format!("in a trial with: {}", label(spec, &cell));
        problems.take(&cell.picks, &picked, &place, FIX);
        cells.push(cell);
    }
    if problems.errors.is_empty() { Ok(cells) } else { Err(ConfigErrors(problems.errors)) }
}

/// First values everywhere, but for one, and for the choice on which that one depends.
fn picks(space: &[Dimension], one: Option<(usize, usize)>) -> Vec<Pick> {
    let (mut point, mut picks) = (Vec::new(), Vec::new());
    let needed = one.and_then(|(at, _)| space.get(at)?.when.as_ref()).map(|when| (when.dimension, when.choices[0]));
    for (at, dimension) in space.iter().enumerate() {
        let given = [one, needed].into_iter().flatten().find(|(of, _)| *of == at);
        let value = given.map_or(0, |(_, value)| value);
        let active = is_active(dimension, &point);
        picks.extend(active.then_some((at as u32, value as u32)));
        let choice = matches!(dimension.kind, Kind::Choice(_)) && active;
        point.push(choice.then_some(Drawn::Choice(value)));
    }
    picks
}

/// The epochs after which trials are compared. Sees to it that there is something to compare.
///
/// # Errors
/// There is no validation split; no epoch at which trials could be compared, or none that is measured.
pub fn rungs(plan: &SweepPlan, search: &Search, workbench: &Workbench) -> Result<Vec<u64>, Failure> {
    let first = plan.resolve(&plan.cells[0], &[], workbench)?;
    let refused = |problem: String, fix: &str| Err(Failure::Usage(format!("{problem}\n  fix: {fix}")));
    if !workbench.validates(&first)? {
        let problem = format!(
            "sweep.search: {} has no validation split, and a search must not see test data",
            first.run.data.name
        );
        return refused(problem, "hold some out: data.validation = 0.1, or a number of examples");
    }
    let Some(halving) = &search.halving else { return Ok(Vec::new()) };
    let train = &first.run.train;
    let rungs = halving.rungs(train.epochs);
    if rungs.is_empty() {
        let problem = format!(
            "sweep.search.halving: min_epochs = {} leaves no trial to stop, since runs have {}",
            halving.min_epochs,
            counted(usize::try_from(train.epochs).unwrap_or(usize::MAX), "epoch")
        );
        return refused(problem, "give fewer min_epochs, or leave out halving");
    }
    if let Some(rung) = rungs.iter().find(|rung| !rung.is_multiple_of(train.eval_every)) {
        let problem = format!(
            "sweep.search.halving: trials are compared after epoch {rung}, and train.eval_every = {} measures none there",
            train.eval_every
        );
        return refused(problem, "set train.eval_every = 1, or a min_epochs that it divides");
    }
    Ok(rungs)
}
