//! Recorded image operations against finite differences.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use common::{T, check, check_with, close, mask, pick, random, weight};
use secateur::autograd::Tape;
use secateur::backend::images::{BatchNorm, ChannelStats, ConvTranspose2d, ImageOps as _, Pool, Pooling};
use secateur::backend::vision::{Conv2d, Heads, VisionOps};
use secateur::backend::{Act, Backend as _, Cpu};
use secateur::tensor::Tensor;

fn conv(x: &T, w: &T, m: Option<&T>, b: Option<&T>, (stride, padding): (usize, usize)) -> Conv2d<Cpu> {
    Conv2d { x: x.clone(), w: weight(w, m), b: b.cloned(), stride, padding, act: Act::None, pool: false }
}

#[test]
fn gradients_of_convolutions_agree_with_finite_differences() {
    for (stride, padding) in [(1, 0), (1, 1), (2, 1), (3, 2)] {
        let (x, w, b) = (random([2, 3, 6, 5], "x"), random([4, 3, 3, 3], "w"), random([4], "b"));
        for act in [Act::None, Act::Tanh, Act::Sigmoid] {
            check(&[x.clone(), w.clone(), b.clone()], |t, i| {
                t.conv2d(Conv2d { act, ..conv(&i[0], &i[1], None, Some(&i[2]), (stride, padding)) }).unwrap()
            });
        }
        check(&[x, w], |t, i| t.conv2d(conv(&i[0], &i[1], None, None, (stride, padding))).unwrap());
    }
}

#[test]
fn gradients_of_pooled_convolutions_agree_with_finite_differences() {
    let (x, w, b) = (random([2, 3, 6, 7], "x"), random([4, 3, 3, 3], "w"), random([4], "b"));
    for act in [Act::None, Act::Relu, Act::Tanh] {
        check_with(1e-3, &[x.clone(), w.clone(), b.clone()], |t, i| {
            t.conv2d(Conv2d { act, pool: true, ..conv(&i[0], &i[1], None, Some(&i[2]), (1, 1)) }).unwrap()
        });
    }
}

#[test]
fn a_masked_convolution_keeps_the_gradient_of_its_pruned_weights() {
    let (x, w, m) = (random([2, 3, 5, 5], "x"), random([4, 3, 3, 3], "w"), mask([4, 3, 3, 3]));
    let gradient = |value: &T, mask: Option<&T>| {
        let mut tape = Tape::recording();
        let y = tape.conv2d(conv(&x, value, mask, None, (1, 1))).unwrap();
        let grads = tape.backward(&y, pick(&y)).unwrap();
        (y.to_vec(), grads.get(value).unwrap().to_vec(), grads.get(&x).unwrap().to_vec())
    };
    let masked = gradient(&w, Some(&m));
    let product = gradient(&w.mul(&m).unwrap().tracked(true), None);
    close(&masked.0, &product.0, 1e-6);
    close(&masked.1, &product.1, 1e-6);
    close(&masked.2, &product.2, 1e-6);
    let pruned = masked.1.iter().zip(m.host().iter()).filter(|(g, m)| **m == 0.0 && **g != 0.0).count();
    assert!(pruned > 20, "{pruned}");
}

#[test]
fn gradients_of_layer_norm_agree_with_finite_differences() {
    check(&[random([5, 6], "x"), random([6], "gamma"), random([6], "beta")], |t, i| {
        t.layer_norm(&i[0], &i[1], &i[2], 1e-5).unwrap()
    });
}

#[test]
fn gradients_of_attention_agree_with_finite_differences() {
    let shape = Heads { batch: 2, tokens: 5, heads: 2, head_dim: 3, scale: 0.6 };
    let sizes: Vec<f32> = (0..10).map(|i| (i % 3 + 1) as f32).collect();
    let sizes = Tensor::from_vec(&Cpu::default(), sizes, [2, 5]).unwrap();
    for sizes in [None, Some(&sizes)] {
        check(&[random([10, 18], "qkv")], |t, i| t.attention(shape, &i[0], sizes).unwrap());
    }
}

