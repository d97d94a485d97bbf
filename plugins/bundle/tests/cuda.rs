//! Whole runs on CUDA against the same runs on the CPU: on an emulated GPU, or with `SECATEUR_TEST_CUDA=real` on the
//! one of this machine.
#![cfg(feature = "cuda")]
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "../../../framework/tests/cuda/emulator.rs"]
mod emulator;

mod common;

use secateur::backend::{Cuda, LossOps as _, OptimizerOps as _, Update, cuda};
use secateur::data::{Augment, DataConfig};
use secateur::network::forward::Forward;
use secateur::network::layout::Sizes;
use secateur::network::model::InputSpec;
use secateur::network::params::{Masking, ParamStore};
use secateur::plugins::conformance::Trial;
use secateur::plugins::registry::Registered;
use secateur::prelude::*;
use secateur::pruning::{Apply, Granularity, PruneConfig, Scope};
use secateur::training::event::Event;
use secateur::training::{Optimizer, TrainConfig};

fn units() -> PruneConfig {
    PruneConfig { granularity: Granularity::Unit, scope: Scope::Layer, apply: Apply::Mask, ..PruneConfig::default() }
}

const MLP: &str = "hidden = [20, 15]";
const VIT: &str = "dim = 16\nheads = 2\ndepth = 2\nmlp_ratio = 2.0\npatch = 7";

/// 52 steps with one pruning step after half of them.
fn mlp() -> Trial {
    Trial {
        seed: 7,
        model: ("mlp", MLP),
        schedule: ("periodic", "first = 1\nfraction = 0.4\ncount = 1"),
        train: TrainConfig { epochs: 2, batch_size: 8, lr: 2e-3, clip_norm: Some(2.0), ..TrainConfig::default() },
        ..Trial::default()
    }
}

fn gpu() -> Cuda {
    if !emulator::is_real() {
        emulator::open();
    }
    cuda::cuda(0).unwrap()
}

/// The losses, and what is kept of every parameter and group.
fn run<B: Registered>(trial: &Trial, device: B) -> (Vec<f64>, Vec<(String, Vec<bool>)>) {
    let augment = Augment { crop_pad: 1, flip: true };
    let data = common::glyphs(26 * 8, 16, DataConfig { augment, ..DataConfig::default() });
    let (outcome, events) = trial.run(&secateur_bundle::registry().unwrap(), device, &data).unwrap();
    let loss = |event: Event| if let Event::Step { loss, .. } = event { Some(loss) } else { None };
    let masks = outcome.params.iter().filter_map(|p| Some((p.spec().name.clone(), p.mask()?.keep().to_vec())));
    (events.into_iter().filter_map(loss).collect(), masks.collect())
}

fn agrees(trial: &Trial) {
    let ((expected, masks), (found, same)) = (run(trial, Cpu::default()), run(trial, gpu()));
    assert_eq!((expected.len(), found.len()), (52, 52));
    for (step, (e, f)) in expected.iter().zip(&found).enumerate().take(50) {
        assert!((e - f).abs() < 1e-3 * e.abs().max(1.0), "{}: step {step}: {f} instead of {e}", trial.model.0);
    }
    assert!(!masks.is_empty() && masks == same, "{}: other weights were pruned", trial.model.0);
    assert!(masks.iter().any(|(_, keep)| keep.contains(&false)));
}

#[test]
fn a_pruned_mlp_trains_as_on_the_cpu() {
    agrees(&mlp());
    let mut regrowing = mlp();
    (regrowing.prune.regrow, regrowing.train.optimizer) = (true, Optimizer::Adam);
    agrees(&regrowing);
    // At random: pixels that are always black have one gradient, and rounding errors order those.
    let mut growing = mlp();
    growing.schedule = ("cubic", "sparsity = 0.6\nevery = 8");
    (growing.grow.fraction, growing.grow.criterion) = (0.3, PluginSpec::named("random-redrawn"));
    agrees(&growing);
}

#[test]
fn units_go_by_the_same_contributions() {
    let criterion = ("contribution-rank", "lambda1 = 0.5\nlambda2 = 0.5");
    agrees(&Trial { criterion, prune: units(), ..mlp() });
}

#[test]
fn a_pruned_vit_with_merged_tokens_trains_as_on_the_cpu() {
    let compressor = Some(("token-merging", "ratio = 0.4"));
    let mut merging = Trial { model: ("vit", VIT), compressor, ..mlp() };
    merging.train.optimizer = Optimizer::AdamW;
    agrees(&merging);
}

#[test]
fn a_pruned_cnn_trains_as_on_the_cpu() {
    let model = ("cnn", "channels = [4, 5]\nhidden = [12]\nbatch_norm = true");
    agrees(&Trial { model, criterion: ("contribution-rank", ""), prune: units(), ..mlp() });
}

#[test]
fn units_go_by_the_same_relevance() {
    let model = ("cnn", "channels = [4, 5]\nhidden = [12]\nbatch_norm = true");
    agrees(&Trial { model, criterion: ("lrp", ""), prune: units(), ..mlp() });
    agrees(&Trial { model: ("vit", VIT), criterion: ("lrp", ""), prune: units(), ..mlp() });
}

/// A network with a mask on every weight, and a batch; merges tokens where it has any.
struct Stepper {
    model: Box<dyn Model<Cuda>>,
    compressor: Box<dyn Compressor<Cuda>>,
    store: ParamStore<Cuda>,
    batch: Batch<Cuda>,
    one: Tensor<Cuda>,
    rule: Update,
    clip: bool,
}

