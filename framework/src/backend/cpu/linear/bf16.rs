//! The layer with products in bf16: the same cuts and the same order of operations as in f32, with both sides of every
//! product packed for the instructions.

use super::backward::{BANDS, begin, put_bands, with_all_dpre, with_dpre};
use super::forward::{finish_chunk, finish_tile};
use super::layer::{Linear, LinearGrads, with_effective_weight};
use crate::backend::cpu::activation::Saved;
use crate::backend::cpu::common::bf16::{Panels, affine, multiply, multiply_past_caches, product, with_panels};
use crate::backend::cpu::common::matrix::{Mat, MatMut, flops};
use crate::backend::cpu::common::{Accumulate, Grad, elementwise, grad, par, scratch};

/// Rows that stay in a core's cache while everything is done to them: more than in f32, for both sides are packed anew
/// for each chunk of the weight's gradient.
const CHUNK: usize = 128;
/// Weights from which on a gradient is larger than caches are.
const LARGE_WEIGHT: usize = 1 << 22;

/// Columns of a tile of the right-hand side's columns, where these are contiguous in memory, and where its rows are.
const NARROWEST: usize = 64;
const NARROWEST_OF_ROWS: usize = 256;

/// The tile shape for a product, at least `narrowest` columns wide: at most about a sixteenth of the work, so that cores
/// finish together.
fn tile(narrowest: usize, (m, n, k): (usize, usize, usize)) -> (usize, usize) {
    const STEP: usize = 64;
    let enough = (flops(m, n, k) / 16).max(3 * par::SERIAL_BELOW);
    let mut rows = m.clamp(1, 3 * STEP);
    let cols = (enough / flops(rows, 1, k).max(1)).next_multiple_of(STEP).clamp(narrowest, 8 * STEP);
    while flops(rows, cols.min(n), k) > 2 * enough && rows > STEP {
        rows = rows.div_ceil(2).next_multiple_of(STEP / 2);
    }
    (rows, cols.min(n.max(1)))
}

/// As [`forward`](super::forward).
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
        let tile = tile(NARROWEST, (rows, outputs, inputs));
        let mut pres = pre.map(|pre| MatMut::new(pre, rows, outputs).tiles(tile));
        let tiles = MatMut::new(y, rows, outputs).tiles(tile).map(|y| (y, pres.as_mut().and_then(Iterator::next)));
        par::for_each(flops(rows, outputs, inputs), tiles, |(mut y, pre)| {
            let a = Mat::new(x, rows, inputs).rows_from(y.first_row(), y.rows());
            let b = Mat::new(weight, outputs, inputs).t().cols_from(y.first_col(), y.cols());
            finish_tile(act, &mut y, pre, bias, residual, |to| multiply(to, Accumulate::Overwrite, 1.0, a, b));
        });
    });
}

/// Many rows, a small weight that is packed once: chunks of rows are finished while they are in the cache.
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
            finish_chunk(act, y, pre, residual, multiply);
        });
    });
}

/// As [`backward`](super::backward).
pub fn backward(layer: &Linear<'_>, x: &[f32], saved: Saved<'_>, dy: &[f32], mut grads: LinearGrads<'_>) {
    if !begin(layer, x, dy, &mut grads) {
        return;
    }
    let &Linear { inputs, outputs, .. } = layer;
    with_effective_weight(layer, |weight| {
        let layer = &Linear { weight, ..*layer };
        if layer.many_rows() {
            with_panels(Mat::new(weight, outputs, inputs), |w| backward_in_bands(layer, w, x, saved, dy, grads));
        } else {
            backward_by_operation(layer, x, saved, dy, grads);
        }
    });
}

