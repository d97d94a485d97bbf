//! What was asked is what is achieved: over the whole product of granularity, scope, rounds, schedule, apply and
//! regrowth, a run keeps what its schedule asked for to the last weight or unit, or says why not before it begins.

use crate::scene::{EPOCHS, SCHEDULES, STEPS, WIDTHS, config, data, notes, run};
use secateur::plugins::conformance::{Log, Trial};
use secateur::prelude::*;
use secateur::pruning::{Apply, Granularity, OnEmptyLayer, PruneConfig, Scope};
use secateur::training::Outcome;
use secateur::training::event::Event;
use std::collections::BTreeMap;

/// How many of `n` a fraction leaves, written down anew: n - floor(s n), with room for 0.1 * 30 being 2.9999.
fn left(n: usize, s: f64) -> usize {
    n - (s * n as f64 + 1e-9).floor() as usize
}

/// The counts that a schedule asks of the network after each of its pruning steps, told from its options alone.
fn expected(
    prune: &PruneConfig,
    schedule: (&str, &str),
    dense: &BTreeMap<String, usize>,
) -> Vec<BTreeMap<String, usize>> {
    let registry = secateur_bundle::registry().unwrap();
    let schedule = registry.schedule(schedule.0, &schedule.1.parse().unwrap()).unwrap();
    let length = RunLength { steps: EPOCHS * STEPS, steps_per_epoch: STEPS };
    let mut amounts: Vec<Amount> = schedule.at_start(&length).unwrap().into_iter().collect();
    amounts.extend((0..length.steps).filter_map(|step| schedule.target(Step(step), &length).unwrap()));
    let mut sparsity = 0.0;
    let sparsities: Vec<f64> = (amounts.iter())
        .map(|amount| {
            sparsity = match amount {
                Amount::Sparsity(s) => *s,
                Amount::OfRemaining(f) => 1.0 - (1.0 - sparsity) * (1.0 - f),
            };
            sparsity
        })
        .collect();
    let last = *sparsities.last().unwrap();
    let least = usize::from(prune.granularity == Granularity::Unit);
    let mut now = dense.clone();
    let mut all = vec![];
    for (nth, amount) in amounts.iter().enumerate() {
        let of = |dense: usize, now: usize| match amount {
            Amount::Sparsity(s) => left(dense, *s),
            Amount::OfRemaining(f) => left(now, *f),
        };
        now = match prune.scope {
            Scope::Global | Scope::Erk => {
                let total = of(dense.values().sum(), now.values().sum());
                [("all".to_owned(), total.max(least * dense.len()))].into()
            }
            Scope::Layer => dense.iter().map(|(n, d)| (n.clone(), of(*d, now[n]).max(least))).collect(),
            Scope::Table => {
                let part = sparsities[nth] / last;
                dense.iter().map(|(n, d)| (n.clone(), left(*d, prune.table[n] * part).max(least))).collect()
            }
            Scope::Counts => {
                let count = |n: &String| prune.counts[n].get(nth).or(prune.counts[n].last()).copied().unwrap();
                dense.keys().map(|n| (n.clone(), count(n))).collect()
            }
        };
        all.push(now.clone());
    }
    all
}

#[test]
fn every_combination_achieves_what_its_schedule_asks_or_says_beforehand_why_not() {
    let data = data();
    let weights = [("fc1.weight".to_owned(), 784 * 12), ("fc2.weight".to_owned(), 84)];
    let units = WIDTHS.map(|(group, units)| (group.to_owned(), units));
    let blocks = [("fc1.weight".to_owned(), 4 * 157), ("fc2.weight".to_owned(), 3 * 3)];
    let (mut runs, mut refused) = (0, 0);
    for schedule in SCHEDULES {
        for scope in [Scope::Global, Scope::Layer, Scope::Erk, Scope::Table, Scope::Counts] {
            for (granularity, apply, regrow) in [
                (Granularity::Weight, Apply::Mask, false),
                (Granularity::Weight, Apply::Mask, true),
                (Granularity::Block, Apply::Mask, false),
                (Granularity::Block, Apply::Mask, true),
                (Granularity::Unit, Apply::Mask, false),
                (Granularity::Unit, Apply::Mask, true),
                (Granularity::Unit, Apply::Shrink, false),
            ] {
                let mut networks = vec![];
                for rounds in [1, 3, 20] {
                    let prune = config(granularity, scope, rounds, apply, regrow);
                    let what =
                        format!("{schedule:?} {scope:?} {granularity:?} {apply:?} regrow {regrow} rounds {rounds}");
                    let (outcome, events) = match run(&prune, schedule, &data) {
                        Ok(run) => run,
                        Err(error) => {
                            // Refused before anything ran, by the key that would allow it.
                            assert!(error.to_string().contains("prune.regrow"), "{what}: {error}");
                            refused += 1;
                            continue;
                        }
                    };
                    let dense: BTreeMap<String, usize> = match granularity {
                        Granularity::Unit => units.clone(),
                        Granularity::Block => blocks.clone(),
                        _ => weights.clone(),
                    }
                    .into();
                    let found: Vec<_> = (events.iter())
                        .filter_map(|e| if let Event::Prune { kept, .. } = e { Some(kept.clone()) } else { None })
                        .map(|kept| match scope {
                            Scope::Global | Scope::Erk => [("all".to_owned(), kept.values().sum())].into(),
                            _ => kept,
                        })
                        .collect();
                    assert_eq!(found, expected(&prune, schedule, &dense), "{what}");
                    let values = |p: &secateur::network::params::Param<Cpu>| {
                        (p.spec().name.clone(), p.value().shape(), p.mask().map(|m| m.keep().to_vec()))
                    };
                    networks.push(outcome.params.iter().map(values).collect::<Vec<_>>());
                    runs += 1;
                }
                assert!(networks.windows(2).all(|w| w[0] == w[1]), "rounds change the network: {schedule:?} {scope:?}");
            }
        }
    }
    assert_eq!((runs, refused), (10 * 5 * 7 * 3, 0));
}

