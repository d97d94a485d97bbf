//! Optimizer steps over the nonzeros of a weight alone; weight and state are zero elsewhere, and stay so.
//!
//! What lies apart in memory is brought together, and goes through the same code as a dense weight does, so that a
//! nonzero gets the same bits.

use super::{Adam, AdamFactors, Sgd, adam_piece, sgd_momentum_piece, sgd_piece};
use crate::backend::cpu::common::par;

/// Elements of the weight that one task looks after.
const PART: usize = 1 << 15;
/// Nonzeros that are brought together at a time.
const TOGETHER: usize = 256;

type Numbers = [f32; TOGETHER];

fn gather(to: &mut Numbers, from: &[f32], at: &[u32], first: usize) {
    for (to, &at) in to.iter_mut().zip(at) {
        *to = from[at as usize - first];
    }
}

fn scatter(from: &Numbers, to: &mut [f32], at: &[u32], first: usize) {
    for (from, &at) in from.iter().zip(at) {
        to[at as usize - first] = *from;
    }
}

/// Takes the first of what is left.
fn next<'s, const N: usize>(state: &mut [&'s mut [f32]; N], count: usize) -> [&'s mut [f32]; N] {
    state.each_mut().map(|state| state.split_off_mut(..count).unwrap_or_default())
}

/// Runs `step` on weights, gradients and state of a few nonzeros after the other. `state` has a number for each nonzero,
/// the other slices for each element of the weight; `positions` rise.
fn each<const N: usize>(
    positions: &[u32],
    weight: &mut [f32],
    grad: &[f32],
    mut state: [&mut [f32]; N],
    step: impl Fn(&mut [f32], &[f32], [&mut [f32]; N]) + Send + Sync,
) {
    assert_eq!(weight.len(), grad.len(), "gradient of another length");
    assert!(state.iter().all(|state| state.len() == positions.len()), "state for other nonzeros");
    let mut rest = positions;
    let parts = (0..grad.len()).step_by(PART).map(|first| {
        let (here, after) = rest.split_at(rest.partition_point(|&at| (at as usize) < first + PART));
        rest = after;
        (first, here, next(&mut state, here.len()))
    });
    let pieces = parts.zip(weight.chunks_mut(PART)).zip(grad.chunks(PART));
    par::for_each(32 * positions.len(), pieces, |(((first, positions, mut state), weight), grad)| {
        let (mut w, mut g) = ([0.0; TOGETHER], [0.0; TOGETHER]);
        for at in positions.chunks(TOGETHER) {
            gather(&mut w, weight, at, first);
            gather(&mut g, grad, at, first);
            step(&mut w[..at.len()], &g[..at.len()], next(&mut state, at.len()));
            scatter(&w, weight, at, first);
        }
    });
}

/// As [`sgd`](super::sgd()), for the elements at these positions, in rising order; the velocity is theirs alone.
pub(super) fn sgd(
    sgd: &Sgd,
    positions: &[u32],
    weight: &mut [f32],
    grad: &[f32],
    velocity: Option<&mut [f32]>,
    grad_scale: f32,
) {
    if sgd.momentum == 0.0 {
        return each(positions, weight, grad, [], |w, g, []| sgd_piece(w, g, None, *sgd, grad_scale));
    }
    let velocity = velocity.unwrap_or_default();
    each(positions, weight, grad, [velocity], |w, g, [v]| sgd_momentum_piece(w, g, v, None, *sgd, grad_scale));
}

/// As [`adam`](super::adam()), for the elements at these positions, in rising order; the moments are theirs alone.
pub(super) fn adam(
    adam: &Adam,
    step: u64,
    positions: &[u32],
    weight: &mut [f32],
    grad: &[f32],
    (first, second): (&mut [f32], &mut [f32]),
    grad_scale: f32,
) {
    let factors = AdamFactors::new(adam, step, grad_scale);
    each(positions, weight, grad, [first, second], |w, g, [m, v]| adam_piece(w, g, m, v, None, factors));
}

#[cfg(test)]
mod tests {
    use super::super::{adam as dense_adam, sgd as dense_sgd};
    use super::*;
    use crate::backend::cpu::common::testing::{at_each_level, random};

    #[test]
    fn nonzeros_get_the_bits_of_the_masked_dense_step() {
        for (n, density) in [(1, 1.0), (300, 0.0), (300, 1.0), (70_001, 0.05), (70_001, 0.4)] {
            let mask: Vec<f32> = random(n, 3).iter().map(|x| f32::from(x + 1.0 < 2.0 * density)).collect();
            let positions: Vec<u32> = (0..n as u32).filter(|i| mask[*i as usize] == 1.0).collect();
            let masked = |seed| -> Vec<f32> { random(n, seed).iter().zip(&mask).map(|(x, m)| x * m).collect() };
            let square = |seed| masked(seed).iter().map(|x| x * x).collect::<Vec<_>>();
            let grad = random(n, 9);
            let kept = |all: &[f32]| -> Vec<f32> { positions.iter().map(|i| all[*i as usize]).collect() };
            let bits = |all: &[f32]| -> Vec<u32> { all.iter().map(|x| x.to_bits()).collect() };
            // Masked zeros may differ in their sign.
            let same = |a: &[f32], b: &[f32]| {
                assert!(a == b && (positions.iter().all(|i| a[*i as usize].to_bits() == b[*i as usize].to_bits())))
            };
            at_each_level(|| {
                for (momentum, nesterov) in [(0.0, false), (0.9, false), (0.9, true)] {
                    let rule = Sgd { lr: 0.1, momentum, nesterov, weight_decay: 1e-3 };
                    let (mut a, mut b) = ((masked(1), masked(2)), (masked(1), masked(2)));
                    dense_sgd(&rule, &mut a.0, &grad, Some(&mut a.1), Some(&mask), 0.5);
                    let mut velocity = kept(&b.1);
                    sgd(&rule, &positions, &mut b.0, &grad, Some(&mut velocity), 0.5);
                    same(&a.0, &b.0);
                    assert_eq!(bits(&kept(&a.1)), bits(&velocity));
                }
                for decoupled in [false, true] {
                    let rule = Adam { lr: 1e-3, beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.01, decoupled };
                    let (mut a, mut b) = ((masked(1), masked(2), square(4)), (masked(1), masked(2), square(4)));
                    dense_adam(&rule, 3, &mut a.0, &grad, (&mut a.1, &mut a.2), Some(&mask), 0.5);
                    let (mut first, mut second) = (kept(&b.1), kept(&b.2));
                    adam(&rule, 3, &positions, &mut b.0, &grad, (&mut first, &mut second), 0.5);
                    same(&a.0, &b.0);
                    assert_eq!((bits(&kept(&a.1)), bits(&kept(&a.2))), (bits(&first), bits(&second)));
                }
            });
        }
    }
}
