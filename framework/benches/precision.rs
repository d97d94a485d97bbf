//! What the products of fully connected layers take in f32 and in bf16: forward, dX and dW of every shape.
//!
//! `cargo bench -p secateur --bench precision`; threads as in `RAYON_NUM_THREADS`. GFLOP/s of each product with all that it
//! takes, rounding and packing included, and how many times faster bf16 is. Both alternate, so that both see the same
//! machine.
#![allow(missing_docs, reason = "a program")]

use secateur::backend::cpu::activation::Saved;
use secateur::backend::cpu::common::Grad;
use secateur::backend::cpu::linear::{Linear, LinearGrads, backward, bf16, forward};
use secateur::backend::{Act, Cpu, LinearOps as _};
use std::time::Instant;

/// Rows, inputs, outputs: the layers of a vision transformer, of small networks, and of a large variational
/// autoencoder.
const SHAPES: [(usize, usize, usize); 11] = [
    (8192, 192, 192),
    (8192, 192, 384),
    (8192, 384, 192),
    (8192, 192, 576),
    (128, 784, 300),
    (128, 2048, 512),
    (64, 16384, 2048),
    (64, 2048, 4096),
    (64, 4096, 2048),
    (64, 2048, 16384),
    (1024, 1024, 1024),
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

/// Medians in seconds, of runs that alternate.
fn medians(mut run: impl FnMut(usize)) -> [f64; 6] {
    (0..6).for_each(&mut run);
    let (begin, mut times) = (Instant::now(), vec![[0.0; 6]; 0]);
    while times.len() < 5 || times.len() < 201 && begin.elapsed().as_secs_f64() < 1.0 {
        times.push(std::array::from_fn(|i| {
            let start = Instant::now();
            run(i);
            start.elapsed().as_secs_f64()
        }));
    }
    std::array::from_fn(|i| {
        let mut of: Vec<f64> = times.iter().map(|row| row[i]).collect();
        of.sort_unstable_by(f64::total_cmp);
        of[of.len() / 2]
    })
}

fn measure(size: (usize, usize, usize)) {
    let (rows, inputs, outputs) = size;
    let (x, weight, bias, dy) =
        (numbers(rows * inputs), numbers(inputs * outputs), numbers(outputs), numbers(rows * outputs));
    let (mut y, mut dx, mut dw) = (vec![0.0; dy.len()], vec![0.0; x.len()], vec![0.0; weight.len()]);
    let layer = Linear {
        rows,
        inputs,
        outputs,
        weight: &weight,
        mask: None,
        bias: Some(&bias),
        act: Act::None,
        nonzeros: None,
    };
    let times = medians(|i| {
        let grads = match i / 2 {
            0 if i == 0 => return forward(&layer, &x, None, &mut y, None),
            0 => return bf16::forward(&layer, &x, None, &mut y, None),
            1 => LinearGrads { dx: Some(Grad::overwrite(&mut dx)), ..LinearGrads::default() },
            _ => LinearGrads { dw: Some(Grad::overwrite(&mut dw)), ..LinearGrads::default() },
        };
        let backward = if i % 2 == 0 { backward } else { bf16::backward };
        backward(&layer, &x, Saved::Out(&y), &dy, grads);
    });
    let flops = 2.0 * (rows * inputs * outputs) as f64;
    let shown = times.chunks(2).map(|t| {
        let [f32, bf16] = [t[0], t[1]].map(|t| flops / t / 1e9);
        format!("{f32:4.0} {bf16:4.0} {:5.2}x", bf16 / f32)
    });
    let all: [f64; 2] = [0, 1].map(|which| times.iter().skip(which).step_by(2).sum());
    let shown = shown.collect::<Vec<_>>().join("   ");
    println!("{rows:5} x {inputs:5} -> {outputs:5}   {shown}   {:5.2}x", all[0] / all[1]);
}

fn main() {
    if let Some(why) = Cpu::lacks_bf16() {
        return println!("nothing to measure: {why}");
    }
    // Inside a pool, as the runner does: entering it anew costs a wake-up for every operation.
    let pool = rayon::ThreadPoolBuilder::new().build().expect("threads");
    println!("{}, {} threads", secateur::backend::bf16_unit(), pool.current_num_threads());
    println!("GFLOP/s of forward, dX, dW in f32 and in bf16, and how many times faster bf16 is, last of all three");
    pool.install(|| SHAPES.into_iter().for_each(measure));
}
