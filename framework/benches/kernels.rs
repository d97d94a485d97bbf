//! What whole training steps cost in the kernels alone: the floor for a step of the framework.
//!
//! `cargo bench -p secateur --bench kernels`; threads as in `RAYON_NUM_THREADS`.
#![allow(missing_docs, reason = "a program")]

use criterion::{Criterion, criterion_group, criterion_main};
use secateur::backend::cpu::activation::Saved;
use secateur::backend::cpu::common::{Grad, elementwise};
use secateur::backend::cpu::contribution::{Form, Gathered};
use secateur::backend::cpu::conv::{self, Conv, ConvGrads};
use secateur::backend::cpu::linear::{self, Linear, LinearGrads};
use secateur::backend::cpu::loss;
use secateur::backend::cpu::optimizer::{self, Sgd};
use secateur::backend::{Act, Patches, Precision};
use std::hint::black_box;

/// Reproducible numbers in [-1, 1).
fn numbers(n: usize) -> Vec<f32> {
    let mut state = n as u32 | 1;
    (0..n)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        })
        .collect()
}

struct Layer {
    inputs: usize,
    outputs: usize,
    act: Act,
    weight: Vec<f32>,
    mask: Vec<f32>,
    bias: Vec<f32>,
    dw: Vec<f32>,
    db: Vec<f32>,
    velocity: (Vec<f32>, Vec<f32>),
    y: Vec<f32>,
    dx: Vec<f32>,
}

/// A multi-layer perceptron with masks, ReLU, cross-entropy and momentum.
struct Mlp {
    batch: usize,
    x: Vec<f32>,
    ids: Vec<usize>,
    layers: Vec<Layer>,
    dy: Vec<f32>,
}

impl Mlp {
    fn new(batch: usize, widths: &[usize]) -> Self {
        let last = widths.len() - 2;
        let layer = |(i, w): (usize, &[usize])| Layer {
            inputs: w[0],
            outputs: w[1],
            act: if i == last { Act::None } else { Act::Relu },
            weight: numbers(w[0] * w[1]).into_iter().map(|v| v * (3.0 / w[0] as f32).sqrt()).collect(),
            mask: vec![1.0; w[0] * w[1]],
            bias: vec![0.0; w[1]],
            dw: vec![0.0; w[0] * w[1]],
            db: vec![0.0; w[1]],
            velocity: (vec![0.0; w[0] * w[1]], vec![0.0; w[1]]),
            y: vec![0.0; batch * w[1]],
            dx: vec![0.0; if i == 0 { 0 } else { batch * w[0] }],
        };
        let classes = widths[last + 1];
        Self {
            batch,
            x: numbers(batch * widths[0]),
            ids: (0..batch).map(|i| i % classes).collect(),
            layers: widths.windows(2).enumerate().map(layer).collect(),
            dy: vec![0.0; batch * classes],
        }
    }

    fn step(&mut self) -> f32 {
        let batch = self.batch;
        for i in 0..self.layers.len() {
            let (before, rest) = self.layers.split_at_mut(i);
            let x = before.last().map_or(&self.x, |l| &l.y);
            let l = &mut rest[0];
            let layer = Linear {
                rows: batch,
                inputs: l.inputs,
                outputs: l.outputs,
                weight: &l.weight,
                mask: Some(&l.mask),
                bias: Some(&l.bias),
                act: l.act,
                nonzeros: None,
            };
            linear::forward(&layer, x, None, &mut l.y, None);
        }
        let count = self.layers.len();
        let last = &self.layers[count - 1];
        let out = loss::cross_entropy(&last.y, last.outputs, &self.ids, 0.0, Some(&mut self.dy));
        for i in (0..count).rev() {
            let (before, rest) = self.layers.split_at_mut(i);
            let (this, after) = rest.split_at_mut(1);
            let l = &mut this[0];
            let x = before.last().map_or(&self.x, |l| &l.y);
            let dy = after.first().map_or(&self.dy, |l| &l.dx);
            let layer = Linear {
                rows: batch,
                inputs: l.inputs,
                outputs: l.outputs,
                weight: &l.weight,
                mask: Some(&l.mask),
                bias: Some(&l.bias),
                act: l.act,
                nonzeros: None,
            };
            let grads = LinearGrads {
                dx: (i > 0).then_some(Grad::overwrite(&mut l.dx)),
                dw: Some(Grad::overwrite(&mut l.dw)),
                db: Some(Grad::overwrite(&mut l.db)),
                ..Default::default()
            };
            linear::backward(&layer, x, Saved::Out(&l.y), dy, grads);
        }
        let sgd = Sgd { lr: 1e-3, momentum: 0.9, nesterov: false, weight_decay: 0.0 };
        for l in &mut self.layers {
            optimizer::sgd(&sgd, &mut l.weight, &l.dw, Some(&mut l.velocity.0), Some(&l.mask), 1.0);
            optimizer::sgd(&sgd, &mut l.bias, &l.db, Some(&mut l.velocity.1), None, 1.0);
        }
        out.loss
    }
}

