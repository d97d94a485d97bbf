//! Multi-head self-attention on packed queries, keys and values (Vaswani et al. 2017, section 3.2).
//!
//! A row of `qkv` is q | k | v, each head after head; heads * head_dim need not be the model's width, since heads get
//! pruned. Each image is a piece of work; a head's scores fit in a core's cache.

use super::common::bf16;
use super::common::matrix::{Mat, MatMut, flops};
use super::common::panels::{product, with_panels};
use super::common::simd::{Level, level, simd_fn, sum_of_pairs};
use super::common::{Accumulate, Grad, par, scratch};
use super::loss::softmax_rows;
use super::tensor::filled;
use crate::backend::attention::check_attention;
use crate::backend::{AttentionOps, Heads, Precision, Slot};
use crate::error::Result;
use crate::tensor::Tensor;
use dfdx::tensor::Cpu;

type T = Tensor<Cpu>;

/// Images below which queries are shared out to the threads, and into how many parts.
const FEW: usize = 4;
/// Queries of a part are a multiple of so many.
const ROWS: usize = 8;

impl AttentionOps for Cpu {
    fn attention(shape: Heads, qkv: &T, sizes: Option<&T>, precision: Precision, save: bool) -> Result<(T, Option<T>)> {
        let (rows, width) = check_attention(shape, qkv, sizes)?;
        let bias: Option<Vec<f32>> = sizes.map(|s| s.data().iter().map(|s| s.ln()).collect());
        let run = |kept: Option<&mut [f32]>| {
            filled(qkv.device(), [rows, width].into(), |y| {
                forward(&shape, precision, qkv.data(), bias.as_deref(), y, kept);
            })
        };
        if !save {
            return Ok((run(None), None));
        }
        let mut y = None;
        let probabilities = filled(qkv.device(), [shape.probabilities()].into(), |kept| y = Some(run(Some(kept))));
        Ok((y.expect("`filled` calls its argument"), Some(probabilities)))
    }

    fn attention_backward(
        shape: Heads,
        qkv: &T,
        probabilities: &T,
        dy: &T,
        precision: Precision,
        dqkv: &mut Slot<Self>,
    ) -> Result<()> {
        backward(&shape, precision, qkv.data(), probabilities.data(), dy.data(), dqkv.grad(qkv)?);
        Ok(())
    }
}

fn flops_of(shape: &Heads) -> usize {
    flops(shape.tokens, shape.tokens, shape.head_dim).saturating_mul(2 * shape.batch * shape.heads)
}

fn check(shape: &Heads, qkv: &[f32]) {
    assert_eq!(qkv.len(), shape.batch * shape.tokens * 3 * shape.width(), "qkv of {shape:?}");
}

/// y [batch * tokens, width] = softmax(scale q k^T + key_bias) v.
///
/// `key_bias` [batch * tokens] is added to the logits of each key: the logarithm of token sizes, where tokens were
/// merged. `probabilities`, if given, receives the softmax for the backward pass. Both outputs are overwritten.
fn forward(
    shape: &Heads,
    precision: Precision,
    qkv: &[f32],
    key_bias: Option<&[f32]>,
    y: &mut [f32],
    probabilities: Option<&mut [f32]>,
) {
    let &Heads { batch, tokens, heads, head_dim, scale } = shape;
    let (width, stride) = (shape.width(), 3 * shape.width());
    check(shape, qkv);
    assert_eq!(y.len(), batch * tokens * width, "y of {shape:?}");
    assert!(probabilities.as_ref().is_none_or(|p| p.len() == shape.probabilities()), "probabilities of {shape:?}");
    if y.is_empty() {
        return;
    }
    // Few images share out their queries as well, if nothing is kept of each head, and where the products of a row are the
    // same whatever rows it stands among.
    let apart = precision == Precision::F32 && level() > Level::Baseline;
    let whole = batch >= FEW || probabilities.is_some() || !apart;
    let queries = if whole { tokens } else { tokens.div_ceil(FEW).next_multiple_of(ROWS).min(tokens) };
    let pieces = qkv
        .chunks(tokens * stride)
        .zip(y.chunks_mut(tokens * width))
        .zip(par::chunks_mut_or_none(probabilities, heads * tokens * tokens, batch))
        .zip(par::chunks_or_none(key_bias, tokens, batch));
    let pieces = pieces.flat_map(|(((qkv, y), mut probabilities), bias)| {
        let parts = y.chunks_mut(queries * width).enumerate();
        parts.map(move |(i, y)| (qkv, i * queries, y, probabilities.take(), bias))
    });
    par::for_each(flops_of(shape), pieces, |(qkv, first, y, probabilities, bias)| {
        let rows = y.len() / width;
        let part =
            |which: usize, h: usize| Mat::strided(&qkv[which * width + h * head_dim..], tokens, head_dim, stride);
        let mut one_head = |h: usize, p: &mut [f32]| {
            let mut scores = MatMut::new(p, rows, tokens);
            let queries = part(0, h).rows_from(first, rows);
            multiply(precision, &mut scores, Accumulate::Overwrite, scale, queries, part(1, h).t());
            if let Some(bias) = bias {
                add_to_rows(p, bias);
            }
            softmax_rows(p, tokens);
            let mut out = MatMut::strided(&mut y[h * head_dim..], rows, head_dim, width);
            multiply(precision, &mut out, Accumulate::Overwrite, 1.0, Mat::new(p, rows, tokens), part(2, h));
        };
        match probabilities {
            Some(all) => all.chunks_mut(tokens * tokens).enumerate().for_each(|(h, p)| one_head(h, p)),
            None => scratch::with(rows * tokens, |p| (0..heads).for_each(|h| one_head(h, p))),
        }
    });
}

