//! Batch and layer normalisation.

use crate::compare::{gpu, random};
use secateur::backend::{Backend, BatchNorm, Cpu, Cuda, LayerGrads, NormOps, Slot};
use secateur::tensor::Tensor;

fn batch_norm<B: Backend>(device: &B, shape: &[usize], of_batch: bool, add: bool) -> Vec<Tensor<B>> {
    let channels = shape[1];
    // Far from zero: a variance that is the difference of two large sums would be wrong.
    let far = Tensor::from_vec(device, vec![30.0; shape.iter().product()], shape).unwrap();
    let x = random(device, shape, "x").add(&far).unwrap();
    let stats = B::channel_stats(&x).unwrap();
    let count = x.count() / channels;
    let running =
        B::running_stats(&stats, &B::channel_stats(&random(device, shape, "y")).unwrap(), count, 0.1).unwrap();
    let op = BatchNorm {
        x,
        gamma: random(device, [channels], "gamma"),
        beta: random(device, [channels], "beta"),
        stats: if of_batch { stats.clone() } else { running.clone() },
        of_batch,
        eps: 1e-3,
    };
    let y = B::batch_norm(&op).unwrap();
    let dy = random(device, y.shape(), "dy");
    let [mut dx, mut gamma, mut beta] =
        [&op.x, &op.gamma, &op.beta].map(|t| Slot(add.then(|| random(device, t.shape(), "before"))));
    let grads = LayerGrads { x: Some(&mut dx), w: Some(&mut gamma), b: Some(&mut beta) };
    B::batch_norm_backward(&op, &dy, grads).unwrap();
    let stats = [stats.mean, stats.variance, running.mean, running.variance, y];
    stats.into_iter().chain([dx.0, gamma.0, beta.0].into_iter().flatten()).collect()
}

#[test]
fn batch_normalisations_agree() {
    let shapes: [&[usize]; 7] =
        [&[4, 3, 8, 8], &[2, 1, 1, 3], &[33, 130], &[3, 5, 7, 9], &[2, 3, 65, 67], &[7, 33, 2, 2], &[2, 2, 96, 96]];
    for shape in shapes {
        for of_batch in [false, true] {
            compare!(format!("{shape:?}, {of_batch}"), |device| batch_norm(device, shape, of_batch, !of_batch));
        }
    }
}

#[test]
fn one_gradient_alone_is_the_same_one() {
    let device = gpu();
    let all = batch_norm(&device, &[4, 3, 8, 8], true, false);
    let x = random(&device, [4, 3, 8, 8], "x").add(&Tensor::from_vec(&device, vec![30.0; 768], [4, 3, 8, 8]).unwrap());
    let x = x.unwrap();
    let stats = Cuda::channel_stats(&x).unwrap();
    let (gamma, beta) = (random(&device, [3], "gamma"), random(&device, [3], "beta"));
    let op = BatchNorm { x, gamma, beta, stats, of_batch: true, eps: 1e-3 };
    let mut dx = Slot(None);
    let dy = random(&device, [4, 3, 8, 8], "dy");
    Cuda::batch_norm_backward(&op, &dy, LayerGrads { x: Some(&mut dx), w: None, b: None }).unwrap();
    assert_eq!(dx.0.unwrap().host(), all[5].host());
}

#[test]
fn inputs_without_channels_are_refused_as_on_the_cpu() {
    fn errors<B: Backend>(device: &B) -> [String; 2] {
        let (x, few) = (random(device, [2, 3, 4], "x"), random(device, [3], "few"));
        let layer = B::layer_norm(&x, &few, &few, 1e-5).map(drop).unwrap_err();
        [B::channel_stats(&random(device, [4], "other")).unwrap_err(), layer].map(|e| e.to_string())
    }
    assert_eq!(errors(&gpu()), errors(&Cpu::default()));
}

fn check_layer(rows: usize, n: usize, add: bool) {
    compare!(format!("[{rows}, {n}], added: {add}"), |device| {
        let x = random(device, [rows, n], "x").scale(3.0).unwrap();
        let (gamma, beta) = (random(device, [n], "gamma"), random(device, [n], "beta"));
        let (y, stats) = NormOps::layer_norm(&x, &gamma, &beta, 1e-5).unwrap();
        let dy = random(device, [rows, n], "dy");
        let (mut dx, mut dg) = (Slot(add.then(|| random(device, [rows, n], "gx"))), Slot(add.then(|| gamma.clone())));
        let mut db = Slot(add.then(|| beta.clone()));
        let grads = LayerGrads { x: Some(&mut dx), w: Some(&mut dg), b: Some(&mut db) };
        NormOps::layer_norm_backward(&x, &gamma, &stats, &dy, grads).unwrap();
        // Some gradients are not wanted: the others stay what they are.
        let (mut only_x, mut only_gamma) = (Slot(None), Slot(None));
        let grads = LayerGrads { x: Some(&mut only_x), w: None, b: None };
        NormOps::layer_norm_backward(&x, &gamma, &stats, &dy, grads).unwrap();
        let grads = LayerGrads { x: None, w: Some(&mut only_gamma), b: None };
        NormOps::layer_norm_backward(&x, &gamma, &stats, &dy, grads).unwrap();
        vec![
            y,
            stats,
            dx.0.unwrap(),
            dg.0.unwrap(),
            db.0.unwrap(),
            only_x.0.unwrap(),
            only_gamma.0.unwrap(),
            gamma,
            beta,
        ]
    });
}

#[test]
fn rows_of_any_length_agree() {
    for n in [3, 4, 31, 33, 64, 129, 192, 1000] {
        for rows in [1, 7, 65] {
            check_layer(rows, n, false);
            check_layer(rows, n, true);
        }
    }
}

#[test]
fn rows_of_one_and_two_agree() {
    // Their gradients with respect to the input are next to zero: no figure of them is right in both.
    for n in [1, 2] {
        compare!(format!("{n} features"), |device| {
            let x = random(device, [5, n], "x");
            let (gamma, beta) = (random(device, [n], "gamma"), random(device, [n], "beta"));
            let (y, stats) = NormOps::layer_norm(&x, &gamma, &beta, 1e-5).unwrap();
            [y, stats]
        });
    }
}

#[test]
fn many_rows_and_long_rows_agree() {
    check_layer(8320, 12, false);
    check_layer(5000, 33, true);
    check_layer(9, 7001, false);
}

#[test]
fn no_rows_give_zero_gradients() {
    check_layer(0, 8, false);
}
