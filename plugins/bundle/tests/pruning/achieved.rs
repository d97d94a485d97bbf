//! What was asked is what is achieved: over the whole product of granularity, scope, rounds, schedule, apply and
//! regrowth, a run keeps what its schedule asked for to the last weight or unit, or says why not before it begins.
//!
//! Longer than 300 lines because all combinations are told by the same expectations.

use crate::common;
use secateur::data::{DataConfig, Dataset};
use secateur::options::OneOrTable;
use secateur::plugins::conformance::{Log, Trial};
use secateur::prelude::*;
use secateur::pruning::{Apply, Counted, Granularity, Normalizer, OnEmptyLayer, PruneConfig, Quantity, Scope};
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

/// Divides neither side of the second layer.
const BLOCK: [usize; 2] = [3, 5];

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
        Granularity::Unit => group.to_owned(),
        _ => format!("{group}.weight"),
    };
    let mut config = PruneConfig { granularity, scope, rounds, apply, regrow, ..PruneConfig::default() };
    if scope == Scope::Table {
        config.table = [(name("fc1"), 0.5), (name("fc2"), 0.3)].into();
    }
    if scope == Scope::Counts {
        let counts = |units: usize| match granularity {
            Granularity::Weight => vec![units * 6, units * 5, units],
            Granularity::Block => vec![units, units / 2, 2],
            _ => vec![units - 1, units - 2, units / 2],
        };
        config.counts = WIDTHS.iter().map(|(group, units)| (name(group), counts(*units))).collect();
    }
    config.block = BLOCK;
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

/// What every pruning step kept, and the target and the achieved of each.
fn steps(events: &[Event]) -> Vec<(BTreeMap<String, usize>, f64, f64)> {
    let step = |e: &Event| match e {
        Event::Prune { kept, target, achieved, .. } => Some((kept.clone(), target.unwrap(), *achieved)),
        _ => None,
    };
    events.iter().filter_map(step).collect()
}

fn notes(events: &[Event]) -> Vec<String> {
    events.iter().filter_map(|e| if let Event::Note { text, .. } = e { Some(text.clone()) } else { None }).collect()
}

#[test]
fn n_of_m_holds_in_every_row_whichever_the_schedule_and_scope() {
    let data = data();
    for schedule in SCHEDULES {
        for (n, m, regrow) in [(2, 4, false), (2, 4, true), (1, 4, false), (3, 5, true), (1, 16, false)] {
            let prune = PruneConfig {
                granularity: Granularity::NOfM { n, m },
                regrow,
                include_output: true,
                ..PruneConfig::default()
            };
            let (outcome, events) = run(&prune, schedule, &data).unwrap();
            let what = format!("{schedule:?} {n}:{m} regrow {regrow}");
            for (name, inputs) in [("fc1.weight", 784), ("fc2.weight", 12), ("fc3.weight", 7)] {
                let keep = outcome.params.get(name).unwrap().mask().unwrap().keep();
                for row in keep.chunks(inputs) {
                    for group in row.chunks(m) {
                        let kept = group.iter().filter(|k| **k).count();
                        assert_eq!(kept, (group.len() * n).div_ceil(m), "{what} {name}");
                    }
                }
            }
            for (_, target, achieved) in steps(&events) {
                assert_eq!(target.to_bits(), achieved.to_bits(), "{what}");
                assert!((achieved - (1.0 - n as f64 / m as f64)).abs() < 0.005, "{what}: {achieved}");
            }
            let only_when = notes(&events).iter().any(|text| text.contains("the schedule says only when"));
            assert_eq!(only_when, (schedule.0, 2 * n) != ("constant", m), "{what}: it asks for half");
            let uneven = notes(&events).iter().any(|text| text.contains("fc3.weight (7 inputs"));
            assert!(uneven, "{what}: {:?}", notes(&events));
        }
    }
    let quiet = PruneConfig { granularity: Granularity::NOfM { n: 1, m: 2 }, ..PruneConfig::default() };
    let (_, events) = run(&quiet, ("one-shot", "sparsity = 0.5\nat = 0.3"), &data).unwrap();
    assert_eq!(notes(&events), Vec::<String>::new(), "two divides 784 and 12, and half is what was asked");
}

