//! Networks of images in whole runs: the autoencoder, batch statistics, channels ranked by contribution.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use secateur::data::{DataConfig, Normalize};
use secateur::plugins::conformance::Trial;
use secateur::prelude::*;
use secateur::pruning::{Apply, Granularity, PruneConfig, Scope};
use secateur::training::event::{EvalAt, Event};
use secateur::training::{Optimizer, Outcome, TrainConfig};

fn run(trial: Trial, normalize: Normalize) -> Result<(Outcome<Cpu>, Vec<Event>)> {
    let data = common::glyphs(600, 200, DataConfig { normalize, ..DataConfig::default() });
    trial.run(&secateur_bundle::registry()?, Cpu::default(), &data)
}

/// Units cut out of every layer but those of `exempt`, by their contributions.
fn shrinking(exempt: &[&str]) -> Trial {
    Trial {
        criterion: ("contribution-rank", "lambda2 = 0.1"),
        prune: PruneConfig {
            granularity: Granularity::Unit,
            scope: Scope::Layer,
            apply: Apply::Shrink,
            rounding: Rounding::FloorKept,
            exempt: exempt.iter().map(ToString::to_string).collect(),
            ..PruneConfig::default()
        },
        ..Trial::default()
    }
}

const VAE: &str = "channels = [8, 8]\nhidden = [60, 40]\nlatent = 8";

fn vae() -> Trial {
    Trial {
        model: ("vae", VAE),
        schedule: ("periodic", "first = 6\nevery = 3\nfraction = 0.1\ncount = 2"),
        train: TrainConfig {
            epochs: 12,
            batch_size: 20,
            optimizer: Optimizer::Adam,
            lr: 2e-3,
            ..TrainConfig::default()
        },
        ..shrinking(&[])
    }
}

#[test]
fn an_autoencoder_loses_units_of_every_kind_and_recovers() {
    let (outcome, events) = run(vae(), Normalize::Unit).unwrap();
    let eval = |when: EvalAt| {
        let of = |e: &Event| if let Event::Eval { loss, at, .. } = e { (*at == when).then_some(*loss) } else { None };
        events.iter().filter_map(of).collect::<Vec<f64>>()
    };
    let (epochs, before) = (eval(EvalAt::Epoch), eval(EvalAt::BeforePrune));
    assert!(before[0] < 0.95 * epochs[0], "it learns: {epochs:?}");
    assert!(outcome.summary.test_loss < 1.05 * before[0], "{} after {}", outcome.summary.test_loss, before[0]);
    assert_eq!(outcome.summary.test_accuracy, None);
    let units = |g: &str| outcome.summary.units.0[g];
    // keep = floor(0.9 n), twice.
    assert_eq!(["enc.fc1", "enc.fc2", "dec.fc1", "dec.fc2"].map(units), [48, 32, 32, 48]);
    assert_eq!(["enc.conv1", "enc.conv2", "dec.fc3", "dec.conv1"].map(units), [6, 6, 6, 6]);
}

#[test]
fn inputs_outside_the_unit_interval_are_refused() {
    let text = run(vae(), Normalize::Standard).err().unwrap().to_string();
    assert!(text.contains("set data.normalize = \"unit\""), "{text}");
}

#[test]
fn the_papers_networks_have_their_sizes() {
    let registry = secateur_bundle::registry().unwrap();
    let params = |name: &str, options: &str, shape: [usize; 3]| {
        let model = registry.model::<Cpu>(name, &options.parse().unwrap()).unwrap();
        let input = InputSpec { shape: shape.to_vec(), classes: 10 };
        let layout = model.layout(&input, &Sizes::default()).unwrap();
        layout.params.iter().filter(|p| !p.buffer).map(|p| p.shape.count()).sum::<usize>()
    };
    // PyTorch's count of the report's network, with biases everywhere.
    let linear = |i: usize, o: usize| i * o + o;
    let encoder =
        linear(3 * 16, 32) + linear(32 * 16, 64) + linear(16384, 2048) + linear(2048, 4096) + 2 * linear(4096, 100);
    let decoder =
        linear(100, 4096) + linear(4096, 2048) + linear(2048, 16384) + linear(64 * 16, 32) + linear(32 * 16, 3);
    // A transposed convolution has one bias an output channel, as the others.
    let report = encoder + decoder;
    assert_eq!(params("vae", "", [3, 64, 64]), report);
    // The report's own has no bias in its linear layers; the convolutions keep theirs.
    assert_eq!(params("vae", "bias = false", [3, 64, 64]), 85_183_619);
    // The usual VGG-16 for CIFAR has 14,728,266; its 4,224 convolution biases do nothing before a normalisation.
    assert_eq!(params("vgg", "", [3, 32, 32]), 14_728_266 - 4224);
    assert_eq!(params("cnn", "", [3, 32, 32]), 448 + 4640 + 2048 * 256 + 256 * 128 + 1280);
}

