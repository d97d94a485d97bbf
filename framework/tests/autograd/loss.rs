//! Losses on the tape against finite differences, and class ids that no logit is for.

use crate::common::{check, random};
use secateur::backend::{Act, ActivationOps as _, Cpu, LossOps as _, squared_error, squared_error_of_classes};
use secateur::tensor::Tensor;

#[test]
fn gradients_of_a_variational_loss_agree_with_finite_differences() {
    let (mu, logvar, noise) = (random([3, 4], "mu"), random([3, 4], "logvar"), random([3, 4], "noise").tracked(false));
    check(&[mu.clone(), logvar.clone()], |t, i| t.reparametrise(&i[0], &i[1], &noise).unwrap());
    check(&[mu, logvar], |t, i| t.gaussian_kld(&i[0], &i[1], 0.5).unwrap());
    let targets = Cpu::activation(Act::Sigmoid, &random([3, 4], "targets")).unwrap().tracked(false);
    check(&[random([3, 4], "logits")], |t, i| {
        let once = t.bce_logits(&i[0], &targets, 0.5).unwrap();
        t.add(&once, &once).unwrap()
    });
}

#[test]
fn gradients_of_a_squared_error_agree_with_finite_differences() {
    let (outputs, targets) = (random([5, 1], "outputs"), random([5], "targets").to_vec());
    let classes = [0, 1, 1, 0, 1];
    let of = |values: Vec<f32>, real: bool, grad| {
        let outputs = Tensor::from_vec(&Cpu::default(), values, [5, 1]).unwrap();
        let real = real.then(|| squared_error(&outputs, &targets, grad).unwrap());
        real.unwrap_or_else(|| squared_error_of_classes(&outputs, &classes, grad).unwrap())
    };
    for real in [true, false] {
        let found = of(outputs.to_vec(), real, true).grad.unwrap();
        assert_eq!(found.shape(), outputs.shape());
        for i in 0..5 {
            // A square has no third derivative: a wide difference is exact but for rounding.
            let at = |by: f32| {
                let mut values = outputs.to_vec();
                values[i] += by;
                of(values, real, false).value()
            };
            let expected = (at(0.25) - at(-0.25)) / 0.5;
            assert!((f64::from(found.to_vec()[i]) - expected).abs() < 1e-5, "{i}: {found:?} and {expected}");
        }
    }
}

#[test]
fn a_squared_error_is_the_mean_square_and_counts_right_signs_of_classes_alone() {
    let outputs = Tensor::from_vec(&Cpu::default(), vec![0.5, -2.0, 0.0, 0.0], [4, 1]).unwrap();
    let real = squared_error(&outputs, &[1.0, 1.0, 0.0, -3.0], false).unwrap();
    assert_eq!((real.metrics.to_vec(), real.grad.is_none()), (vec![(0.25 + 9.0 + 0.0 + 9.0) / 4.0], true));
    // A zero is said to be class 0, as under the binary cross-entropy.
    let classes = squared_error_of_classes(&outputs, &[1, 1, 0, 1], false).unwrap();
    assert_eq!(classes.metrics.to_vec(), [(0.25 + 9.0 + 1.0 + 1.0) / 4.0, 2.0]);
    let binary = Cpu::binary_cross_entropy(&outputs, &[1, 1, 0, 1], false).unwrap();
    assert_eq!(binary.metrics.to_vec()[1], 2.0);
    let text = squared_error(&outputs, &[1.0], false).map(drop).unwrap_err().to_string();
    assert!(text.contains("squared error") && text.contains("for 1 examples"), "{text}");
    let text = squared_error_of_classes(&outputs, &[0, 2, 0, 0], false).map(drop).unwrap_err().to_string();
    assert!(text.contains("row 1 has class 2"), "{text}");
}

#[test]
fn a_class_beyond_the_output_is_named() {
    let error = Cpu::cross_entropy(&random([2, 2], "logits"), &[1, 2], 0.0, false).map(drop).unwrap_err().to_string();
    assert!(error.contains("row 1 has class 2, but the network's output has 2 classes (0 to 1)"), "{error}");
}
