//! Recorded normalisation against finite differences.

use crate::common::{check, random};
use secateur::backend::{BatchNorm, ChannelStats, Cpu, NormOps as _};
use secateur::tensor::Tensor;

#[test]
fn gradients_of_batch_norm_agree_with_finite_differences() {
    let variance = Tensor::from_vec(&Cpu::default(), vec![0.5, 1.0, 2.0], [3]).unwrap();
    let running = ChannelStats { mean: random([3], "mean").tracked(false), variance };
    for x in [random([4, 3, 2, 3], "x"), random([6, 3], "x")] {
        for of_batch in [true, false] {
            check(&[x.clone(), random([3], "gamma"), random([3], "beta")], |t, i| {
                let stats = if of_batch { Cpu::channel_stats(&i[0]).unwrap() } else { running.clone() };
                let (x, gamma, beta) = (i[0].clone(), i[1].clone(), i[2].clone());
                t.batch_norm(BatchNorm { x, gamma, beta, stats, of_batch, eps: 1e-5 }).unwrap()
            });
        }
    }
}

#[test]
fn gradients_of_layer_norm_agree_with_finite_differences() {
    check(&[random([5, 6], "x"), random([6], "gamma"), random([6], "beta")], |t, i| {
        t.layer_norm(&i[0], &i[1], &i[2], 1e-5).unwrap()
    });
}
