//! Whole runs: data, training, pruning, figures.
//!
//! Longer than 300 lines because each test is a run of its own, of one small network.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use secateur::backend::{Cpu, LinearOps as _, Precision};
use secateur::data::{self, DataConfig, Dataset};
use secateur::network::params::Sparse;
use secateur::plugins::conformance::{Log, Trial};
use secateur::plugins::registry::{Kind, Registry};
use secateur::prelude::*;
use secateur::pruning::criterion::Rounding;
use secateur::pruning::{Apply, Granularity, PruneConfig, Scope};
use secateur::training::event::{EvalAt, Event};
use secateur::training::{Loss, Optimizer, Outcome, Run, TrainConfig};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

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
    assert!(first == on(1, 5) && [2, 3, 4].iter().all(|threads| first == on(*threads, 5)));
    assert!(first != on(1, 6));
}

/// Sparse from the first step on.
fn sparse(sparse: Sparse) -> Trial {
    let mut trial = weights();
    trial.schedule = ("one-shot", "sparsity = 0.9\nat = 0.0");
    trial.prune.scope = Scope::Layer;
    trial.train = TrainConfig { epochs: 2, lr: 0.05, clip_norm: Some(1.0), weight_decay: 1e-3, sparse, ..trial.train };
    trial
}

/// Of the first fifty steps.
fn losses(events: &[Event]) -> Vec<f64> {
    let loss = |e: &Event| if let Event::Step { loss, .. } = e { Some(*loss) } else { None };
    events.iter().filter_map(loss).take(50).collect()
}

#[test]
fn layers_go_over_their_nonzeros_alone_and_learn_as_dense_ones_do() {
    let data = glyphs();
    let ((dense, dense_events), (auto, auto_events), (always, always_events)) = (
        run(sparse(Sparse::Off), &data).unwrap(),
        run(sparse(Sparse::Auto), &data).unwrap(),
        run(sparse(Sparse::Always), &data).unwrap(),
    );
    let layers = |outcome: &Outcome<Cpu>| outcome.summary.sparse_layers.clone();
    // The output's layer is spared, and has no mask.
    assert_eq!((layers(&dense), layers(&auto)), (vec![], vec!["fc1.weight".to_owned(), "fc2.weight".to_owned()]));
    assert_eq!(layers(&always), layers(&auto));
    let said = |e: &Event| if let Event::Prune { sparse_layers, .. } = e { Some(sparse_layers.clone()) } else { None };
    assert_eq!(auto_events.iter().find_map(said), Some(layers(&auto)));
    let expected = losses(&dense_events);
    assert_eq!(expected.len(), 50);
    for events in [auto_events, always_events] {
        for (step, (found, expected)) in losses(&events).iter().zip(&expected).enumerate() {
            assert!((found - expected).abs() <= 1e-5 * expected, "step {step}: {found} instead of {expected}");
        }
    }
    assert!(values(&dense) != values(&auto), "the last bits differ, or the paths were the same");
}

#[test]
fn convolutions_go_over_their_nonzeros_alone_and_learn_as_dense_ones_do() {
    let data = glyphs();
    let of = |mode| Trial { model: ("cnn", "channels = [8, 12]\nhidden = [20]"), ..sparse(mode) };
    let on = |threads, mode| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| run(of(mode), &data).unwrap())
    };
    let ((dense, dense_events), (auto, auto_events)) = (on(1, Sparse::Off), on(1, Sparse::Auto));
    assert_eq!(auto.summary.sparse_layers, ["conv2.weight", "fc1.weight"]);
    let (found, expected) = (losses(&auto_events), losses(&dense_events));
    assert_eq!(expected.len(), 50);
    for (step, (found, expected)) in found.iter().zip(&expected).enumerate() {
        assert!((found - expected).abs() <= 1e-5 * expected, "step {step}: {found} instead of {expected}");
    }
    assert!(values(&dense) != values(&auto), "the last bits differ, or the paths were the same");
    assert!([2, 4].iter().all(|threads| values(&on(*threads, Sparse::Auto).0) == values(&auto)));
}

/// Networks of every kind of layer that has products, one pruned, with masks that let weights return.
fn in_precision(precision: Precision) -> [Trial; 3] {
    let mut regrowing = weights();
    regrowing.prune.regrow = true;
    let cnn = Trial { model: ("cnn", "channels = [4, 6]\nhidden = [20]"), schedule: ("never", ""), ..weights() };
    let vit = "dim = 24\ndepth = 1\nheads = 3\npatch = 7";
    let vit = Trial { model: ("vit", vit), schedule: ("never", ""), ..weights() };
    let train = TrainConfig { epochs: 2, lr: 0.02, precision, ..regrowing.train.clone() };
    [regrowing, cnn, vit].map(|trial| Trial { train: train.clone(), ..trial })
}

