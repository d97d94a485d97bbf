//! Every criterion prunes every kind of network in every way that it says it can, and says what it cannot; stopped and
//! resumed, it decides the same.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use secateur::data::{DataConfig, Dataset};
use secateur::plugins::conformance::{Log, Named, Trial};
use secateur::prelude::*;
use secateur::pruning::{Apply, Granularity, PruneConfig, Scope};
use secateur::training::event::Event;
use secateur::training::{Checkpoint, Observer, Outcome, TrainConfig};

const MLP: Named = ("mlp", "hidden = [20, 10]");
const CNN: Named = ("cnn", "channels = [6, 8]\nhidden = [12]\nbatch_norm = true");
const VIT: Named = ("vit", "depth = 2\ndim = 24\nheads = 4\npatch = 7");
const VAE: Named = ("vae", "channels = [4, 6]\nhidden = [20, 12]\nlatent = 4");

/// Criteria that score units, those that need a memory over steps with one.
const UNITS: [Named; 5] = [
    ("lamp", ""),
    ("fpgm", ""),
    ("wanda", "window = \"since-prune\""),
    ("group-lasso", "lambda = 0.001"),
    ("lasso-channel", "window = \"epoch\"\npositions = 3"),
];
/// Criteria that score weights.
const WEIGHTS: [Named; 5] = [
    ("lamp", ""),
    ("wanda", "window = \"epoch\""),
    ("awsc", "window = \"since-prune\""),
    ("surgery", "gamma = 0.05\nstatistics = \"first-pruning\""),
    ("group-lasso", ""),
];

fn units(apply: Apply, regrow: bool, rounds: u32) -> PruneConfig {
    PruneConfig { granularity: Granularity::Unit, scope: Scope::Layer, apply, regrow, rounds, ..PruneConfig::default() }
}

fn data() -> Dataset {
    common::glyphs(200, 50, DataConfig::default())
}

fn trial(model: Named, criterion: Named, prune: PruneConfig) -> Trial {
    let train = TrainConfig { epochs: 3, batch_size: 50, lr: 0.02, momentum: 0.9, ..TrainConfig::default() };
    let schedule = ("cubic", "sparsity = 0.5\nevery = 3");
    Trial { model, criterion, schedule, prune, train, ..Trial::default() }
}

fn go(trial: &Trial) -> Result<(Outcome<Cpu>, Vec<Event>)> {
    trial.run(&secateur_bundle::registry()?, Cpu::default(), &data())
}

#[test]
fn units_of_every_network_are_masked_cut_and_come_back() {
    for model in [MLP, CNN, VIT] {
        for criterion in UNITS {
            for prune in [units(Apply::Mask, false, 1), units(Apply::Mask, true, 1), units(Apply::Shrink, false, 2)] {
                let regrow = prune.regrow;
                let (outcome, events) =
                    go(&trial(model, criterion, prune)).unwrap_or_else(|e| panic!("{model:?} {criterion:?}: {e}"));
                let achieved = |e: &Event| if let Event::Prune { achieved, .. } = e { Some(*achieved) } else { None };
                let achieved = events.iter().filter_map(achieved).next_back().unwrap();
                assert!(achieved > 0.4, "{model:?} {criterion:?} {regrow}: {achieved}");
                assert!(outcome.summary.test_loss.is_finite(), "{model:?} {criterion:?}");
            }
        }
    }
    let slimming = ("network-slimming", "s = 0.001");
    for (apply, regrow) in [(Apply::Mask, false), (Apply::Mask, true), (Apply::Shrink, false)] {
        let prune = PruneConfig { scope: Scope::Global, exempt: vec!["fc1".into()], ..units(apply, regrow, 1) };
        go(&trial(CNN, slimming, prune)).unwrap();
    }
}

#[test]
fn what_a_criterion_cannot_score_is_one_clear_error() {
    let refused = |model, criterion, prune| go(&trial(model, criterion, prune)).err().unwrap().to_string();
    let all = units(Apply::Shrink, false, 1);
    let weights = PruneConfig::default();
    for name in ["fpgm", "network-slimming", "lasso-channel"] {
        let text = refused(CNN, (name, ""), weights.clone());
        assert!(text.contains(&format!("{name} scores units: set prune.granularity = \"unit\"")), "{text}");
    }
    let text = refused(CNN, ("network-slimming", ""), all.clone());
    assert!(text.contains("none follows the units of `fc1`") && text.contains("prune.exempt = [\"fc1\"]"), "{text}");
    for model in [MLP, VIT] {
        let text = refused(model, ("network-slimming", ""), all.clone());
        assert!(text.contains("the network has none") && text.contains("model.batch_norm = true"), "{text}");
    }
    let text = refused(MLP, ("awsc", ""), all.clone());
    assert!(text.contains("prune.granularity = \"weight\"") && text.contains("contribution-rank"), "{text}");
    let text = refused(MLP, ("surgery", ""), all);
    assert!(text.contains("set prune.granularity = \"weight\""), "{text}");
    let text = refused(MLP, ("surgery", "c_rates = { \"fc9.weight\" = 1.0 }"), weights);
    assert!(text.contains("c_rates.\"fc9.weight\"") && text.contains("fc1.weight"), "{text}");
}

