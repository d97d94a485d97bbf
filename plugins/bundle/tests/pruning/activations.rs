//! What a run says of its neurons' activations is what its network and the test examples say, and changes nothing else.

use crate::common;
use secateur::data::{DataConfig, Order, SplitName};
use secateur::network::params::ParamStore;
use secateur::plugins::conformance::Trial;
use secateur::prelude::*;
use secateur::pruning::measure::LayerActivations;
use secateur::training::event::Event;
use secateur::training::{Outcome, TrainConfig, next_batch};
use std::collections::BTreeMap;
use std::num::NonZeroUsize;

const EXAMPLES: usize = 400;

fn run(trial: &Trial, looked_at: usize) -> (Outcome<Cpu>, Vec<LayerActivations>) {
    let train = TrainConfig { eval_activations: looked_at, eval_batch_size: 90, ..trial.train.clone() };
    let registry = secateur_bundle::registry().unwrap();
    let data = common::glyphs(200, EXAMPLES + 50, DataConfig::default());
    let (outcome, events) = Trial { train, ..trial.clone() }.run(&registry, Cpu::default(), &data).unwrap();
    let mut layers = events.into_iter().filter_map(|event| match event {
        Event::Activations { examples, layers, .. } => Some((examples, layers)),
        _ => None,
    });
    let found = layers.next();
    assert!(layers.next().is_none() && found.is_some() == (looked_at > 0));
    let (examples, layers) = found.unwrap_or_default();
    assert_eq!(examples, looked_at);
    (outcome, layers)
}

fn trial() -> Trial {
    Trial {
        model: ("mlp", "hidden = [12, 7]"),
        schedule: ("one-shot", "sparsity = 0.8\nat = 0.5"),
        train: TrainConfig { epochs: 4, batch_size: 20, lr: 0.05, ..TrainConfig::default() },
        ..Trial::default()
    }
}

/// Entropy in bits.
fn bits<K: Ord>(outcomes: impl Iterator<Item = K>) -> f64 {
    let mut counts = BTreeMap::new();
    outcomes.for_each(|outcome| *counts.entry(outcome).or_insert(0.0) += 1.0);
    let total: f64 = counts.values().sum();
    counts.values().map(|count: &f64| -count / total * (count / total).log2()).sum()
}

/// The activations of a layer with ReLUs, an example and a neuron at a time.
fn layer(params: &ParamStore<Cpu>, name: &str, inputs: &[Vec<f32>]) -> Vec<Vec<f32>> {
    let of = |part: &str| params.get(&format!("{name}.{part}")).unwrap().effective().unwrap().to_vec();
    let (weight, bias) = (of("weight"), of("bias"));
    let neuron = |x: &[f32], w: &[f32], b: &f32| {
        let sum: f64 = x.iter().zip(w).map(|(x, w)| f64::from(*x) * f64::from(*w)).sum();
        (sum + f64::from(*b)).max(0.0) as f32
    };
    let row = |x: &Vec<f32>| weight.chunks(x.len()).zip(&bias).map(|(w, b)| neuron(x, w, b)).collect();
    inputs.iter().map(row).collect()
}

