//! Sparse training: weights that go and weights that grow, counted over whole runs.

use crate::common;
use secateur::backend::Cpu;
use secateur::data::{DataConfig, Dataset};
use secateur::options::Table;
use secateur::plugins::conformance::Trial;
use secateur::prelude::*;
use secateur::pruning::{Decay, GrowConfig, PruneConfig, Scope};
use secateur::training::event::Event;
use secateur::training::{Optimizer, Silent, TrainConfig};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

const SIZES: [(&str, usize); 3] = [("fc1.weight", 784 * 12), ("fc2.weight", 12 * 8), ("fc3.weight", 8 * 10)];

fn glyphs() -> Dataset {
    common::glyphs(100, 20, DataConfig::default())
}

fn growing(fraction: f64, criterion: &str) -> GrowConfig {
    GrowConfig { fraction, until: 1.0, criterion: PluginSpec::named(criterion), ..GrowConfig::default() }
}

/// 120 steps.
fn trial(schedule: (&'static str, &'static str), scope: Scope, grow: GrowConfig) -> Trial {
    Trial {
        model: ("mlp", "hidden = [12, 8]"),
        schedule,
        prune: PruneConfig { scope, include_output: true, ..PruneConfig::default() },
        grow,
        train: TrainConfig {
            epochs: 60,
            batch_size: 50,
            lr: 0.05,
            momentum: 0.9,
            eval_every: 60,
            ..TrainConfig::default()
        },
        ..Trial::default()
    }
}

/// What was asked at a pruning step, what was kept of each layer, and how many went and came.
struct Update {
    at_start: bool,
    step: u64,
    target: f64,
    kept: BTreeMap<String, usize>,
    pruned: usize,
    regrown: usize,
}

fn updates(trial: &Trial) -> Vec<Update> {
    let (_, events) = trial.run(&secateur_bundle::registry().unwrap(), Cpu::default(), &glyphs()).unwrap();
    let update = |event| match event {
        Event::Prune { at_start, step, target, kept, pruned, regrown, .. } => {
            Some(Update { at_start, step, target: target.unwrap(), kept, pruned, regrown })
        }
        _ => None,
    };
    events.into_iter().filter_map(update).collect()
}

/// n - floor(s n).
fn left(n: usize, sparsity: f64) -> usize {
    n - (sparsity * n as f64 + 1e-9).floor() as usize
}

/// Schedules with at least 50 pruning steps in 120 steps.
const SCHEDULES: [(&str, &str); 5] = [
    ("constant", "sparsity = 0.85\nfrom = 0.0\nto = 1.0\nevery = 2"),
    ("constant", "sparsity = 0.85\nfrom = 0.2\nto = 1.0\nevery = 1"),
    ("cubic", "sparsity = 0.9\nfrom = 0.0\nto = 0.5\nevery = 2\nrenew = true"),
    ("linear", "initial = 0.3\nsparsity = 0.8\nfrom = 0.1\nto = 0.95\nevery = 2"),
    ("exponential", "sparsity = 0.9\nfrom = 0.05\nto = 0.6\nevery = 1\nrenew = true"),
];

#[test]
fn every_update_leaves_exactly_what_its_schedule_asks_for() {
    let all: usize = SIZES.iter().map(|s| s.1).sum();
    for schedule in SCHEDULES {
        for scope in [Scope::Global, Scope::Layer, Scope::Erk] {
            for criterion in ["gradient", "random-redrawn"] {
                let found = updates(&trial(schedule, scope, growing(0.3, criterion)));
                assert!(found.len() >= 50, "{schedule:?}: {}", found.len());
                let mut before: Option<&Update> = None;
                for update in &found {
                    let what = format!("{schedule:?} {scope:?} {criterion} step {}", update.step);
                    let total: usize = update.kept.values().sum();
                    if scope == Scope::Layer {
                        let expected = SIZES.map(|(name, n)| (name.to_owned(), left(n, update.target)));
                        assert_eq!(update.kept, BTreeMap::from(expected), "{what}");
                    } else {
                        assert_eq!(total, left(all, update.target), "{what}");
                    }
                    if let Some(before) = before {
                        if scope == Scope::Erk && before.target == update.target {
                            assert_eq!(before.kept, update.kept, "{what}: shares are the same at one sparsity");
                        }
                        let was: usize = before.kept.values().sum();
                        assert_eq!(was + update.regrown, total + update.pruned, "{what}");
                    }
                    // Of nothing that is out nothing comes in, and towards the end hardly anything grows.
                    let changes = before.is_some_and(|before| before.target > 0.3) && update.step < 119 * 4 / 5;
                    assert!(!changes || update.regrown > 0, "{what}: nothing grew");
                    before = Some(update);
                }
            }
        }
    }
}