#[test]
fn gradients_of_token_operations_agree_with_finite_differences() {
    let (x, class, position) = (random([2, 4, 3], "x"), random([3], "class"), random([5, 3], "position"));
    check(&[x.clone(), class, position], |t, i| t.embed(&i[0], Some(i[1].clone()), Some(i[2].clone())).unwrap());
    check(&[x.clone(), random([4, 3], "position")], |t, i| t.embed(&i[0], None, Some(i[1].clone())).unwrap());
    check(std::slice::from_ref(&x), |t, i| t.mean_tokens(&i[0], None).unwrap());
    let sizes = Tensor::from_vec(&Cpu::default(), vec![1.0, 2.0, 1.0, 3.0, 1.0, 1.0, 4.0, 1.0], [2, 4]).unwrap();
    check(std::slice::from_ref(&x), |t, i| t.mean_tokens(&i[0], Some(&sizes)).unwrap());
    check(std::slice::from_ref(&x), |t, i| t.take_token(&i[0], 2).unwrap());
    check(std::slice::from_ref(&x), |t, i| t.dropout(&i[0], 0.4, 11).unwrap());
}

#[test]
fn gradients_of_merging_flow_through_the_means() {
    let x = random([2, 7, 3], "x");
    let merge = Cpu::match_tokens(&x, 2, 1).unwrap();
    let sizes: Vec<f32> = (0..14).map(|i| (i % 2 + 1) as f32).collect();
    let sizes = Tensor::from_vec(&Cpu::default(), sizes, [2, 7]).unwrap();
    check(&[x], |t, i| t.merge_tokens(merge.clone(), &i[0], &sizes).unwrap().0);
}

#[test]
fn gradients_of_transposed_convolutions_agree_with_finite_differences() {
    for (kernel, stride, padding) in [(4, 2, 1), (3, 1, 0), (2, 3, 0)] {
        let (x, w, b) = (random([2, 3, 3, 4], "x"), random([3, 2, kernel, kernel], "w"), random([2], "b"));
        for act in [Act::None, Act::Tanh, Act::Sigmoid] {
            check(&[x.clone(), w.clone(), b.clone()], |t, i| {
                let (x, w, b) = (i[0].clone(), weight(&i[1], None), Some(i[2].clone()));
                t.conv_transpose2d(ConvTranspose2d { x, w, b, stride, padding, act }).unwrap()
            });
        }
    }
}

#[test]
fn gradients_of_pooling_agree_with_finite_differences() {
    for kind in [Pooling::Max, Pooling::Mean] {
        for (kernel, stride, padding) in [(2, 2, 0), (3, 2, 1)] {
            let pool = Pool { kind, kernel, stride, padding };
            check_with(1e-3, &[random([2, 3, 5, 6], "x")], |t, i| t.pool(&i[0], pool).unwrap());
        }
    }
}

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
fn patches_are_read_row_by_row() {
    let x = Tensor::from_vec(&Cpu::default(), (0..32).map(|i| i as f32).collect(), [1, 2, 4, 4]).unwrap();
    let p = Cpu::patches(&x, 2).unwrap();
    assert_eq!(*p.shape(), [4, 8]);
    assert_eq!(&p.to_vec()[8..16], [2.0, 3.0, 6.0, 7.0, 18.0, 19.0, 22.0, 23.0]);
}

#[test]
fn shapes_that_do_not_fit_are_errors() {
    let text = |r: secateur::Result<T>| r.unwrap_err().to_string();
    let (x, w) = (random([2, 3, 6, 6], "x"), random([4, 2, 3, 3], "w"));
    assert!(text(Tape::off().conv2d(conv(&x, &w, None, None, (1, 1)))).contains("does not fit weight"));
    let large = random([4, 3, 9, 9], "w");
    assert!(text(Tape::off().conv2d(conv(&x, &large, None, None, (1, 1)))).contains("a kernel of 9x9 does not fit"));
    let gelu = Conv2d { act: Act::Gelu, ..conv(&x, &random([4, 3, 3, 3], "w"), None, None, (1, 1)) };
    assert!(text(Tape::off().conv2d(gelu)).contains("cannot be fused"));
    assert!(text(Cpu::patches(&x, 4)).contains("do not divide an image of 6x6"));
    let narrow = ConvTranspose2d { x: x.clone(), w: weight(&w, None), b: None, stride: 2, padding: 1, act: Act::None };
    assert!(text(Tape::off().conv_transpose2d(narrow)).contains("does not fit weight"));
    let wide = Pool { kind: Pooling::Max, kernel: 7, stride: 1, padding: 0 };
    assert!(text(Tape::off().pool(&x, wide)).contains("do not fit [2, 3, 6, 6]"));
    let shape = Heads { batch: 2, tokens: 5, heads: 2, head_dim: 3, scale: 1.0 };
    assert!(text(Tape::off().attention(shape, &random([10, 12], "qkv"), None)).contains("must be [10, 18]"));
}
