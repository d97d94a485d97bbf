//! What belongs to a unit has a fate when the unit is masked, returns, or is cut: weights, optimizer state, running
//! statistics, gradients that a criterion is shown, and what a criterion remembers. (Resumed: `resume.rs`.)
//!
//! Longer than 300 lines because its tests share the networks and the states at its head.

use crate::common;
use secateur::data::{DataConfig, Dataset};
use secateur::network::params::{Param, ParamStore};
use secateur::plugins::conformance::{Log, Trial};
use secateur::prelude::*;
use secateur::pruning::criterion::Window;
use secateur::pruning::{Apply, Granularity, PruneConfig, Scope};
use secateur::training::event::{EvalAt, Event};
use secateur::training::{Optimizer, Outcome, TrainConfig};
use std::collections::BTreeMap;

fn data() -> Dataset {
    common::glyphs(300, 100, DataConfig::default())
}

fn units(apply: Apply, regrow: bool) -> PruneConfig {
    PruneConfig { granularity: Granularity::Unit, scope: Scope::Layer, apply, regrow, ..PruneConfig::default() }
}

fn trial(prune: PruneConfig, schedule: (&'static str, &'static str)) -> Trial {
    let train = TrainConfig { epochs: 6, batch_size: 50, lr: 0.1, momentum: 0.9, ..TrainConfig::default() };
    Trial { prune, schedule, train, ..Trial::default() }
}

fn go(trial: &Trial) -> (Outcome<Cpu>, Vec<Event>) {
    trial.run(&secateur_bundle::registry().unwrap(), Cpu::default(), &data()).unwrap()
}

/// The same run with a criterion of the test's own.
fn watched(trial: &Trial, criterion: impl Criterion<Cpu> + 'static) -> (Outcome<Cpu>, Vec<Event>) {
    let mut log = Log::default();
    let outcome = trial.with(&secateur_bundle::registry().unwrap(), Cpu::default(), &data(), |mut run| {
        run.criterion = Box::new(criterion);
        run.execute(&mut log)
    });
    (outcome.unwrap(), log.0)
}

/// The rows of `fc1.weight`, or of one of its optimizer states.
fn rows(p: &Param<Cpu>, tensor: &Tensor<Cpu>) -> Vec<Vec<f32>> {
    let columns = p.value().shape()[1];
    tensor.to_vec().chunks(columns).map(<[f32]>::to_vec).collect()
}

#[test]
fn units_held_at_zero_keep_neither_weight_nor_momentum_and_their_statistics_stay_zero() {
    let mut trial = trial(units(Apply::Mask, false), ("one-shot", "sparsity = 0.5\nat = 0.3"));
    trial.model = ("cnn", "channels = [8]\nhidden = [10]\nbatch_norm = true");
    let (outcome, _) = go(&trial);
    let alive = outcome.params.alive("conv1").unwrap().to_vec();
    assert_eq!(alive.iter().filter(|a| !**a).count(), 4);
    for p in outcome.params.iter().filter(|p| p.spec().name.contains('1') && !p.spec().name.starts_with("fc")) {
        for tensor in std::iter::once(p.value()).chain(&p.state().unwrap()) {
            let per_unit = tensor.count() / alive.len();
            for (unit, values) in tensor.to_vec().chunks(per_unit).enumerate().filter(|(unit, _)| !alive[*unit]) {
                assert!(values.iter().all(|v| *v == 0.0), "{} of unit {unit}: {values:?}", p.spec().name);
            }
        }
    }
}

