//! Layer normalisation.

use super::compare::random;
use secateur::backend::Slot;
use secateur::backend::vision::{LayerGrads, VisionOps};

fn check(rows: usize, n: usize, add: bool) {
    compare!(format!("[{rows}, {n}], added: {add}"), |device| {
        let x = random(device, [rows, n], "x").scale(3.0).unwrap();
        let (gamma, beta) = (random(device, [n], "gamma"), random(device, [n], "beta"));
        let (y, stats) = VisionOps::layer_norm(&x, &gamma, &beta, 1e-5).unwrap();
        let dy = random(device, [rows, n], "dy");
        let (mut dx, mut dg) = (Slot(add.then(|| random(device, [rows, n], "gx"))), Slot(add.then(|| gamma.clone())));
        let mut db = Slot(add.then(|| beta.clone()));
        let grads = LayerGrads { x: Some(&mut dx), w: Some(&mut dg), b: Some(&mut db) };
        VisionOps::layer_norm_backward(&x, &gamma, &stats, &dy, grads).unwrap();
        // Some gradients are not wanted: the others stay what they are.
        let (mut only_x, mut only_gamma) = (Slot(None), Slot(None));
        let grads = LayerGrads { x: Some(&mut only_x), w: None, b: None };
        VisionOps::layer_norm_backward(&x, &gamma, &stats, &dy, grads).unwrap();
        let grads = LayerGrads { x: None, w: Some(&mut only_gamma), b: None };
        VisionOps::layer_norm_backward(&x, &gamma, &stats, &dy, grads).unwrap();
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
            check(rows, n, false);
            check(rows, n, true);
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
            let (y, stats) = VisionOps::layer_norm(&x, &gamma, &beta, 1e-5).unwrap();
            [y, stats]
        });
    }
}

#[test]
fn many_rows_and_long_rows_agree() {
    check(8320, 12, false);
    check(5000, 33, true);
    check(9, 7001, false);
}

#[test]
fn no_rows_give_zero_gradients() {
    check(0, 8, false);
}
