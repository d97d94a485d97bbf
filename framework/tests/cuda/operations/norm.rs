//! Pooling, batch normalisation, variational losses.

use super::compare::{gpu, random};
use secateur::backend::images::{BatchNorm, ImageOps, Pool, Pooling};
use secateur::backend::vision::LayerGrads;
use secateur::backend::{Backend, Cpu, Cuda, Slot};
use secateur::tensor::Tensor;

const POOLINGS: [(usize, usize, usize); 5] = [(2, 2, 0), (3, 2, 1), (3, 1, 1), (4, 4, 2), (2, 3, 0)];

fn pooling<B: Backend>(device: &B, x: [usize; 4], pool: Pool, add: bool) -> Vec<Tensor<B>> {
    let x = random(device, x, "x");
    let (y, argmax) = B::pool(&x, pool).unwrap();
    let dy = random(device, y.shape(), "dy");
    let mut dx = Slot(add.then(|| random(device, x.shape(), "before")));
    B::pool_backward(&x, pool, argmax.as_ref(), &dy, &mut dx).unwrap();
    let places = argmax.map(|a| B::host_ints(&a).iter().map(|&i| i as f32).collect::<Vec<_>>());
    let places = places.map(|p| Tensor::from_vec(device, p, y.shape()).unwrap());
    [Some(y), dx.0, places].into_iter().flatten().collect()
}

#[test]
fn poolings_agree() {
    for x in [[2, 3, 8, 8], [1, 1, 5, 7], [3, 33, 4, 5]] {
        for (kernel, stride, padding) in POOLINGS {
            for kind in [Pooling::Max, Pooling::Mean] {
                let pool = Pool { kind, kernel, stride, padding };
                compare!(format!("{x:?}, {pool:?}"), |device| pooling(device, x, pool, false));
                compare!(format!("{x:?}, {pool:?}, added"), |device| pooling(device, x, pool, true));
            }
        }
    }
}

#[test]
fn the_first_of_equals_and_nan_win_a_pooling() {
    let values = vec![1.0, 2.0, 2.0, 0.0, 0.0, f32::NAN, 9.0, 1.0];
    let x = Tensor::from_vec(&gpu(), values, [1, 2, 2, 2]).unwrap();
    let pool = Pool { kind: Pooling::Max, kernel: 2, stride: 2, padding: 0 };
    let (y, argmax) = Cuda::pool(&x, pool).unwrap();
    assert_eq!(*Cuda::host_ints(&argmax.unwrap()), [1, 1]);
    assert!(y.host()[0] == 2.0 && y.host()[1].is_nan());
}

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
        let x = random(device, [1, 2, 3, 3], "x");
        let pool = Pool { kind: Pooling::Max, kernel: 4, stride: 1, padding: 0 };
        let other = random(device, [4], "other");
        vec![
            B::pool(&x, pool).unwrap_err().to_string(),
            B::channel_stats(&other).unwrap_err().to_string(),
            B::bce_logits(&x, &other, 1.0, true).unwrap_err().to_string(),
            B::reparametrise(&x, &x, &other).unwrap_err().to_string(),
        ]
    }
    assert_eq!(errors(&gpu()), errors(&Cpu::default()));
}