#[test]
fn least_and_largest_sparsities_hold_and_the_total_stays() {
    let data = data();
    let table = |name: &str, s: f64| OneOrTable::Table([(name.to_owned(), s)].into());
    for granularity in [Granularity::Weight, Granularity::Block, Granularity::Unit] {
        for scope in [Scope::Global, Scope::Layer, Scope::Erk] {
            for regrow in [false, true] {
                let free = config(granularity, scope, 2, Apply::Mask, regrow);
                let bound =
                    PruneConfig { min_sparsity: table("fc1*", 0.5), max_sparsity: table("fc2*", 0.3), ..free.clone() };
                let what = format!("{granularity:?} {scope:?} regrow {regrow}");
                let schedule = ("cubic", "sparsity = 0.55\nevery = 4");
                // Shares of a layer each are rounded there.
                let rounded = if scope == Scope::Layer { 1 } else { 0 };
                let found = [&free, &bound].map(|prune| steps(&run(prune, schedule, &data).unwrap().1));
                let sum = |kept: &BTreeMap<String, usize>| kept.values().sum::<usize>();
                for (free, bound) in found[0].iter().zip(&found[1]) {
                    let (free, bound) = (sum(&free.0), sum(&bound.0));
                    assert!(free.abs_diff(bound) <= rounded, "{what}: {free} {bound}");
                }
                let dense = match granularity {
                    Granularity::Unit => [12, 7],
                    Granularity::Block => [4 * 157, 9],
                    _ => [784 * 12, 84],
                };
                let (kept, ..) = found[1].last().unwrap();
                let kept: Vec<usize> = kept.values().copied().collect();
                assert!(kept[0] as f64 <= 0.5 * dense[0] as f64 + 1e-9, "{what}: {kept:?}");
                assert!(kept[1] as f64 >= 0.7 * dense[1] as f64 - 1e-9, "{what}: {kept:?}");
            }
        }
    }
    let refused =
        |prune: PruneConfig, sparsity: &'static str| run(&prune, ("one-shot", sparsity), &data).err().unwrap();
    let max = PruneConfig { max_sparsity: OneOrTable::One(0.5), ..PruneConfig::default() };
    let error = refused(max, "sparsity = 0.8").to_string();
    assert!(error.contains("prune.max_sparsity") && error.contains("at most 0.5000"), "{error}");
    let min = PruneConfig { min_sparsity: OneOrTable::One(0.9), scope: Scope::Layer, ..PruneConfig::default() };
    let error = refused(min, "sparsity = 0.8").to_string();
    assert!(error.contains("prune.min_sparsity") && error.contains("no less than 0.90"), "{error}");
}

#[test]
fn counts_in_multiples_are_as_near_as_they_can_be_and_the_run_says_by_how_much() {
    let data = data();
    for granularity in [Granularity::Weight, Granularity::Block, Granularity::Unit] {
        let applies =
            if granularity == Granularity::Unit { vec![Apply::Mask, Apply::Shrink] } else { vec![Apply::Mask] };
        for (apply, scope) in applies
            .into_iter()
            .flat_map(|a| [Scope::Global, Scope::Layer, Scope::Erk, Scope::Table].map(|scope| (a, scope)))
        {
            let plain = config(granularity, scope, 1, apply, false);
            let prune = PruneConfig { multiple: 4, ..plain.clone() };
            let what = format!("{granularity:?} {apply:?} {scope:?}");
            let schedule = ("linear", "sparsity = 0.6\nfrom = 0.0\nevery = 7");
            let (_, events) = run(&prune, schedule, &data).unwrap();
            let asked = steps(&run(&plain, schedule, &data).unwrap().1);
            let dense: BTreeMap<&str, usize> = match granularity {
                Granularity::Unit => WIDTHS.into(),
                Granularity::Block => [("fc1.weight", 4 * 157), ("fc2.weight", 9)].into(),
                _ => [("fc1.weight", 784 * 12), ("fc2.weight", 84)].into(),
            };
            for ((kept, ..), (wanted, ..)) in steps(&events).iter().zip(&asked) {
                for (name, n) in kept {
                    assert!(n % 4 == 0 || *n == dense[name.as_str()], "{what} {name}: {n}");
                }
                let [found, wanted] = [kept, wanted].map(|counts| counts.values().sum::<usize>());
                let each = if scope == Scope::Table { 2 } else { 1 };
                assert!(found.abs_diff(wanted) <= 2 * each, "{what}: {found} {wanted}");
            }
            let (kept, wanted) = (steps(&events).last().unwrap().0.clone(), asked.last().unwrap().0.clone());
            let [found, wanted] = [kept, wanted].map(|counts| counts.values().sum::<usize>());
            let said =
                notes(&events).iter().any(|text| text.contains(&format!("where the schedule asks for {wanted}")));
            assert_eq!(said, found != wanted, "{what}: {:?}", notes(&events));
        }
    }
}

/// Parameters and multiply-accumulates of the network with these widths; it has biases.
fn costs(fc1: usize, fc2: usize) -> [usize; 2] {
    let macs = 784 * fc1 + fc1 * fc2 + fc2 * 10;
    [macs + fc1 + fc2 + 10, macs]
}