#[test]
fn activations_are_those_of_the_pruned_network_on_test_examples() {
    let (outcome, found) = run(&trial(), EXAMPLES);
    let data = common::glyphs(200, EXAMPLES + 50, DataConfig::default());
    let mut batches = data.batches(SplitName::Test, NonZeroUsize::new(EXAMPLES).unwrap(), Order::Stored);
    let batch = next_batch(&Cpu::default(), &data, &mut batches).unwrap().unwrap();
    let pixels = batch.input.count() / EXAMPLES;
    let mut inputs: Vec<Vec<f32>> = batch.input.to_vec().chunks(pixels).map(<[f32]>::to_vec).collect();
    assert_eq!(found.iter().map(|layer| layer.name.as_str()).collect::<Vec<_>>(), ["fc1", "fc2"]);
    for told in &found {
        inputs = layer(&outcome.params, &told.name, &inputs);
        let most = inputs.iter().flatten().fold(0.0f32, |a, b| a.max(*b));
        // ReLUs of so many examples are off for some: the least activation is zero.
        let bin = |value: f32| ((f64::from(value) / f64::from(most) * 30.0) as usize).min(29);
        let correction = |kinds: usize| kinds.saturating_sub(1) as f64 / (2.0 * EXAMPLES as f64 * 2f64.ln());
        for (neuron, (example, class)) in told.about_example.iter().zip(&told.about_class).enumerate() {
            let all: Vec<(usize, u32)> =
                inputs.iter().zip(&batch.classes).map(|(row, class)| (bin(row[neuron]), *class)).collect();
            let of_bin = bits(all.iter().map(|pair| pair.0));
            // An activation at an edge may fall on its other side: a sum in another order.
            assert!((of_bin - example).abs() < 0.03, "{} {neuron}: {example} and {of_bin}", told.name);
            let kinds = |mut of: Vec<(usize, u32)>| {
                of.sort_unstable();
                of.dedup();
                of.len()
            };
            let joint = bits(all.iter().copied()) + correction(kinds(all.clone()));
            let corrected = of_bin + correction(kinds(all.iter().map(|pair| (pair.0, 0)).collect()));
            let classes =
                bits(all.iter().map(|pair| pair.1)) + correction(kinds(all.iter().map(|p| (0, p.1)).collect()));
            let expected = (corrected + classes - joint).max(0.0);
            assert!((expected - class).abs() < 0.06, "{} {neuron}: {class} and {expected}", told.name);
        }
    }
    let summary = outcome.summary.activation_information.unwrap();
    let all: Vec<f64> = found.iter().flat_map(|layer| layer.about_class.clone()).collect();
    assert_eq!((summary.examples, summary.neurons, all.len()), (EXAMPLES, 19, 19));
    assert!((summary.about_class.unwrap() - all.iter().sum::<f64>() / 19.0).abs() < 1e-12);
    assert!(summary.about_class.unwrap() > 0.1 && summary.layers["fc2"].about_class.unwrap() > 0.1, "{summary:?}");
    assert_eq!(summary.silent, found.iter().flat_map(|layer| &layer.about_example).filter(|b| **b == 0.0).count());
}

#[test]
fn looking_at_activations_changes_nothing_else() {
    let (with, without) = (run(&trial(), 100).0, run(&trial(), 0).0);
    assert_eq!(without.summary.activation_information, None);
    assert_eq!(with.summary.test_loss, without.summary.test_loss);
    for (a, b) in with.params.iter().zip(without.params.iter()) {
        assert!(a.value().to_vec() == b.value().to_vec(), "{}", a.spec().name);
    }
}

#[test]
fn tokens_that_are_merged_and_channels_have_activations_too() {
    let tokens = Trial {
        model: ("vit", "depth = 2\ndim = 12\nheads = 2\nmlp_ratio = 2.0\npatch = 7"),
        compressor: Some(("token-merging", "ratio = 0.5")),
        ..trial()
    };
    let channels = Trial { model: ("cnn", "channels = [3, 4]\nhidden = [5]\nbatch_norm = true"), ..trial() };
    for (trial, expected) in [
        (&tokens, &[("blocks.0.mlp.fc1", 24), ("blocks.1.mlp.fc1", 24)][..]),
        (&channels, &[("conv1", 3), ("conv2", 4), ("fc1", 5)][..]),
    ] {
        let layers = run(trial, 100).1;
        let neurons: Vec<_> = layers.iter().map(|layer| (layer.name.as_str(), layer.about_class.len())).collect();
        assert_eq!(neurons, expected);
        for bits in layers.iter().flat_map(|layer| &layer.about_example) {
            assert!((0.0..=30f64.log2()).contains(bits), "{bits}");
        }
    }
}