#[test]
fn batch_statistics_are_learned_and_shrink_with_their_channels() {
    let trial = Trial {
        model: ("cnn", "channels = [8, 12]\nhidden = [20]\nbatch_norm = true\nconv_bias = false"),
        schedule: ("periodic", "first = 2\nevery = 2\nfraction = 0.2"),
        train: TrainConfig { epochs: 6, batch_size: 30, lr: 0.05, momentum: 0.9, ..TrainConfig::default() },
        ..shrinking(&["fc1"])
    };
    let (outcome, events) = run(trial, Normalize::Standard).unwrap();
    assert_eq!(["conv1", "conv2", "fc1"].map(|g| outcome.summary.units.0[g]), [4, 7, 20]);
    for (norm, units) in [("norm1", 4), ("norm2", 7)] {
        let of = |part: &str| outcome.params.get(&format!("{norm}.{part}")).unwrap().value().to_vec();
        let (mean, var) = (of("running_mean"), of("running_var"));
        assert_eq!((mean.len(), var.len()), (units, units));
        assert!(mean.iter().all(|m| *m != 0.0) && var.iter().all(|v| *v > 0.0 && *v != 1.0), "{mean:?} {var:?}");
    }
    assert!(outcome.summary.test_accuracy.unwrap() > 0.6, "{:?}", outcome.summary.test_accuracy);
    let burdens: Vec<_> =
        events.iter().filter_map(|e| if let Event::Burden { layers, .. } = e { Some(layers) } else { None }).collect();
    assert_eq!(burdens.len(), 6);
    let names: Vec<_> = burdens[0].iter().map(|l| l.name.as_str()).collect();
    assert_eq!(names, ["conv1.weight", "conv2.weight", "fc1.weight", "fc2.weight"]);
    assert!(
        burdens
            .iter()
            .all(|b| b.iter().all(|l| l.gradient >= l.gradient_mean && l.gradient_mean > 0.0 && l.weight > 0.0))
    );
    assert_eq!(outcome.summary.burden, *burdens[5]);
    // One pruning step a second epoch cuts channels away in the middle of what is summed up.
    for layer in burdens.iter().flat_map(|layers| layers.iter()) {
        let n = layer.neurons.unwrap();
        let rising = [0.0, n.min, n.median, n.p90, n.max].is_sorted();
        assert!(rising && n.max > 0.0 && n.without_inputs == 0, "{layer:?}");
    }
    let single: Vec<_> =
        events.iter().filter_map(|e| if let Event::Neurons { layers, .. } = e { Some(layers) } else { None }).collect();
    let widths: Vec<_> = single[0].iter().map(|layer| (layer.name.as_str(), layer.burden.len())).collect();
    assert_eq!((single.len(), widths), (1, names.into_iter().zip([4, 7, 20, 10]).collect()));
    for (each, layer) in single[0].iter().zip(burdens[5]) {
        let neurons = layer.neurons.unwrap();
        assert_eq!(each.burden[neurons.heaviest], Some(neurons.max));
        // Whole rows: the mean over the neurons is that over the weights.
        let mean = each.burden.iter().flatten().sum::<f64>() / each.burden.len() as f64;
        assert!((mean / layer.gradient_mean - 1.0).abs() < 1e-9, "{mean} {layer:?}");
    }
}