#[test]
fn a_cost_is_met_to_the_last_unit() {
    let data = data();
    for (quantity, counted) in
        [(Quantity::Params, Counted::Params), (Quantity::Macs, Counted::Macs), (Quantity::Bytes, Counted::Bytes)]
    {
        for (scope, schedule) in [Scope::Global, Scope::Layer, Scope::Erk]
            .into_iter()
            .flat_map(|scope| SCHEDULES[..4].iter().chain(&SCHEDULES[6..]).map(move |schedule| (scope, *schedule)))
        {
            for (apply, regrow) in [(Apply::Shrink, false), (Apply::Mask, false), (Apply::Mask, true)] {
                if quantity == Quantity::Bytes && apply == Apply::Mask {
                    continue;
                }
                for rounds in [1, 3] {
                    let prune =
                        PruneConfig { target: quantity, ..config(Granularity::Unit, scope, rounds, apply, regrow) };
                    let what = format!("{quantity:?} {scope:?} {schedule:?} {apply:?} regrow {regrow} rounds {rounds}");
                    let (outcome, events) = run(&prune, schedule, &data).unwrap();
                    let of = |fc1: usize, fc2: usize| {
                        let [params, macs] = costs(fc1, fc2);
                        if counted == Counted::Macs { macs } else { params }
                    };
                    let dense = of(12, 7) as f64;
                    for (kept, target, achieved) in steps(&events) {
                        let now = of(kept["fc1"], kept["fc2"]) as f64;
                        assert!((achieved - (1.0 - now / dense)).abs() < 1e-9, "{what}: {achieved} {kept:?}");
                        assert!(achieved >= target - 1e-6, "{what}: {achieved} of {target}");
                        // One unit more would be too many.
                        let fc2 = (kept["fc2"] < 7).then(|| of(kept["fc1"], kept["fc2"] + 1));
                        let fc1 = (kept["fc1"] < 12).then(|| of(kept["fc1"] + 1, kept["fc2"]));
                        // The same fraction of two layers may take a unit of both at once.
                        let both =
                            (scope == Scope::Layer).then(|| of((kept["fc1"] + 1).min(12), (kept["fc2"] + 1).min(7)));
                        let more = fc1.max(fc2).max(both).map_or(0.0, |more| 1.0 - more as f64 / dense);
                        assert!(more <= target + 1e-9, "{what}: {more} would do for {target}, {kept:?}");
                    }
                    if apply == Apply::Shrink && counted == Counted::Macs {
                        let (_, target, achieved) = steps(&events).last().unwrap().clone();
                        let summary = 1.0 - outcome.summary.macs_kept as f64 / outcome.summary.macs_dense as f64;
                        assert!((summary - achieved).abs() < 1e-9 && summary >= target - 1e-6, "{what}");
                    }
                }
            }
        }
    }
}

#[test]
fn a_cost_of_weights_is_met_to_the_last_weight() {
    let data = data();
    for target in [Quantity::Params, Quantity::Macs] {
        for scope in [Scope::Global, Scope::Layer, Scope::Erk] {
            let prune = PruneConfig { target, ..config(Granularity::Weight, scope, 2, Apply::Mask, false) };
            let (outcome, events) = run(&prune, ("cubic", "sparsity = 0.8\nevery = 4"), &data).unwrap();
            let [params, macs] = costs(12, 7);
            let (rest, dense) = if target == Quantity::Params { (12 + 7 + 10 + 70, params) } else { (70, macs) };
            for (kept, asked, achieved) in steps(&events) {
                let now = rest + kept.values().sum::<usize>();
                let limit = ((1.0 - asked) * dense as f64 + 1e-5).floor() as usize;
                // Each weight of this network costs the same. Two layers of one fraction round each by itself.
                let rounded = usize::from(scope == Scope::Layer);
                assert!(now <= limit && limit - now <= rounded, "{target:?} {scope:?}: {now} of {limit}");
                assert!((achieved - (1.0 - now as f64 / dense as f64)).abs() < 1e-9);
            }
            let summary = &outcome.summary;
            let last = steps(&events).last().unwrap().2;
            let kept = if target == Quantity::Params {
                summary.params_kept as f64 / summary.params_dense as f64
            } else {
                summary.macs_kept as f64 / summary.macs_dense as f64
            };
            assert!((1.0 - kept - last).abs() < 1e-9, "{target:?}: {kept} {last}");
        }
    }
    let most =
        PruneConfig { target: Quantity::Params, ..config(Granularity::Unit, Scope::Global, 1, Apply::Mask, false) };
    let error = run(&most, ("one-shot", "sparsity = 0.99"), &data).err().unwrap().to_string();
    assert!(error.contains("prune.target") && error.contains("at most 0.91"), "{error}");
}
