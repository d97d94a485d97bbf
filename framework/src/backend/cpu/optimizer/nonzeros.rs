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

/// The nonzeros of each part of a weight, by their positions in the weight.
fn parts(positions: &[u32], len: usize) -> impl Iterator<Item = (usize, &[u32])> {
    let mut rest = positions;
    (0..len).step_by(PART).map(move |first| {
        let (here, after) = rest.split_at(rest.partition_point(|&at| (at as usize) < first + PART));
        rest = after;
        (first, here)
    })
}

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

/// As [`sgd`](super::sgd()), for the elements at these positions, in rising order.
pub(super) fn sgd(
    sgd: &Sgd,
    positions: &[u32],
    weight: &mut [f32],
    grad: &[f32],
    velocity: Option<&mut [f32]>,
    grad_scale: f32,
) {
    assert_eq!(weight.len(), grad.len(), "gradient of another length");
    let velocity = velocity.filter(|_| sgd.momentum != 0.0);
    assert!(sgd.momentum == 0.0 || velocity.as_ref().is_some_and(|v| v.len() == grad.len()), "a velocity for momentum");
    let (work, count) = (16 * positions.len(), grad.len().div_ceil(PART));
    let pieces = parts(positions, grad.len()).zip(weight.chunks_mut(PART)).zip(grad.chunks(PART));
    let pieces = pieces.zip(par::chunks_mut_or_none(velocity, PART, count));
    par::for_each(work, pieces, |((((first, positions), weight), grad), mut velocity)| {
        let (mut w, mut g, mut v) = ([0.0; TOGETHER], [0.0; TOGETHER], [0.0; TOGETHER]);
        for at in positions.chunks(TOGETHER) {
            gather(&mut w, weight, at, first);
            gather(&mut g, grad, at, first);
            let n = at.len();
            if let Some(velocity) = &mut velocity {
                gather(&mut v, velocity, at, first);
                sgd_momentum_piece(&mut w[..n], &g[..n], &mut v[..n], None, *sgd, grad_scale);
                scatter(&v, velocity, at, first);
            } else {
                sgd_piece(&mut w[..n], &g[..n], None, *sgd, grad_scale);
            }
            scatter(&w, weight, at, first);
        }
    });
}

/// As [`adam`](super::adam()), for the elements at these positions, in rising order.
pub(super) fn adam(
    adam: &Adam,
    step: u64,
    positions: &[u32],
    weight: &mut [f32],
    grad: &[f32],
    (first_moment, second_moment): (&mut [f32], &mut [f32]),
    grad_scale: f32,
) {
    let n = weight.len();
    assert!([grad.len(), first_moment.len(), second_moment.len()] == [n; 3], "gradient or moments of another length");
    let factors = AdamFactors::new(adam, step, grad_scale);
    let pieces = parts(positions, n).zip(weight.chunks_mut(PART)).zip(grad.chunks(PART));
    let pieces = pieces.zip(first_moment.chunks_mut(PART).zip(second_moment.chunks_mut(PART)));
    par::for_each(32 * positions.len(), pieces, |((((first, positions), weight), grad), (mean, square))| {
        let (mut w, mut g) = ([0.0; TOGETHER], [0.0; TOGETHER]);
        let (mut m, mut v) = ([0.0; TOGETHER], [0.0; TOGETHER]);
        for at in positions.chunks(TOGETHER) {
            gather(&mut w, weight, at, first);
            gather(&mut g, grad, at, first);
            gather(&mut m, mean, at, first);
            gather(&mut v, square, at, first);
            let n = at.len();
            adam_piece(&mut w[..n], &g[..n], &mut m[..n], &mut v[..n], None, factors);
            scatter(&w, weight, at, first);
            scatter(&m, mean, at, first);
            scatter(&v, square, at, first);
        }
    });
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
            // Masked zeros may differ in their sign.
            let same = |a: &[f32], b: &[f32]| {
                assert!(a == b && (positions.iter().all(|i| a[*i as usize].to_bits() == b[*i as usize].to_bits())))
            };
            at_each_level(|| {
                for (momentum, nesterov) in [(0.0, false), (0.9, false), (0.9, true)] {
                    let rule = Sgd { lr: 0.1, momentum, nesterov, weight_decay: 1e-3 };
                    let (mut a, mut b) = ((masked(1), masked(2)), (masked(1), masked(2)));
                    dense_sgd(&rule, &mut a.0, &grad, Some(&mut a.1), Some(&mask), 0.5);
                    sgd(&rule, &positions, &mut b.0, &grad, Some(&mut b.1), 0.5);
                    same(&a.0, &b.0);
                    same(&a.1, &b.1);
                }
                for decoupled in [false, true] {
                    let rule = Adam { lr: 1e-3, beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.01, decoupled };
                    let (mut a, mut b) = ((masked(1), masked(2), square(4)), (masked(1), masked(2), square(4)));
                    dense_adam(&rule, 3, &mut a.0, &grad, (&mut a.1, &mut a.2), Some(&mask), 0.5);
                    adam(&rule, 3, &positions, &mut b.0, &grad, (&mut b.1, &mut b.2), 0.5);
                    same(&a.0, &b.0);
                    same(&a.1, &b.1);
                    same(&a.2, &b.2);
                }
            });
        }
    }
}
