//! A training step, scoring, and a pruning step of the MLP of the contribution-rank experiment, as the engine runs them.
#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark")]

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use secateur::backend::{Act, Backend, ContributionOps as _, Cpu, LossOps as _, Update};
use secateur::network::forward::Forward;
use secateur::network::forward::Needs;
use secateur::network::layout::{Layout, LayoutBuilder, Sizes, Width};
use secateur::network::model::{Batch, InputSpec, Model, Output};
use secateur::network::params::{Masking, ParamStore};
use secateur::pruning::criterion::{Scores, Target};
use secateur::pruning::schedule::{Amount, Position, Step};
use secateur::pruning::{self, Granularity, PruneConfig, Scope};
use secateur::seed::Seed;
use secateur::tensor::Tensor;
use std::hint::black_box;

struct Mlp;

impl<B: Backend> Model<B> for Mlp {
    fn layout(&self, input: &InputSpec, sizes: &Sizes) -> secateur::Result<Layout> {
        let mut layout = LayoutBuilder::new(sizes);
        let (fc1, fc2) = (layout.units("fc1", 50), layout.units("fc2", 30));
        layout.linear("fc1", &Width::from(input.features()), &fc1, true);
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

struct Magnitude;

impl<B: Backend> secateur::pruning::criterion::Criterion<B> for Magnitude {
    fn score(&mut self, target: &Target<'_, B>) -> secateur::Result<Scores<B>> {
        Ok(target.weight()?.abs()?.into())
    }
}

fn input() -> InputSpec {
    InputSpec { shape: vec![784], classes: 10 }
}

fn store(masking: Masking) -> ParamStore<Cpu> {
    let layout = Model::<Cpu>::layout(&Mlp, &input(), &Sizes::default()).unwrap();
    let mut store = ParamStore::new(&Cpu::default(), layout, Seed(1), masking).unwrap();
    let masks = ["fc1.weight", "fc2.weight", "fc3.weight"]
        .map(|n| (n.to_string(), vec![true; store.get(n).unwrap().value().count()]));
    store.set_masks(masks.into()).unwrap();
    store
}

fn batch(n: usize) -> Batch<Cpu> {
    let values = (0..n * 784).map(|i| ((i * 7919) % 251) as f32 / 125.0 - 1.0).collect();
    Batch {
        input: Tensor::from_vec(&Cpu::default(), values, [n, 784]).unwrap(),
        classes: (0..n as u32).map(|i| i % 10).collect(),
        responses: vec![],
    }
}

/// Forward, loss, backward and SGD with momentum, with a dynamic mask on every weight.
fn step(store: &mut ParamStore<Cpu>, batch: &Batch<Cpu>, needs: Needs) {
    let mut cx = Forward::training(store, needs, Seed(1));
    let Output::Logits(logits) = Mlp.forward(&mut cx, batch).unwrap() else { unreachable!() };
    let (tape, _, _) = cx.finish();
    let loss = Cpu::cross_entropy(&logits, &batch.classes, 0.0, true).unwrap();
    let grads = tape.backward(&logits, loss.grad.unwrap()).unwrap();
    let rule = Update::Sgd { lr: 0.01, momentum: 0.9, weight_decay: 0.0, nesterov: false };
    store.step(rule, None, |value| grads.get(value)).unwrap();
}

fn steps(c: &mut Criterion) {
    let batch = batch(128);
    for (name, masking) in [("step/mlp/dynamic-masks", Masking::Dynamic), ("step/mlp/held-masks", Masking::Held)] {
        let mut store = store(masking);
        c.bench_function(name, |b| b.iter(|| step(&mut store, black_box(&batch), Needs::WEIGHTS)));
    }
}

fn score(c: &mut Criterion) {
    let random = |rows: usize, cols: usize| {
        let values = (0..rows * cols).map(|i| ((i * 7919) % 251) as f32 / 125.0 - 1.0).collect();
        Tensor::from_vec(&Cpu::default(), values, [rows, cols]).unwrap()
    };
    let (a, w) = (random(5000, 256), random(128, 256));
    c.bench_function("score/contribution/256-128x5000", |b| {
        b.iter(|| Cpu::contribution(black_box(&a), &w, None, false).unwrap())
    });
    c.bench_function("score/contribution-max/256-128x5000", |b| {
        b.iter(|| Cpu::contribution(black_box(&a), &w, None, true).unwrap())
    });
}

fn prune_step(c: &mut Criterion) {
    for (name, granularity) in [("prune/mlp/weights", Granularity::Weight), ("prune/mlp/units", Granularity::Unit)] {
        let config = PruneConfig { granularity, scope: Scope::Global, ..PruneConfig::default() };
        let fresh = store(Masking::Held);
        let half = Position { amount: Amount::Sparsity(0.5), progress: 1.0, nth: 0 };
        c.bench_function(name, |b| {
            b.iter_batched(
                || fresh.clone(),
                |mut store| {
                    let view = |name, group| Target::new(&store, name, group, Step(0), Seed(1));
                    let asked = pruning::asked(&config, &store, half).unwrap();
                    let plan = pruning::plan(&config, &store, &mut Magnitude, &asked.round(1, 1), &view).unwrap();
                    pruning::apply(&config, &mut store, &plan, &Mlp, &input(), Step(0)).unwrap()
                },
                BatchSize::SmallInput,
            );
        });
    }
}

criterion_group!(benches, steps, score, prune_step);
criterion_main!(benches);
