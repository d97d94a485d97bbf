//! Whole runs on CUDA against the same runs on the CPU: on an emulated GPU, or with `SECATEUR_TEST_CUDA=real` on the one of this
//! machine.
#![cfg(feature = "cuda")]
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "../../../framework/tests/cuda/emulator.rs"]
mod emulator;

use secateur::backend::{Cuda, cuda};
use secateur::data::{self, Augment, DataConfig, Normalize};
use secateur::event::Event;
use secateur::forward::Forward;
use secateur::model::InputSpec;
use secateur::params::{Masking, ParamStore};
use secateur::prelude::*;
use secateur::prune::{Apply, Granularity, PruneConfig, Scope};
use secateur::structure::Sizes;
use secateur::train::{Observer, Optimizer, Run, TrainConfig};

struct Case {
    model: (&'static str, &'static str),
    criterion: (&'static str, &'static str),
    compressor: Option<(&'static str, &'static str)>,
    prune: fn() -> PruneConfig,
    augment: Augment,
    optimizer: Optimizer,
    normalize: Normalize,
}

const WEIGHTS: fn() -> PruneConfig = PruneConfig::default;
const UNITS: fn() -> PruneConfig = || PruneConfig {
    granularity: Granularity::Unit,
    scope: Scope::Layer,
    apply: Apply::Mask,
    ..PruneConfig::default()
};

const MLP: Case = Case {
    model: ("mlp", "hidden = [20, 15]"),
    criterion: ("magnitude", ""),
    compressor: None,
    prune: WEIGHTS,
    augment: Augment { crop_pad: 1, flip: true },
    optimizer: Optimizer::Sgd,
    normalize: Normalize::Standard,
};
const VIT: &str = "dim = 16\nheads = 2\ndepth = 2\nmlp_ratio = 2.0\npatch = 7";

#[derive(Default)]
struct Losses(Vec<f64>);

impl Observer for Losses {
    fn event(&mut self, event: &Event) -> Result<()> {
        if let Event::Step { loss, .. } = event {
            self.0.push(*loss);
        }
        Ok(())
    }
}

fn gpu() -> Cuda {
    if !emulator::is_real() {
        emulator::open();
    }
    cuda::cuda(0).unwrap()
}

/// 52 steps with one pruning step after half of them: the losses, and what is kept of every parameter and group.
fn run<B: Backend>(case: &Case, device: B) -> (Vec<f64>, Vec<(String, Vec<bool>)>) {
    let registry = secateur_bundle::registry().unwrap();
    let table = |text: &str| text.parse().unwrap();
    let mut config = DataConfig { augment: case.augment, normalize: case.normalize.clone(), ..DataConfig::default() };
    (config.glyphs.train, config.glyphs.test) = (26 * 8, 16);
    let data = data::load(&config, 3, &mut |_| ()).unwrap();
    let run = Run {
        name: "test".into(),
        device,
        seed: Seed(7),
        data: &data,
        model: registry.model(case.model.0, &table(case.model.1)).unwrap(),
        criterion: registry.criterion(case.criterion.0, &table(case.criterion.1)).unwrap(),
        schedule: registry.schedule("periodic", &table("first = 1\nfraction = 0.4\ncount = 1")).unwrap(),
        compressor: case.compressor.map(|(name, options)| registry.compressor(name, &table(options)).unwrap()),
        prune: (case.prune)(),
        train: TrainConfig {
            epochs: 2,
            batch_size: 8,
            optimizer: case.optimizer,
            lr: 2e-3,
            clip_norm: Some(2.0),
            ..TrainConfig::default()
        },
        registry: &registry,
    };
    let mut losses = Losses::default();
    let outcome = run.execute(&mut losses).unwrap();
    let masks = outcome.params.iter().filter_map(|p| Some((p.spec().name.clone(), p.mask()?.keep().to_vec())));
    (losses.0, masks.collect())
}

