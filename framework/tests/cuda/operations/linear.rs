//! Matrix products and fully connected layers.

use crate::compare::{SIZES, gpu, mask, random};
use crate::emulator;
use secateur::backend::{Act, Linear, LinearGrads, LinearOps, Slot, Weight};

#[test]
fn matrix_products_agree_in_every_orientation() {
    for (m, n, k) in [(1, 1, 1), (3, 33, 257), (128, 10, 50), (65, 64, 31)] {
        for (ta, tb) in [(false, false), (false, true), (true, false), (true, true)] {
            compare!(format!("{m}x{k}x{n} {ta} {tb}"), |device| {
                let a = random(device, if ta { [k, m] } else { [m, k] }, "a");
                let b = random(device, if tb { [n, k] } else { [k, n] }, "b");
                [a.matmul(ta, &b, tb).unwrap()]
            });
        }
    }
}

struct Case {
    rows: usize,
    inputs: usize,
    outputs: usize,
    act: Act,
    masked: bool,
    residual: bool,
    /// Gradients are added to some that are there already.
    add: bool,
}

fn check(c: &Case) {
    let Case { rows, inputs, outputs, act, .. } = *c;
    let what = format!("[{rows}, {inputs}] -> {outputs}, {act:?}, {} {} {}", c.masked, c.residual, c.add);
    compare!(what, |device| {
        let value = random(device, [outputs, inputs], "w");
        let op = Linear {
            x: random(device, [rows, inputs], "x"),
            w: Weight::masked(value, c.masked.then(|| mask(device, [outputs, inputs], "mask"))),
            b: Some(random(device, [outputs], "b")),
            residual: c.residual.then(|| random(device, [rows, outputs], "r")),
            act,
        };
        let (y, saved) = LinearOps::linear(&op, true).unwrap();
        let (evaluated, _) = LinearOps::linear(&op, false).unwrap();
        let slot = |shape: [usize; 2], name| Slot(c.add.then(|| random(device, shape, name)));
        let (mut x, mut w) = (slot([rows, inputs], "gx"), slot([outputs, inputs], "gw"));
        let (mut b, mut residual) = (Slot(c.add.then(|| random(device, [outputs], "gb"))), slot([rows, outputs], "gr"));
        let dy = random(device, [rows, outputs], "dy");
        let grads = LinearGrads {
            x: Some(&mut x),
            w: Some(&mut w),
            b: Some(&mut b),
            residual: c.residual.then_some(&mut residual),
        };
        LinearOps::linear_backward(&op, saved, dy.clone(), grads).unwrap();
        let mut all = vec![y, evaluated, x.0.unwrap(), w.0.unwrap(), b.0.unwrap(), dy];
        all.extend(residual.0.filter(|_| c.residual));
        all
    });
}

#[test]
fn layers_of_odd_sizes_agree() {
    for rows in SIZES {
        for (inputs, outputs) in [(1, 1), (3, 33), (33, 3), (50, 10), (20, 256)] {
            check(&Case { rows, inputs, outputs, act: Act::Relu, masked: true, residual: false, add: false });
        }
    }
}

#[test]
fn every_activation_with_mask_and_residual_agrees() {
    for act in [Act::None, Act::Relu, Act::Relu6, Act::Gelu, Act::GeluExact, Act::Tanh, Act::Sigmoid] {
        for (masked, residual) in [(false, false), (true, false), (false, true), (true, true)] {
            for add in [false, true] {
                check(&Case { rows: 33, inputs: 12, outputs: 20, act, masked, residual, add });
            }
        }
    }
}

#[test]
fn many_rows_are_summed_in_pieces() {
    for rows in [256, 257, 1000, 70_001] {
        check(&Case { rows, inputs: 2, outputs: 5, act: Act::Tanh, masked: false, residual: false, add: true });
        check(&Case { rows, inputs: 2, outputs: 5, act: Act::None, masked: false, residual: false, add: false });
    }
}

#[test]
fn no_rows_give_zero_gradients() {
    check(&Case { rows: 0, inputs: 3, outputs: 4, act: Act::Relu, masked: false, residual: false, add: false });
}

#[test]
fn nothing_is_copied_to_the_host() {
    if emulator::is_real() {
        return;
    }
    let device = gpu();
    let op = Linear {
        x: random(&device, [8, 5], "x"),
        w: Weight::masked(random(&device, [3, 5], "w"), Some(mask(&device, [3, 5], "mask"))),
        b: Some(random(&device, [3], "b")),
        residual: None,
        act: Act::Gelu,
    };
    let dy = random(&device, [8, 3], "dy");
    let before = emulator::counter("copies_to_host");
    let (_, saved) = LinearOps::linear(&op, true).unwrap();
    let (mut x, mut w, mut b) = (Slot(None), Slot(None), Slot(None));
    let grads = LinearGrads { x: Some(&mut x), w: Some(&mut w), b: Some(&mut b), residual: None };
    LinearOps::linear_backward(&op, saved, dy, grads).unwrap();
    assert_eq!(emulator::counter("copies_to_host"), before);
}
