//! Random tensors, and gradients against central differences.
#![allow(clippy::unwrap_used, dead_code, reason = "tests; each test binary uses what it needs")]

use rand::RngExt as _;
use secateur::autograd::Tape;
use secateur::backend::{Cpu, Weight};
use secateur::seed::Seed;
use secateur::tensor::{Shape, Tensor};

pub type T = Tensor<Cpu>;

pub fn random(shape: impl Into<Shape>, name: &str) -> T {
    let shape = shape.into();
    let mut rng = Seed(7).stream("test", &[name]);
    let values = (0..shape.count()).map(|_| rng.random_range(-1.0f32..1.0)).collect();
    Tensor::from_vec(&Cpu::default(), values, shape).unwrap().tracked(true)
}

pub fn mask(shape: impl Into<Shape>) -> T {
    let t = random(shape, "mask");
    let values = t.host().iter().map(|v| f32::from(u8::from(*v > -0.3))).collect();
    Tensor::from_vec(&Cpu::default(), values, t.shape()).unwrap()
}

pub fn weight(value: &T, mask: Option<&T>) -> Weight<Cpu> {
    Weight::masked(value.clone(), mask.cloned())
}

#[track_caller]
pub fn close(found: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(found.len(), expected.len());
    let scale = expected.iter().fold(1e-3f32, |m, x| m.max(x.abs()));
    for (i, (a, b)) in found.iter().zip(expected).enumerate() {
        assert!((a - b).abs() <= tolerance * scale, "element {i}: {a} instead of {b} (largest {scale})");
    }
}

/// Weights the elements of `y` differently, so that no error in a gradient cancels.
pub fn pick(y: &T) -> T {
    random(y.shape(), "pick")
}

fn objective(y: &T) -> f64 {
    y.host().iter().zip(pick(y).host().iter()).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

/// Compares the gradients of `f` with central differences, for every input.
#[track_caller]
pub fn check(inputs: &[T], f: impl Fn(&mut Tape<Cpu>, &[T]) -> T) {
    check_with(1e-2, inputs, f);
}

/// [`check`] with another step: a small one where the function has kinks.
#[track_caller]
pub fn check_with(step: f32, inputs: &[T], f: impl Fn(&mut Tape<Cpu>, &[T]) -> T) {
    let mut tape = Tape::recording();
    let y = f(&mut tape, inputs);
    let grads = tape.backward(&y, pick(&y)).unwrap();
    for (n, input) in inputs.iter().enumerate().filter(|(_, t)| t.is_tracked()) {
        let found = grads.get(input).unwrap_or_else(|| panic!("no gradient reached input {n}")).to_vec();
        let numeric: Vec<f32> = (0..input.count())
            .map(|i| {
                let at = |by: f32| {
                    let mut values = input.to_vec();
                    values[i] += by;
                    let mut moved = inputs.to_vec();
                    moved[n] = Tensor::from_vec(&Cpu::default(), values, input.shape()).unwrap();
                    objective(&f(&mut Tape::off(), &moved))
                };
                ((at(step) - at(-step)) / f64::from(2.0 * step)) as f32
            })
            .collect();
        close(&found, &numeric, 5e-3);
    }
}
