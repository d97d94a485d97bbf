//! Sums along an axis, and of everything.

use crate::compare::{gpu, mask, random};
use secateur::backend::{Cuda, Reduce, TensorOps};
use secateur::tensor::Tensor;

const HOW: [Reduce; 5] = [Reduce::Sum, Reduce::L1, Reduce::L2, Reduce::Mean, Reduce::Max];

#[test]
fn sums_along_an_axis_agree() {
    for shape in [vec![1], vec![3, 33], vec![257, 5, 7], vec![2, 1000, 1], vec![4, 3, 3, 3]] {
        for axis in 0..shape.len() {
            for how in HOW {
                compare!(format!("{how:?} of axis {axis} of {shape:?}"), |device| {
                    vec![random(device, &shape[..], "x").reduce(how, axis).unwrap()]
                });
            }
        }
    }
    assert!(random(&gpu(), [3], "x").reduce(Reduce::Sum, 1).is_err());
}

#[test]
fn squares_are_summed_in_double_precision() {
    for n in [1, 33, 5000, 300_001] {
        compare!(format!("{n} elements"), |device| {
            let sum = TensorOps::norm_squared(&random(device, [n], "x")).unwrap();
            vec![Tensor::from_vec(device, vec![sum as f32], [1]).unwrap()]
        });
    }
    // The number of ones, exactly: masks are counted by it.
    let ones = mask(&gpu(), [100_003], "mask");
    let count = ones.host().iter().filter(|v| **v == 1.0).count();
    assert_eq!(Cuda::norm_squared(&ones).unwrap(), count as f64);
}