#[test]
fn as_many_change_places_as_the_fraction_says() {
    // By a random order that is drawn anew what has just been dropped hardly ever grows again.
    let grow = GrowConfig { decay: Decay::Constant, ..growing(0.2, "random-redrawn") };
    let found = updates(&trial(SCHEDULES[0], Scope::Layer, grow));
    assert_eq!((found[0].at_start, found[0].regrown), (true, 0));
    for update in &found[1..found.len() - 1] {
        let grown: usize = update.kept.values().map(|k| (0.2 * *k as f64).round() as usize).sum();
        assert_eq!(update.pruned, update.regrown, "one sparsity");
        assert!(update.regrown <= grown && update.regrown * 10 > grown * 9, "{} of {grown}", update.regrown);
    }
}

#[test]
fn a_sparsity_may_fall_and_rounds_do_not_matter() {
    /// 90 %, 50 %, 70 %, and so on.
    struct Back;
    impl Schedule for Back {
        fn target(&self, step: Step, _: &RunLength) -> Result<Option<Amount>> {
            Ok(step.0.is_multiple_of(10).then_some(Amount::Sparsity([0.9, 0.5, 0.7][step.0 as usize / 10 % 3])))
        }
    }
    let kept = |trial: &Trial| {
        let mut log = secateur::plugins::conformance::Log::default();
        let go = |mut run: secateur::training::Run<'_, Cpu>| {
            run.schedule = Box::new(Back);
            run.execute(&mut log)
        };
        let outcome = trial.with(&secateur_bundle::registry().unwrap(), Cpu::default(), &glyphs(), go).unwrap();
        let found =
            log.0.iter().filter_map(|e| if let Event::Prune { kept, .. } = e { Some(kept.clone()) } else { None });
        let values: Vec<Vec<f32>> = outcome.params.iter().map(|p| p.value().to_vec()).collect();
        (found.collect::<Vec<_>>(), values)
    };
    let one = trial(("never", ""), Scope::Layer, growing(0.3, "gradient"));
    let (found, values) = kept(&one);
    assert_eq!(found[3]["fc1.weight"], left(784 * 12, 0.9));
    assert_eq!(found[4]["fc1.weight"], left(784 * 12, 0.5));
    // Magnitudes do not change between rounds, and what a round dropped comes back as it was.
    let mut many = one.clone();
    many.prune.rounds = 4;
    assert!(kept(&many) == (found, values), "rounds change the network");
}

/// Magnitude, and what it saw of weights that had just grown.
struct Witness {
    masks: BTreeMap<String, Vec<bool>>,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Default)]
struct Seen {
    grown: usize,
    kept_moving: usize,
}

impl Criterion<Cpu> for Witness {
    /// Sees the step after a pruning step, before its update.
    fn observe(&mut self, seen: &Observation<'_, Cpu>) -> Result<()> {
        for p in seen.params.iter() {
            let Some(mask) = p.mask() else { continue };
            let name = &p.spec().name;
            let value = p.value().to_vec();
            let states = p.state().unwrap().iter().map(|s| s.to_vec()).collect::<Vec<_>>();
            let mut found = self.seen.lock().unwrap();
            if let Some(before) = self.masks.get(name) {
                for i in (0..value.len()).filter(|&i| mask.keep()[i]) {
                    if before[i] {
                        found.kept_moving += usize::from(states.iter().all(|s| s[i] != 0.0));
                    } else {
                        let zero = value[i] == 0.0 && states.iter().all(|s| s[i] == 0.0);
                        assert!(zero, "{name} {i} grows from {} with the state {states:?}", value[i]);
                        found.grown += 1;
                    }
                }
            }
            self.masks.insert(name.clone(), mask.keep().to_vec());
        }
        Ok(())
    }

    fn score(&mut self, target: &Target<'_, Cpu>) -> Result<Scores<Cpu>> {
        Ok(target.weight()?.abs()?.into())
    }
}

