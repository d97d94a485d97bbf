//! Losses of class ids, and the parts of a variational loss.

use crate::compare::{classes, gpu, random};
use secateur::backend::{Backend, Cpu, LossOps, squared_error, squared_error_of_classes};
use secateur::tensor::Tensor;

#[test]
fn cross_entropy_agrees() {
    for (rows, columns) in [(1, 2), (3, 10), (33, 33), (128, 10), (257, 100), (5, 1000)] {
        for smoothing in [0.0, 0.1] {
            let ids = classes(rows, columns, "ids");
            compare!(format!("{rows} rows, {columns} classes, smoothing {smoothing}"), |device| {
                let logits = random(device, [rows, columns], "logits").scale(5.0).unwrap();
                let found = LossOps::cross_entropy(&logits, &ids, smoothing, true).unwrap();
                let bare = LossOps::cross_entropy(&logits, &ids, smoothing, false).unwrap();
                assert!(bare.grad.is_none());
                vec![found.grad.unwrap(), found.metrics, bare.metrics]
            });
        }
    }
}

#[test]
fn binary_cross_entropy_agrees() {
    for rows in [1, 33, 300] {
        let ids = classes(rows, 2, "binary");
        compare!(format!("{rows} rows"), |device| {
            let logits = random(device, [rows, 1], "logits").scale(20.0).unwrap();
            let found = LossOps::binary_cross_entropy(&logits, &ids, true).unwrap();
            vec![found.grad.unwrap(), found.metrics]
        });
    }
}

#[test]
fn squared_errors_agree() {
    for rows in [1, 33, 300] {
        let ids = classes(rows, 2, "signs");
        let targets: Vec<f32> = (0..rows).map(|i| (i % 7) as f32 - 3.0).collect();
        compare!(format!("{rows} rows"), |device| {
            let outputs = random(device, [rows, 1], "outputs").scale(3.0).unwrap();
            let real = squared_error(&outputs, &targets, true).unwrap();
            let signs = squared_error_of_classes(&outputs, &ids, true).unwrap();
            vec![real.grad.unwrap(), real.metrics, signs.grad.unwrap(), signs.metrics]
        });
    }
}

#[test]
fn the_first_of_equal_logits_is_the_answer() {
    let logits = Tensor::from_vec(&gpu(), vec![1.0, 1.0, 0.0, 2.0, 2.0, 2.0], [3, 2]).unwrap();
    assert_eq!(LossOps::cross_entropy(&logits, &[0, 1, 1], 0.0, false).unwrap().metrics.to_vec()[1], 2.0);
}

#[test]
fn a_class_beyond_the_output_is_named_as_on_the_cpu() {
    let message = |e: secateur::Error| e.to_string();
    let gpu = LossOps::cross_entropy(&random(&gpu(), [2, 2], "x"), &[1, 2], 0.0, true).map(drop).map_err(message);
    let cpu =
        LossOps::cross_entropy(&random(&Cpu::default(), [2, 2], "x"), &[1, 2], 0.0, true).map(drop).map_err(message);
    assert_eq!(gpu, cpu);
    assert!(gpu.is_err());
}

fn losses<B: Backend>(device: &B, n: usize) -> Vec<Tensor<B>> {
    let (a, b, c) = (random(device, [n], "a").scale(3.0).unwrap(), random(device, [n], "b"), random(device, [n], "c"));
    let (bce, dx) = B::bce_logits(&a, &b, 0.5, true).unwrap();
    let (bce_alone, none) = B::bce_logits(&a, &b, 0.5, false).unwrap();
    assert!(none.is_none());
    let (kld, both) = B::gaussian_kld(&a, &b, 0.25, true).unwrap();
    let (kld_alone, none) = B::gaussian_kld(&a, &b, 0.25, false).unwrap();
    assert!(none.is_none());
    let z = B::reparametrise(&a, &b, &c).unwrap();
    let back = B::reparametrise_backward(&b, &c, &a).unwrap();
    [bce, bce_alone, kld, kld_alone, z, back].into_iter().chain(dx.unwrap()).chain(both.unwrap()).collect()
}

#[test]
fn variational_losses_agree() {
    for n in [1, 3, 33, 257, 1025, 100_003] {
        compare!(format!("{n} elements"), |device| losses(device, n));
    }
}

#[test]
fn operands_that_do_not_fit_are_refused_as_on_the_cpu() {
    fn errors<B: Backend>(device: &B) -> Vec<String> {
        let (x, other) = (random(device, [1, 2, 3, 3], "x"), random(device, [4], "other"));
        vec![
            B::bce_logits(&x, &other, 1.0, true).unwrap_err().to_string(),
            B::reparametrise(&x, &x, &other).unwrap_err().to_string(),
        ]
    }
    assert_eq!(errors(&gpu()), errors(&Cpu::default()));
}