#[test]
fn masked_units_that_may_return_move_and_some_return() {
    for model in [
        ("mlp", "hidden = [20, 10]"),
        ("mlp", "hidden = [20, 10]\nactivation = \"sigmoid\""),
        ("cnn", "channels = [8, 10]\nhidden = [12]\nbatch_norm = true"),
        ("vit", "depth = 2\ndim = 24\nheads = 4\npatch = 7"),
    ] {
        let mut trial = trial(units(Apply::Mask, true), ("constant", "sparsity = 0.5\nevery = 4"));
        (trial.model, trial.train.lr) = (model, 0.05);
        trial.criterion = ("magnitude", "norm = \"l2\"");
        let (outcome, events) = go(&trial);
        let regrown = |event: &Event| if let Event::Prune { regrown, .. } = event { *regrown } else { 0 };
        assert!(events.iter().map(regrown).sum::<usize>() > 0, "{model:?}: none ever returns");
        // What is exported has zeros on both sides of a masked unit.
        let effective = outcome.params.iter().flat_map(|p| p.effective().unwrap().to_vec());
        assert!(effective.filter(|v| *v == 0.0).count() > 100, "{model:?}");
        // The loss right after a renewal stays of its size.
        let loss = |at: EvalAt| -> Vec<f64> {
            let of =
                |e: &Event| if let Event::Eval { loss, at: a, .. } = e { (*a == at).then_some(*loss) } else { None };
            events.iter().filter_map(of).collect()
        };
        for (before, after) in loss(EvalAt::BeforePrune).iter().zip(loss(EvalAt::AfterPrune)) {
            assert!(after < before.max(2.4) * 1.5, "{model:?}: {before} became {after}");
        }
    }
}

/// Ranks units by the L2 norm of their rows, and makes sure that those which are masked have moved since it last looked.
#[derive(Default)]
struct Moving {
    rows: Vec<Vec<f32>>,
    compared: usize,
}

impl Criterion<Cpu> for Moving {
    fn reduce(&self) -> Reduce {
        Reduce::L2
    }
    fn score(&mut self, target: &Target<'_, Cpu>) -> Result<Scores<Cpu>> {
        let weight = target.weight()?;
        if target.name() == "fc1.weight" {
            let now = rows(target.param(), &weight);
            let masked = target.params().alive("fc1").into_iter().flatten().enumerate().filter(|(_, alive)| !**alive);
            for (unit, _) in masked {
                assert_ne!(self.rows[unit], now[unit], "unit {unit} is masked and stands still");
                self.compared += 1;
            }
            self.rows = now;
        }
        Ok(weight.abs()?.into())
    }
    fn reset(&mut self) -> Result<()> {
        assert_eq!(self.rows.len(), 20);
        Ok(())
    }
}

impl Drop for Moving {
    fn drop(&mut self) {
        assert!(self.compared == 3 * 10 || std::thread::panicking(), "{} rows were compared", self.compared);
    }
}

#[test]
fn a_rewind_keeps_masked_units_out_until_they_have_learned() {
    let sizes = Sizes::default();
    let mut layout = LayoutBuilder::new(&sizes);
    let hidden = layout.units("fc1", 3);
    layout.linear("fc1", &2.into(), &hidden, false);
    layout.linear("fc2", &hidden, &2.into(), false);
    let layout = layout.build().unwrap();
    let mut store = ParamStore::new(&Cpu::default(), layout, Seed(1), Masking::Dynamic).unwrap();
    let early = store.snapshot();
    let readers = |store: &ParamStore<Cpu>| store.get("fc2.weight").unwrap().value().to_vec();
    let before = readers(&store);
    store.set_alive(vec![("fc1".into(), vec![true, false, true])]).unwrap();
    store.rewind(&early).unwrap();
    let expected = [before[0], 0.0, before[2], before[3], 0.0, before[5]];
    assert_eq!(readers(&store), expected, "the weights that read the masked unit begin at zero");
}

#[test]
fn units_that_wait_long_between_renewals_do_not_run_away() {
    let mut trial = trial(units(Apply::Mask, true), ("constant", "sparsity = 0.5\nevery = 60"));
    (trial.train.epochs, trial.train.momentum) = (40, 0.0);
    let (outcome, events) = go(&trial);
    assert!(outcome.summary.regrown > 0 && outcome.summary.test_loss < 2.0, "{}", outcome.summary.test_loss);
    let worst = events.iter().filter_map(|e| if let Event::Step { loss, .. } = e { Some(*loss) } else { None });
    assert!(worst.fold(0.0, f64::max) < 5.0);
}

#[test]
fn the_rows_of_masked_units_move_while_they_are_masked() {
    // Half of 20 units, from before the first update on, renewed three times.
    watched(&trial(units(Apply::Mask, true), ("constant", "sparsity = 0.5\nevery = 9")), Moving::default());
}

