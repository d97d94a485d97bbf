//! Optimizer updates.

use crate::compare::{SIZES, gpu, mask, random};
use secateur::backend::{Cuda, OptimizerOps, Update, Updated};
use secateur::tensor::Tensor;

/// Parameters of these sizes, updated together.
fn check(rule: impl Fn(u64) -> Update, masked: bool, sizes: &[usize]) {
    compare!(format!("{:?}, {} parameters, masked: {masked}", rule(1), sizes.len()), |device| {
        let mut weights: Vec<_> = sizes.iter().map(|&n| random(device, [n], &format!("weight {n}"))).collect();
        let masks: Vec<_> = sizes.iter().map(|&n| masked.then(|| mask(device, [n], "mask"))).collect();
        let zeros = |w: &Tensor<_>| w.scale(0.0).unwrap();
        let mut states: Vec<Vec<_>> =
            weights.iter().map(|w| (0..rule(1).slots()).map(|_| zeros(w)).collect()).collect();
        let scale = Tensor::from_vec(device, vec![0.7], [1]).unwrap();
        for step in 1..4 {
            let grads: Vec<_> = sizes.iter().map(|&n| random(device, [n], &format!("gradient {step} {n}"))).collect();
            let mut params: Vec<_> = (weights.iter_mut().zip(&mut states).zip(&grads).zip(&masks).enumerate())
                .map(|(i, (((weight, state), grad), mask))| Updated {
                    rule: rule(step).for_param(i % 2 == 0, step),
                    weight,
                    state,
                    grad,
                    mask: mask.as_ref(),
                })
                .collect();
            OptimizerOps::update(&mut params, (step > 1).then_some(&scale)).unwrap();
        }
        states.into_iter().flatten().chain(weights).collect::<Vec<_>>()
    });
}

#[test]
fn sgd_agrees() {
    for (momentum, nesterov) in [(0.0, false), (0.9, false), (0.9, true)] {
        for masked in [false, true] {
            check(|_| Update::Sgd { lr: 0.1, momentum, weight_decay: 0.01, nesterov }, masked, &SIZES);
        }
    }
}

fn adam(decoupled: bool) -> impl Fn(u64) -> Update {
    move |t| Update::Adam { lr: 1e-2, beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.05, decoupled, t }
}

#[test]
fn adam_agrees() {
    for decoupled in [false, true] {
        for masked in [false, true] {
            check(adam(decoupled), masked, &SIZES);
        }
    }
}

#[test]
fn more_parameters_than_one_launch_takes_agree() {
    check(adam(false), false, &(1..=70).collect::<Vec<_>>());
    check(adam(false), true, &[20_000, 5]);
}

#[test]
fn gradients_are_clipped_to_the_same_norm() {
    for limit in [0.5, 1e6] {
        compare!(format!("limit {limit}"), |device| {
            let grads: Vec<_> = (1..=60).map(|n| random(device, [37 * n], &format!("gradient {n}"))).collect();
            vec![OptimizerOps::clip_scale(&grads.iter().collect::<Vec<_>>(), limit).unwrap()]
        });
    }
    let grads = [1.0, f32::NAN].map(|v| Tensor::from_vec(&gpu(), vec![v], [1]).unwrap());
    let found = Cuda::clip_scale(&[&grads[0], &grads[1]], 1.0).unwrap().to_vec();
    assert!(
        found[0].is_nan() && found[1].is_nan(),
        "a norm that is no number must not pass for a small one: {found:?}"
    );
}