fn agrees(case: &Case) {
    let ((expected, masks), (found, same)) = (run(case, Cpu::default()), run(case, gpu()));
    assert_eq!((expected.len(), found.len()), (52, 52));
    for (step, (e, f)) in expected.iter().zip(&found).enumerate().take(50) {
        assert!((e - f).abs() < 1e-3 * e.abs().max(1.0), "{}: step {step}: {f} instead of {e}", case.model.0);
    }
    assert!(!masks.is_empty() && masks == same, "{}: other weights were pruned", case.model.0);
    assert!(masks.iter().any(|(_, keep)| keep.contains(&false)));
}

#[test]
fn a_pruned_mlp_trains_as_on_the_cpu() {
    agrees(&MLP);
    agrees(&Case {
        prune: || PruneConfig { regrow: true, ..PruneConfig::default() },
        optimizer: Optimizer::Adam,
        ..MLP
    });
}

#[test]
fn units_go_by_the_same_contributions() {
    let criterion = ("contribution-rank", "lambda1 = 0.5\nlambda2 = 0.5");
    agrees(&Case { criterion, prune: UNITS, ..MLP });
}

#[test]
fn a_pruned_vit_with_merged_tokens_trains_as_on_the_cpu() {
    let compressor = Some(("token-merging", "ratio = 0.4"));
    agrees(&Case { model: ("vit", VIT), compressor, optimizer: Optimizer::AdamW, ..MLP });
}

#[test]
fn a_pruned_cnn_trains_as_on_the_cpu() {
    let model = ("cnn", "channels = [4, 5]\nhidden = [12]\nbatch_norm = true");
    agrees(&Case { model, criterion: ("contribution-rank", ""), prune: UNITS, ..MLP });
}

/// In a training step nothing is copied to the host.
#[test]
fn nothing_waits_for_the_device_within_a_step() {
    if emulator::is_real() {
        return;
    }
    let registry = secateur_bundle::registry().unwrap();
    for (name, options) in [
        ("mlp", MLP.model.1),
        ("vit", VIT),
        ("cnn", "channels = [4]\nhidden = [8]\nbatch_norm = true"),
        ("vae", "channels = [4]\nhidden = [8]\nlatent = 3"),
    ] {
        let model = registry.model::<Cuda>(name, &options.parse().unwrap()).unwrap();
        let merging = registry.compressor("token-merging", &"ratio = 0.4".parse().unwrap()).unwrap();
        let layout = model.layout(&InputSpec { shape: vec![1, 28, 28], classes: 10 }, &Sizes::default()).unwrap();
        let mut store = ParamStore::new(&gpu(), layout, Seed(1), Masking::Dynamic).unwrap();
        let input = Tensor::from_vec(&gpu(), vec![0.5; 2 * 784], [2, 1, 28, 28]).unwrap();
        let batch = Batch { input, classes: vec![1, 2] };
        let one = Tensor::from_vec(&gpu(), vec![1.0], [1]).unwrap();
        let before = emulator::counter("copies_to_host");
        for _ in 0..2 {
            let mut cx = Forward::training(&store, Needs::WEIGHTS, Seed(1)).with_compressor(Some(merging.as_ref()));
            let output = model.forward(&mut cx, &batch).unwrap();
            let tape = cx.finish().0;
            let grads = match output {
                Output::Logits(logits) => {
                    let seed = Cuda::cross_entropy(&logits, &batch.classes, 0.1, true).unwrap().grad.unwrap();
                    tape.backward(&logits, seed)
                }
                Output::Loss { loss, .. } => tape.backward(&loss, one.clone()),
            };
            let grads = grads.unwrap();
            let all: Vec<_> = store.iter().filter_map(|p| grads.get(p.value())).collect();
            let scale = Cuda::clip_scale(&all, 1.0).unwrap();
            let rule = secateur::backend::Update::Sgd { lr: 0.1, momentum: 0.9, weight_decay: 0.1, nesterov: false };
            store.step(rule, Some(&scale), |value| grads.get(value)).unwrap();
        }
        assert_eq!(emulator::counter("copies_to_host"), before, "{name}");
    }
}
