//! Points of a search as cells of a plan.

use std::sync::Arc;

use super::trials::Leg;
use crate::config::SetBy;
use crate::experiments::search::{Kind, Point, Search};
use crate::experiments::sweep::choice::Choice;
use crate::experiments::sweep::grid::Cell;
use crate::experiments::sweep::plan::SweepPlan;
use crate::experiments::sweep::spec::{Axis, Spec};

/// The plan of some points, each with the folder of its run where that is known, and a seed where it has not the config's.
pub fn planned(
    plan: &SweepPlan,
    search: &Search,
    points: &[(&Point, &str, Option<i64>)],
    leg: Option<Leg>,
) -> SweepPlan {
    let origin = SetBy::Flag("the search".to_owned());
    let mut axes: Vec<Axis> = plan.spec.axes.clone();
    for (axis, dimension) in axes.iter_mut().zip(&search.space) {
        if matches!(dimension.kind, Kind::Span(_)) {
            axis.values.clear();
        }
    }
    axes.push(Axis { key: "seed".to_owned(), values: Vec::new() });
    let last = axes.len() - 1;
    let mut cells = Vec::new();
    for (point, run, seed) in points {
        let mut picks = Vec::new();
        let numbers = point.iter().enumerate().filter_map(|(at, drawn)| Some((at, (*drawn)?)));
        for (at, drawn) in numbers {
            let value = match drawn.value() {
                Some(value) => place(&mut axes[at], Choice::plain(&search.space[at].path, &value, &origin)),
                None => drawn.number() as usize,
            };
            picks.push((at as u32, value as u32));
        }
        if let Some(seed) = seed {
            let choice = Choice::plain(&["seed".to_owned()], &(*seed).into(), &origin);
            picks.push((last as u32, place(&mut axes[last], choice) as u32));
        }
        let folder = (!run.is_empty()).then(|| (*run).to_owned());
        cells.push(Cell { picks, print: 0, folder });
    }
    let controls = if points.iter().any(|(.., seed)| seed.is_some()) { plan.spec.controls.clone() } else { Vec::new() };
    let dimensions = (0..axes.len()).map(|axis| vec![axis]).collect();
    let (when, exclude, alone, claims) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let spec = Spec { axes, dimensions, when, exclude, controls, alone, claims, until: None, search: None };
    SweepPlan {
        stack: Arc::clone(&plan.stack),
        spec: Arc::new(spec),
        origins: Arc::clone(&plan.origins),
        chosen: None,
        leg,
        cells,
        excluded: 0,
        notes: Vec::new(),
        name: plan.name.clone(),
        folder: plan.folder.clone(),
        out: plan.out.clone(),
    }
}

/// The place of a value on an axis, which gets it where it has not.
fn place(axis: &mut Axis, choice: Choice) -> usize {
    let known = axis.values.iter().position(|value| value.label == choice.label);
    known.unwrap_or_else(|| {
        axis.values.push(choice);
        axis.values.len() - 1
    })
}
