//! Contribution scores of channels against the definition, written out over images, positions and kernels.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use secateur::data::{DataConfig, Normalize};
use secateur::plugins::conformance::{Named, Trial};
use secateur::prelude::*;
use secateur::pruning::{Apply, Granularity, PruneConfig, Scope};
use secateur::training::{Silent, TrainConfig};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// What each consumer saw, step by step: its inputs and its weight.
type Seen = BTreeMap<String, Vec<(Tensor<Cpu>, Tensor<Cpu>)>>;

/// Scores by group.
type Said = BTreeMap<String, Vec<f32>>;

/// Passes everything on to the criterion under test, and keeps what it was shown and what it said.
struct Spy {
    inner: Box<dyn Criterion<Cpu>>,
    kept: Arc<Mutex<(Seen, Said)>>,
}

impl Criterion<Cpu> for Spy {
    fn needs(&self) -> Needs {
        self.inner.needs()
    }
    fn window(&self) -> Window {
        self.inner.window()
    }
    fn observe(&mut self, seen: &Observation<'_, Cpu>) -> Result<()> {
        for member in
            seen.groups().iter().flat_map(|g| g.by_role(Role::Consumer)).filter(|m| m.param.ends_with(".weight"))
        {
            let pair = (seen.input(member.layer())?.clone(), seen.params.get(&member.param)?.effective()?);
            self.kept.lock().unwrap().0.entry(member.param.clone()).or_default().push(pair);
        }
        self.inner.observe(seen)
    }
    fn score(&mut self, target: &Target<'_, Cpu>) -> Result<Scores<Cpu>> {
        let scores = self.inner.score(target)?;
        let Scores::Units(units) = &scores else { panic!("units are ranked") };
        self.kept.lock().unwrap().1.insert(target.group().unwrap().name.clone(), units.clone());
        Ok(scores)
    }
    fn reset(&mut self) -> Result<()> {
        self.inner.reset()
    }
}

/// Three steps, one pruning step, and three steps that nothing looks back on: what was seen, and the scores by group.
fn observed(model: Named) -> (Seen, Said) {
    let registry = secateur_bundle::registry().unwrap();
    let data = common::glyphs(12, 4, DataConfig { normalize: Normalize::Unit, ..DataConfig::default() });
    let trial = Trial {
        seed: 5,
        model,
        criterion: ("contribution-rank", ""),
        schedule: ("periodic", "first = 1\nfraction = 0.3\ncount = 1"),
        prune: PruneConfig {
            granularity: Granularity::Unit,
            scope: Scope::Layer,
            apply: Apply::Mask,
            ..PruneConfig::default()
        },
        train: TrainConfig { epochs: 2, batch_size: 4, lr: 1e-4, ..TrainConfig::default() },
        ..Trial::default()
    };
    let kept = Arc::default();
    let spied = trial.with(&registry, Cpu::default(), &data, |mut run| {
        run.criterion = Box::new(Spy { inner: run.criterion, kept: Arc::clone(&kept) });
        run.execute(&mut Silent)
    });
    spied.unwrap();
    std::mem::take(&mut *kept.lock().unwrap())
}

