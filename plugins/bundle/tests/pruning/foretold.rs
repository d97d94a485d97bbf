//! What a summary says of the cost of pruning steps is what the events of the run say.

use crate::common;
use crate::scene::config;
use secateur::data::{DataConfig, Holdout};
use secateur::plugins::conformance::{Log, Trial};
use secateur::prelude::*;
use secateur::pruning::measure::{Foretold, PruneCost, Recovery};
use secateur::pruning::{Apply, Granularity, Scope};
use secateur::training::TrainConfig;
use secateur::training::event::{EvalAt, Event};

/// Runs, and gathers of the events what each pruning step took and cost; the burden stands in none of them.
fn told(granularity: Granularity, apply: Apply, train: &TrainConfig) -> (Option<Foretold>, Vec<PruneCost>) {
    let prune = config(granularity, Scope::Global, 1, apply, false);
    let schedule = ("cubic", "sparsity = 0.9\nfrom = 0.1\nto = 0.9\nevery = 8");
    let trial = Trial { prune, train: train.clone(), schedule, model: ("mlp", "hidden = [12, 7]"), ..Trial::default() };
    let mut log = Log::default();
    let registry = secateur_bundle::registry().unwrap();
    let outcome = trial
        .with(&registry, Cpu::default(), &common::glyphs(400, 20, DataConfig::default()), |run| run.execute(&mut log))
        .unwrap();
    let (mut there, mut sparsity, mut before, mut steps) = (0, 0.0, None, vec![]);
    for event in &log.0 {
        match event {
            Event::Start { prunable, .. } => there = prunable.values().sum::<usize>(),
            Event::Eval { accuracy, at: EvalAt::BeforePrune, .. } => before = *accuracy,
            Event::Prune { kept, achieved, .. } => {
                let left: usize = kept.values().sum();
                let share = 1.0 - left as f64 / there as f64;
                steps.push(PruneCost { burden: 0.0, share, sparsity, drop: f64::NAN });
                (there, sparsity) = (left, *achieved);
            }
            Event::Eval { accuracy, at: EvalAt::AfterPrune, .. } => {
                steps.last_mut().unwrap().drop = before.unwrap() - accuracy.unwrap();
            }
            _ => {}
        }
    }
    steps.retain(|step| step.share != 0.0);
    (outcome.summary.drop_foretold, steps)
}

#[test]
fn drops_are_ranked_with_what_the_steps_took() {
    let train = TrainConfig { epochs: 6, batch_size: 20, lr: 0.05, ..TrainConfig::default() };
    for (granularity, apply) in [(Granularity::Weight, Apply::Mask), (Granularity::Unit, Apply::Shrink)] {
        let (found, steps) = told(granularity, apply, &train);
        let (found, expected) = (found.unwrap(), Foretold::of(&steps).unwrap());
        assert!(found.steps >= 5 && found.steps == steps.len(), "{found:?}");
        assert_eq!((found.by_share, found.by_sparsity), (expected.by_share, expected.by_sparsity), "{granularity:?}");
        // The burden varies from step to step, and has a rank of its own.
        let by_burden = found.by_burden.unwrap();
        assert!(expected.by_burden.is_none() && (-1.0..=1.0).contains(&by_burden));
        assert_eq!(found.burden_over_share, found.by_share.map(|share| by_burden - share));
    }
    // Nothing is known where the network is not measured around pruning steps.
    let blind = TrainConfig { eval_prunes: 0, ..train };
    assert_eq!(told(Granularity::Weight, Apply::Mask, &blind).0, None);
}

#[test]
fn recovery_is_what_the_evaluations_around_pruning_steps_say() {
    let run = |criterion, schedule, eval_prunes| -> (Option<Recovery>, Vec<Event>) {
        let train = TrainConfig { epochs: 8, batch_size: 20, lr: 0.05, eval_prunes, ..TrainConfig::default() };
        let prune = config(Granularity::Weight, Scope::Global, 1, Apply::Mask, false);
        let trial = Trial { prune, train, criterion, schedule, model: ("mlp", "hidden = [12, 7]"), ..Trial::default() };
        let data = common::glyphs(400, 20, DataConfig { validation: Holdout::Fraction(0.25), ..DataConfig::default() });
        let (outcome, events) = trial.run(&secateur_bundle::registry().unwrap(), Cpu::default(), &data).unwrap();
        (outcome.summary.recovery, events)
    };
    let steps = ("periodic", "first = 2\nevery = 2\ncount = 3\nfraction = 0.6");
    let (found, events) = run(("magnitude", ""), steps, 50);
    let (mut around, mut last) = (vec![], f64::NAN);
    for event in &events {
        match event {
            Event::Eval { accuracy, at: EvalAt::BeforePrune, .. } => around.push((accuracy.unwrap(), f64::NAN)),
            Event::Eval { accuracy, at: EvalAt::AfterPrune, .. } => around.last_mut().unwrap().1 = accuracy.unwrap(),
            Event::Eval { accuracy, at: EvalAt::Epoch, .. } => last = accuracy.unwrap(),
            _ => {}
        }
    }
    assert_eq!(around.len(), 3);
    let ends = around[1..].iter().map(|(before, _)| *before).chain([last]);
    let regained: f64 = around.iter().zip(ends).map(|((_, after), end)| end - after).sum::<f64>() / 3.0;
    let drop: f64 = around.iter().map(|(before, after)| before - after).sum::<f64>() / 3.0;
    let found = found.unwrap();
    assert!(found.steps == 3 && drop != 0.0 && (found.drop - drop).abs() < 1e-12, "{found:?} {drop}");
    assert!((found.regained - regained).abs() < 1e-12 && (found.left - (drop - regained)).abs() < 1e-12, "{found:?}");
    // Nothing is known where the network is not measured around the steps, or begins anew after each.
    assert_eq!(run(("magnitude", ""), steps, 0).0, None);
    assert_eq!(run(("magnitude", ""), ("lottery", "epochs_per_round = 2"), 50).0, None);
}