fn steps(c: &mut Criterion) {
    // Inside the pool, as a run is: entering it from outside costs a wake-up for every operation.
    let pool = rayon::ThreadPoolBuilder::new().build().expect("threads");
    for (name, batch, widths) in [
        ("mlp 784-50-30-10", 128, &[784, 50, 30, 10][..]),
        ("head 2048-512-128-10", 128, &[2048, 512, 128, 10][..]),
        ("rows 8192 192-384-192", 8192, &[192, 384, 192][..]),
    ] {
        let mut mlp = Mlp::new(batch, widths);
        let mut group = c.benchmark_group("step");
        group.sample_size(20).measurement_time(std::time::Duration::from_secs(2));
        group.bench_function(name, |b| pool.install(|| b.iter(|| black_box(mlp.step()))));
    }
}

/// The two convolutions of a CIFAR network, 3 -> 32 -> 32 with ReLU and pooling, batch 128: forward and backward.
fn convolutions(c: &mut Criterion) {
    let patches =
        |channels, side| Patches { channels, height: side, width: side, kernel: (3, 3), stride: 1, padding: 1 };
    let pool = rayon::ThreadPoolBuilder::new().build().expect("threads");
    let mut group = c.benchmark_group("convolution");
    group.sample_size(10).measurement_time(std::time::Duration::from_secs(2));
    for (channels, side) in [(3, 32), (32, 16)] {
        let patches = patches(channels, side);
        let (weight, bias) = (numbers(32 * patches.depth()), numbers(32));
        let conv = Conv {
            batch: 128,
            patches,
            filters: 32,
            groups: 1,
            weight: &weight,
            mask: None,
            bias: Some(&bias),
            act: Act::Relu,
            pool: true,
            precision: Precision::F32,
        };
        let x = numbers(128 * patches.image());
        let len = 128 * 32 * side * side / 4;
        let (mut y, dy, mut places) = (vec![0.0; len], numbers(len), vec![0; len]);
        let (mut dx, mut dw, mut db) = (vec![0.0; x.len()], vec![0.0; weight.len()], vec![0.0; 32]);
        group.bench_function(format!("{channels} channels, forward"), |b| {
            pool.install(|| b.iter(|| conv::forward(&conv, &x, &mut y, Some(&mut places))));
        });
        group.bench_function(format!("{channels} channels, backward"), |b| {
            pool.install(|| {
                b.iter(|| {
                    let grads = ConvGrads {
                        dx: (channels > 3).then_some(Grad::overwrite(&mut dx)),
                        dw: Some(Grad::overwrite(&mut dw)),
                        db: Some(Grad::overwrite(&mut db)),
                        ..Default::default()
                    };
                    conv::backward(&conv, &x, &y, Some(&places), &dy, grads);
                });
            });
        });
    }
}

/// Contribution scores of a 256-128 layer over 5,000 samples, against a plain loop over a hundredth of them.
fn contributions(c: &mut Criterion) {
    let (m, n, f) = (128, 256, 5000);
    let (w, a) = (numbers(m * n), numbers(f * n));
    let mut group = c.benchmark_group("contribution");
    group.sample_size(10).measurement_time(std::time::Duration::from_secs(1));
    for with_max in [false, true] {
        group.bench_function(if with_max { "sum and max" } else { "sum" }, |b| {
            b.iter(|| {
                let mut c = Gathered::new(n);
                c.observe(&w, &a, Form::Absolute, with_max);
                c
            });
        });
    }
    group.bench_function("plain loop, 50 samples", |b| {
        b.iter(|| {
            let (mut sum, mut max) = (vec![0.0_f64; n], vec![0.0_f32; n]);
            for a in a.chunks(n).take(f / 100) {
                for w in w.chunks(n) {
                    let total: f32 = w.iter().zip(a).map(|(w, a)| (w * a).abs()).sum();
                    for k in 0..n {
                        let share = (w[k] * a[k]).abs() / total;
                        sum[k] += f64::from(share);
                        max[k] = max[k].max(share);
                    }
                }
            }
            (sum, max)
        });
    });
}

fn memory(c: &mut Criterion) {
    let (x, y) = (numbers(1 << 20), numbers(1 << 20));
    let mut z = vec![0.0; 1 << 20];
    c.bench_function("mul 1M", |b| b.iter(|| elementwise::mul(&mut z, &x, &y)));
}

criterion_group!(benches, steps, convolutions, contributions, memory);
criterion_main!(benches);
