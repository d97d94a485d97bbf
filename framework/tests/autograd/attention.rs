//! Recorded attention against finite differences.

use crate::common::{T, check, random};
use secateur::autograd::Tape;
use secateur::backend::{Cpu, Heads};
use secateur::tensor::Tensor;

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
fn shapes_that_do_not_fit_are_errors() {
    let text = |r: secateur::Result<T>| r.unwrap_err().to_string();
    let shape = Heads { batch: 2, tokens: 5, heads: 2, head_dim: 3, scale: 1.0 };
    assert!(text(Tape::off().attention(shape, &random([10, 12], "qkv"), None)).contains("must be [10, 18]"));
}
