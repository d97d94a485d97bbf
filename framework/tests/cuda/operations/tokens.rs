//! Tokens around a transformer's blocks.

use crate::compare::{gpu, random};
use secateur::backend::{Backend, Cpu, LayerGrads, Slot, TokenOps};
use secateur::tensor::Tensor;

/// Batch, tokens, width.
const SIZES: [[usize; 3]; 8] =
    [[1, 1, 1], [3, 2, 4], [2, 33, 3], [33, 5, 32], [9, 64, 33], [128, 3, 12], [2, 65, 192], [3, 7, 130]];

#[test]
fn patches_agree() {
    for (batch, channels, height, width, side) in [
        (1, 1, 1, 1, 1),
        (2, 3, 8, 12, 4),
        (3, 1, 9, 6, 3),
        (2, 2, 4, 8, 2),
        (2, 3, 16, 8, 8),
        (1, 3, 32, 32, 4),
        (2, 1, 28, 28, 7),
    ] {
        compare!(format!("{batch} x {channels} x {height} x {width} in {side}"), |device| {
            [TokenOps::patches(&random(device, [batch, channels, height, width], "x"), side).unwrap()]
        });
    }
}

#[test]
fn embedding_agrees() {
    for [batch, tokens, dim] in SIZES {
        for (with_class, with_position) in [(true, true), (true, false), (false, true), (false, false)] {
            for add in [false, true] {
                compare!(format!("[{batch}, {tokens}, {dim}] {with_class} {with_position} {add}"), |device| {
                    let after = tokens + usize::from(with_class);
                    let x = random(device, [batch, tokens, dim], "x");
                    let class = with_class.then(|| random(device, [1, 1, dim], "class"));
                    let position = with_position.then(|| random(device, [1, after, dim], "position"));
                    let y = TokenOps::embed(&x, class.as_ref(), position.as_ref()).unwrap();
                    let dy = random(device, [batch, after, dim], "dy");
                    let there = |t: &_| Slot(add.then(|| Tensor::clone(t)));
                    let (mut dx, mut dc) = (there(&x), class.as_ref().map(there));
                    let mut dp = position.as_ref().map(there);
                    let grads = LayerGrads { x: Some(&mut dx), w: dc.as_mut(), b: dp.as_mut() };
                    TokenOps::embed_backward(&x, class.as_ref(), position.as_ref(), &dy, grads).unwrap();
                    let mut only = class.as_ref().map(|_| Slot(None));
                    let grads = LayerGrads { x: None, w: only.as_mut(), b: None };
                    TokenOps::embed_backward(&x, class.as_ref(), position.as_ref(), &dy, grads).unwrap();
                    let mut all = vec![y, dx.0.unwrap(), x];
                    all.extend([dc, dp, only].into_iter().flatten().map(|slot| slot.0.unwrap()));
                    all
                });
            }
        }
    }
}

#[test]
fn means_and_single_tokens_agree() {
    for [batch, tokens, dim] in SIZES {
        for add in [false, true] {
            for sized in [false, true] {
                compare!(format!("[{batch}, {tokens}, {dim}] sizes: {sized} added: {add}"), |device| {
                    let x = random(device, [batch, tokens, dim], "x");
                    let one = Tensor::from_vec(device, vec![2.0; batch * tokens], [batch, tokens]).unwrap();
                    let sizes = sized.then(|| random(device, [batch, tokens], "sizes").add(&one).unwrap());
                    let dy = random(device, [batch, dim], "dy");
                    let slot = || Slot(add.then(|| random(device, [batch, tokens, dim], "gradient")));
                    let (mut dmean, mut dtoken) = (slot(), slot());
                    let mean = TokenOps::mean_tokens(&x, sizes.as_ref()).unwrap();
                    TokenOps::mean_tokens_backward(&x, sizes.as_ref(), &dy, &mut dmean).unwrap();
                    let token = TokenOps::take_token(&x, tokens / 2).unwrap();
                    TokenOps::take_token_backward(&x, tokens / 2, &dy, &mut dtoken).unwrap();
                    [mean, dmean.0.unwrap(), token, dtoken.0.unwrap()]
                });
            }
        }
    }
}

#[test]
fn misfits_are_named_as_on_the_cpu() {
    fn messages<B: Backend>(device: &B) -> Vec<String> {
        let (x, flat) = (random(device, [2, 3, 4], "x"), random(device, [6, 4], "x"));
        let (image, few) = (random(device, [1, 1, 6, 6], "image"), random(device, [3], "few"));
        let errors = [
            B::patches(&x, 2).map(drop),
            B::patches(&image, 4).map(drop),
            B::patches(&image, 0).map(drop),
            B::embed(&flat, None, None).map(drop),
            B::embed(&x, Some(&few), None).map(drop),
            B::mean_tokens(&x, Some(&few)).map(drop),
            B::take_token(&x, 3).map(drop),
            B::match_tokens(&flat, 1, 0).map(drop),
            B::match_tokens(&random(device, [2, 2, 4], "x"), 1, 0)
                .and_then(|m| B::merge_tokens(&m, &x, &few))
                .map(drop),
            B::match_tokens(&random(device, [2, 2, 4], "x"), 1, 0)
                .and_then(|m| B::merge_tokens(&m, &x, &random(device, [2, 3], "sizes")))
                .map(drop),
        ];
        errors.into_iter().map(|e| e.unwrap_err().to_string()).collect()
    }
    assert_eq!(messages(&gpu()), messages(&Cpu::default()));
}
