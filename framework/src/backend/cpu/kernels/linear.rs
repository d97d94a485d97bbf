//! Fully connected layers: y = act(x (w * mask)^T + bias) + residual, and its gradients.

use super::activation::{Saved, act_in_place, act_into, backward_rows, finish_rows, finish_rows_keeping};
use super::elementwise;
use super::gemm::{Mat, MatMut, flops, gemm, gemm_parallel, tile};
use super::grad::{self, Grad};
use super::panels::{Panels, affine, product, with_panels};
use super::{Accumulate, Act, par, reduce, scratch};

/// The layer: shape, parameters, activation.
#[derive(Clone, Copy, Debug)]
pub struct Linear<'a> {
    /// Rows of x and y: batch, or batch times tokens.
    pub rows: usize,
    /// Width of x.
    pub inputs: usize,
    /// Width of y.
    pub outputs: usize,
    /// [outputs, inputs].
    pub weight: &'a [f32],
    /// 0 or 1 for each weight.
    pub mask: Option<&'a [f32]>,
    /// [outputs].
    pub bias: Option<&'a [f32]>,
    /// Applied after the bias and before the residual.
    pub act: Act,
}

/// The gradients a backward pass produces; `None` where one is not wanted.
#[derive(Debug, Default)]
pub struct LinearGrads<'a> {
    /// [rows, inputs].
    pub dx: Option<Grad<'a>>,
    /// [outputs, inputs].
    pub dw: Option<Grad<'a>>,
    /// Whether `dw` is the gradient of the masked weight w * mask, pruned entries included (for regrowth), or of w.
    pub dense_dw: bool,
    /// [outputs].
    pub db: Option<Grad<'a>>,
    /// [rows, outputs].
    pub dresidual: Option<Grad<'a>>,
}

/// Rows that stay in a core's cache while everything is done to them.
const CHUNK: usize = 64;
/// Rows from which a small weight is cut into panels once, for all of them.
const MANY_ROWS: usize = 1024;
/// Most bands of rows that have a partial weight gradient of their own.
const BANDS: usize = 8;
/// Largest weight for which partial gradients are kept.
const SMALL_WEIGHT: usize = 1 << 18;

/// Computes `y` [rows, outputs] from `x` [rows, inputs]; all of `y` and `pre` is overwritten.
///
/// `pre` [rows, outputs] receives the value before the activation; the backward pass needs it where
/// [`Act::needs_pre`] says so.
pub fn forward(layer: &Linear<'_>, x: &[f32], residual: Option<&[f32]>, y: &mut [f32], pre: Option<&mut [f32]>) {
    let &Linear { rows, inputs, outputs, act, .. } = layer;
    layer.check(x);
    if y.is_empty() {
        return;
    }
    let no_bias = if layer.bias.is_none() { vec![0.0; outputs] } else { Vec::new() };
    let bias = layer.bias.unwrap_or(&no_bias);
    with_effective_weight(layer, |weight| {
        if layer.many_rows() {
            return forward_in_chunks(&Linear { weight, ..*layer }, bias, x, residual, y, pre);
        }
        let tile = tile(rows, outputs, inputs);
        let mut pres = pre.map(|pre| MatMut::new(pre, rows, outputs).tiles(tile));
        let tiles = MatMut::new(y, rows, outputs).tiles(tile).map(|y| (y, pres.as_mut().and_then(Iterator::next)));
        par::for_each(flops(rows, outputs, inputs), tiles, |(mut y, pre)| {
            let a = Mat::new(x, rows, inputs).rows_from(y.first_row(), y.rows());
            let b = Mat::new(weight, outputs, inputs).t().cols_from(y.first_col(), y.cols());
            let bias = &bias[y.first_col()..][..y.cols()];
            let mut residuals = residual.map(|r| y.blocks_in(r));
            let mut next_residual = || residuals.as_mut().and_then(Iterator::next);
            if let Some(mut pre) = pre {
                gemm(&mut pre, Accumulate::Overwrite, 1.0, a, b);
                for (y, pre) in y.blocks().zip(pre.blocks()) {
                    finish_rows_keeping(act, y, pre, bias, next_residual());
                }
            } else {
                gemm(&mut y, Accumulate::Overwrite, 1.0, a, b);
                for y in y.blocks() {
                    finish_rows(act, y, bias, next_residual());
                }
            }
        });
    });
}

