//! What was asked is what is achieved: over the whole product of granularity, scope, rounds, schedule, apply and
//! regrowth, a run keeps what its schedule asked for to the last weight or unit, or says why not before it begins.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use secateur::data::{DataConfig, Dataset};
use secateur::plugins::conformance::{Log, Trial};
use secateur::prelude::*;
use secateur::pruning::{Apply, Granularity, Normalizer, OnEmptyLayer, PruneConfig, Scope};
use secateur::training::event::Event;
use secateur::training::{Outcome, TrainConfig};
use std::collections::BTreeMap;

/// Scores that never change: a fixed number for each weight, or unit as it was numbered at the beginning.
#[derive(Default)]
struct Fixed(BTreeMap<String, Vec<f32>>);

fn numbers(name: &str, n: usize) -> Vec<f32> {
    let salt: usize = name.bytes().map(usize::from).sum();
    (0..n).map(|i| (((i + 1) * 7919 + salt * 104_729) % 10_007) as f32).collect()
}

impl Criterion<Cpu> for Fixed {
    fn score(&mut self, target: &Target<'_, Cpu>) -> Result<Scores<Cpu>> {
        let Some(group) = target.group() else {
            let shape = target.param().spec().shape;
            let scores = numbers(target.name(), shape.count());
            return Ok(Tensor::from_vec(target.params().device(), scores, shape)?.into());
        };
        let draw = || numbers(&group.name, group.units);
        Ok(Scores::Units(self.0.entry(group.name.clone()).or_insert_with(draw).clone()))
    }
    fn cut(&mut self, cut: &Cut<'_>) -> Result<()> {
        let scores = self.0.get_mut(&cut.group.name).unwrap();
        *scores = cut.kept.iter().map(|&unit| scores[unit]).collect();
        Ok(())
    }
}

const EPOCHS: u64 = 6;
const STEPS: u64 = 5;
const WIDTHS: [(&str, usize); 2] = [("fc1", 12), ("fc2", 7)];

const SCHEDULES: [(&str, &str); 10] = [
    ("one-shot", "sparsity = 0.6\nat = 0.3"),
    ("one-shot", "sparsity = 0.6\nat = 0.0"),
    ("cubic", "sparsity = 0.7\nevery = 4"),
    ("linear", "sparsity = 0.7\nfrom = 0.0\ninitial = 0.2\nevery = 7"),
    ("exponential", "sparsity = 0.85\nevery = 5"),
    ("constant", "sparsity = 0.5\nevery = 6"),
    ("agp", "sparsity = 0.75\nbegin = 0\nend = 4\ninitial = 0.1"),
    ("soft-filter", "sparsity = 0.45\nrate = \"asymptotic\"\nat_start = true"),
    ("periodic", "first = 1\nevery = 1\nfraction = 0.2"),
    ("periodic", "first = 2\nevery = 2\nfraction = 0.35"),
];

fn config(granularity: Granularity, scope: Scope, rounds: u32, apply: Apply, regrow: bool) -> PruneConfig {
    let name = |group: &str| match granularity {
        Granularity::Weight => format!("{group}.weight"),
        Granularity::Unit => group.to_owned(),
    };
    let mut config = PruneConfig { granularity, scope, rounds, apply, regrow, ..PruneConfig::default() };
    if scope == Scope::Table {
        config.table = [(name("fc1"), 0.5), (name("fc2"), 0.3)].into();
    }
    if scope == Scope::Counts {
        let counts = |units: usize| match granularity {
            Granularity::Weight => vec![units * 6, units * 5, units],
            Granularity::Unit => vec![units - 1, units - 2, units / 2],
        };
        config.counts = WIDTHS.iter().map(|(group, units)| (name(group), counts(*units))).collect();
    }
    // Raw scores: what a normaliser divides by changes from round to round.
    config.normalize = (scope == Scope::Global).then_some(Normalizer::None);
    config
}

fn data() -> Dataset {
    common::glyphs(50, 20, DataConfig::default())
}

fn run(
    prune: &PruneConfig,
    schedule: (&'static str, &'static str),
    data: &Dataset,
) -> Result<(Outcome<Cpu>, Vec<Event>)> {
    let train = TrainConfig { epochs: EPOCHS, batch_size: 10, lr: 0.05, eval_prunes: 0, ..TrainConfig::default() };
    let trial = Trial { prune: prune.clone(), train, schedule, model: ("mlp", "hidden = [12, 7]"), ..Trial::default() };
    let mut log = Log::default();
    let outcome = trial.with(&secateur_bundle::registry()?, Cpu::default(), data, |mut run| {
        run.criterion = Box::new(Fixed::default());
        run.execute(&mut log)
    })?;
    Ok((outcome, log.0))
}

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
    let (mut runs, mut refused) = (0, 0);
    for schedule in SCHEDULES {
        for scope in [Scope::Global, Scope::Layer, Scope::Erk, Scope::Table, Scope::Counts] {
            for (granularity, apply, regrow) in [
                (Granularity::Weight, Apply::Mask, false),
                (Granularity::Weight, Apply::Mask, true),
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
                    let dense: BTreeMap<String, usize> =
                        if granularity == Granularity::Weight { weights.clone() } else { units.clone() }.into();
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
    assert_eq!((runs, refused), (10 * 5 * 5 * 3, 0));
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
    let notes = |events: &[Event]| -> Vec<String> {
        events.iter().filter_map(|e| if let Event::Note { text, .. } = e { Some(text.clone()) } else { None }).collect()
    };
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