#[test]
fn channels_that_a_transposed_convolution_reads_are_left_to_prune_exempt() {
    let data =
        common::glyphs(100, 20, DataConfig { normalize: secateur::data::Normalize::Unit, ..DataConfig::default() });
    let mut trial = trial(VAE, ("lasso-channel", ""), units(Apply::Shrink, false, 1));
    let registry = secateur_bundle::registry().unwrap();
    let mut run = |exempt: Vec<String>| {
        trial.prune.exempt = exempt;
        trial.run(&registry, Cpu::default(), &data)
    };
    let mut exempt = vec![];
    // Each error names the group that is to be listed.
    let text = loop {
        let Err(error) = run(exempt.clone()) else { break String::new() };
        let text = error.to_string();
        let named = text.split("prune.exempt = [\"").nth(1).and_then(|rest| rest.split('"').next());
        match named.filter(|name| !exempt.contains(&(*name).to_owned())) {
            Some(name) => exempt.push(name.to_owned()),
            None => break text,
        }
    };
    assert!(text.is_empty() && !exempt.is_empty() && exempt.len() < 4, "{exempt:?}: {text}");
}

#[test]
fn every_output_loses_the_same_part_under_wanda_and_awsc() {
    for criterion in ["wanda", "awsc"] {
        let mut trial = trial(MLP, (criterion, ""), PruneConfig::default());
        trial.schedule = ("one-shot", "sparsity = 0.5\nat = 0.5");
        let (outcome, _) = go(&trial).unwrap();
        for name in ["fc1.weight", "fc2.weight"] {
            let p = outcome.params.get(name).unwrap();
            let columns = p.value().shape()[1];
            let kept = p.mask().unwrap().keep().chunks(columns).map(|row| row.iter().filter(|k| **k).count());
            assert!(kept.clone().all(|kept| kept == columns / 2), "{criterion} {name}: {:?}", kept.collect::<Vec<_>>());
        }
    }
}

#[test]
fn the_output_changes_less_where_the_readers_are_fitted_anew() {
    // Evaluated right before and right after the pruning step.
    let jump = |refit| {
        let options = if refit { "" } else { "refit = false" };
        let mut trial = trial(CNN, ("lasso-channel", options), units(Apply::Shrink, false, 1));
        trial.schedule = ("one-shot", "sparsity = 0.34\nat = 0.9");
        trial.train.epochs = 12;
        let (_, events) = go(&trial).unwrap();
        let after = |e: &Event| match e {
            Event::Eval { loss, at: secateur::training::event::EvalAt::AfterPrune, .. } => Some(*loss),
            _ => None,
        };
        events.iter().find_map(after).unwrap()
    };
    let (with, without) = (jump(true), jump(false));
    assert!(with < without, "{with} with least squares, {without} without");
}

/// Stops before a step.
#[derive(Default)]
struct Stopping {
    at: u64,
    seen: std::cell::Cell<u64>,
    checkpoint: Vec<u8>,
}

impl Observer for Stopping {
    fn event(&mut self, event: &Event) -> Result<()> {
        if let Event::Step { step, .. } = event {
            self.seen.set(step + 1);
        }
        Ok(())
    }
    fn should_stop(&self) -> bool {
        self.at == self.seen.get()
    }
    fn boundary<'a>(&mut self, _: bool, take: &dyn Fn(&str) -> Result<Checkpoint<'a>>) -> Result<()> {
        self.checkpoint = take("this run")?.to_bytes();
        Ok(())
    }
}

#[test]
fn stopped_and_resumed_every_criterion_decides_the_same() {
    let (registry, data) = (secateur_bundle::registry().unwrap(), data());
    let bits = |outcome: &Outcome<Cpu>| -> Vec<Vec<u32>> {
        outcome.params.iter().map(|p| p.effective().unwrap().host().iter().map(|v| v.to_bits()).collect()).collect()
    };
    let scoped = |prune| PruneConfig { exempt: vec!["fc1".into()], ..prune };
    let units = UNITS.map(|criterion| (criterion, units(Apply::Shrink, false, 1)));
    let slimming = (("network-slimming", "until_pruned = true"), scoped(units[0].1.clone()));
    let weights = WEIGHTS.map(|criterion| (criterion, PruneConfig { regrow: true, ..PruneConfig::default() }));
    for (criterion, prune) in units.into_iter().chain(weights).chain([slimming]) {
        let trial = trial(CNN, criterion, prune);
        let expected = bits(&trial.run(&registry, Cpu::default(), &data).unwrap().0);
        for at in [2, 5] {
            let mut stopping = Stopping { at, ..Stopping::default() };
            let ended = trial.with(&registry, Cpu::default(), &data, |run| run.execute(&mut stopping));
            assert!(matches!(ended, Err(Error::Stopped { .. })), "{criterion:?}");
            let found = trial.with(&registry, Cpu::default(), &data, |run| {
                run.resume(&stopping.checkpoint, "this run", &mut Log::default())
            });
            assert!(bits(&found.unwrap()) == expected, "{criterion:?} stopped before step {at}");
        }
    }
}