/// Computes the wanted gradients from `dy` [rows, outputs], the layer's input `x` and what the forward pass saved.
pub fn backward(layer: &Linear<'_>, x: &[f32], saved: Saved<'_>, dy: &[f32], mut grads: LinearGrads<'_>) {
    let &Linear { rows, inputs, outputs, .. } = layer;
    layer.check(x);
    assert_eq!(dy.len(), rows * outputs, "dy of a linear layer");
    if let Some(mut dresidual) = grads.dresidual.take() {
        dresidual.put(dy);
    }
    if rows * inputs * outputs == 0 {
        let nothing = [grads.dx, grads.dw, grads.db].into_iter().flatten();
        return nothing.filter(|g| g.mode == Accumulate::Overwrite).for_each(|g| g.out.fill(0.0));
    }
    let run = |weight: &[f32]| {
        let layer = &Linear { weight, ..*layer };
        if layer.many_rows() {
            backward_in_bands(layer, x, saved, dy, grads);
        } else {
            backward_by_operation(layer, x, saved, dy, grads);
        }
    };
    with_effective_weight(layer, run);
}

impl Linear<'_> {
    fn many_rows(&self) -> bool {
        self.rows >= MANY_ROWS && self.inputs * self.outputs <= SMALL_WEIGHT
    }

    fn check(&self, x: &[f32]) {
        let (weights, inputs, outputs) = (self.inputs * self.outputs, self.inputs, self.outputs);
        assert_eq!(x.len(), self.rows * inputs, "x of a linear layer with {inputs} inputs");
        assert_eq!(self.weight.len(), weights, "weight of a linear layer [{outputs}, {inputs}]");
        assert!(self.mask.is_none_or(|m| m.len() == weights), "mask of a linear layer [{outputs}, {inputs}]");
        assert!(self.bias.is_none_or(|b| b.len() == outputs), "bias of a linear layer [{outputs}, {inputs}]");
    }
}

fn with_effective_weight<R>(layer: &Linear<'_>, f: impl FnOnce(&[f32]) -> R) -> R {
    match layer.mask {
        None => f(layer.weight),
        Some(mask) => scratch::with(mask.len(), |weight| {
            elementwise::mul(weight, layer.weight, mask);
            f(weight)
        }),
    }
}

/// Many rows, a small weight: chunks of rows are finished while they are in the cache.
fn forward_in_chunks(
    layer: &Linear<'_>,
    bias: &[f32],
    x: &[f32],
    residual: Option<&[f32]>,
    y: &mut [f32],
    pre: Option<&mut [f32]>,
) {
    let &Linear { rows, inputs, outputs, weight, act, .. } = layer;
    let (len, count) = (CHUNK * outputs, rows.div_ceil(CHUNK));
    with_panels(Mat::new(weight, outputs, inputs).t(), |weight| {
        let chunks = y
            .chunks_mut(len)
            .zip(x.chunks(CHUNK * inputs))
            .zip(par::chunks_mut_or_none(pre, len, count))
            .zip(par::chunks_or_none(residual, len, count));
        par::for_each(flops(rows, outputs, inputs), chunks, |(((y, x), pre), residual)| {
            let n = y.len() / outputs;
            let multiply = |y: &mut [f32], residual: Option<&[f32]>| {
                let (mut y, x) = (MatMut::new(y, n, outputs), Mat::new(x, n, inputs));
                affine(&mut y, bias, residual.map(|r| Mat::new(r, n, outputs)), x, weight);
            };
            match pre {
                None if act == Act::None => multiply(y, residual),
                None => {
                    multiply(y, None);
                    act_in_place(act, y, residual);
                }
                Some(pre) => {
                    multiply(pre, None);
                    act_into(act, y, pre, residual);
                }
            }
        });
    });
}

