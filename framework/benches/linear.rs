//! What the products of fully connected layers take: forward, dX and dW of every shape, dense, and over the nonzeros of
//! random masks.
//!
//! `cargo bench -p secateur --bench linear [-- avx2] [DENSITY ...]`; threads as in `RAYON_NUM_THREADS`, vector instructions
//! up to those that are named. Dense: GFLOP/s of each product, and its share of the best one in the table. Sparse: how many times faster than dense, with all that it takes:
//! what is turned, gathered and scattered. Dense and sparse alternate, so that both see the same machine.
#![allow(missing_docs, reason = "a program")]

use secateur::backend::Act;
use secateur::backend::cpu::activation::Saved;
use secateur::backend::cpu::common::Grad;
use secateur::backend::cpu::common::sparse::Pattern;
use secateur::backend::cpu::linear::{Linear, LinearGrads, Nonzeros, backward, forward};
use std::time::Instant;

/// Rows, inputs, outputs: the layers of a vision transformer, of small networks, and of a large variational
/// autoencoder.
const SHAPES: [(usize, usize, usize); 12] = [
    (8192, 192, 192),
    (8192, 192, 384),
    (8192, 384, 192),
    (8192, 192, 576),
    (128, 784, 300),
    (128, 300, 100),
    (128, 2048, 512),
    (128, 2048, 2048),
    (128, 2048, 4096),
    (128, 4096, 2048),
    (128, 16384, 2048),
    (64, 4096, 16384),
];

/// Reproducible numbers in [-0.5, 0.5).
fn numbers(n: usize) -> Vec<f32> {
    let mut state = n as u64 | 1;
    let next = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 24) as f32 - 0.5
    };
    (0..n).map(next).collect()
}

struct Layer {
    size: (usize, usize, usize),
    x: Vec<f32>,
    weight: Vec<f32>,
    bias: Vec<f32>,
    dy: Vec<f32>,
    y: Vec<f32>,
    dx: Vec<f32>,
    dw: Vec<f32>,
}

/// What is timed.
#[derive(Clone, Copy, PartialEq)]
enum Part {
    Forward,
    Input,
    Weight,
    Step,
}

impl Layer {
    fn new(size @ (rows, inputs, outputs): (usize, usize, usize)) -> Self {
        Self {
            size,
            x: numbers(rows * inputs),
            weight: numbers(inputs * outputs),
            bias: numbers(outputs),
            dy: numbers(rows * outputs),
            y: vec![0.0; rows * outputs],
            dx: vec![0.0; rows * inputs],
            dw: vec![0.0; inputs * outputs],
        }
    }

    /// `alone` is where the nonzeros are, and the weight's values there.
    fn run(&mut self, part: Part, alone: Option<(&Pattern, &[f32])>) {
        let (rows, inputs, outputs) = self.size;
        let (weight, bias) = (&self.weight[..], Some(&self.bias[..]));
        let nonzeros = alone.map(|(pattern, values)| Nonzeros { pattern, values, always: true });
        let layer = Linear { rows, inputs, outputs, weight, mask: None, bias, act: Act::None, nonzeros };
        if [Part::Forward, Part::Step].contains(&part) {
            forward(&layer, &self.x, None, &mut self.y, None);
        }
        if part == Part::Forward {
            return;
        }
        let dx = [Part::Input, Part::Step].contains(&part).then(|| Grad::overwrite(&mut self.dx));
        let weights = alone.map_or(self.dw.len(), |(_, values)| values.len());
        let dw = [Part::Weight, Part::Step].contains(&part).then(|| Grad::overwrite(&mut self.dw[..weights]));
        let grads = LinearGrads { dx, dw, dense_dw: alone.is_none(), ..LinearGrads::default() };
        backward(&layer, &self.x, Saved::Out(&self.y), &self.dy, grads);
    }

    fn flops(&self) -> f64 {
        2.0 * (self.size.0 * self.size.1 * self.size.2) as f64
    }
}

/// Medians in seconds, of runs that alternate.
fn medians<const N: usize>(mut run: impl FnMut(usize)) -> [f64; N] {
    (0..N).for_each(&mut run);
    let (begin, mut times) = (Instant::now(), vec![[0.0; N]; 0]);
    while times.len() < 5 || times.len() < 201 && begin.elapsed().as_secs_f64() < 0.3 {
        times.push(std::array::from_fn(|i| {
            let start = Instant::now();
            run(i);
            start.elapsed().as_secs_f64()
        }));
    }
    std::array::from_fn(|i| {
        let mut all: Vec<f64> = times.iter().map(|t| t[i]).collect();
        all.sort_by(f64::total_cmp);
        all[all.len() / 2]
    })
}

fn main() {
    std::env::args().skip(1).for_each(|a| _ = secateur::backend::limit_vector_level(&a));
    let densities: Vec<f32> = std::env::args().skip(1).filter_map(|a| a.parse().ok()).collect();
    let densities = if densities.is_empty() { vec![0.01, 0.05, 0.1, 0.2, 0.35] } else { densities };
    let parts = [Part::Forward, Part::Input, Part::Weight];
    let mut dense = vec![];
    println!("{} threads, {} kernels", rayon::current_num_threads(), secateur::backend::vector_level());
    for size in SHAPES {
        let mut layer = Layer::new(size);
        let times: [f64; 3] = medians(|i| layer.run(parts[i], None));
        dense.push((size, times.map(|t| layer.flops() / t / 1e9), times));
    }
    let best = dense.iter().flat_map(|row| row.1).fold(0.0, f64::max);
    println!("dense, ms and GFLOP/s (share of the best) of forward, dX, dW");
    for ((rows, inputs, outputs), rates, times) in &dense {
        let shown: Vec<String> = rates
            .iter()
            .zip(times)
            .map(|(rate, t)| format!("{:8.3} {rate:5.0} ({:3.0} %)", t * 1e3, 100.0 * rate / best))
            .collect();
        println!("{rows:5} x {inputs:5} -> {outputs:5}  {}", shown.join("  "));
    }
    println!("dense time / sparse time of forward, dX, dW, and of forward with backward");
    for size @ (rows, inputs, outputs) in SHAPES {
        for &density in &densities {
            let mut layer = Layer::new(size);
            let keep: Vec<bool> = numbers(inputs * outputs + 1).iter().skip(1).map(|x| x + 0.5 < density).collect();
            layer.weight.iter_mut().zip(&keep).filter(|(_, keep)| !**keep).for_each(|(w, _)| *w = 0.0);
            let start = Instant::now();
            let pattern = Pattern::new(&keep, outputs, inputs);
            let built = start.elapsed().as_secs_f64();
            let mut values = vec![0.0; pattern.nonzeros()];
            pattern.gather(&mut values, &layer.weight);
            let all = [Part::Forward, Part::Input, Part::Weight, Part::Step];
            let t: [f64; 8] = medians(|i| layer.run(all[i / 2], (i % 2 == 1).then_some((&pattern, &values[..]))));
            let ratios: Vec<String> = t.chunks(2).map(|two| format!("{:5.2}", two[0] / two[1])).collect();
            println!(
                "{rows:5} x {inputs:5} -> {outputs:5} at {:4.1} %  {}  (step {:.3} ms, pattern {:.2} ms)",
                100.0 * density,
                ratios.join(" "),
                t[7] * 1e3,
                built * 1e3
            );
        }
    }
}
