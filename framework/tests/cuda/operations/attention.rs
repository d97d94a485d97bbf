//! Attention over short sequences.

use crate::compare::{gpu, random};
use crate::emulator;
use secateur::backend::{AttentionOps, Backend, Heads, Precision, Slot};
use secateur::tensor::Tensor;

/// Token sizes of 1 and above.
fn sizes<B: Backend>(device: &B, batch: usize, tokens: usize) -> Tensor<B> {
    let values =
        random(device, [batch, tokens], "sizes").host().iter().map(|v| (3.0 * v.abs()).floor() + 1.0).collect();
    Tensor::from_vec(device, values, [batch, tokens]).unwrap()
}

fn check(batch: usize, tokens: usize, heads: usize, head_dim: usize, sized: bool, add: bool) {
    let shape = Heads { batch, tokens, heads, head_dim, scale: 1.5 / (head_dim.max(1) as f32).sqrt() };
    compare!(format!("{shape:?}, sizes: {sized}, added: {add}"), |device| {
        let (rows, width) = (batch * tokens, heads * head_dim);
        let qkv = random(device, [rows, 3 * width], "qkv").scale(2.0).unwrap();
        let sizes = sized.then(|| sizes(device, batch, tokens));
        let (y, p) = AttentionOps::attention(shape, &qkv, sizes.as_ref(), Precision::F32, true).unwrap();
        let (evaluated, none) = AttentionOps::attention(shape, &qkv, sizes.as_ref(), Precision::F32, false).unwrap();
        assert!(none.is_none());
        let (p, dy) = (p.unwrap(), random(device, [rows, width], "dy"));
        let mut dqkv = Slot(add.then(|| random(device, [rows, 3 * width], "gradient")));
        AttentionOps::attention_backward(shape, &qkv, &p, &dy, Precision::F32, &mut dqkv).unwrap();
        vec![y, p, evaluated, dqkv.0.unwrap()]
    });
}

#[test]
fn sequences_of_any_length_agree() {
    for tokens in [1, 2, 3, 8, 17, 25, 33, 41, 50, 57, 65, 72, 73, 80, 81, 128, 197] {
        check(2, tokens, 2, 16, tokens % 2 == 1, false);
        check(1, tokens, 3, 5, tokens % 2 == 0, true);
    }
}

#[test]
fn heads_of_any_width_agree() {
    for head_dim in [1, 2, 3, 4, 7, 31, 32, 33, 36, 61, 64, 65, 68, 100, 128, 130] {
        check(2, 33, 2, head_dim, true, false);
        check(1, 75, 1, head_dim, false, true);
    }
}

#[test]
fn the_networks_of_the_paper_agree() {
    check(3, 65, 3, 64, false, false);
    check(3, 50, 3, 64, true, true);
    check(3, 40, 3, 32, true, false);
}

#[test]
fn no_heads_and_no_images_give_nothing() {
    check(2, 5, 0, 8, false, false);
    check(0, 5, 2, 8, false, false);
}

#[test]
fn long_sequences_take_smaller_tiles() {
    check(1, 700, 1, 8, true, false);
    check(1, 1001, 1, 4, false, false);
}

#[test]
fn a_sequence_that_is_too_long_is_named() {
    if emulator::is_real() {
        return;
    }
    let (device, tokens) = (gpu(), 6000);
    let qkv = random(&device, [tokens, 3], "qkv");
    let shape = Heads { batch: 1, tokens, heads: 1, head_dim: 1, scale: 1.0 };
    let error = AttentionOps::attention(shape, &qkv, None, Precision::F32, false).map(drop).unwrap_err().to_string();
    assert!(error.contains("6000 tokens") && error.contains("227 KiB"), "{error}");
}

#[test]
fn misfits_are_named_as_on_the_cpu() {
    fn message<B: Backend>(device: &B) -> [String; 2] {
        let shape = Heads { batch: 2, tokens: 3, heads: 2, head_dim: 4, scale: 1.0 };
        let (qkv, other) = (random(device, [6, 24], "qkv"), random(device, [6, 23], "qkv"));
        let sizes = random(device, [2, 2], "sizes");
        [(&other, None), (&qkv, Some(&sizes))]
            .map(|(qkv, sizes)| B::attention(shape, qkv, sizes, Precision::F32, true).unwrap_err().to_string())
    }
    assert_eq!(message(&gpu()), message(&secateur::backend::Cpu::default()));
}