#[test]
fn a_schedule_that_goes_down_is_refused_before_the_run_and_works_with_regrowth() {
    struct Down;
    impl Schedule for Down {
        fn target(&self, step: Step, _: &RunLength) -> Result<Option<Amount>> {
            Ok([(3, 0.3), (9, 0.21)].iter().find(|(at, _)| *at == step.0).map(|(_, s)| Amount::Sparsity(*s)))
        }
    }
    let data = data();
    let go = |prune: PruneConfig| {
        let trial = Trial { prune, model: ("mlp", "hidden = [12, 7]"), ..Trial::default() };
        let mut log = Log::default();
        trial
            .with(&secateur_bundle::registry()?, Cpu::default(), &data, |mut run| {
                run.schedule = Box::new(Down);
                run.execute(&mut log)
            })
            .map(|_| log.0)
    };
    let error = go(PruneConfig::default()).err().unwrap().to_string();
    assert!(error.contains("prune.regrow") && error.contains("nothing returns"), "{error}");
    let events = go(PruneConfig { regrow: true, ..PruneConfig::default() }).unwrap();
    let achieved: Vec<f64> = events
        .iter()
        .filter_map(|e| if let Event::Prune { achieved, .. } = e { Some(*achieved) } else { None })
        .collect();
    assert!((achieved[0] - 0.3).abs() < 1e-3 && (achieved[1] - 0.21).abs() < 1e-3, "{achieved:?}");
}

#[test]
fn a_layer_that_loses_its_last_weight_is_told_stopped_or_spared() {
    let data = data();
    let go = |on_empty_layer, scope| {
        let prune = PruneConfig { on_empty_layer, scope, ..PruneConfig::default() };
        let trial = Trial { prune, schedule: ("one-shot", "sparsity = 0.9999\nat = 0.3"), ..Trial::default() };
        trial.run(&secateur_bundle::registry().unwrap(), Cpu::default(), &data)
    };
    let kept = |outcome: &Outcome<Cpu>| ["fc1.weight", "fc2.weight"].map(|n| outcome.params.get(n).unwrap().kept());
    let (outcome, events) = go(OnEmptyLayer::Warn, Scope::Global).unwrap();
    let empty = ["fc1.weight", "fc2.weight"].into_iter().zip(kept(&outcome)).find(|(_, kept)| *kept == 0).unwrap().0;
    assert!(notes(&events).iter().any(|text| text.contains(empty)), "{:?}", notes(&events));
    let error = go(OnEmptyLayer::Stop, Scope::Global).err().unwrap().to_string();
    assert!(error.contains(empty) && error.contains("on_empty_layer"), "{error}");
    for scope in [Scope::Global, Scope::Layer] {
        let (spared, events) = go(OnEmptyLayer::KeepOne, scope).unwrap();
        assert!(kept(&spared).iter().all(|kept| *kept > 0), "{:?}", kept(&spared));
        assert!(notes(&events).iter().all(|text| !text.contains("No weight")), "{:?}", notes(&events));
        if scope == Scope::Global {
            assert_eq!(kept(&spared).iter().sum::<usize>(), kept(&outcome).iter().sum::<usize>(), "the total stays");
        }
    }
}