#[test]
fn weights_grow_from_zero_without_optimizer_state_and_the_others_keep_theirs() {
    for optimizer in [Optimizer::Sgd, Optimizer::AdamW] {
        let mut trial = trial(SCHEDULES[0], Scope::Erk, growing(0.3, "random-redrawn"));
        (trial.train.optimizer, trial.train.lr) = (optimizer, 0.01);
        trial.train.epochs = 20;
        let seen = Arc::new(Mutex::new(Seen::default()));
        let witness = Witness { masks: BTreeMap::new(), seen: seen.clone() };
        let go = |mut run: secateur::training::Run<'_, Cpu>| {
            run.criterion = Box::new(witness);
            run.execute(&mut Silent)
        };
        trial.with(&secateur_bundle::registry().unwrap(), Cpu::default(), &glyphs(), go).unwrap();
        let seen = seen.lock().unwrap();
        assert!(seen.grown > 1000 && seen.kept_moving > 10_000, "{} {}", seen.grown, seen.kept_moving);
    }
}

#[test]
fn a_network_begins_by_a_criterion_of_its_own() {
    let start = |start: Option<&str>| {
        let grow = GrowConfig { start: start.map(PluginSpec::named), ..growing(0.3, "gradient") };
        let mut trial = trial(("constant", "sparsity = 0.8\nfrom = 0.0\nto = 1.0\nevery = 1000"), Scope::Layer, grow);
        trial.train.epochs = 1;
        let run = trial.run(&secateur_bundle::registry().unwrap(), Cpu::default(), &glyphs()).unwrap();
        run.0.params.get("fc1.weight").unwrap().mask().unwrap().keep().to_vec()
    };
    let random =
        trial(("constant", "sparsity = 0.8\nfrom = 0.0\nto = 1.0\nevery = 1000"), Scope::Layer, growing(0.0, ""));
    let random =
        Trial { criterion: ("random", ""), train: TrainConfig { epochs: 1, ..random.train.clone() }, ..random };
    let random = random.run(&secateur_bundle::registry().unwrap(), Cpu::default(), &glyphs()).unwrap();
    let random = random.0.params.get("fc1.weight").unwrap().mask().unwrap().keep().to_vec();
    assert!(start(Some("random")) == random, "the same random network as by criterion.name = \"random\"");
    assert!(start(None) != random && start(None) == start(Some("magnitude")));
}

#[test]
fn what_is_shuffled_is_what_may_grow() {
    // Gradients, dealt out among what is out: other weights grow than by the gradients, from the same counts.
    let grown = |criterion: PluginSpec| {
        let trial = trial(SCHEDULES[0], Scope::Erk, GrowConfig { criterion, ..growing(0.3, "") });
        let run = trial.run(&secateur_bundle::registry().unwrap(), Cpu::default(), &glyphs()).unwrap();
        run.0.params.get("fc1.weight").unwrap().mask().unwrap().keep().to_vec()
    };
    let gradient = grown(PluginSpec::named("gradient"));
    let mut shuffled = PluginSpec::named("shuffled-redrawn");
    shuffled.0.insert("of".into(), "name = 'gradient'".parse::<Table>().unwrap().into());
    assert!(grown(shuffled) != gradient);
}

#[test]
fn a_criterion_that_decides_itself_leaves_no_number_to_grow() {
    let fails = |criterion, grow| {
        let trial = Trial { criterion, ..trial(SCHEDULES[1], Scope::Global, grow) };
        trial.run(&secateur_bundle::registry().unwrap(), Cpu::default(), &glyphs()).err().unwrap().to_string()
    };
    let text = fails(("magnitude", "threshold = 0.5"), growing(0.3, "gradient"));
    assert!(text.contains("choose one that scores, or set grow.fraction = 0"), "{text}");
    let mut decides = PluginSpec::named("magnitude");
    decides.0.insert("threshold".into(), 0.5.into());
    let text = fails(("magnitude", ""), GrowConfig { criterion: decides, ..growing(0.3, "") });
    assert!(text.contains("grow.criterion decides weight by weight itself"), "{text}");
    let text = fails(("magnitude", ""), growing(0.3, "gradeint"));
    assert!(text.contains("grow.criterion.name") && text.contains("did you mean `gradient`?"), "{text}");
}
