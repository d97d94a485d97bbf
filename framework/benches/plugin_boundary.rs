//! What the plugin boundary costs: the same criterion linked in and loaded, in a pruning step, in a step that it observes, and beside
//! a training step.
#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark")]

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use secateur::backend::{Act, Backend, Cpu, LossOps as _, Update};
use secateur::network::forward::Forward;
use secateur::network::forward::Needs;
use secateur::network::layout::{Layout, LayoutBuilder, Sizes};
use secateur::network::model::{Batch, InputSpec, Model, Output};
use secateur::network::params::{Masking, ParamStore};
use secateur::options::Table;
use secateur::plugins::registry::Registry;
use secateur::pruning::criterion::{Criterion as Scorer, Target};
use secateur::pruning::schedule::{Amount, Position, Step};
use secateur::pruning::{self, PruneConfig};
use secateur::seed::Seed;
use secateur::tensor::Tensor;
use std::hint::black_box;
use std::process::Command;

/// Magnitude, linked in; the library has the same source.
#[path = "../examples/plugins/size.rs"]
mod size;

struct Mlp(usize, usize);

impl<B: Backend> Model<B> for Mlp {
    fn layout(&self, input: &InputSpec, sizes: &Sizes) -> secateur::Result<Layout> {
        let mut layout = LayoutBuilder::new(sizes);
        let (fc1, fc2) = (layout.units("fc1", self.0), layout.units("fc2", self.1));
        layout.linear("fc1", &input.features().into(), &fc1, true);
        layout.linear("fc2", &fc1, &fc2, true);
        layout.linear("fc3", &fc2, &input.classes.into(), true);
        layout.output("fc3");
        layout.build()
    }

    fn forward(&self, cx: &mut Forward<'_, B>, batch: &Batch<B>) -> secateur::Result<Output<B>> {
        let x = cx.linear("fc1", &batch.input, Act::Relu)?;
        let x = cx.linear("fc2", &x, Act::Relu)?;
        Ok(Output::Logits(cx.linear("fc3", &x, Act::None)?))
    }
}

fn input() -> InputSpec {
    InputSpec { shape: vec![784], classes: 10 }
}

fn store(model: &Mlp) -> ParamStore<Cpu> {
    let layout = Model::<Cpu>::layout(model, &input(), &Sizes::default()).unwrap();
    ParamStore::new(&Cpu::default(), layout, Seed(1), Masking::Held).unwrap()
}

fn train(model: &Mlp, store: &mut ParamStore<Cpu>, batch: &Batch<Cpu>) {
    let mut cx = Forward::training(store, Needs::WEIGHTS, Seed(1));
    let Output::Logits(logits) = model.forward(&mut cx, batch).unwrap() else { unreachable!() };
    let (tape, ..) = cx.finish();
    let loss = Cpu::cross_entropy(&logits, &batch.classes, 0.0, true).unwrap();
    let grads = tape.backward(&logits, loss.grad.unwrap()).unwrap();
    let rule = Update::Sgd { lr: 0.01, momentum: 0.9, weight_decay: 0.0, nesterov: false };
    store.step(rule, None, |value| grads.get(value)).unwrap();
}

/// The criterion from this program, and from the library beside it, built where it is missing.
fn criteria() -> [(&'static str, Box<dyn Scorer<Cpu>>); 2] {
    let folder = std::env::current_exe().unwrap().parent().unwrap().parent().unwrap().join("examples");
    let library = folder.join(format!("{}size{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX));
    if !library.exists() {
        let args = ["build", "--release", "-p", "secateur", "--example", "size"];
        assert!(Command::new(env!("CARGO")).args(args).status().unwrap().success(), "the plugin does not build");
    }
    let mut loaded = Registry::default();
    loaded.load(&library, None).unwrap();
    let build = |r: &Registry| r.criterion("size", &Table::new()).unwrap();
    [("linked", build(&Registry::linked().unwrap())), ("loaded", build(&loaded))]
}

fn pruning_steps(c: &mut Criterion) {
    for (size, model) in [("mlp-50-30", Mlp(50, 30)), ("mlp-512-256", Mlp(512, 256))] {
        let mut fresh = store(&model);
        let batch = batch(128);
        train(&model, &mut fresh, &batch);
        for (how, mut criterion) in criteria() {
            let config = PruneConfig::default();
            c.bench_function(&format!("prune/{size}/{how}"), |b| {
                b.iter_batched(
                    || fresh.clone(),
                    |mut store| {
                        let view = |name, group| Target::new(&store, name, group, Step(0), Seed(1));
                        let position = Position { amount: Amount::Sparsity(0.5), progress: 1.0, nth: 0 };
                        let asked = pruning::asked(&config, &store, position).unwrap();
                        let plan =
                            pruning::plan(&config, &store, criterion.as_mut(), &asked.round(1, 1), &view).unwrap();
                        pruning::apply(&config, &mut store, &plan, &model, &input(), Step(0)).unwrap();
                        criterion.reset().unwrap();
                    },
                    BatchSize::SmallInput,
                );
            });
        }
    }
}

fn scores(c: &mut Criterion) {
    let store = store(&Mlp(50, 30));
    for (how, mut criterion) in criteria() {
        c.bench_function(&format!("score/fc1.weight/{how}"), |b| {
            b.iter(|| {
                let target = Target::new(black_box(&store), "fc1.weight", None, Step(0), Seed(1)).unwrap();
                criterion.score(&target).unwrap()
            });
        });
    }
}

/// What the engine asks of a criterion in a training step when it only scores.
fn training_steps(c: &mut Criterion) {
    let (model, batch) = (Mlp(50, 30), batch(128));
    let mut store = store(&model);
    c.bench_function("train/mlp-50-30", |b| b.iter(|| train(&model, &mut store, black_box(&batch))));
    for (how, criterion) in criteria() {
        c.bench_function(&format!("asked-in-a-step/{how}"), |b| {
            b.iter(|| (black_box(&criterion).needs(), criterion.window(), criterion.needs().has(Needs::PENALTY)));
        });
    }
}

fn batch(n: usize) -> Batch<Cpu> {
    let values = (0..n * 784).map(|i| ((i * 7919) % 251) as f32 / 125.0 - 1.0).collect();
    Batch {
        input: Tensor::from_vec(&Cpu::default(), values, [n, 784]).unwrap(),
        classes: (0..n as u32).map(|i| i % 10).collect(),
        responses: vec![],
    }
}

criterion_group!(benches, pruning_steps, scores, training_steps);
criterion_main!(benches);
