//! Small runs that are pruned by scores which never change.

use crate::common;
use secateur::data::{DataConfig, Dataset};
use secateur::plugins::conformance::{Log, Trial};
use secateur::prelude::*;
use secateur::pruning::{Apply, Granularity, Normalizer, PruneConfig, Scope};
use secateur::training::event::Event;
use secateur::training::{Outcome, TrainConfig};
use std::collections::BTreeMap;

/// Scores that never change: a fixed number for each weight, or unit as it was numbered at the beginning.
#[derive(Default)]
pub struct Fixed(pub BTreeMap<String, Vec<f32>>);

pub fn numbers(name: &str, n: usize) -> Vec<f32> {
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
pub const BLOCK: [usize; 2] = [3, 5];

pub const EPOCHS: u64 = 6;
pub const STEPS: u64 = 5;
pub const WIDTHS: [(&str, usize); 2] = [("fc1", 12), ("fc2", 7)];

pub const SCHEDULES: [(&str, &str); 10] = [
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

pub fn config(granularity: Granularity, scope: Scope, rounds: u32, apply: Apply, regrow: bool) -> PruneConfig {
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

pub fn data() -> Dataset {
    common::glyphs(50, 20, DataConfig::default())
}

pub fn run(
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

/// What every pruning step kept, and the target and the achieved of each.
pub fn steps(events: &[Event]) -> Vec<(BTreeMap<String, usize>, f64, f64)> {
    let step = |e: &Event| match e {
        Event::Prune { kept, target, achieved, .. } => Some((kept.clone(), target.unwrap(), *achieved)),
        _ => None,
    };
    events.iter().filter_map(step).collect()
}

pub fn notes(events: &[Event]) -> Vec<String> {
    events.iter().filter_map(|e| if let Event::Note { text, .. } = e { Some(text.clone()) } else { None }).collect()
}
