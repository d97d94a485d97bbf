//! Recorded convolutions against finite differences.

use crate::common::{T, check, check_with, close, mask, pick, random, weight};
use secateur::autograd::Tape;
use secateur::backend::{Act, Conv2d, ConvTranspose2d, Cpu};

fn conv(x: &T, w: &T, m: Option<&T>, b: Option<&T>, (stride, padding): (usize, usize)) -> Conv2d<Cpu> {
    Conv2d { x: x.clone(), w: weight(w, m), b: b.cloned(), stride, padding, groups: 1, act: Act::None, pool: false }
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
fn gradients_of_grouped_convolutions_agree_with_finite_differences() {
    // Depthwise with one filter and with two for each channel, and two groups of two channels.
    for (filters, groups, stride, padding) in [(4, 4, 1, 1), (4, 4, 2, 1), (8, 4, 3, 2), (6, 2, 1, 1), (4, 2, 2, 0)] {
        let shape = [filters, 4 / groups, 3, 3];
        let (x, w, b) = (random([2, 4, 6, 5], "x"), random(shape, "w"), random([filters], "b"));
        for act in [Act::None, Act::Tanh] {
            check(&[x.clone(), w.clone(), b.clone()], |t, i| {
                let op = conv(&i[0], &i[1], None, Some(&i[2]), (stride, padding));
                t.conv2d(Conv2d { groups, act, ..op }).unwrap()
            });
        }
        check_with(1e-3, &[x.clone(), w.clone()], |t, i| {
            let op = conv(&i[0], &i[1], None, None, (stride, padding));
            t.conv2d(Conv2d { groups, pool: true, ..op }).unwrap()
        });
    }
}

#[test]
fn a_masked_depthwise_convolution_keeps_the_gradient_of_its_pruned_weights() {
    let (x, w, m) = (random([2, 6, 5, 5], "x"), random([6, 1, 3, 3], "w"), mask([6, 1, 3, 3]));
    let gradient = |value: &T, mask: Option<&T>| {
        let mut tape = Tape::recording();
        let y = tape.conv2d(Conv2d { groups: 6, ..conv(&x, value, mask, None, (1, 1)) }).unwrap();
        let grads = tape.backward(&y, pick(&y)).unwrap();
        [y.to_vec(), grads.get(value).unwrap().to_vec(), grads.get(&x).unwrap().to_vec()]
    };
    let (masked, product) = (gradient(&w, Some(&m)), gradient(&w.mul(&m).unwrap().tracked(true), None));
    masked.iter().zip(&product).for_each(|(a, b)| close(a, b, 1e-6));
    assert!(masked[1].iter().zip(m.host().iter()).any(|(g, m)| *m == 0.0 && *g != 0.0));
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
fn shapes_that_do_not_fit_are_errors() {
    let text = |r: secateur::Result<T>| r.unwrap_err().to_string();
    let (x, w) = (random([2, 3, 6, 6], "x"), random([4, 2, 3, 3], "w"));
    assert!(text(Tape::off().conv2d(conv(&x, &w, None, None, (1, 1)))).contains("does not fit weight"));
    // As many channels as two groups of it would have: only where the convolution says so.
    let (x4, w4) = (random([2, 4, 6, 6], "x"), random([5, 2, 3, 3], "w"));
    let in_two = Conv2d { groups: 2, ..conv(&x4, &w4, None, None, (1, 1)) };
    assert!(text(Tape::off().conv2d(in_two)).contains("does not fit weight [5, 2, 3, 3] in 2 groups"));
    let none = Conv2d { groups: 0, ..conv(&x4, &w, None, None, (1, 1)) };
    assert!(text(Tape::off().conv2d(none)).contains("in 0 groups"));
    let large = random([4, 3, 9, 9], "w");
    assert!(text(Tape::off().conv2d(conv(&x, &large, None, None, (1, 1)))).contains("a kernel of 9x9 does not fit"));
    let gelu = Conv2d { act: Act::Gelu, ..conv(&x, &random([4, 3, 3, 3], "w"), None, None, (1, 1)) };
    assert!(text(Tape::off().conv2d(gelu)).contains("cannot be fused"));
    let narrow = ConvTranspose2d { x: x.clone(), w: weight(&w, None), b: None, stride: 2, padding: 1, act: Act::None };
    assert!(text(Tape::off().conv_transpose2d(narrow)).contains("does not fit weight"));
}