/// Many rows, a small weight: bands of rows go through all operations in cached chunks, each band with a weight
/// gradient of its own; these are added in order.
fn backward_in_bands(layer: &Linear<'_>, x: &[f32], saved: Saved<'_>, dy: &[f32], grads: LinearGrads<'_>) {
    let &Linear { rows, inputs, outputs, weight, mask, act, .. } = layer;
    let LinearGrads { dx, dw, dense_dw, db, .. } = grads;
    let weights = if dw.is_some() { inputs * outputs } else { 0 };
    let band = rows.div_ceil(BANDS).next_multiple_of(CHUNK);
    let bands = rows.div_ceil(band);
    let whole = |weight: &Panels<'_>| {
        scratch::with(bands * (weights + outputs), |partial| {
            let pieces = partial.chunks_mut(weights + outputs).zip(grad::chunks_or_none(dx, band * inputs, bands));
            par::for_each(2 * flops(rows, inputs, outputs), pieces.enumerate(), |(i, (partial, dx))| {
                let (dw, db) = partial.split_at_mut(weights);
                db.fill(0.0);
                let (first, end) = (i * band, rows.min((i + 1) * band));
                let count = (end - first).div_ceil(CHUNK);
                for (c, dx) in grad::chunks_or_none(dx, CHUNK * inputs, count).enumerate() {
                    let start = first + c * CHUNK;
                    let n = CHUNK.min(end - start);
                    let (x, range) = (&x[start * inputs..][..n * inputs], start * outputs..(start + n) * outputs);
                    let dy = &dy[range.clone()];
                    let products = |dpre: &[f32]| {
                        if weights > 0 {
                            let mode = if c == 0 { Accumulate::Overwrite } else { Accumulate::Add };
                            let mut dw = MatMut::new(dw, outputs, inputs);
                            let dpre = Mat::new(dpre, n, outputs).t();
                            with_panels(Mat::new(x, n, inputs), |x| product(&mut dw, mode, 1.0, dpre, x));
                        }
                        if let Some(dx) = dx {
                            let mut out = MatMut::new(dx.out, n, inputs);
                            product(&mut out, dx.mode, 1.0, Mat::new(dpre, n, outputs), weight);
                        }
                    };
                    if act == Act::None {
                        reduce::add_column_sums(db, dy);
                        products(dy);
                    } else {
                        scratch::with(n * outputs, |dpre| {
                            backward_rows(act, dpre, dy, saved.slice(range), db);
                            products(dpre);
                        });
                    }
                }
            });
            let total = sum_of_bands(partial, weights + outputs);
            let (dw_total, db_total) = total.split_at(weights);
            if let Some(mut dw) = dw {
                match mask.filter(|_| !dense_dw) {
                    Some(mask) => dw.put_product(dw_total, mask),
                    None => dw.put(dw_total),
                }
            }
            if let Some(mut db) = db {
                db.put(db_total);
            }
        })
    };
    with_panels(Mat::new(weight, outputs, inputs), whole);
}

/// Adds the bands, `len` long each, to the first, in order.
fn sum_of_bands(partial: &mut [f32], len: usize) -> &mut [f32] {
    let (total, rest) = partial.split_at_mut(len);
    let pieces = total.chunks_mut(elementwise::PIECE).enumerate();
    par::for_each(8 * (rest.len() + len), pieces, |(i, total)| {
        for other in rest.chunks(len) {
            let first = i * elementwise::PIECE;
            elementwise::add_assign(total, &other[first..first + total.len()]);
        }
    });
    total
}

/// One operation after the other, each spread over the threads on its own.
fn backward_by_operation(layer: &Linear<'_>, x: &[f32], saved: Saved<'_>, dy: &[f32], grads: LinearGrads<'_>) {
    let &Linear { rows, inputs, outputs, weight, mask, act, .. } = layer;
    let LinearGrads { dx, dw, dense_dw, db, .. } = grads;
    let products = |dpre: &[f32]| {
        if let Some(dx) = dx {
            let (a, b) = (Mat::new(dpre, rows, outputs), Mat::new(weight, outputs, inputs));
            gemm_parallel(MatMut::new(dx.out, rows, inputs), dx.mode, 1.0, a, b);
        }
        if let Some(dw) = dw {
            weight_gradient(dw, mask.filter(|_| !dense_dw), dpre, x, (rows, inputs, outputs));
        }
    };
    if act == Act::None && db.is_none() {
        return products(dy);
    }
    let piece = (elementwise::PIECE / outputs).clamp(1, CHUNK);
    let pieces = rows.div_ceil(piece);
    scratch::with(pieces * outputs, |sums| {
        sums.fill(0.0);
        let finish = |sums: &mut [f32]| {
            if let Some(mut db) = db {
                let (total, rest) = sums.split_at_mut(outputs);
                rest.chunks(outputs).for_each(|other| elementwise::add_assign(total, other));
                db.put(total);
            }
        };
        if act == Act::None {
            let work = sums.chunks_mut(outputs).zip(dy.chunks(piece * outputs));
            par::for_each(4 * dy.len(), work, |(sums, dy)| reduce::add_column_sums(sums, dy));
            finish(sums);
            return products(dy);
        }
        scratch::with(dy.len(), |dpre| {
            let work = sums.chunks_mut(outputs).zip(dpre.chunks_mut(piece * outputs)).enumerate();
            par::for_each(8 * dy.len(), work, |(i, (sums, dpre))| {
                let range = i * piece * outputs..i * piece * outputs + dpre.len();
                backward_rows(act, dpre, &dy[range.clone()], saved.slice(range), sums);
            });
            finish(sums);
            products(dpre);
        });
    });
}

