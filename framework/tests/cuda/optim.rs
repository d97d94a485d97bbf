//! Optimizer updates.

use super::compare::{SIZES, mask, random};
use secateur::backend::{Backend, Update};

fn check(rule: impl Fn(u64) -> Update, masked: bool, n: usize) {
    compare!(format!("{:?}, {n} weights, masked: {masked}", rule(1)), |device| {
        let mut weight = random(device, [n], "w");
        let mask = masked.then(|| mask(device, [n], "mask"));
        let mut state: Vec<_> = (0..rule(1).slots()).map(|_| random(device, [n], "w").scale(0.0).unwrap()).collect();
        for step in 1..4 {
            let grad = random(device, [n], &format!("gradient {step}"));
            Backend::update(rule(step), &mut weight, &mut state, &grad, mask.as_ref(), 0.7).unwrap();
        }
        state.push(weight);
        state
    });
}

#[test]
fn sgd_agrees() {
    for n in SIZES {
        for (momentum, nesterov) in [(0.0, false), (0.9, false), (0.9, true)] {
            for masked in [false, true] {
                check(|_| Update::Sgd { lr: 0.1, momentum, weight_decay: 0.01, nesterov }, masked, n);
            }
        }
    }
}

#[test]
fn adam_agrees() {
    for n in SIZES {
        for decoupled in [false, true] {
            for masked in [false, true] {
                let rule = |t| Update::Adam {
                    lr: 1e-2,
                    beta1: 0.9,
                    beta2: 0.999,
                    eps: 1e-8,
                    weight_decay: 0.05,
                    decoupled,
                    t,
                };
                check(rule, masked, n);
            }
        }
    }
}
