//! Whole runs: data, training, pruning, figures.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use secateur::backend::Cpu;
use secateur::data::{self, DataConfig, Dataset};
use secateur::error::Result;
use secateur::plugins::conformance::Trial;
use secateur::plugins::registry::{Kind, Registry};
use secateur::pruning::criterion::Rounding;
use secateur::pruning::{Apply, Granularity, PruneConfig, Scope};
use secateur::training::event::{EvalAt, Event};
use secateur::training::{Loss, Optimizer, Outcome, TrainConfig};

fn glyphs() -> Dataset {
    common::glyphs(1500, 500, DataConfig::default())
}

fn units() -> Trial {
    Trial {
        criterion: ("contribution-rank", ""),
        schedule: ("periodic", "first = 2\nevery = 1\nfraction = 0.1"),
        model: ("mlp", "hidden = [50, 30]\nbias = false"),
        prune: PruneConfig {
            granularity: Granularity::Unit,
            scope: Scope::Layer,
            apply: Apply::Shrink,
            rounding: Rounding::FloorKept,
            ..PruneConfig::default()
        },
        train: TrainConfig {
            epochs: 6,
            batch_size: 50,
            optimizer: Optimizer::Sgd,
            lr: 0.1,
            momentum: 0.9,
            ..TrainConfig::default()
        },
        ..Trial::default()
    }
}

fn weights() -> Trial {
    Trial {
        criterion: ("magnitude", ""),
        schedule: ("cubic", "sparsity = 0.9\nevery = 7"),
        prune: PruneConfig::default(),
        model: ("mlp", "hidden = [50, 30]"),
        ..units()
    }
}

fn run(trial: Trial, data: &Dataset) -> Result<(Outcome<Cpu>, Vec<Event>)> {
    trial.run(&secateur_bundle::registry()?, Cpu::default(), data)
}

fn values(outcome: &Outcome<Cpu>) -> Vec<(String, Vec<f32>)> {
    outcome.params.iter().map(|p| (p.spec().name.clone(), p.effective().unwrap().to_vec())).collect()
}

#[test]
fn neurons_go_by_contribution_rank_and_widths_follow_the_report() {
    let (outcome, events) = run(units(), &glyphs()).unwrap();
    let widths: Vec<(usize, usize)> = events
        .iter()
        .filter_map(|e| if let Event::Prune { units, .. } = e { Some((units.0["fc1"], units.0["fc2"])) } else { None })
        .collect();
    assert_eq!(widths, [(45, 27), (40, 24), (36, 21), (32, 18)]);
    let s = &outcome.summary;
    assert!(s.test_accuracy.unwrap() > 0.4, "{s:?}");
    assert_eq!((s.params_dense, s.params_kept), (784 * 50 + 50 * 30 + 300, 784 * 32 + 32 * 18 + 180));
    assert_eq!((s.macs_dense, s.macs_kept), (s.params_dense as u64, s.params_kept as u64));
    assert!((s.unit_sparsity - (1.0 - 50.0 / 80.0)).abs() < 1e-12);
    let around = |at| events.iter().filter(|e| matches!(e, Event::Eval { at: a, .. } if *a == at)).count();
    assert_eq!((around(EvalAt::BeforePrune), around(EvalAt::AfterPrune)), (4, 4));
}

#[test]
fn masking_units_and_removing_them_train_alike() {
    let data = glyphs();
    let mut masked = units();
    masked.prune.apply = Apply::Mask;
    let (masked, _) = run(masked, &data).unwrap();
    let (shrunk, _) = run(units(), &data).unwrap();
    let (a, b) = (masked.summary, shrunk.summary);
    assert_eq!((a.params_kept, a.units), (b.params_kept, b.units));
    assert!((a.test_loss - b.test_loss).abs() < 0.02 * b.test_loss, "{} and {}", a.test_loss, b.test_loss);
}

#[test]
fn weights_reach_the_target_to_the_last_one() {
    let (outcome, events) = run(weights(), &glyphs()).unwrap();
    let total = 784 * 50 + 50 * 30;
    let mut last = 0.0;
    for e in &events {
        if let Event::Prune { target, achieved, regrown, .. } = e {
            let keep = total - (target.unwrap() * f64::from(total) + 1e-9).floor() as i32;
            assert_eq!(((1.0 - achieved) * f64::from(total)).round() as i32, keep);
            assert_eq!(*regrown, 0, "held masks let nothing return");
            assert!(achieved >= &last);
            last = *achieved;
        }
    }
    assert!((last - 0.9).abs() < 1e-4, "{last}");
    assert!(outcome.summary.test_accuracy.unwrap() > 0.6);
    assert!((outcome.summary.macs_kept as f64) < 0.12 * outcome.summary.macs_dense as f64);
}

#[test]
fn pruned_weights_return_where_they_may() {
    let mut trial = weights();
    trial.prune.regrow = true;
    let (outcome, events) = run(trial, &glyphs()).unwrap();
    let regrown: usize = events.iter().map(|e| if let Event::Prune { regrown, .. } = e { *regrown } else { 0 }).sum();
    assert!(regrown > 0);
    assert!((outcome.summary.sparsity - 0.9 * (40_700.0 / 41_000.0)).abs() < 1e-3, "{}", outcome.summary.sparsity);
    let fc1 = outcome.params.get("fc1.weight").unwrap();
    let hidden = fc1.value().host().iter().zip(fc1.mask().unwrap().keep()).filter(|(w, k)| !**k && **w != 0.0).count();
    assert!(hidden > 0, "masked weights keep learning");
}

