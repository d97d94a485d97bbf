//! Whole runs: data, training, pruning, figures.
#![allow(clippy::unwrap_used, reason = "tests")]

use secateur::backend::Cpu;
use secateur::data::{self, DataConfig, Dataset};
use secateur::error::Result;
use secateur::options::Table;
use secateur::plugins::registry::Registry;
use secateur::pruning::{Apply, Granularity, PruneConfig, Scope};
use secateur::seed::Seed;
use secateur::training::event::{EvalAt, Event};
use secateur::training::{Loss, Observer, Optimizer, Outcome, Run, TrainConfig};

/// Keeps every event.
#[derive(Default)]
struct Log(Vec<Event>);

impl Observer for Log {
    fn event(&mut self, event: &Event) -> Result<()> {
        self.0.push(event.clone());
        Ok(())
    }
}

fn glyphs() -> Dataset {
    let options = "train = 1500\ntest = 500".parse().unwrap();
    let glyphs = secateur_bundle::registry().unwrap().data("glyphs", &options).unwrap();
    data::load(glyphs.as_ref(), &DataConfig::default(), 3).unwrap()
}

struct Setup {
    criterion: (&'static str, &'static str),
    schedule: (&'static str, &'static str),
    model: &'static str,
    prune: PruneConfig,
    train: TrainConfig,
    seed: u64,
}

fn units() -> Setup {
    Setup {
        criterion: ("contribution-rank", ""),
        schedule: ("periodic", "first = 2\nevery = 1\nfraction = 0.1"),
        model: "hidden = [50, 30]\nbias = false",
        prune: PruneConfig {
            granularity: Granularity::Unit,
            scope: Scope::Layer,
            apply: Apply::Shrink,
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
        seed: 1,
    }
}

fn weights() -> Setup {
    Setup {
        criterion: ("magnitude", ""),
        schedule: ("cubic", "sparsity = 0.9\nevery = 7"),
        prune: PruneConfig::default(),
        model: "hidden = [50, 30]",
        ..units()
    }
}

fn run(setup: Setup, data: &Dataset) -> Result<(Outcome<Cpu>, Vec<Event>)> {
    let registry = secateur_bundle::registry()?;
    let table = |text: &str| text.parse::<Table>().unwrap();
    let run = Run {
        name: "test".into(),
        device: Cpu::default(),
        seed: Seed(setup.seed),
        data,
        model: registry.model("mlp", &table(setup.model))?,
        criterion: registry.criterion(setup.criterion.0, &table(setup.criterion.1))?,
        schedule: registry.schedule(setup.schedule.0, &table(setup.schedule.1))?,
        compressor: None,
        prune: setup.prune,
        train: setup.train,
        make_criterion: &|name, options| registry.criterion(name, options),
    };
    let mut log = Log::default();
    let outcome = run.execute(&mut log)?;
    Ok((outcome, log.0))
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
        if let Event::Prune { target, achieved, returned, .. } = e {
            let keep = total - (target * f64::from(total) + 1e-9).floor() as i32;
            assert_eq!(((1.0 - achieved) * f64::from(total)).round() as i32, keep);
            assert_eq!(*returned, 0, "held masks let nothing return");
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
    let mut setup = weights();
    setup.prune.regrow = true;
    let (outcome, events) = run(setup, &glyphs()).unwrap();
    let returned: usize =
        events.iter().map(|e| if let Event::Prune { returned, .. } = e { *returned } else { 0 }).sum();
    assert!(returned > 0);
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
        pool.install(|| values(&run(Setup { seed, ..weights() }, &data).unwrap().0))
    };
    let first = on(1, 5);
    assert!(first == on(1, 5) && first == on(3, 5));
    assert!(first != on(1, 6));
}

#[test]
fn the_worst_first_hurts_more_than_the_rank() {
    let data = glyphs();
    let trough = |criterion| {
        let mut setup = Setup { criterion, ..units() };
        setup.schedule = ("one-shot", "sparsity = 0.5\nat = 0.9");
        let (_, events) = run(setup, &data).unwrap();
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
            let mut setup = Setup { criterion, schedule, ..weights() };
            setup.train.epochs = 2;
            let (outcome, events) = run(setup, &data).unwrap();
            assert!(events.iter().any(|e| matches!(e, Event::Prune { .. })), "{criterion:?} {schedule:?}");
            assert!(outcome.summary.sparsity > 0.05, "{criterion:?} {schedule:?}: {}", outcome.summary.sparsity);
        }
    }
}

#[test]
fn a_binary_problem_trains_on_one_logit() {
    let spiral = secateur_bundle::registry().unwrap().data("cubist-spiral", &Table::new()).unwrap();
    let config = DataConfig { train_limit: Some(2000), ..DataConfig::default() };
    let data = data::load(spiral.as_ref(), &config, 3).unwrap();
    let mut setup = Setup { model: "hidden = [64, 64]", ..weights() };
    setup.train = TrainConfig { loss: Loss::Binary, optimizer: Optimizer::Adam, lr: 5e-3, epochs: 30, ..setup.train };
    let (outcome, _) = run(setup, &data).unwrap();
    assert!(outcome.summary.test_accuracy.unwrap() > 0.6, "{:?}", outcome.summary);
    assert_eq!(outcome.params.get("fc3.weight").unwrap().value().shape()[0], 1);
}

#[test]
fn impossible_combinations_are_refused_before_anything_runs() {
    let data = glyphs();
    let refused = |setup: Setup| run(setup, &data).err().unwrap().to_string();
    let mut s = weights();
    s.prune.apply = Apply::Shrink;
    assert!(refused(s).contains("set prune.granularity = \"unit\""));
    let mut s = units();
    s.prune.exempt = vec!["fc9".into()];
    assert!(refused(s).contains("prune.exempt names `fc9`"));
    let s = Setup { criterion: ("contribution-rank", ""), ..weights() };
    assert!(refused(s).contains("set prune.granularity = \"unit\""));
    let s = Setup { model: "hidden = [0]", ..weights() };
    assert!(refused(s).contains("layer 0 has no units"));
}

#[test]
fn a_diverging_run_stops_with_the_step() {
    let mut setup = weights();
    setup.train.lr = 1e30;
    let text = run(setup, &glyphs()).err().unwrap().to_string();
    assert!(text.contains("the training loss is") && text.contains("lower train.lr"), "{text}");
}

#[test]
fn registries_hold_every_plugin_once() {
    assert!(Registry::linked().is_ok());
}