/// dqkv from dy and the probabilities of the forward pass. The key bias is a constant.
fn backward(shape: &Heads, precision: Precision, qkv: &[f32], probabilities: &[f32], dy: &[f32], dqkv: Grad<'_>) {
    let &Heads { batch, tokens, heads, head_dim, scale } = shape;
    let (width, stride) = (shape.width(), 3 * shape.width());
    check(shape, qkv);
    check(shape, dqkv.out);
    assert_eq!((dy.len(), probabilities.len()), (batch * tokens * width, shape.probabilities()), "{shape:?}");
    if dy.is_empty() {
        return;
    }
    let pieces = qkv
        .chunks(tokens * stride)
        .zip(dy.chunks(tokens * width))
        .zip(probabilities.chunks(heads * tokens * tokens))
        .zip(dqkv.chunks(tokens * stride));
    par::for_each(2 * flops_of(shape), pieces, |(((qkv, dy), probabilities), dqkv)| {
        let part =
            |which: usize, h: usize| Mat::strided(&qkv[which * width + h * head_dim..], tokens, head_dim, stride);
        let mode = dqkv.mode;
        let mut put = |which: usize, h: usize, alpha: f32, a: Mat<'_>, b: Mat<'_>| {
            let out = &mut dqkv.out[which * width + h * head_dim..];
            multiply(precision, &mut MatMut::strided(out, tokens, head_dim, stride), mode, alpha, a, b);
        };
        scratch::with(tokens * tokens, |ds| {
            for (h, p) in probabilities.chunks(tokens * tokens).enumerate() {
                let dy = Mat::strided(&dy[h * head_dim..], tokens, head_dim, width);
                put(2, h, 1.0, Mat::new(p, tokens, tokens).t(), dy);
                let mut d = MatMut::new(ds, tokens, tokens);
                multiply(precision, &mut d, Accumulate::Overwrite, 1.0, dy, part(2, h).t());
                softmax_backward_rows(ds, p, tokens);
                let ds = Mat::new(ds, tokens, tokens);
                put(0, h, scale, ds, part(1, h));
                put(1, h, scale, ds.t(), part(0, h));
            }
        });
    });
}

fn multiply(precision: Precision, c: &mut MatMut<'_>, mode: Accumulate, alpha: f32, a: Mat<'_>, b: Mat<'_>) {
    match precision {
        Precision::F32 => with_panels(b, |b| product(c, mode, alpha, a, b)),
        Precision::Bf16 => bf16::multiply(c, mode, alpha, a, b),
    }
}

simd_fn! { fn add_to_rows(x: &mut [f32], bias: &[f32]) {
    for row in x.chunks_exact_mut(bias.len()) {
        for (x, &b) in row.iter_mut().zip(bias) {
            *x += b;
        }
    }
} }

