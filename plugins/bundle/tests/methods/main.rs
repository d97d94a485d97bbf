//! Methods that need more of the traits than the built-in plugins do: each is written against them as a plugin author
//! would, and run in a whole training run. The traits carry them without change, and so must any later version of them.
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "../common/mod.rs"]
mod common;
mod initial;
mod relevance;

use secateur::data::DataConfig;
use secateur::network::params::ParamStore;
use secateur::plugins::conformance::{Log, Trial};
use secateur::prelude::*;
use secateur::pruning::{Apply, Granularity, PruneConfig, Scope};
use secateur::training::event::Event;
use secateur::training::{Outcome, TrainConfig};
use std::collections::BTreeMap;

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

/// Network slimming's penalty (Liu et al. 2017), here on every first-layer weight: s |w| with subgradient s sign(w).
struct Slimming(f32);

impl Criterion<Cpu> for Slimming {
    fn needs(&self) -> Needs {
        Needs::PENALTY
    }
    fn penalty(&mut self, name: &str, weight: &Tensor<Cpu>) -> Result<Option<(f64, Tensor<Cpu>)>> {
        if name != "fc1.weight" {
            return Ok(None);
        }
        let value = f64::from(self.0) * weight.host().iter().map(|w| f64::from(w.abs())).sum::<f64>();
        Ok(Some((value, weight.signum()?.scale(self.0)?)))
    }
    fn score(&mut self, target: &Target<'_, Cpu>) -> Result<Scores<Cpu>> {
        Ok(target.weight()?.abs()?.into())
    }
}

#[test]
fn a_penalty_reaches_the_gradients_and_the_log() {
    let norm = |s| {
        let (outcome, events) = run(Slimming(s), At(vec![]), PruneConfig::default());
        assert!(events.iter().any(|e| matches!(e, Event::Step { penalty: Some(p), .. } if (*p > 0.0) == (s > 0.0))));
        outcome.params.get("fc1.weight").unwrap().value().host().iter().map(|w| w.abs()).sum::<f32>()
    };
    assert!(norm(1e-2) < 0.7 * norm(0.0));
}

/// Dynamic network surgery (Guo et al. 2016): its own rule with hysteresis, from statistics of the first step; weights
/// may return.
#[derive(Default)]
struct Surgery {
    thresholds: BTreeMap<String, f32>,
}

impl Criterion<Cpu> for Surgery {
    fn observe(&mut self, seen: &Observation<'_, Cpu>) -> Result<()> {
        for p in seen.params.iter().filter(|p| p.spec().prunable) {
            self.thresholds.entry(p.spec().name.clone()).or_insert_with(|| {
                let w = p.value().host();
                let mean = w.iter().map(|w| w.abs()).sum::<f32>() / w.len() as f32;
                let std = (w.iter().map(|w| (w.abs() - mean).powi(2)).sum::<f32>() / w.len() as f32).sqrt();
                (mean + 0.1 * std).max(0.0)
            });
        }
        Ok(())
    }
    fn score(&mut self, target: &Target<'_, Cpu>) -> Result<Scores<Cpu>> {
        let t = self.thresholds[target.name()];
        let was = target.param().mask().map(|m| m.keep().to_vec());
        let rule = |(i, w): (usize, &f32)| match w.abs() {
            a if a <= 0.9 * t => false,
            a if a > 1.1 * t => true,
            _ => was.as_ref().is_none_or(|m| m[i]),
        };
        Ok(Scores::Keep(target.weight()?.host().iter().enumerate().map(rule).collect()))
    }
}

#[test]
fn surgery_decides_itself_and_restores() {
    let steps = (0..40).step_by(2).map(|s| (s, 0.5)).collect();
    let (_, events) = run(Surgery::default(), At(steps), PruneConfig { regrow: true, ..PruneConfig::default() });
    let p = prunes(&events);
    assert!(p.iter().all(|(target, achieved, _)| target.is_none() && *achieved > 0.2), "its own rule decides");
    assert!(p.iter().map(|p| p.2).sum::<usize>() > 0, "weights return");
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
            assert!(p.state().is_empty(), "a fresh optimizer");
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
