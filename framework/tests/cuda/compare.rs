//! The same operation on both devices.

use super::emulator;
use rand::RngExt as _;
use secateur::backend::{Backend, Cpu, Cuda, cuda};
use secateur::seed::Seed;
use secateur::tensor::{Shape, Tensor};

/// Extents that fit no tile, and some that do.
pub const SIZES: [usize; 6] = [1, 3, 32, 33, 128, 257];

/// The GPU.
pub fn gpu() -> Cuda {
    if !emulator::is_real() {
        emulator::open();
    }
    cuda::cuda(0).unwrap()
}

/// Values in -1..1 that depend on the name, on any device.
pub fn random<B: Backend>(device: &B, shape: impl Into<Shape>, name: &str) -> Tensor<B> {
    let shape = shape.into();
    let mut rng = Seed(11).stream("cuda", &[name]);
    let values = (0..shape.count()).map(|_| rng.random_range(-1.0f32..1.0)).collect();
    Tensor::from_vec(device, values, shape).unwrap()
}

/// Zeros and ones.
pub fn mask<B: Backend>(device: &B, shape: impl Into<Shape>, name: &str) -> Tensor<B> {
    let t = random(device, shape, name);
    let values = t.host().iter().map(|v| f32::from(u8::from(*v > -0.3))).collect();
    Tensor::from_vec(device, values, t.shape()).unwrap()
}

/// Class ids below `classes`.
pub fn classes(count: usize, classes: usize, name: &str) -> Vec<u32> {
    let mut rng = Seed(12).stream("cuda", &[name]);
    (0..count).map(|_| rng.random_range(0..classes as u32)).collect()
}

/// Relative error in norm; infinite where `found` has another shape or is not finite.
pub fn error(found: &[f32], expected: &[f32]) -> f64 {
    if found.len() != expected.len() || found.iter().any(|x| !x.is_finite()) {
        return f64::INFINITY;
    }
    let norm = |x: &mut dyn Iterator<Item = f64>| x.map(|x| x * x).sum::<f64>().sqrt();
    let apart = norm(&mut found.iter().zip(expected).map(|(a, b)| f64::from(*a) - f64::from(*b)));
    let size = norm(&mut expected.iter().map(|x| f64::from(*x)));
    if apart == 0.0 { 0.0 } else { apart / size.max(1e-30) }
}

/// Asserts that tensors agree: shapes, and values within a relative error in norm of 1e-4.
#[track_caller]
pub fn agree(what: &str, found: &[Tensor<Cuda>], expected: &[Tensor<Cpu>]) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (i, (f, e)) in found.iter().zip(expected).enumerate() {
        assert_eq!(f.shape(), e.shape(), "{what}: shape of result {i}");
        let error = error(&f.host(), &e.host());
        assert!(error < 1e-4, "{what}: result {i} of shape {} differs by {error:.2e}", f.shape());
    }
}

/// `compare!("what", |device| tensors)`: evaluates the block on the CPU and on the GPU, and asserts that its tensors
/// agree.
///
/// Operations are called on the trait, as in `LinearOps::linear(&op, true)`, so that the block fits both devices.
macro_rules! compare {
    ($what:expr, |$device:ident| $tensors:expr) => {{
        let expected: Vec<secateur::tensor::Tensor<secateur::backend::Cpu>> = {
            let $device = &secateur::backend::Cpu::default();
            $tensors.into()
        };
        let found: Vec<secateur::tensor::Tensor<secateur::backend::Cuda>> = {
            let $device = &$crate::compare::gpu();
            $tensors.into()
        };
        $crate::compare::agree(&format!("{}", $what), &found, &expected);
        // A second time: the same bits.
        let again: Vec<secateur::tensor::Tensor<secateur::backend::Cuda>> = {
            let $device = &$crate::compare::gpu();
            $tensors.into()
        };
        for (i, (a, b)) in again.iter().zip(&found).enumerate() {
            assert!(a.host() == b.host(), "{}: result {i} has other bits when computed again", $what);
        }
    }};
}