#[test]
fn a_cut_takes_momentum_and_statistics_of_the_units_along() {
    for optimizer in [Optimizer::Sgd, Optimizer::Adam] {
        let mut masked = trial(units(Apply::Mask, false), ("one-shot", "sparsity = 0.5\nat = 1.0"));
        masked.model = ("cnn", "channels = [8]\nhidden = [10]\nbatch_norm = true");
        (masked.train.optimizer, masked.train.lr) = (optimizer, 0.01);
        let mut cut = masked.clone();
        cut.prune.apply = Apply::Shrink;
        // Pruned after the last step: what is left of the cut network is what the masked one has of the units alive.
        let ((masked, _), (cut, _)) = (go(&masked), go(&cut));
        let alive = masked.params.alive("conv1").unwrap().to_vec();
        for name in ["conv1.weight", "norm1.weight", "norm1.running_mean", "norm1.running_var"] {
            let (m, c) = (masked.params.find(name), cut.params.find(name));
            let (Some(m), Some(c)) = (m, c) else { panic!("{name} is not there") };
            let (m_state, c_state) = (m.state().unwrap(), c.state().unwrap());
            assert_eq!(m_state.len(), c_state.len());
            let pairs = std::iter::once((m.value(), c.value())).chain(m_state.iter().zip(&c_state));
            for (m, c) in pairs {
                let m = m.to_vec();
                let m = m.chunks(m.len() / alive.len()).zip(&alive).filter(|(_, alive)| **alive);
                assert_eq!(m.flat_map(|(values, _)| values.to_vec()).collect::<Vec<_>>(), c.to_vec(), "{name}");
            }
        }
        assert_eq!(cut.params.get("conv1.weight").unwrap().value().shape()[0], 4);
    }
}

#[test]
fn what_criteria_remember_follows_a_cut() {
    // With masks nothing moves; with a cut, in several rounds too, every memory must follow, or other units go.
    for criterion in [
        ("contribution-rank", "lambda2 = 0.5"),
        ("lrp", "window = \"since-prune\""),
        ("random", ""),
        ("shuffled", "of = { name = \"contribution-rank\" }"),
        ("worst", "of = { name = \"random\" }"),
        ("worst", "of = { name = \"contribution-rank\" }"),
        ("taylor", "of = \"feature-maps\"\nwindow = \"since-prune\""),
        ("taylor", "together = \"joint\""),
        ("movement", "since = \"start\""),
    ] {
        let run = |apply, rounds| {
            let mut trial = trial(units(apply, false), ("periodic", "first = 2\nevery = 2\nfraction = 0.3"));
            (trial.criterion, trial.prune.rounds, trial.train.epochs) = (criterion, rounds, 5);
            go(&trial).0
        };
        for rounds in [1, 3] {
            let masked = run(Apply::Mask, rounds);
            let alive = masked.params.alive("fc1").unwrap();
            let p = masked.params.get("fc1.weight").unwrap();
            let expected: Vec<Vec<f32>> =
                rows(p, p.value()).into_iter().zip(alive).filter(|(_, a)| **a).map(|r| r.0).collect();
            let cut = run(Apply::Shrink, rounds);
            let p = cut.params.get("fc1.weight").unwrap();
            let found = rows(p, p.value());
            assert_eq!(found.len(), expected.len(), "{criterion:?}");
            // Sums over fewer terms differ in their last bits; another unit differs everywhere.
            for (a, b) in found.iter().flatten().zip(expected.iter().flatten()) {
                assert!((a - b).abs() < 1e-2, "{criterion:?} in {rounds} rounds: another unit stayed, {a} and {b}");
            }
        }
    }
}

