//! Contributions of units.

use crate::compare::{gpu, random};
use secateur::backend::{Backend, Contribution, ContributionOps};
use secateur::tensor::Tensor;

/// ReLU layers have many exact zeros.
fn activations<B: Backend>(device: &B, shape: [usize; 2], is_signed: bool) -> Tensor<B> {
    let x = random(device, shape, "activations");
    let values = x.host().iter().map(|&v| if v > 0.3 || (is_signed && v < -0.6) { v } else { 0.0 }).collect();
    Tensor::from_vec(device, values, shape).unwrap()
}

#[test]
fn sums_and_maxima_agree() {
    for (samples, units, fed) in [(1, 1, 1), (3, 33, 5), (65, 64, 16), (300, 50, 30), (130, 129, 70)] {
        for eps in [None, Some(1e-2)] {
            compare!(format!("{samples} samples, {units} units feed {fed}, {eps:?}"), |device| {
                let (a, w) = (activations(device, [samples, units], eps.is_some()), random(device, [fed, units], "w"));
                let Contribution { sum, max, count } = ContributionOps::contribution(&a, &w, eps, true).unwrap();
                let bare = ContributionOps::contribution(&a, &w, eps, false).unwrap();
                assert_eq!((count, bare.count, bare.max.is_none()), ((samples * fed) as u64, count, true));
                vec![sum, max.unwrap(), bare.sum]
            });
        }
    }
}

#[test]
fn a_dead_layer_contributes_zero() {
    let (a, w) = (Tensor::zeros(&gpu(), [5, 3]).unwrap(), random(&gpu(), [4, 3], "w"));
    let found = ContributionOps::contribution(&a, &w, None, true).unwrap();
    assert_eq!((found.sum.to_vec(), found.max.unwrap().to_vec()), (vec![0.0; 3], vec![0.0; 3]));
    assert!(ContributionOps::contribution(&a, &random(&gpu(), [4, 2], "w"), None, true).is_err());
}
