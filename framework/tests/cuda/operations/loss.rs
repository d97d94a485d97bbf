//! Losses of class ids.

use super::compare::{classes, gpu, random};
use secateur::backend::{Backend, Cpu};
use secateur::tensor::Tensor;

#[test]
fn cross_entropy_agrees() {
    for (rows, columns) in [(1, 2), (3, 10), (33, 33), (128, 10), (257, 100), (5, 1000)] {
        for smoothing in [0.0, 0.1] {
            let ids = classes(rows, columns, "ids");
            compare!(format!("{rows} rows, {columns} classes, smoothing {smoothing}"), |device| {
                let logits = random(device, [rows, columns], "logits").scale(5.0).unwrap();
                let found = Backend::cross_entropy(&logits, &ids, smoothing, true).unwrap();
                let bare = Backend::cross_entropy(&logits, &ids, smoothing, false).unwrap();
                assert!(bare.grad.is_none());
                vec![found.grad.unwrap(), found.figures, bare.figures]
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
            let found = Backend::binary_cross_entropy(&logits, &ids, true).unwrap();
            vec![found.grad.unwrap(), found.figures]
        });
    }
}

#[test]
fn the_first_of_equal_logits_is_the_answer() {
    let logits = Tensor::from_vec(&gpu(), vec![1.0, 1.0, 0.0, 2.0, 2.0, 2.0], [3, 2]).unwrap();
    assert_eq!(Backend::cross_entropy(&logits, &[0, 1, 1], 0.0, false).unwrap().figures.to_vec()[1], 2.0);
}

#[test]
fn a_class_beyond_the_output_is_named_as_on_the_cpu() {
    let message = |e: secateur::Error| e.to_string();
    let gpu = Backend::cross_entropy(&random(&gpu(), [2, 2], "x"), &[1, 2], 0.0, true).map(drop).map_err(message);
    let cpu =
        Backend::cross_entropy(&random(&Cpu::default(), [2, 2], "x"), &[1, 2], 0.0, true).map(drop).map_err(message);
    assert_eq!(gpu, cpu);
    assert!(gpu.is_err());
}