#[test]
fn in_bf16_runs_lose_what_they_lose_in_f32_and_have_the_same_bits_on_any_number_of_threads() {
    let data = glyphs();
    for (trial, in_f32) in in_precision(Precision::Bf16).into_iter().zip(in_precision(Precision::F32)) {
        let model = trial.model.0;
        let on = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| run(trial.clone(), &data))
        };
        let (outcome, events) = match (on(1), Cpu::lacks_bf16()) {
            (Ok(run), None) => run,
            (Err(error), Some(why)) => {
                eprintln!("NOT RUN in bf16: {why}");
                let text = error.to_string();
                assert!(text.starts_with("`train.precision` = \"bf16\": cannot be: ") && text.contains(&why), "{text}");
                continue;
            }
            (found, lacking) => panic!("{model}: {:?} where the processor lacks {lacking:?}", found.err()),
        };
        assert!([2, 4].iter().all(|threads| values(&on(*threads).unwrap().0) == values(&outcome)), "{model}");
        let (f32_outcome, f32_events) = run(in_f32, &data).unwrap();
        assert!(values(&outcome) != values(&f32_outcome), "{model}: the bits differ, or the products were in f32");
        let losses = |events: &[Event]| {
            let loss = |e: &Event| if let Event::Step { loss, .. } = e { Some(*loss) } else { None };
            events.iter().filter_map(loss).take(50).collect::<Vec<_>>()
        };
        let (found, expected) = (losses(&events), losses(&f32_events));
        assert_eq!(found.len(), 50);
        // Two runs that differ by a rounding part in time; not in the mean.
        for (step, (found, expected)) in found.iter().zip(&expected).enumerate().take(20) {
            assert!((found - expected).abs() <= 2e-3 * expected, "{model}, step {step}: {found}, {expected} in f32");
        }
        let [found, expected] = [found, expected].map(|losses| losses.iter().sum::<f64>() / 50.0);
        assert!((found - expected).abs() <= 5e-3 * expected, "{model}: {found} in the mean, {expected} in f32");
    }
}

/// Counts the masked weights whose gradient it sees.
struct Watcher {
    needs: Needs,
    seen: Arc<AtomicUsize>,
}

impl Criterion<Cpu> for Watcher {
    fn needs(&self) -> Needs {
        self.needs
    }
    fn window(&self) -> Window {
        Window::LastStep
    }
    fn observe(&mut self, seen: &Observation<'_, Cpu>) -> Result<()> {
        for p in seen.params.iter().filter(|p| p.mask().is_some()) {
            let grad = seen.grad(&p.spec().name)?;
            let masked = grad.host().iter().zip(p.mask().unwrap().keep()).filter(|(g, k)| !**k && **g != 0.0).count();
            self.seen.fetch_add(masked, Ordering::Relaxed);
        }
        Ok(())
    }
    fn score(&mut self, target: &Target<'_, Cpu>) -> Result<Scores<Cpu>> {
        Ok(target.weight()?.abs()?.into())
    }
}

#[test]
fn whoever_asks_for_gradients_sees_those_of_masked_weights_and_nobody_else_sees_any() {
    let data = glyphs();
    let watched = |needs| {
        let (registry, seen) = (secateur_bundle::registry().unwrap(), Arc::new(AtomicUsize::new(0)));
        let mut trial = sparse(Sparse::Always);
        trial.schedule = ("linear", "initial = 0.8\nsparsity = 0.9\nfrom = 0.0\nto = 0.5\nevery = 10");
        let (watcher, mut log) = (Watcher { needs, seen: seen.clone() }, Log::default());
        let done = trial.with(&registry, Cpu::default(), &data, |run| {
            Run { criterion: Box::new(watcher), ..run }.execute(&mut log)
        });
        done.map(|_| seen.load(Ordering::Relaxed))
    };
    assert!(watched(Needs::GRADIENTS).unwrap() > 10_000);
    let refused = watched(Needs::WEIGHTS).unwrap_err().to_string();
    assert!(refused.contains("`fc1.weight` is not whole") && refused.contains("declare Needs::GRADIENTS"), "{refused}");
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
    let mut spiral = secateur_bundle::registry().unwrap().data("cubist-spiral", &Default::default()).unwrap();
    let config = DataConfig { train_limit: Some(2000), ..DataConfig::default() };
    let data = data::load(spiral.as_mut(), &config, 3).unwrap();
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
