//! The lowest scores, marked on the device.

use crate::compare::{gpu, mask, random};
use secateur::backend::{Backend, Cuda, RankingOps};
use secateur::tensor::Tensor;

/// Scores with many equal ones, both zeros among them.
fn scores<B: Backend>(device: &B, n: usize, name: &str) -> Tensor<B> {
    let values = random(device, [n], name).to_vec().iter().map(|v| (v * 4.0).trunc() / 4.0).collect();
    Tensor::from_vec(device, values, [n]).unwrap()
}

#[test]
fn the_same_weights_stay_as_on_the_cpu() {
    for (sizes, of) in [(vec![1], 1), (vec![33, 5000, 1], 5034), (vec![2048, 2049, 300], 4397)] {
        for tied in [false, true] {
            for dead in [false, true] {
                for total in [0, 1, of / 3, of - 1, of, of + 7] {
                    compare!(format!("{total} of {sizes:?}, ties: {tied}, dead ones: {dead}"), |device| {
                        let named = |n: &usize| format!("scores {n}");
                        let list = |n: &usize| match tied {
                            true => scores(device, *n, &named(n)),
                            false => random(device, [*n], &named(n)),
                        };
                        let lists: Vec<_> = sizes.iter().map(list).collect();
                        let alive: Vec<_> =
                            sizes.iter().map(|n| (dead && n % 2 == 1).then(|| mask(device, [*n], "alive"))).collect();
                        RankingOps::keep_best(&lists, &alive, total).unwrap()
                    });
                }
            }
        }
    }
}

#[test]
fn extreme_scores_are_ranked_too() {
    let values = vec![f32::MAX, -f32::MAX, f32::MIN_POSITIVE, 1e-45, -1e-45, 0.0, -0.0, 1.0];
    let scores = Tensor::from_vec(&gpu(), values, [8]).unwrap();
    let kept = |n| Cuda::keep_best(std::slice::from_ref(&scores), &[None], n).unwrap()[0].to_vec();
    assert_eq!(kept(2), [1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]);
    assert_eq!(kept(7), [1.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]);
}
