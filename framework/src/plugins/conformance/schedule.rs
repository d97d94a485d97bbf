//! What a schedule must hold.

use super::{CheckRow, ensure};
use crate::error::{Error, Result};
use crate::options::Table;
use crate::plugins::registry::{Kind, Registry};
use crate::pruning::schedule::{Amount, RunLength, Schedule, Step};
use crate::training::Timeline;

const RUNS: [RunLength; 4] = [
    RunLength { steps: 1000, steps_per_epoch: 50 },
    RunLength { steps: 4000, steps_per_epoch: 100 },
    RunLength { steps: 777, steps_per_epoch: 37 },
    RunLength { steps: 30, steps_per_epoch: 10 },
];

pub(super) fn check(registry: &Registry, name: &str, options: &Table) -> Vec<CheckRow> {
    let build = || registry.schedule(name, options);
    vec![
        CheckRow::of("every sparsity lies in [0, 1), rewinds do not lie ahead", || {
            // A run may be too short for its options; it says so then.
            let plans = RUNS.map(|run| Timeline::plan(build()?.as_mut(), &run));
            let counts = plans.each_ref().map(|plan| plan.as_ref().map_or(0, Timeline::count));
            if counts.iter().all(|n| *n == 0) {
                plans.into_iter().collect::<Result<Vec<_>>>()?;
                return Err(Error::Other("nothing is pruned in runs of 30 to 4000 steps".into()));
            }
            Ok(format!("{counts:?} pruning steps in runs of {:?} steps", RUNS.map(|r| r.steps)))
        }),
        CheckRow::of("it ends where it says", || ends(registry, name, options, build()?.as_mut())),
        CheckRow::of("the answer depends on the step alone", || {
            let s = build()?;
            let run = &RUNS[0];
            let forwards: Vec<_> = (0..run.steps).map(|i| s.target(Step(i), run)).collect::<Result<_>>()?;
            let mut backwards: Vec<_> = (0..run.steps).rev().map(|i| s.target(Step(i), run)).collect::<Result<_>>()?;
            backwards.reverse();
            ensure(forwards == backwards, || "asked backwards it answers differently".into())?;
            Ok(format!("{} steps asked forwards and backwards", run.steps))
        }),
        CheckRow::of("saved and loaded, it goes on as if nothing had happened", || {
            let (mut first, mut second) = (build()?, build()?);
            second.load(first.save()?)?;
            let entries = first.save()?.0.len();
            let plan = |s: &mut dyn Schedule| Timeline::plan(s, &RUNS[0]);
            ensure(plan(first.as_mut())? == plan(second.as_mut())?, || "the plan is another one after loading".into())?;
            Ok(format!("{entries} entries of state"))
        }),
    ]
}

/// The option `sparsity`, where there is one, is what it ends with.
fn ends(registry: &Registry, name: &str, options: &Table, schedule: &mut dyn Schedule) -> Result<String> {
    let default = registry.get(Kind::Schedule, name)?.docs().into_iter().find(|d| d.name == "sparsity");
    let said = options.get("sparsity").cloned().or_else(|| default?.default).and_then(|v| v.as_float());
    for run in &RUNS {
        let Ok(plan) = Timeline::plan(schedule, run) else { continue };
        let Some((step, Amount::Sparsity(last))) = plan.prunes.last().copied() else { continue };
        let sparsities = plan.positions().map(|(_, p)| if let Amount::Sparsity(s) = p.amount { s } else { 0.0 });
        let most = sparsities.fold(0.0, f64::max);
        ensure((last - most).abs() < 1e-12, || format!("its last sparsity is {last}, but it was {most} before"))?;
        if let Some(said) = said {
            ensure((last - said).abs() < 1e-9, || {
                format!("`sparsity` = {said}, but after step {} of {} it stays at {last}", step.0, run.steps)
            })?;
        }
    }
    Ok(said.map_or("it has no option `sparsity`".into(), |s| format!("at {s}")))
}
