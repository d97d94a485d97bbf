//! What convolutions take over the nonzeros of random masks: how many times faster than dense ones forward pass and
//! gradients are, with all that they take. Dense and sparse alternate, so that both see the same machine.
//!
//! `cargo bench -p secateur --bench conv [-- avx2] [DENSITY ...]`; threads as in `RAYON_NUM_THREADS`, vector instructions up
//! to those that are named.
#![allow(missing_docs, reason = "a program")]

use secateur::backend::{Act, Conv2d, ConvOps, ConvTranspose2d, Cpu, LayerGrads, LinearOps, Nonzeros, Slot};
use secateur::backend::{Precision, Weight};
use secateur::error::Result;
use secateur::tensor::{Shape, Tensor};
use std::sync::Arc;
use std::time::Instant;

/// Forward pass, gradients or both, of the times of a layer.
type Part = fn(&(f64, f64)) -> f64;

type Sizes = (usize, usize, usize, usize, usize, usize, usize, bool);

/// Images, channels and side of the input, filters, side of the kernel, stride, padding, and whether it is transposed: a
/// CIFAR network, a variational autoencoder, a residual network.
const SHAPES: [Sizes; 12] = [
    (128, 3, 32, 32, 3, 1, 1, false),
    (128, 32, 16, 32, 3, 1, 1, false),
    (64, 3, 64, 32, 4, 2, 1, false),
    (64, 32, 32, 64, 4, 2, 1, false),
    (64, 64, 16, 32, 4, 2, 1, true),
    (64, 32, 32, 3, 4, 2, 1, true),
    (32, 64, 32, 64, 3, 1, 1, false),
    (32, 128, 16, 128, 3, 1, 1, false),
    (32, 256, 8, 256, 3, 1, 1, false),
    (32, 512, 4, 512, 3, 1, 1, false),
    (32, 64, 32, 128, 1, 1, 0, false),
    (32, 64, 32, 128, 3, 2, 1, false),
];

/// Reproducible numbers in [-0.5, 0.5).
fn numbers(n: usize, seed: u64) -> Vec<f32> {
    let mut state = seed | 1;
    let next = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 24) as f32 - 0.5
    };
    (0..n).map(next).collect()
}

enum Layer {
    Plain(Conv2d<Cpu>),
    Transposed(ConvTranspose2d<Cpu>),
}

impl Layer {
    /// Seconds of the forward pass, and of the gradients of input and weight.
    fn run(&self, dy: &mut Option<Tensor<Cpu>>) -> Result<(f64, f64)> {
        let start = Instant::now();
        let (y, saved) = match self {
            Self::Plain(op) => Cpu::conv2d(op, true)?,
            Self::Transposed(op) => (Cpu::conv_transpose2d(op)?, None),
        };
        let forward = start.elapsed().as_secs_f64();
        let dy = dy.get_or_insert_with(|| {
            Tensor::from_vec(y.device(), numbers(y.count(), 7), y.shape()).expect("memory for a gradient")
        });
        let (mut dx, mut dw) = (Slot(None), Slot(None));
        let grads = LayerGrads { x: Some(&mut dx), w: Some(&mut dw), b: None };
        let start = Instant::now();
        match (self, saved) {
            (Self::Plain(op), Some(saved)) => Cpu::conv2d_backward(op, &saved, dy, grads)?,
            (Self::Transposed(op), _) => Cpu::conv_transpose2d_backward(op, &y, dy, grads)?,
            _ => {}
        }
        Ok((forward, start.elapsed().as_secs_f64()))
    }
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn main() -> Result<()> {
    std::env::args().skip(1).for_each(|a| _ = secateur::backend::limit_vector_level(&a));
    let densities: Vec<f32> = std::env::args().skip(1).filter_map(|a| a.parse().ok()).collect();
    let densities = if densities.is_empty() { vec![0.05, 0.1, 0.2, 0.3] } else { densities };
    println!("{} threads, {} kernels", rayon::current_num_threads(), secateur::backend::vector_level());
    println!("dense time / sparse time of forward pass, gradients, and both");
    let device = Cpu::default();
    for (batch, channels, side, filters, kernel, stride, padding, transposed) in SHAPES {
        let x = Tensor::from_vec(&device, numbers(batch * channels * side * side, 3), [batch, channels, side, side])?;
        let axes = if transposed { [channels, filters] } else { [filters, channels] };
        let shape = Shape::from([axes[0], axes[1], kernel, kernel]);
        for &density in &densities {
            let keep: Vec<bool> = numbers(shape.count(), 5).iter().map(|v| v + 0.5 < density).collect();
            let weight = numbers(shape.count(), 9).into_iter().zip(&keep).map(|(w, k)| if *k { w } else { 0.0 });
            let value = Tensor::from_vec(&device, weight.collect(), shape)?;
            let pattern = Cpu::pattern(&keep, axes[0], shape.count() / axes[0]).map(Arc::new);
            let layer = |over: bool| -> Result<Layer> {
                let mut w = Weight::plain(value.clone());
                if let Some(pattern) = pattern.clone().filter(|_| over) {
                    let values = Cpu::gather(&value, &pattern)?;
                    w.nonzeros = Some(Nonzeros { pattern, values, dense_gradient: false, always: true });
                }
                let (x, b, act, w) = (x.clone(), None, Act::None, Weight { precision: Precision::F32, ..w });
                Ok(match transposed {
                    false => Layer::Plain(Conv2d { x, w, b, stride, padding, groups: 1, act, pool: false }),
                    true => Layer::Transposed(ConvTranspose2d { x, w, b, stride, padding, act }),
                })
            };
            let layers = [layer(false)?, layer(true)?];
            let (mut dy, mut times) = (None, vec![]);
            let begin = Instant::now();
            while times.len() < 4 || times.len() < 60 && begin.elapsed().as_secs_f64() < 0.4 {
                times.push([layers[0].run(&mut dy)?, layers[1].run(&mut dy)?]);
            }
            let of = |i: usize, f: Part| median(times[1..].iter().map(|t| f(&t[i])).collect());
            let parts: [Part; 3] = [|t| t.0, |t| t.1, |t| t.0 + t.1];
            let ratios = parts.map(|part| format!("{:5.2}", of(0, part) / of(1, part)));
            let kind = if transposed { "transposed" } else { "" };
            println!(
                "{batch:3} x {channels:3} x {side:2} -> {filters:3}, {kernel}x{kernel} / {stride} {kind:10} at {:4.1} %  {}  ({:.2} ms dense)",
                100.0 * density,
                ratios.join(" "),
                of(0, parts[2]) * 1e3
            );
        }
    }
    Ok(())
}
