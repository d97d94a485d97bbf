//! What the tape records, and tensors that share their values.

use crate::common::{check, pick, random, weight};
use dfdx::prelude::{Axis, Cpu};
use secateur::autograd::Tape;
use secateur::backend::{Act, Device as _};

#[test]
fn a_tensor_used_twice_gets_both_gradients() {
    let (x, w) = (random([5, 4], "x"), random([4, 4], "w"));
    check(&[x, w], |t, i| {
        let a = t.linear(&i[0], weight(&i[1], None), None, Act::Tanh, None).unwrap();
        let b = t.linear(&a, weight(&i[1], None), None, Act::Sigmoid, None).unwrap();
        let c = t.mul(&a, &b).unwrap();
        t.add(&c, &i[0]).unwrap()
    });
}

#[test]
fn dfdx_operations_take_part_on_the_tape() {
    let (x, w) = (random([4, 3], "x"), random([3, 3], "w"));
    check(&[x, w], |t, i| {
        let h = t.linear(&i[0], weight(&i[1], None), None, Act::Tanh, None).unwrap();
        t.dfdx(&h, (4usize, 3usize), |h| h.softmax::<Axis<1>>().exp()).unwrap()
    });
}

#[test]
fn nothing_is_recorded_in_evaluation_and_gradients_of_data_are_not_computed() {
    let (x, w) = (random([4, 3], "x").tracked(false), random([2, 3], "w"));
    let y = Tape::off().linear(&x, weight(&w, None), None, Act::Relu, None).unwrap();
    assert!(!y.is_tracked());
    let mut tape = Tape::recording();
    let y = tape.linear(&x, weight(&w, None), None, Act::Relu, None).unwrap();
    let grads = tape.backward(&y, pick(&y)).unwrap();
    assert!(grads.get(&x).is_none() && grads.get(&w).is_some() && grads.get(&y).is_none());
}

#[test]
fn writing_in_place_never_reaches_a_shared_tensor() {
    let mut a = random([4], "a");
    let (shared, lent) = (a.clone(), a.dfdx());
    let before = a.to_vec();
    Cpu::write(&mut a, &[1.0, 2.0, 3.0, 4.0]).unwrap();
    assert_eq!(a.to_vec(), [1.0, 2.0, 3.0, 4.0]);
    assert_eq!((shared.to_vec(), lent.as_vec()), (before.clone(), before));
}

#[test]
fn shapes_that_do_not_fit_are_errors() {
    assert!(random([2, 2], "a").add(&random([4], "b")).is_err());
    assert!(random([2, 2], "a").matmul(false, &random([3, 2], "b"), false).is_err());
}
