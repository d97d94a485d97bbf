//! Contribution scores against the definition, written out.
#![allow(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;
use secateur::backend::{ContributionOps as _, Cpu};
use secateur::tensor::Tensor;

/// Average and maximum of |w_jk||a_k(f)| / sum_i |w_ji||a_i(f)| over samples f and fed units j.
fn plain(w: &[f32], a: &[f32], n: usize) -> (Vec<f64>, Vec<f64>) {
    let (m, f) = (w.len() / n, a.len() / n);
    let (mut average, mut largest) = (vec![0.0; n], vec![0.0f64; n]);
    for sample in 0..f {
        for j in 0..m {
            let part = |k: usize| f64::from(w[j * n + k].abs()) * f64::from(a[sample * n + k].abs());
            let total: f64 = (0..n).map(part).sum();
            for k in 0..n {
                let share = if total > 0.0 { part(k) / total } else { 0.0 };
                average[k] += share / (m * f) as f64;
                largest[k] = largest[k].max(share);
            }
        }
    }
    (average, largest)
}

fn scores(w: &[f32], a: &[f32], n: usize) -> (Vec<f64>, Vec<f32>) {
    let tensor = |v: &[f32]| Tensor::from_vec(&Cpu::default(), v.to_vec(), [v.len() / n, n]).unwrap();
    let found = Cpu::contribution(&tensor(a), &tensor(w), None, true).unwrap();
    let mean = found.sum.host().iter().map(|&s| f64::from(s) / found.count as f64).collect();
    (mean, found.max.unwrap().to_vec())
}

fn values(count: usize) -> impl Strategy<Value = Vec<f32>> {
    // ReLU layers have many exact zeros.
    prop::collection::vec(prop_oneof![1 => Just(0.0f32), 3 => -2.0f32..2.0], count)
}

proptest! {
    #[test]
    fn scores_agree_with_a_plain_triple_loop((n, w, a) in (1usize..9, 1usize..7, 1usize..12)
        .prop_flat_map(|(n, m, f)| (Just(n), values(m * n), values(f * n))))
    {
        let ((average, largest), (found, max)) = (plain(&w, &a, n), scores(&w, &a, n));
        for k in 0..n {
            prop_assert!((found[k] - average[k]).abs() <= 1e-5, "unit {}: {} instead of {}", k, found[k], average[k]);
            prop_assert!((f64::from(max[k]) - largest[k]).abs() <= 1e-5);
        }
    }
}

#[test]
fn average_contributions_of_a_layer_sum_to_one() {
    let w: Vec<f32> = (0..30 * 20).map(|i| ((i * 7919) % 101) as f32 / 50.0 - 1.0).collect();
    let a: Vec<f32> = (0..40 * 20).map(|i| ((i * 104_729) % 97) as f32 / 48.0 + 0.01).collect();
    let total: f64 = scores(&w, &a, 20).0.iter().sum();
    assert!((total - 1.0).abs() < 1e-6, "{total}");
}

#[test]
fn a_dead_layer_contributes_zero_and_never_nan() {
    let (average, max) = scores(&[0.5, -1.0, 2.0, 1.0], &[0.0; 6], 2);
    assert_eq!((average, max), (vec![0.0; 2], vec![0.0; 2]));
}