#[test]
fn memory_follows_cuts_of_groups_that_share_an_axis() {
    for criterion in [("movement", "since = \"start\""), ("contribution-rank", "window = \"since-prune\"")] {
        let run = |apply, rounds| {
            let mut trial = trial(units(apply, false), ("periodic", "first = 1\nevery = 1\nfraction = 0.3\ncount = 3"));
            trial.model = ("vit", "depth = 1\ndim = 24\nheads = 4\npatch = 7");
            (trial.criterion, trial.prune.rounds) = (criterion, rounds);
            go(&trial).0
        };
        let (masked, cut) = (run(Apply::Mask, 2), run(Apply::Shrink, 2));
        let of = |outcome: &Outcome<Cpu>| {
            let kept = outcome.params.get("blocks.0.attn.proj.weight").unwrap().effective().unwrap().to_vec();
            kept.into_iter().filter(|v| *v != 0.0).collect::<Vec<_>>()
        };
        let (masked, cut) = (of(&masked), of(&cut));
        assert_eq!(masked.len(), cut.len(), "{criterion:?}");
        for (a, b) in masked.iter().zip(&cut) {
            assert!((a - b).abs() < 1e-2, "{criterion:?}: another unit stayed, {a} and {b}");
        }
    }
}

/// |w g|, and a note of every weight and gradient that it saw and was shown.
#[derive(Default)]
struct Pairs {
    seen: BTreeMap<String, (Vec<f32>, Vec<f32>)>,
}

impl Criterion<Cpu> for Pairs {
    fn needs(&self) -> Needs {
        Needs::GRADIENTS
    }
    fn window(&self) -> Window {
        Window::LastStep
    }
    fn observe(&mut self, seen: &Observation<'_, Cpu>) -> Result<()> {
        for name in ["fc1.weight", "fc2.weight"] {
            self.seen.insert(name.into(), (seen.weight(name)?.to_vec(), seen.grad(name)?.to_vec()));
        }
        Ok(())
    }
    fn score(&mut self, target: &Target<'_, Cpu>) -> Result<Scores<Cpu>> {
        let (weight, grad) = (target.weight()?, target.grad()?);
        // What is left of the step's weights and gradients, whatever the rounds before masked or cut.
        let (w, g) = &self.seen[target.name()];
        let same = |a: &[f32], b: &[f32]| a.iter().filter(|v| **v != 0.0).all(|v| b.contains(v));
        assert!(same(&weight.host(), w), "{} is not the weight that made the gradient", target.name());
        assert!(same(&grad.host(), g), "{}", target.name());
        if weight.count() == w.len() {
            assert!(weight.host().iter().zip(w).all(|(a, b)| *a == *b || *a == 0.0));
        }
        Ok(weight.mul(&grad)?.abs()?.into())
    }
}

#[test]
fn the_weights_a_criterion_is_shown_are_those_that_made_the_gradient_in_every_round() {
    for (prune, schedule) in [
        (PruneConfig::default(), ("one-shot", "sparsity = 0.6\nat = 0.4")),
        (PruneConfig { rounds: 4, ..PruneConfig::default() }, ("cubic", "every = 5")),
        (PruneConfig { regrow: true, rounds: 2, ..PruneConfig::default() }, ("cubic", "every = 5")),
        (
            PruneConfig { rounds: 3, ..units(Apply::Shrink, false) },
            ("periodic", "first = 1\nevery = 1\nfraction = 0.2"),
        ),
        (PruneConfig { rounds: 2, ..PruneConfig::default() }, ("one-shot", "sparsity = 0.6\nat = 0.0")),
    ] {
        watched(&trial(prune, schedule), Pairs::default());
    }
}

#[test]
fn a_random_order_is_one_for_a_run_and_a_redrawn_one_is_not() {
    let regrown = |criterion| {
        let prune = PruneConfig { regrow: true, ..PruneConfig::default() };
        let mut trial = trial(prune, ("cubic", "sparsity = 0.8\nevery = 3"));
        trial.criterion = criterion;
        go(&trial).0.summary.regrown
    };
    assert_eq!(regrown(("random", "")), 0);
    // How many each layer has follows the magnitudes, and may rise by a few.
    assert!(regrown(("shuffled", "of = { name = \"magnitude\" }")) < 100);
    assert!(regrown(("random-redrawn", "")) > 5000);
    assert!(regrown(("shuffled-redrawn", "of = { name = \"magnitude\" }")) > 5000);
}
