//! The gradients of a fully connected layer.

use super::layer::{CHUNK, Linear, LinearGrads, with_effective_weight};
use super::nonzeros;
use crate::backend::Act;
use crate::backend::cpu::activation::Saved;
use crate::backend::cpu::activation::rows::backward_rows;
use crate::backend::cpu::common::matrix::{Mat, MatMut, flops};
use crate::backend::cpu::common::panels::{
    Panels, product, product_by_blocks, product_in_tiles, tile, with_left, with_panels,
};
use crate::backend::cpu::common::sparse::Nonzeros;
use crate::backend::cpu::common::{Accumulate, Grad, elementwise, grad, par, reduce, scratch};

/// Most bands of rows that have a partial weight gradient of their own.
pub(super) const BANDS: usize = 8;

/// Computes the wanted gradients from `dy` [rows, outputs], the layer's input `x` and what the forward pass saved.
pub fn backward(layer: &Linear<'_>, x: &[f32], saved: Saved<'_>, dy: &[f32], mut grads: LinearGrads<'_>) {
    if !begin(layer, x, dy, &mut grads) {
        return;
    }
    if let Some(nonzeros) = layer.nonzeros {
        if over(nonzeros, layer, &grads) == (true, true) {
            return nonzeros::backward(layer, nonzeros, x, saved, dy, grads);
        }
        if over(nonzeros, layer, &grads).0 {
            return backward_by_operation(layer, x, saved, dy, grads);
        }
        return nonzeros.with_whole(|weight| backward_by_operation(&Linear { weight, ..*layer }, x, saved, dy, grads));
    }
    with_effective_weight(layer, |weight| {
        let layer = &Linear { weight, ..*layer };
        if layer.many_rows() {
            backward_in_bands(layer, x, saved, dy, grads);
        } else {
            backward_by_operation(layer, x, saved, dy, grads);
        }
    });
}

/// Checks the operands, gives the residual its gradient and an empty layer those that it has; whether there is more to do.
pub(super) fn begin(layer: &Linear<'_>, x: &[f32], dy: &[f32], grads: &mut LinearGrads<'_>) -> bool {
    let &Linear { rows, inputs, outputs, .. } = layer;
    layer.check(x);
    assert_eq!(dy.len(), rows * outputs, "dy of a linear layer");
    if let Some(mut dresidual) = grads.dresidual.take() {
        dresidual.put(dy);
    }
    if rows * inputs * outputs == 0 {
        let nothing = [grads.dx.take(), grads.dw.take(), grads.db.take()].into_iter().flatten();
        nothing.filter(|g| g.mode == Accumulate::Overwrite).for_each(|g| g.out.fill(0.0));
    }
    rows * inputs * outputs > 0
}

/// Whether dx and dw go over the nonzeros of the weight alone, or are not wanted.
fn over(nonzeros: Nonzeros<'_>, layer: &Linear<'_>, grads: &LinearGrads<'_>) -> (bool, bool) {
    let dx = grads.dx.is_none() || nonzeros.multiplies(layer.rows);
    (dx, grads.dw.is_none() || !grads.dense_dw && nonzeros.correlates(layer.rows))
}

/// Many rows, a small weight: bands of rows go through all operations in cached chunks, each band with a weight
/// gradient of its own; these are added in order.
pub(super) fn backward_in_bands(layer: &Linear<'_>, x: &[f32], saved: Saved<'_>, dy: &[f32], grads: LinearGrads<'_>) {
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
                    with_dpre(act, dy, saved.slice(range), db, products);
                }
            });
            put_bands(partial, (weights, outputs), (dw, db), mask.filter(|_| !dense_dw));
        })
    };
    with_panels(Mat::new(weight, outputs, inputs), whole);
}

/// Lends `f` the gradient before the activation of some rows, and adds its column sums to `db`; on this thread.
pub(super) fn with_dpre(act: Act, dy: &[f32], saved: Saved<'_>, db: &mut [f32], f: impl FnOnce(&[f32])) {
    if act == Act::None {
        reduce::add_column_sums(db, dy);
        return f(dy);
    }
    scratch::with(dy.len(), |dpre| {
        backward_rows(act, dpre, dy, saved, db);
        f(dpre);
    });
}

