//! Methods that need more of the traits than the built-in plugins do: each is written against them as a plugin author
//! would, and run in a whole training run. The traits carry them without change, and so must any later version of them.
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "../common/mod.rs"]
mod common;
mod initial;
mod relevance;

use secateur::data::DataConfig;
use secateur::network::params::ParamStore;
use secateur::plugins::conformance::{Log, Named, Trial};
use secateur::prelude::*;
use secateur::pruning::{Apply, Granularity, PruneConfig, Scope};
use secateur::training::event::Event;
use secateur::training::{Outcome, TrainConfig};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

fn run(
    criterion: impl Criterion<Cpu> + 'static,
    schedule: impl Schedule + 'static,
    prune: PruneConfig,
) -> (Outcome<Cpu>, Vec<Event>) {
    run_boxed(criterion, Box::new(schedule), prune)
}

fn run_boxed(
    criterion: impl Criterion<Cpu> + 'static,
    schedule: Box<dyn Schedule>,
    prune: PruneConfig,
) -> (Outcome<Cpu>, Vec<Event>) {
    let train = TrainConfig { epochs: 4, batch_size: 60, lr: 0.1, ..TrainConfig::default() };
    let trial = Trial { prune, train, ..Trial::default() };
    let (registry, data) = (secateur_bundle::registry().unwrap(), common::glyphs(600, 200, DataConfig::default()));
    let mut log = Log::default();
    let outcome = trial.with(&registry, Cpu::default(), &data, |mut run| {
        (run.criterion, run.schedule) = (Box::new(criterion), schedule);
        run.execute(&mut log)
    });
    (outcome.unwrap(), log.0)
}

/// At given steps, with given amounts.
struct At(Vec<(u64, f64)>);

impl Schedule for At {
    fn target(&self, step: Step, _: &RunLength) -> Result<Option<Amount>> {
        Ok(self.0.iter().find(|(s, _)| *s == step.0).map(|(_, a)| Amount::Sparsity(*a)))
    }
    fn may_be_idle(&self) -> bool {
        self.0.is_empty()
    }
}

fn prunes(events: &[Event]) -> Vec<(Option<f64>, f64, usize)> {
    let of = |e: &Event| {
        if let Event::Prune { target, achieved, regrown, .. } = e { Some((*target, *achieved, *regrown)) } else { None }
    };
    events.iter().filter_map(of).collect()
}

/// A run with built-in plugins, on a network with batch normalisation.
fn built_in(criterion: Named, schedule: impl Schedule + 'static, prune: PruneConfig) -> (Outcome<Cpu>, Vec<Event>) {
    let train = TrainConfig { epochs: 4, batch_size: 60, lr: 0.1, ..TrainConfig::default() };
    let model = ("cnn", "channels = [4, 6]\nhidden = [10]\nbatch_norm = true");
    let trial = Trial { model, criterion, prune, train, ..Trial::default() };
    let (registry, data) = (secateur_bundle::registry().unwrap(), common::glyphs(600, 200, DataConfig::default()));
    let mut log = Log::default();
    let outcome = trial.with(&registry, Cpu::default(), &data, |mut run| {
        run.schedule = Box::new(schedule);
        run.execute(&mut log)
    });
    (outcome.unwrap(), log.0)
}

#[test]
fn a_penalty_reaches_the_gradients_and_the_log() {
    let norm = |s| {
        let criterion = ("network-slimming", if s > 0.0 { "s = 0.1" } else { "s = 0.0" });
        let (outcome, events) = built_in(criterion, At(vec![]), PruneConfig::default());
        assert!(events.iter().any(|e| matches!(e, Event::Step { penalty: Some(p), .. } if (*p > 0.0) == (s > 0.0))));
        let scales = ["norm1.weight", "norm2.weight"].map(|n| outcome.params.get(n).unwrap().value().to_vec());
        scales.concat().iter().map(|w| w.abs()).sum::<f32>()
    };
    assert!(norm(0.1) < 0.8 * norm(0.0));
}

#[test]
fn a_penalty_ends_with_the_first_pruning_where_asked() {
    let units = PruneConfig { granularity: Granularity::Unit, apply: Apply::Shrink, ..PruneConfig::default() };
    for criterion in ["network-slimming", "group-lasso"] {
        let prune = PruneConfig { exempt: vec!["fc1".into()], ..units.clone() };
        let (_, events) = built_in((criterion, "until_pruned = true"), At(vec![(20, 0.5)]), prune);
        let penalty =
            |e: &Event| if let Event::Step { step, penalty, .. } = e { Some((*step, *penalty)) } else { None };
        let penalties: Vec<_> = events.iter().filter_map(penalty).collect();
        assert!(penalties.iter().all(|(step, p)| (p.unwrap() > 0.0) == (*step <= 20)), "{criterion}: {penalties:?}");
    }
}

/// What a layer looked like when surgery was asked about it: its weights, its mask, and the answer.
type Case = (String, Vec<f32>, Option<Vec<bool>>, Vec<bool>);

/// The built-in surgery, and what it was asked.
struct Watched {
    inner: Box<dyn Criterion<Cpu>>,
    first: Arc<Mutex<BTreeMap<String, Vec<f32>>>>,
    asked: Arc<Mutex<Vec<Case>>>,
}