/// Many rows, a small weight: bands of rows go through all operations in cached chunks, each band with a weight
/// gradient of its own; these are added in order.
fn backward_in_bands(
    layer: &Linear<'_>,
    weight: &Panels<'_>,
    x: &[f32],
    saved: Saved<'_>,
    dy: &[f32],
    grads: LinearGrads<'_>,
) {
    let &Linear { rows, inputs, outputs, mask, .. } = layer;
    let LinearGrads { dx, dw, dense_dw, db, .. } = grads;
    let weights = if dw.is_some() { inputs * outputs } else { 0 };
    let band = rows.div_ceil(BANDS).next_multiple_of(CHUNK);
    let bands = rows.div_ceil(band);
    scratch::with(bands * (weights + outputs), |partial| {
        let pieces = partial.chunks_mut(weights + outputs).zip(grad::chunks_or_none(dx, band * inputs, bands));
        par::for_each(2 * flops(rows, inputs, outputs), pieces.enumerate(), |(i, (partial, dx))| {
            let (dw, db) = partial.split_at_mut(weights);
            dw.fill(0.0);
            db.fill(0.0);
            let (first, end) = (i * band, rows.min((i + 1) * band));
            let chunks = grad::chunks_or_none(dx, CHUNK * inputs, (end - first).div_ceil(CHUNK));
            for (start, dx) in (first..end).step_by(CHUNK).zip(chunks) {
                let n = CHUNK.min(end - start);
                let (x, range) = (&x[start * inputs..][..n * inputs], start * outputs..(start + n) * outputs);
                let dy = &dy[range.clone()];
                with_dpre(layer.act, dy, saved.slice(range), db, |dpre| {
                    if weights > 0 {
                        let mut dw = MatMut::new(dw, outputs, inputs);
                        multiply(&mut dw, Accumulate::Add, 1.0, Mat::new(dpre, n, outputs).t(), Mat::new(x, n, inputs));
                    }
                    if let Some(dx) = dx {
                        let mut out = MatMut::new(dx.out, n, inputs);
                        product(&mut out, dx.mode, 1.0, Mat::new(dpre, n, outputs), weight);
                    }
                });
            }
        });
        put_bands(partial, (weights, outputs), (dw, db), mask.filter(|_| !dense_dw));
    });
}

/// One operation after the other, each spread over the threads on its own.
fn backward_by_operation(layer: &Linear<'_>, x: &[f32], saved: Saved<'_>, dy: &[f32], grads: LinearGrads<'_>) {
    let &Linear { rows, inputs, outputs, weight, mask, .. } = layer;
    let LinearGrads { dx, dw, dense_dw, db, .. } = grads;
    let products = |dpre: &[f32]| {
        if let Some(dx) = dx {
            let tiles = MatMut::new(dx.out, rows, inputs).tiles(tile(NARROWEST_OF_ROWS, (rows, inputs, outputs)));
            par::for_each(flops(rows, inputs, outputs), tiles, |mut dx_tile| {
                let a = Mat::new(dpre, rows, outputs).rows_from(dx_tile.first_row(), dx_tile.rows());
                let b = Mat::new(weight, outputs, inputs).cols_from(dx_tile.first_col(), dx_tile.cols());
                multiply(&mut dx_tile, dx.mode, 1.0, a, b);
            });
        }
        if let Some(dw) = dw {
            weight_gradient(dw, mask.filter(|_| !dense_dw), dpre, x, (rows, inputs, outputs));
        }
    };
    with_all_dpre(layer, CHUNK, saved, dy, db, products);
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
    let tiles = MatMut::new(dw.out, outputs, inputs).tiles(tile(NARROWEST_OF_ROWS, (outputs, inputs, rows)));
    par::for_each(flops(rows, inputs, outputs), tiles, |mut tile| {
        let a = Mat::new(dpre, rows, outputs).cols_from(tile.first_row(), tile.rows()).t();
        let b = Mat::new(x, rows, inputs).cols_from(tile.first_col(), tile.cols());
        let Some(mask) = mask else {
            let large = mode == Accumulate::Overwrite && inputs * outputs >= LARGE_WEIGHT;
            return if large { multiply_past_caches(&mut tile, a, b) } else { multiply(&mut tile, mode, 1.0, a, b) };
        };
        let masks = tile.blocks_in(mask);
        let (tile_rows, tile_cols) = (tile.rows(), tile.cols());
        scratch::with(tile_rows * tile_cols, |product| {
            multiply(&mut MatMut::new(product, tile_rows, tile_cols), Accumulate::Overwrite, 1.0, a, b);
            let mut rest = &*product;
            for (dw, mask) in tile.blocks().zip(masks) {
                let (product, next) = rest.split_at(dw.len());
                match mode {
                    Accumulate::Overwrite => elementwise::mul(dw, product, mask),
                    Accumulate::Add => elementwise::mul_add_assign(dw, product, mask),
                }
                rest = next;
            }
        });
    });
}

#[cfg(test)]
mod tests {
    use super::super::{backward as in_f32_backward, forward as in_f32};
    use super::*;
    use crate::backend::Act;
    use crate::backend::cpu::common::testing::*;