/// dw (+)= (dpre^T x) * mask.
fn weight_gradient(
    dw: Grad<'_>,
    mask: Option<&[f32]>,
    dpre: &[f32],
    x: &[f32],
    (rows, inputs, outputs): (usize, usize, usize),
) {
    let mode = dw.mode;
    let tiles = MatMut::new(dw.out, outputs, inputs).tiles(tile(outputs, inputs, rows));
    par::for_each(flops(rows, inputs, outputs), tiles, |mut tile| {
        let a = Mat::new(dpre, rows, outputs).cols_from(tile.first_row(), tile.rows()).t();
        let b = Mat::new(x, rows, inputs).cols_from(tile.first_col(), tile.cols());
        let Some(mask) = mask else {
            return gemm(&mut tile, mode, 1.0, a, b);
        };
        let masks = tile.blocks_in(mask);
        if mode == Accumulate::Overwrite {
            gemm(&mut tile, mode, 1.0, a, b);
            tile.blocks().zip(masks).for_each(|(dw, mask)| elementwise::mul_assign(dw, mask));
        } else {
            scratch::with(tile.rows() * tile.cols(), |product| {
                let (rows, cols) = (tile.rows(), tile.cols());
                gemm(&mut MatMut::new(product, rows, cols), Accumulate::Overwrite, 1.0, a, b);
                let mut rest = &*product;
                for (dw, mask) in tile.blocks().zip(masks) {
                    let (product, next) = rest.split_at(dw.len());
                    elementwise::mul_add_assign(dw, product, mask);
                    rest = next;
                }
            });
        }
    });
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;

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
                let l = Linear { rows, inputs, outputs, weight: &w, mask, bias: Some(&b), act };
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
            let l = Linear { rows: 7, inputs: 5, outputs: 3, weight, mask, bias: None, act: Act::Relu };
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
        let l = Linear { rows, inputs, outputs, weight: &w, mask, bias: Some(&b), act };
        let (mut y, mut pre) = (vec![f32::NAN; dy.len()], vec![f32::NAN; dy.len()]);
        forward(&l, &x, None, &mut y, act.needs_pre(false).then_some(&mut pre[..]));
        let start = if add { 0.0 } else { f32::NAN };
        let (mut dx, mut dw, mut db) = (vec![start; x.len()], vec![start; w.len()], vec![start; outputs]);
        let grad = |out| if add { Grad::add(out) } else { Grad::overwrite(out) };
        let grads = LinearGrads {
            dx: Some(grad(&mut dx)),
            dw: Some(grad(&mut dw)),
            db: Some(grad(&mut db)),
            ..Default::default()
        };
        backward(&l, &x, saved(act, false, &y, &pre), &dy, grads);
        [y, dx, dw, db].concat()
    }

    #[test]
    fn both_ways_of_the_backward_pass_agree() {
        let (rows, inputs, outputs) = (1100, 20, 17);
        for act in [Act::None, Act::Gelu, Act::Relu] {
            let (x, w) = (random(rows * inputs, 1), random(inputs * outputs, 2));
            let (b, dy, mask) = (random(outputs, 3), random(rows * outputs, 4), random_mask(inputs * outputs, 5));
            let l = Linear { rows, inputs, outputs, weight: &w, mask: Some(&mask), bias: Some(&b), act };
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
}