/// Mean share of each of `units` channels: over steps, images, positions and receiving filters, one after the other.
/// The weight's axis `axis` has the channels, the other one the receivers.
fn plain(steps: &[(Tensor<Cpu>, Tensor<Cpu>)], axis: usize, units: usize) -> Vec<f64> {
    let (mut sum, mut count) = (vec![0.0; units], 0.0);
    for (x, w) in steps {
        let (&[images, channels, rows, columns], &[first, second, kernel_rows, kernel_columns]) =
            (&*x.shape(), &*w.shape())
        else {
            panic!("a convolution's input and weight have four axes")
        };
        assert_eq!(channels, units);
        let (x, w) = (x.to_vec(), w.to_vec());
        let receivers = if axis == 1 { first } else { second };
        let strength = |receiver: usize, channel: usize| {
            let (a, b) = if axis == 1 { (receiver, channel) } else { (channel, receiver) };
            let kernel = kernel_rows * kernel_columns;
            (0..kernel).map(|i| f64::from(w[(a * second + b) * kernel + i].abs())).sum::<f64>()
        };
        for image in 0..images {
            for pixel in 0..rows * columns {
                for receiver in 0..receivers {
                    let part = |c: usize| {
                        strength(receiver, c) * f64::from(x[(image * channels + c) * rows * columns + pixel].abs())
                    };
                    let total: f64 = (0..units).map(part).sum();
                    count += 1.0;
                    if total > 0.0 {
                        (0..units).for_each(|c| sum[c] += part(c) / total);
                    }
                }
            }
        }
    }
    sum.iter().map(|s| s / count).collect()
}

fn agree(found: &[f32], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    for (f, e) in found.iter().zip(expected) {
        assert!((f64::from(*f) - e).abs() < 1e-5, "{found:?} instead of {expected:?}");
    }
    assert!(
        found.iter().any(|f| (f - found[0]).abs() > 1e-3),
        "channels differ, or the test could not fail: {found:?}"
    );
}

const RELU: &str = "channels = [5, 4]\nhidden = [6]\nactivation = \"relu\"";
const SIGMOID: &str = "channels = [5, 4]\nhidden = [6]\nactivation = \"sigmoid\"";

#[test]
fn channels_that_feed_a_convolution_agree_with_plain_loops() {
    for options in [RELU, SIGMOID] {
        let (seen, scores) = observed(("cnn", options));
        assert_eq!(seen["conv2.weight"].len(), 3, "every step of the epoch");
        agree(&scores["conv1"], &plain(&seen["conv2.weight"], 1, 5));
    }
}

#[test]
fn channels_that_feed_a_transposed_convolution_agree_with_plain_loops() {
    let (seen, scores) = observed(("vae", "channels = [3, 4]\nhidden = [8]\nlatent = 4"));
    agree(&scores["dec.conv1"], &plain(&seen["dec.conv2.weight"], 0, 3));
    agree(&scores["enc.conv1"], &plain(&seen["enc.conv2.weight"], 1, 3));
}

/// Sigmoids are never zero, so every receiver has something to share out.
#[test]
fn scores_of_the_channels_of_a_group_sum_to_one() {
    let (_, scores) = observed(("cnn", SIGMOID));
    for group in ["conv1", "conv2"] {
        let total: f64 = scores[group].iter().map(|s| f64::from(*s)).sum();
        assert!((total - 1.0).abs() < 1e-5, "{group}: {total}");
    }
}

/// Values before the activation exist for convolutions too, with batch norm and pooling behind them or not.
#[test]
fn the_authors_reading_ranks_convolutions() {
    let data = common::glyphs(120, 40, DataConfig::default());
    for model in ["batch_norm = false", "batch_norm = true"] {
        let model: &'static str = Box::leak(format!("channels = [8, 12]\nhidden = [20]\n{model}").into_boxed_str());
        let trial = Trial {
            model: ("cnn", model),
            criterion: ("contribution-rank", "compat = \"authors\""),
            schedule: ("one-shot", "at = 1\nsparsity = 0.5"),
            prune: PruneConfig { granularity: Granularity::Unit, scope: Scope::Layer, ..PruneConfig::default() },
            train: TrainConfig { epochs: 1, batch_size: 30, ..TrainConfig::default() },
            ..Trial::default()
        };
        let (outcome, _) = trial.run(&secateur_bundle::registry().unwrap(), Cpu::default(), &data).unwrap();
        let left = [("conv1", 4), ("conv2", 6), ("fc1", 10)].map(|(name, units)| (name.to_string(), units));
        assert_eq!(outcome.summary.units.0, left.into(), "{model}");
    }
}