const SGD: Update = Update::Sgd { lr: 0.1, momentum: 0.9, weight_decay: 0.1, nesterov: false };

impl Stepper {
    fn new(name: &str, options: &str, image: [usize; 3], count: usize) -> Self {
        let registry = secateur_bundle::registry().unwrap();
        let model = registry.model::<Cuda>(name, &options.parse().unwrap()).unwrap();
        let input = InputSpec { shape: image.to_vec(), classes: 10 };
        let layout = model.layout(&input, &Sizes::default()).unwrap();
        let mut store = ParamStore::new(&gpu(), layout, Seed(1), Masking::Dynamic).unwrap();
        let masked = store.iter().filter(|p| p.spec().prunable);
        let masks = masked.map(|p| (p.spec().name.clone(), vec![true; p.value().count()])).collect();
        store.set_masks(masks).unwrap();
        let shape: Vec<usize> = [count].into_iter().chain(image).collect();
        let input = Tensor::from_vec(&gpu(), vec![0.5; shape.iter().product()], &shape[..]).unwrap();
        let batch = Batch { input, classes: (0..count as u32).map(|i| i % 10).collect(), responses: vec![] };
        let one = Tensor::from_vec(&gpu(), vec![1.0], [1]).unwrap();
        Self { model, compressor: Box::new(NoCompression {}), store, batch, one, rule: SGD, clip: false }
    }

    fn step(&mut self) {
        let mut cx = Forward::training(&self.store, Needs::WEIGHTS, Seed(1)).with_compressor(self.compressor.as_ref());
        let output = self.model.forward(&mut cx, &self.batch).unwrap();
        let tape = cx.finish().0;
        let grads = match output {
            Output::Logits(logits) => {
                let seed = Cuda::cross_entropy(&logits, &self.batch.classes, 0.1, true).unwrap().grad.unwrap();
                tape.backward(&logits, seed)
            }
            Output::Loss { loss, .. } => tape.backward(&loss, self.one.clone()),
        };
        let grads = grads.unwrap();
        let all: Vec<_> = self.store.iter().filter_map(|p| grads.get(p.value())).collect();
        let scale = self.clip.then(|| Cuda::clip_scale(&all, 1.0).unwrap());
        self.store.step(self.rule, scale.as_ref(), |value| grads.get(value)).unwrap();
    }
}

/// In a training step nothing is copied to the host.
#[test]
fn nothing_waits_for_the_device_within_a_step() {
    if emulator::is_real() {
        return;
    }
    let registry = secateur_bundle::registry().unwrap();
    for (name, options) in [
        ("mlp", MLP),
        ("vit", VIT),
        ("cnn", "channels = [4]\nhidden = [8]\nbatch_norm = true"),
        ("vae", "channels = [4]\nhidden = [8]\nlatent = 3"),
    ] {
        let merging = registry.compressor("token-merging", &"ratio = 0.4".parse().unwrap()).unwrap();
        let mut stepper = Stepper { clip: true, ..Stepper::new(name, options, [1, 28, 28], 2) };
        stepper.compressor = merging;
        let before = emulator::counter("copies_to_host");
        stepper.step();
        stepper.step();
        assert_eq!(emulator::counter("copies_to_host"), before, "{name}");
    }
}

/// Where a network is small, the time of a step is that of its launches: one for each layer forward and backward, one
/// for the loss, one for the update, and nothing else.
#[test]
fn a_small_network_takes_few_launches() {
    if emulator::is_real() {
        return;
    }
    let mut stepper = Stepper::new("mlp", "hidden = [50, 30]", [1, 28, 28], 128);
    stepper.step();
    // Not allocations: other tests use the same memory at the same time.
    let what = ["launches", "products", "copies_to_device", "copies_to_host"];
    let count = || what.map(emulator::counter);
    let before = count();
    stepper.step();
    let after = count();
    let taken: Vec<u64> = after.iter().zip(before).map(|(a, b)| a - b).collect();
    assert_eq!(taken, [8, 0, 0, 0], "{what:?}");
}

/// Prints what a step asks of the driver, and the host's time for it, where `EMULATED_CUDA_IDLE` is set.
#[test]
#[ignore = "a measurement: EMULATED_CUDA_IDLE=1 cargo test --release ... -- --ignored --nocapture"]
fn launches_of_a_step() {
    const CNN: &str = "channels = [32, 32]\nhidden = [512, 128]\nbias = true";
    const VIT192: &str = "dim = 192\nheads = 4\nmlp_ratio = 2.0\npool = \"mean\"";
    for (name, options, image, batch) in [
        ("mlp", "hidden = [50, 30]", [1, 28, 28], 128),
        ("cnn", CNN, [3, 32, 32], 128),
        ("vit", VIT192, [3, 32, 32], 128),
        ("vae", "", [3, 64, 64], 64),
    ] {
        let mut stepper = Stepper::new(name, options, image, batch);
        (0..20).for_each(|_| stepper.step());
        let what = ["launches", "products", "copies_to_device", "allocations"];
        let before = what.map(emulator::counter);
        let (start, steps) = (std::time::Instant::now(), 500);
        (0..steps).for_each(|_| stepper.step());
        let micros = start.elapsed().as_secs_f64() * 1e6 / f64::from(steps);
        let taken: Vec<f64> =
            what.iter().zip(before).map(|(w, b)| (emulator::counter(w) - b) as f64 / f64::from(steps)).collect();
        let each = micros / (taken[0] + taken[1]);
        println!("{name}: {what:?} {taken:?}, {micros:.1} us a step, {each:.2} us a launch");
    }
}
