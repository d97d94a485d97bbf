//! Layers on slices against their definition.

use super::backward::{backward_by_operation, backward_in_bands};
use super::*;
use crate::backend::Act;
use crate::backend::cpu::activation::Saved;
use crate::backend::cpu::common::Grad;
use crate::backend::cpu::common::testing::*;

/// The layer in f64 by its definition.
fn reference(l: &Linear<'_>, x: &[f64], w: &[f64], b: &[f64], r: Option<&[f64]>) -> Vec<f64> {
    let at = |i: usize, o: usize| {
        let weight = |k: usize| w[o * l.inputs + k] * l.mask.map_or(1.0, |m| f64::from(m[o * l.inputs + k]));
        let pre: f64 = (0..l.inputs).map(|k| x[i * l.inputs + k] * weight(k)).sum::<f64>() + b[o];
        exact(l.act, pre) + r.map_or(0.0, |r| r[i * l.outputs + o])
    };
    (0..l.rows * l.outputs).map(|e| at(e / l.outputs, e % l.outputs)).collect()
}

fn exact(act: Act, x: f64) -> f64 {
    match act {
        Act::None => x,
        Act::Relu => x.max(0.0),
        Act::Relu6 => x.clamp(0.0, 6.0),
        Act::Gelu => 0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3))).tanh()),
        Act::Tanh => x.tanh(),
        Act::Sigmoid => 1.0 / (1.0 + (-x).exp()),
        Act::GeluExact => panic!("tested with the activations"),
    }
}

fn saved<'a>(act: Act, residual: bool, y: &'a [f32], pre: &'a [f32]) -> Saved<'a> {
    if act.needs_pre(residual) { Saved::Pre(pre) } else { Saved::Out(y) }
}

#[test]
fn forward_and_all_gradients_agree_with_the_definition() {
    for act in [Act::None, Act::Relu, Act::Gelu, Act::Tanh, Act::Sigmoid] {
        for (masked, with_residual) in [(false, false), (true, true), (true, false), (false, true)] {
            let (rows, inputs, outputs) = (7, 5, 3);
            let (x, w, b, r) = (random(35, 1), random(15, 2), random(3, 3), random(21, 4));
            let (mask, dy) = (random_mask(15, 5), random(21, 6));
            let mask = masked.then_some(&mask[..]);
            let l = Linear { rows, inputs, outputs, weight: &w, mask, bias: Some(&b), act, nonzeros: None };
            let residual = with_residual.then_some(&r[..]);
            let (mut y, mut pre) = (vec![f32::NAN; 21], vec![f32::NAN; 21]);
            let keep = act.needs_pre(with_residual).then_some(&mut pre[..]);
            forward(&l, &x, residual, &mut y, keep);
            let (xw, ww, bw, rw) = (wide(&x), wide(&w), wide(&b), residual.map(wide));
            assert_close(&y, &reference(&l, &xw, &ww, &bw, rw.as_deref()), 1e-5, "y");

            let (mut dx, mut dw, mut db, mut dr) = (vec![9.0; 35], vec![0.5; 15], vec![9.0; 3], vec![9.0; 21]);
            let grads = LinearGrads {
                dx: Some(Grad::overwrite(&mut dx)),
                dw: Some(Grad::add(&mut dw)),
                dense_dw: false,
                db: Some(Grad::overwrite(&mut db)),
                dresidual: Some(Grad::overwrite(&mut dr)),
            };
            backward(&l, &x, saved(act, with_residual, &y, &pre), &dy, grads);
            let rw = rw.as_deref();
            let by = |x: &[f64], w: &[f64], b: &[f64]| dot(&reference(&l, x, w, b, rw), &dy);
            assert_close(&dx, &numeric_gradient(&xw, |x| by(x, &ww, &bw)), 1e-4, "dx");
            assert_close(&db, &numeric_gradient(&bw, |b| by(&xw, &ww, b)), 1e-4, "db");
            let plus_half: Vec<f64> = numeric_gradient(&ww, |w| by(&xw, w, &bw)).iter().map(|g| g + 0.5).collect();
            assert_close(&dw, &plus_half, 1e-4, "dw");
            assert_eq!(dr, dy);
        }
    }
}