impl Criterion<Cpu> for Watched {
    fn observe(&mut self, seen: &Observation<'_, Cpu>) -> Result<()> {
        let mut first = self.first.lock().unwrap();
        for p in seen.params.iter().filter(|p| p.spec().prunable) {
            first.entry(p.spec().name.clone()).or_insert_with(|| p.value().to_vec());
        }
        self.inner.observe(seen)
    }
    fn score(&mut self, target: &Target<'_, Cpu>) -> Result<Scores<Cpu>> {
        let scores = self.inner.score(target)?;
        let Scores::Keep(keep) = &scores else { panic!("it decides itself") };
        let mask = target.param().mask().map(|m| m.keep().to_vec());
        self.asked.lock().unwrap().push((target.name().into(), target.weight()?.to_vec(), mask, keep.clone()));
        Ok(scores)
    }
}

#[test]
fn surgery_decides_itself_and_restores_as_the_authors_loop_does() {
    let steps = (0..40).step_by(2).map(|s| (s, 0.5)).collect();
    let (first, asked) = (Arc::new(Mutex::default()), Arc::new(Mutex::default()));
    let options = "c_rate = 0.1".parse().unwrap();
    let inner = secateur_bundle::registry().unwrap().criterion("surgery", &options).unwrap();
    let watched = Watched { inner, first: Arc::clone(&first), asked: Arc::clone(&asked) };
    let (_, events) = run(watched, At(steps), PruneConfig { regrow: true, ..PruneConfig::default() });
    let p = prunes(&events);
    assert!(p.iter().all(|(target, achieved, _)| target.is_none() && *achieved > 0.2), "its own rule decides");
    assert!(p.iter().map(|p| p.2).sum::<usize>() > 0, "weights return");
    // Guo et al. 2016, equation 3, with the constants of the authors' code.
    let thresholds: BTreeMap<String, f64> = (first.lock().unwrap().iter())
        .map(|(name, w)| {
            let (mut mu, mut std) = (0.0, 0.0);
            for w in w {
                mu += f64::from(w.abs());
                std += f64::from(*w) * f64::from(*w);
            }
            mu /= w.len() as f64;
            std = ((std - w.len() as f64 * mu * mu) / w.len() as f64).sqrt();
            (name.clone(), f64::max(mu + 0.1 * std, 0.0))
        })
        .collect();
    let mut between = 0;
    for (name, weights, mask, found) in asked.lock().unwrap().iter() {
        let (t, mut expected) = (thresholds[name], mask.clone().unwrap_or_else(|| vec![true; weights.len()]));
        for (k, w) in weights.iter().enumerate() {
            if expected[k] && f64::from(w.abs()) <= 0.9 * t {
                expected[k] = false;
            } else if !expected[k] && f64::from(w.abs()) > 1.1 * t {
                expected[k] = true;
            } else if f64::from(w.abs()) > 0.9 * t && f64::from(w.abs()) <= 1.1 * t {
                between += usize::from(!expected[k]);
            }
        }
        assert_eq!(*found, expected, "{name}");
    }
    assert!(between > 10, "{between} weights between the thresholds stayed out");
}

/// Remembers the weights of step 3 and compares them with those after the rewind.
#[derive(Default)]
struct Witness {
    early: Option<Vec<f32>>,
    rewound: usize,
    pruned_at: Option<u64>,
}

impl Criterion<Cpu> for Witness {
    fn window(&self) -> Window {
        Window::SincePrune
    }
    fn observe(&mut self, seen: &Observation<'_, Cpu>) -> Result<()> {
        let p = seen.params.get("fc1.weight")?;
        if seen.step == Step(3) {
            self.early = Some(p.value().to_vec());
        }
        if self.pruned_at == Some(seen.step.0) {
            let expected = self
                .early
                .as_ref()
                .unwrap()
                .iter()
                .zip(p.mask().unwrap().keep())
                .map(|(w, k)| if *k { *w } else { 0.0 });
            assert!(p.value().host().iter().copied().eq(expected), "the weights of step 3 under the mask of today");
            assert!(p.state().unwrap().is_empty(), "a fresh optimizer");
            self.rewound += 1;
        }
        Ok(())
    }
    fn score(&mut self, target: &Target<'_, Cpu>) -> Result<Scores<Cpu>> {
        self.pruned_at = Some(target.step().0 + 1);
        Ok(target.weight()?.abs()?.into())
    }
    fn reset(&mut self) -> Result<()> {
        assert!(self.rewound > 0 || self.early.is_some());
        Ok(())
    }
}

#[test]
fn lottery_tickets_rewind_round_after_round() {
    // Rounds of 10, 7 and 7 steps, and the last to the end.
    let options = "epochs_per_round = 1\nfraction = 0.2\nrewind_to = 3\nrounds = 3".parse().unwrap();
    let ticket = secateur_bundle::registry().unwrap().schedule("lottery", &options).unwrap();
    let (outcome, events) = run_boxed(Witness::default(), ticket, PruneConfig::default());
    let rewound: Vec<_> = events
        .iter()
        .filter_map(|e| if let Event::Prune { rewound_to, .. } = e { *rewound_to } else { None })
        .collect();
    assert_eq!(rewound, [3, 3, 3]);
    let kept = (15_880.0 * 0.8f64.powi(3)) as usize;
    let found = ["fc1.weight", "fc2.weight"].map(|n| outcome.params.get(n).unwrap().kept()).iter().sum::<usize>();
    assert!(found.abs_diff(kept) <= 3, "{found} of {kept}");
}