    type Forward = fn(&Linear<'_>, &[f32], Option<&[f32]>, &mut [f32], Option<&mut [f32]>);
    type Backward = fn(&Linear<'_>, &[f32], Saved<'_>, &[f32], LinearGrads<'_>);

    const F32: (Forward, Backward) = (in_f32, in_f32_backward);
    const BF16: (Forward, Backward) = (forward, backward);

    /// Sizes, activation, and whether there are a mask and a residual.
    #[derive(Clone, Copy)]
    struct Case {
        size: (usize, usize, usize),
        act: Act,
        masked: bool,
        residual: bool,
        add: bool,
    }

    /// y, dx, dw and db of a case, whose numbers are made by `numbers`.
    fn run(case: Case, (forward, backward): (Forward, Backward), numbers: fn(usize, u64) -> Vec<f32>) -> [Vec<f32>; 4] {
        let Case { size: (rows, inputs, outputs), act, masked, residual, add } = case;
        let (x, w, b) = (numbers(rows * inputs, 1), numbers(inputs * outputs, 2), numbers(outputs, 3));
        let (r, dy, mask) = (numbers(rows * outputs, 4), numbers(rows * outputs, 5), random_mask(w.len(), 6));
        let (mask, r) = (masked.then_some(&mask[..]), residual.then_some(&r[..]));
        let layer = Linear { rows, inputs, outputs, weight: &w, mask, bias: Some(&b), act, nonzeros: None };
        let (mut y, mut pre) = (vec![f32::NAN; dy.len()], vec![f32::NAN; dy.len()]);
        let needs_pre = act.needs_pre(residual);
        forward(&layer, &x, r, &mut y, needs_pre.then_some(&mut pre[..]));
        let start = if add { 1.0 } else { f32::NAN };
        let (mut dx, mut dw, mut db) = (vec![start; x.len()], vec![start; w.len()], vec![start; outputs]);
        let grad = |out| Some(if add { Grad::add(out) } else { Grad::overwrite(out) });
        let grads = LinearGrads { dx: grad(&mut dx), dw: grad(&mut dw), db: grad(&mut db), ..Default::default() };
        backward(&layer, &x, if needs_pre { Saved::Pre(&pre) } else { Saved::Out(&y) }, &dy, grads);
        [y, dx, dw, db]
    }

    /// Sixteenths, which bf16 holds exactly, and whose products f32 adds up exactly.
    fn sixteenths(n: usize, seed: u64) -> Vec<f32> {
        random(n, seed).iter().map(|x| (x * 16.0).round() / 16.0).collect()
    }

    /// Few rows, many rows of a small weight, and sides that no register divides.
    const SIZES: [(usize, usize, usize); 4] = [(7, 5, 3), (130, 300, 110), (1_100, 33, 20), (3, 600, 70)];

    #[test]
    fn numbers_that_bf16_holds_give_what_they_give_in_f32() {
        for size in SIZES {
            for act in [Act::None, Act::Relu] {
                for (masked, residual, add) in [(false, false, false), (true, false, true), (true, true, false)] {
                    let case = Case { size, act, masked, residual, add };
                    assert_eq!(run(case, BF16, sixteenths), run(case, F32, sixteenths), "{size:?}, {act:?}");
                }
            }
        }
    }

    #[test]
    fn other_numbers_are_off_by_what_rounding_takes() {
        for size in SIZES {
            for act in [Act::None, Act::Gelu] {
                let case = Case { size, act, masked: true, residual: false, add: false };
                let (found, expected) = (run(case, BF16, random), run(case, F32, random));
                for (what, (found, expected)) in ["y", "dx", "dw", "db"].into_iter().zip(found.iter().zip(&expected)) {
                    let off = found.iter().zip(expected).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>();
                    let all = expected.iter().map(|b| f64::from(*b).powi(2)).sum::<f64>();
                    // An operand is off by at most 2^-9 of itself; a gradient behind an activation is two products deep.
                    let share = (off / all).sqrt();
                    assert!(share < 2f64.powi(-7), "{size:?}, {act:?}, {what}: off by {share:.1e}");
                }
            }
        }
    }

    #[test]
    fn threads_do_not_change_bits() {
        for size in [(128, 784, 50), (64, 300, 700), (2_100, 96, 130)] {
            let case = Case { size, act: Act::Gelu, masked: true, residual: true, add: false };
            assert_same_bits(|| run(case, BF16, random).concat());
        }
    }

    #[test]
    fn an_empty_batch_gives_zero_gradients() {
        let case = Case { size: (0, 3, 2), act: Act::Relu, masked: false, residual: false, add: false };
        assert_eq!(run(case, BF16, random).concat(), [0.0; 8]);
    }
}