#[test]
fn dense_gradient_is_that_of_the_masked_weight() {
    let (x, w, mask, dy) = (random(35, 1), random(15, 2), random_mask(15, 5), random(21, 6));
    let plain = |weight: &[f32], mask: Option<&[f32]>, dense_dw| {
        let l = Linear { rows: 7, inputs: 5, outputs: 3, weight, mask, bias: None, act: Act::Relu, nonzeros: None };
        let (mut y, mut dw) = (vec![0.0; 21], vec![0.0; 15]);
        forward(&l, &x, None, &mut y, None);
        let grads = LinearGrads { dw: Some(Grad::overwrite(&mut dw)), dense_dw, ..Default::default() };
        backward(&l, &x, Saved::Out(&y), &dy, grads);
        dw
    };
    let effective: Vec<f32> = w.iter().zip(&mask).map(|(w, m)| w * m).collect();
    let dense = plain(&w, Some(&mask), true);
    assert_eq!(dense, plain(&effective, None, false));
    let held: Vec<f32> = dense.iter().zip(&mask).map(|(d, m)| d * m).collect();
    assert_eq!(plain(&w, Some(&mask), false), held);
    assert!(mask.contains(&0.0) && dense != held);
}

/// All gradients of a layer, flattened.
fn gradients(rows: usize, inputs: usize, outputs: usize, act: Act, mask: Option<&[f32]>, add: bool) -> Vec<f32> {
    let (x, w, b) = (random(rows * inputs, 1), random(inputs * outputs, 2), random(outputs, 3));
    let dy = random(rows * outputs, 4);
    let l = Linear { rows, inputs, outputs, weight: &w, mask, bias: Some(&b), act, nonzeros: None };
    let (mut y, mut pre) = (vec![f32::NAN; dy.len()], vec![f32::NAN; dy.len()]);
    forward(&l, &x, None, &mut y, act.needs_pre(false).then_some(&mut pre[..]));
    let start = if add { 0.0 } else { f32::NAN };
    let (mut dx, mut dw, mut db) = (vec![start; x.len()], vec![start; w.len()], vec![start; outputs]);
    let grad = |out| if add { Grad::add(out) } else { Grad::overwrite(out) };
    let grads =
        LinearGrads { dx: Some(grad(&mut dx)), dw: Some(grad(&mut dw)), db: Some(grad(&mut db)), ..Default::default() };
    backward(&l, &x, saved(act, false, &y, &pre), &dy, grads);
    [y, dx, dw, db].concat()
}

#[test]
fn both_ways_of_the_backward_pass_agree() {
    let (rows, inputs, outputs) = (1100, 20, 17);
    for act in [Act::None, Act::Gelu, Act::Relu] {
        let (x, w) = (random(rows * inputs, 1), random(inputs * outputs, 2));
        let (b, dy, mask) = (random(outputs, 3), random(rows * outputs, 4), random_mask(inputs * outputs, 5));
        let l = Linear { rows, inputs, outputs, weight: &w, mask: Some(&mask), bias: Some(&b), act, nonzeros: None };
        let (mut y, mut pre) = (vec![0.0; dy.len()], vec![0.0; dy.len()]);
        forward(&l, &x, None, &mut y, act.needs_pre(false).then_some(&mut pre[..]));
        let run = |banded: bool| {
            let (mut dx, mut dw, mut db) = (vec![0.0; x.len()], vec![0.0; w.len()], vec![0.0; outputs]);
            let grads = LinearGrads {
                dx: Some(Grad::add(&mut dx)),
                dw: Some(Grad::add(&mut dw)),
                db: Some(Grad::add(&mut db)),
                ..Default::default()
            };
            let way = if banded { backward_in_bands } else { backward_by_operation };
            way(&l, &x, saved(act, false, &y, &pre), &dy, grads);
            [dx, dw, db].concat()
        };
        assert_close(&run(true), &wide(&run(false)), 1e-4, "gradients");
    }
}

#[test]
fn adding_to_zero_is_overwriting() {
    for (rows, inputs, outputs) in [(130, 300, 110), (1030, 33, 20)] {
        let mask = random_mask(inputs * outputs, 9);
        let (a, b) = (true, false);
        let run = |add| gradients(rows, inputs, outputs, Act::Gelu, Some(&mask), add);
        assert_close(&run(a), &wide(&run(b)), 1e-5, "gradients");
    }
}

#[test]
fn threads_do_not_change_bits() {
    for (rows, inputs, outputs) in [(128, 784, 50), (64, 300, 700), (2_100, 96, 130)] {
        let mask = random_mask(inputs * outputs, 8);
        assert_same_bits(|| gradients(rows, inputs, outputs, Act::Gelu, Some(&mask), false));
        assert_same_bits(|| gradients(rows, inputs, outputs, Act::None, None, false));
    }
}

#[test]
fn empty_batches_give_zero_gradients() {
    let out = gradients(0, 3, 2, Act::Relu, None, false);
    assert_eq!(out, [0.0; 8]);
}
