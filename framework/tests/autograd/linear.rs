//! Recorded fully connected layers against dfdx's own operations and against finite differences.

use crate::common::{check, close, mask, random, weight};
use dfdx::prelude::{
    Axes2, Axis, Backward, BroadcastTo, Cpu, PermuteTo, TensorFrom, Trace, TryMatMul, cross_entropy_with_logits_loss,
};
use secateur::autograd::Tape;
use secateur::backend::{Act, LossOps as _};

#[test]
fn gradients_of_linear_agree_with_finite_differences() {
    let (x, w, b, r) = (random([5, 4], "x"), random([3, 4], "w"), random([3], "b"), random([5, 3], "r"));
    for act in [Act::None, Act::Gelu, Act::GeluExact, Act::Tanh, Act::Sigmoid] {
        check(&[x.clone(), w.clone(), b.clone()], |t, i| {
            t.linear(&i[0], weight(&i[1], None), Some(i[2].clone()), act, None).unwrap()
        });
        check(&[x.clone(), w.clone(), r.clone()], |t, i| {
            t.linear(&i[0], weight(&i[1], None), None, act, Some(&i[2])).unwrap()
        });
    }
}

#[test]
fn the_residual_may_be_the_input_itself() {
    let (x, w) = (random([5, 4], "x"), random([4, 4], "w"));
    check(&[x, w], |t, i| t.linear(&i[0], weight(&i[1], None), None, Act::Tanh, Some(&i[0])).unwrap());
}

#[test]
fn masked_linear_agrees_with_dfdx_and_keeps_the_dense_gradient() {
    let dev = Cpu::default();
    let (x, w, b, m) = (random([7, 5], "x"), random([4, 5], "w"), random([4], "b"), mask([4, 5]));
    let mut tape = Tape::recording();
    let y = tape.linear(&x, weight(&w, Some(&m)), Some(b.clone()), Act::Relu, None).unwrap();
    let classes = [0u32, 1, 2, 3, 0, 1, 2];
    let loss = Cpu::cross_entropy(&y, &classes, 0.0, true).unwrap();
    let grads = tape.backward(&y, loss.grad.clone().unwrap()).unwrap();

    let dx = dev.tensor((x.to_vec(), (7usize, 5usize)));
    let (dw, dm) = (dev.tensor((w.to_vec(), (4usize, 5usize))), dev.tensor((m.to_vec(), (4usize, 5usize))));
    let db = dev.tensor((b.to_vec(), (4usize,)));
    let masked = dw.clone() * dm;
    let twin = dx.leaky_trace().matmul(masked.leaky_trace().permute::<_, Axes2<1, 0>>());
    let twin = (twin + db.leaky_trace().broadcast_like::<_, Axis<0>>(&(7usize, 4usize))).relu();
    let mut one_hot = vec![0.0; 28];
    classes.iter().enumerate().for_each(|(i, c)| one_hot[i * 4 + *c as usize] = 1.0);
    close(&y.to_vec(), &twin.as_vec(), 1e-6);
    let twin_loss = cross_entropy_with_logits_loss(twin, dev.tensor((one_hot, (7usize, 4usize))));
    assert!((loss.value() - f64::from(twin_loss.as_vec()[0])).abs() < 1e-6);
    let g = twin_loss.backward();
    close(&grads.get(&x).unwrap().to_vec(), &g.get(&dx).as_vec(), 1e-5);
    close(&grads.get(&b).unwrap().to_vec(), &g.get(&db).as_vec(), 1e-5);
    // The gradient with respect to mask * weight, pruned entries included.
    close(&grads.get(&w).unwrap().to_vec(), &g.get(&masked).as_vec(), 1e-5);
}

#[test]
fn shapes_that_do_not_fit_are_errors() {
    let mut tape = Tape::off();
    let text = tape
        .linear(&random([4, 3], "x"), weight(&random([2, 5], "w"), None), None, Act::Relu, None)
        .unwrap_err()
        .to_string();
    assert_eq!(text, "linear: input [4, 3] does not fit weight [2, 5]");
}