/// Adds up the bands' gradients of the weight, times its mask where there is one, and of the bias.
pub(super) fn put_bands(
    partial: &mut [f32],
    (weights, outputs): (usize, usize),
    (dw, db): (Option<Grad<'_>>, Option<Grad<'_>>),
    mask: Option<&[f32]>,
) {
    let (dw_total, db_total) = sum_of_bands(partial, weights + outputs).split_at(weights);
    if let Some(mut dw) = dw {
        match mask {
            Some(mask) => dw.put_product(dw_total, mask),
            None => dw.put(dw_total),
        }
    }
    if let Some(mut db) = db {
        db.put(db_total);
    }
}

/// Adds the bands, `len` long each, to the first, in order.
pub(super) fn sum_of_bands(partial: &mut [f32], len: usize) -> &mut [f32] {
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
pub(super) fn backward_by_operation(
    layer: &Linear<'_>,
    x: &[f32],
    saved: Saved<'_>,
    dy: &[f32],
    grads: LinearGrads<'_>,
) {
    let &Linear { rows, inputs, outputs, weight, mask, .. } = layer;
    let over = layer.nonzeros.map(|nonzeros| (nonzeros, over(nonzeros, layer, &grads)));
    let LinearGrads { dx, dw, dense_dw, db, .. } = grads;
    let products = |dpre: &[f32]| {
        let (mut dx, mut dw) = (dx, dw);
        if let Some((nonzeros, over)) = over {
            let (dx, dw) = (dx.take_if(|_| over.0), dw.take_if(|_| over.1));
            nonzeros::products(layer, nonzeros, x, dpre, dx, dw);
        }
        if let Some(dx) = dx {
            let (a, b) = (Mat::new(dpre, rows, outputs), Mat::new(weight, outputs, inputs));
            product_in_tiles(MatMut::new(dx.out, rows, inputs), dx.mode, a, b);
        }
        if let Some(dw) = dw {
            let shape = (rows, inputs, outputs);
            match layer.nonzeros.filter(|_| !dense_dw) {
                Some(nonzeros) => scratch::with(inputs * outputs, |dense| {
                    weight_gradient(Grad::overwrite(dense), None, dpre, x, shape);
                    nonzeros.pattern.put_dense(dw, dense);
                }),
                None => weight_gradient(dw, mask.filter(|_| !dense_dw), dpre, x, shape),
            }
        }
    };
    with_all_dpre(layer, CHUNK, saved, dy, db, products);
}

/// Gives the bias its gradient, and lends `products` the gradient before the activation of all rows, of which at most
/// `chunk` are taken together; spread over the threads.
pub(super) fn with_all_dpre(
    layer: &Linear<'_>,
    chunk: usize,
    saved: Saved<'_>,
    dy: &[f32],
    db: Option<Grad<'_>>,
    products: impl FnOnce(&[f32]),
) {
    let &Linear { outputs, act, rows, .. } = layer;
    if act == Act::None && db.is_none() {
        return products(dy);
    }
    let piece = (elementwise::PIECE / outputs).clamp(1, chunk);
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
    let (a, b) = (Mat::new(dpre, rows, outputs).t(), Mat::new(x, rows, inputs));
    with_left(a, |a| {
        par::for_each(flops(rows, inputs, outputs), tiles, |mut tile| match (mask, mode) {
            (None, _) => product_by_blocks(&mut tile, mode, a, b),
            (Some(mask), Accumulate::Overwrite) => {
                let masks = tile.blocks_in(mask);
                product_by_blocks(&mut tile, mode, a, b);
                tile.blocks().zip(masks).for_each(|(dw, mask)| elementwise::mul_assign(dw, mask));
            }
            (Some(mask), Accumulate::Add) => scratch::with(tile.rows() * tile.cols(), |product| {
                product_by_blocks(&mut tile.over(product), Accumulate::Overwrite, a, b);
                let mut rest = &mut *product;
                let masks = tile.blocks_in(mask);
                for (dw, mask) in tile.blocks().zip(masks) {
                    let (product, next) = rest.split_at_mut(dw.len());
                    elementwise::mul_add_assign(dw, product, mask);
                    rest = next;
                }
            }),
        });
    });
}
