//! What a schedule must hold.

use super::{CheckRow, ensure};
use crate::error::{Error, Result};
use crate::options::Table;
use crate::plugins::registry::{Kind, Registry};
use crate::pruning::measure::Indicators;
use crate::pruning::schedule::{Amount, Measured, RunLength, Schedule, Step};
use crate::training::Timeline;
use std::ops::Range;

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
        CheckRow::of("it names every step at which it prunes", || {
            let mut s = build()?;
            for run in &RUNS {
                if s.setup(run).is_err() {
                    continue;
                }
                let mut named = 0;
                while let Some(step) = s.next(Step(named), run)?.filter(|step| step.0 < run.steps) {
                    ensure(step.0 >= named, || format!("asked from step {named} on, it names {}", step.0))?;
                    for before in named..step.0 {
                        let silent = s.target(Step(before), run)?.is_none();
                        ensure(silent, || format!("after step {before} it prunes, and names {} instead", step.0))?;
                    }
                    named = step.0 + 1;
                }
                for after in named..run.steps {
                    let silent = s.target(Step(after), run)?.is_none();
                    ensure(silent, || format!("after step {after} it prunes, and names none"))?;
                }
            }
            Ok(format!("in runs of {:?} steps", RUNS.map(|run| run.steps)))
        }),
        CheckRow::of("saved and loaded, it goes on as if nothing had happened", || {
            let (mut first, mut second) = (build()?, build()?);
            // A run that is long enough for its options, where there is one.
            let fits = |run: &&RunLength| build().and_then(|mut s| Timeline::plan(s.as_mut(), run)).is_ok();
            let run = RUNS.iter().find(fits).unwrap_or(&RUNS[0]);
            let plan = |s: &mut dyn Schedule| Timeline::plan(s, run);
            let planned = plan(first.as_mut())?;
            let asked = guide(first.as_mut(), &planned, run, 0..planned.prunes.len() / 2)?;
            second.load(first.save()?)?;
            let entries = first.save()?.0.len();
            ensure(planned == plan(second.as_mut())?, || "the plan is another one after loading".into())?;
            let rest = planned.prunes.len() / 2..planned.prunes.len();
            let goes_on = guide(first.as_mut(), &planned, run, rest.clone())?;
            let again = guide(second.as_mut(), &planned, run, rest)?;
            ensure(goes_on == again, || "after loading it asks for something else".into())?;
            let watched =
                if first.watches() { format!(", {} answers", asked.len() + again.len()) } else { String::new() };
            Ok(format!("{entries} entries of state{watched}"))
        }),
    ]
}

/// What a schedule that goes by what is measured asks for at some of its pruning steps, under a burden that rises and
/// falls; nothing of others.
fn guide(schedule: &mut dyn Schedule, plan: &Timeline, run: &RunLength, nth: Range<usize>) -> Result<Vec<f64>> {
    let mut all = vec![];
    if !schedule.watches() {
        return Ok(all);
    }
    for (i, (step, planned)) in plan.prunes[nth.clone()].iter().enumerate().map(|(i, prune)| (nth.start + i, prune)) {
        let load = 1.0 + 0.5 * (i as f64).sin();
        let one = |(name, kept): (&str, usize)| {
            let (gradient, gradient_mean, weight) = (0.01 * load, 0.007 * load, 0.1 * load);
            Indicators { name: name.into(), gradient, gradient_mean, weight, kept }
        };
        let burden: Vec<Indicators> = [("fc1.weight", 4000), ("fc2.weight", 600)].map(one).into();
        let sparsity = all.last().copied().unwrap_or(0.0);
        let seen = Measured { step: *step, run: *run, sparsity, burden: &burden, validation_loss: Some(load) };
        let asked = schedule.adjust(*planned, &seen)?;
        let within = (0.0..=planned.fraction()).contains(&asked.fraction());
        ensure(within, || format!("after step {} it planned {planned:?} and asks for {asked:?}", step.0))?;
        all.push(asked.fraction());
    }
    Ok(all)
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