#[test]
fn the_same_seed_gives_the_same_bits_on_any_number_of_threads() {
    let data = glyphs();
    let on = |threads, seed| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| values(&run(Trial { seed, ..weights() }, &data).unwrap().0))
    };
    let first = on(1, 5);
    assert!(first == on(1, 5) && first == on(3, 5));
    assert!(first != on(1, 6));
}

#[test]
fn the_worst_first_hurts_more_than_the_rank() {
    let data = glyphs();
    let trough = |criterion| {
        let mut trial = Trial { criterion, ..units() };
        trial.schedule = ("one-shot", "sparsity = 0.5\nat = 0.9");
        let (_, events) = run(trial, &data).unwrap();
        let after = events.iter().find_map(|e| match e {
            Event::Eval { at: EvalAt::AfterPrune, accuracy, .. } => *accuracy,
            _ => None,
        });
        after.unwrap()
    };
    let (rank, worst) = (trough(("contribution-rank", "")), trough(("worst", "of = { name = \"contribution-rank\" }")));
    assert!(rank > worst + 0.05, "rank {rank}, worst {worst}");
}

#[test]
fn every_built_in_pair_of_criterion_and_schedule_runs() {
    let data = glyphs();
    let schedules = [
        ("one-shot", ""),
        ("constant", "every = 20"),
        ("linear", "every = 20"),
        ("cubic", "every = 20"),
        ("exponential", "every = 20"),
        ("periodic", "first = 1\nevery = 1"),
    ];
    for criterion in [("magnitude", "norm = \"l2\""), ("magnitude", "threshold = 0.3"), ("random", ""), ("worst", "")] {
        for schedule in schedules {
            let mut trial = Trial { criterion, schedule, ..weights() };
            trial.train.epochs = 2;
            let (outcome, events) = run(trial, &data).unwrap();
            assert!(events.iter().any(|e| matches!(e, Event::Prune { .. })), "{criterion:?} {schedule:?}");
            assert!(outcome.summary.sparsity > 0.05, "{criterion:?} {schedule:?}: {}", outcome.summary.sparsity);
        }
    }
}

#[test]
fn a_binary_problem_trains_on_one_logit() {
    let spiral = secateur_bundle::registry().unwrap().data("cubist-spiral", &Default::default()).unwrap();
    let config = DataConfig { train_limit: Some(2000), ..DataConfig::default() };
    let data = data::load(spiral.as_ref(), &config, 3).unwrap();
    let mut trial = Trial { model: ("mlp", "hidden = [64, 64]"), ..weights() };
    trial.train = TrainConfig { loss: Loss::Binary, optimizer: Optimizer::Adam, lr: 5e-3, epochs: 30, ..trial.train };
    let (outcome, _) = run(trial, &data).unwrap();
    assert!(outcome.summary.test_accuracy.unwrap() > 0.6, "{:?}", outcome.summary);
    assert_eq!(outcome.params.get("fc3.weight").unwrap().value().shape()[0], 1);
}

#[test]
fn impossible_combinations_are_refused_before_anything_runs() {
    let data = glyphs();
    let refused = |trial: Trial| run(trial, &data).err().unwrap().to_string();
    let mut s = weights();
    s.prune.apply = Apply::Shrink;
    assert!(refused(s).contains("set prune.granularity = \"unit\""));
    let mut s = units();
    s.prune.exempt = vec!["fc9".into()];
    assert!(refused(s).starts_with("`prune.exempt` = fc9: unknown unit group"));
    let s = Trial { criterion: ("contribution-rank", ""), ..weights() };
    assert!(refused(s).contains("set prune.granularity = \"unit\""));
    let s = Trial { model: ("mlp", "hidden = [0]"), ..weights() };
    assert!(refused(s).starts_with("`hidden` = [0]: layer 0 has no units"));
}

#[test]
fn a_diverging_run_stops_with_the_step() {
    let mut trial = weights();
    trial.train.lr = 1e30;
    let text = run(trial, &glyphs()).err().unwrap().to_string();
    assert!(text.contains("the training loss is") && text.contains("lower train.lr"), "{text}");
}

#[test]
fn registries_hold_every_plugin_once() {
    let registry = Registry::linked().unwrap();
    let names = |kind| registry.of_kind(kind).map(|(name, _)| name).collect::<Vec<_>>();
    let mut all: Vec<(Kind, &str)> =
        Kind::ALL.into_iter().flat_map(|kind| names(kind).into_iter().map(move |n| (kind, n))).collect();
    let registered = secateur::plugins::registry::inventory::iter::<secateur::plugins::registry::Entry>.into_iter();
    let mut entries: Vec<(Kind, &str)> = registered.map(|entry| (entry.kind, entry.name)).collect();
    all.sort_unstable();
    entries.sort_unstable();
    assert_eq!(all, entries);
}