simd_fn! {
    /// d = (d - sum d p) p: from the gradient of a softmax's output to that of its input.
    fn softmax_backward_rows(d: &mut [f32], p: &[f32], cols: usize) {
        for (d, p) in d.chunks_exact_mut(cols).zip(p.chunks_exact(cols)) {
            let mean = sum_of_pairs(d, p, |d, p| d * p);
            for (d, &p) in d.iter_mut().zip(p) {
                *d = (*d - mean) * p;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::cpu::common::testing::*;

    const SHAPE: Heads = Heads { batch: 2, tokens: 5, heads: 3, head_dim: 4, scale: 0.5 };

    fn reference(s: &Heads, qkv: &[f64], bias: Option<&[f32]>) -> Vec<f64> {
        let (w, t, d) = (s.width(), s.tokens, s.head_dim);
        let mut y = vec![0.0; s.batch * t * w];
        for b in 0..s.batch {
            for h in 0..s.heads {
                let at = |which: usize, i: usize, c: usize| qkv[(b * t + i) * 3 * w + which * w + h * d + c];
                for i in 0..t {
                    let score = |j: usize| {
                        let product: f64 = (0..d).map(|c| at(0, i, c) * at(1, j, c)).sum();
                        (product / (d as f64).sqrt() + bias.map_or(0.0, |v| f64::from(v[b * t + j]))).exp()
                    };
                    let total: f64 = (0..t).map(score).sum();
                    for c in 0..d {
                        y[(b * t + i) * w + h * d + c] = (0..t).map(|j| score(j) / total * at(2, j, c)).sum();
                    }
                }
            }
        }
        y
    }

    #[test]
    fn output_and_gradient_agree_with_the_definition() {
        let n = SHAPE.batch * SHAPE.tokens * SHAPE.width();
        let (qkv, dy, bias) = (random(3 * n, 1), random(n, 2), random(10, 3));
        for bias in [None, Some(&bias[..])] {
            let (mut y, mut p) = (vec![f32::NAN; n], vec![f32::NAN; SHAPE.probabilities()]);
            forward(&SHAPE, Precision::F32, &qkv, bias, &mut y, Some(&mut p));
            assert_close(&y, &reference(&SHAPE, &wide(&qkv), bias), 1e-5, "y");
            // In parts, too, where there are queries enough.
            let mut again = vec![f32::NAN; n];
            forward(&SHAPE, Precision::F32, &qkv, bias, &mut again, None);
            assert_eq!(y, again);

            let slopes = numeric_gradient(&wide(&qkv), |qkv| dot(&reference(&SHAPE, qkv, bias), &dy));
            let mut dqkv = vec![f32::NAN; 3 * n];
            backward(&SHAPE, Precision::F32, &qkv, &p, &dy, Grad::overwrite(&mut dqkv));
            assert_close(&dqkv, &slopes, 1e-5, "dqkv");
            backward(&SHAPE, Precision::F32, &qkv, &p, &dy, Grad::add(&mut dqkv));
            assert_close(&dqkv, &slopes.iter().map(|g| 2.0 * g).collect::<Vec<_>>(), 1e-5, "dqkv, added");
        }
    }

    #[test]
    fn threads_do_not_change_bits() {
        let shape = Heads { batch: 13, tokens: 33, heads: 2, head_dim: 16, scale: 0.25 };
        let n = shape.batch * shape.tokens * shape.width();
        let (qkv, dy) = (random(3 * n, 1), random(n, 2));
        assert_same_bits(|| {
            let (mut y, mut p) = (vec![0.0; n], vec![0.0; shape.probabilities()]);
            forward(&shape, Precision::F32, &qkv, None, &mut y, Some(&mut p));
            let mut dqkv = vec![0.0; 3 * n];
            backward(&shape, Precision::F32, &qkv, &p, &dy, Grad::overwrite(&mut dqkv));
            [y, p, dqkv].concat()
        });
    }

    #[test]
    fn queries_in_parts_give_what_all_of_them_give() {
        let shape = Heads { batch: 2, tokens: 37, heads: 2, head_dim: 16, scale: 0.25 };
        let n = shape.batch * shape.tokens * shape.width();
        let (qkv, bias) = (random(3 * n, 1), random(2 * 37, 2));
        at_each_level(|| {
            for precision in [Precision::F32, Precision::Bf16] {
                let (mut y, mut parts) = (vec![f32::NAN; n], vec![f32::NAN; n]);
                let mut kept = vec![f32::NAN; shape.probabilities()];
                forward(&shape, precision, &qkv, Some(&bias), &mut y, Some(&mut kept));
                forward(&shape, precision, &qkv, Some(&bias), &mut parts, None);
                assert_eq!(y, parts);
            }
        });
    }

    #[test]
    fn in_bf16_it_is_off_by_what_rounding_takes() {
        let shape = Heads { batch: 3, tokens: 33, heads: 2, head_dim: 24, scale: 0.2 };
        let n = shape.batch * shape.tokens * shape.width();
        let (qkv, dy) = (random(3 * n, 1), random(n, 2));
        let of = |precision| {
            let (mut y, mut p) = (vec![f32::NAN; n], vec![f32::NAN; shape.probabilities()]);
            forward(&shape, precision, &qkv, None, &mut y, Some(&mut p));
            let mut dqkv = vec![f32::NAN; 3 * n];
            backward(&shape, precision, &qkv, &p, &dy, Grad::overwrite(&mut dqkv));
            [y, p, dqkv]
        };
        assert_same_bits(|| of(Precision::Bf16).concat());
        for (found, expected) in of(Precision::Bf16).iter().zip(&of(Precision::F32)) {
            let off: f64 = found.iter().zip(expected).map(|(a, b)| f64::from(a - b).powi(2)).sum();
            let all: f64 = expected.iter().map(|b| f64::from(*b).powi(2)).sum();
            let share = (off / all).sqrt();
            assert!((1e-5..2f64.powi(-7)).contains(&share), "off by {share:.1e}");
        }
    }
}
