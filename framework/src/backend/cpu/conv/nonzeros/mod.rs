//! Convolutions with a held mask, over the nonzeros of their weights alone.
//!
//! An image is padded and dealt out into [phases](super::phases), so that what a weight is multiplied by is one long row of
//! vectors at every stride, and no patch is copied. Forward pass and input's gradient are the same kernel on two orders of
//! the nonzeros; a transposed convolution has them the other way round. Work is cut by shape and pattern alone, and every
//! sum has one order, so that results do not depend on the threads.

mod kernel;
mod shape;
#[cfg(test)]
mod tests;
pub(super) mod transpose;

use super::backward::{BANDS, Part};
use super::epilogue::finish;
use super::layer::{Conv, ConvGrads};
use crate::backend::Patches;
use crate::backend::cpu::common::sparse::{Nonzeros, Pattern};
use crate::backend::cpu::common::{Accumulate, Grad, elementwise, grad, par, scratch};
use kernel::{WIDEST, add_up, correlate, multiply};
use shape::{Rows, Shape};

/// Largest share of a dense product's multiplications, with those at positions that belong to no window, at which output
/// and input's gradient were faster over the nonzeros alone, for every shape and vector level that was measured
/// (`framework/benches/conv.rs`).
const PRODUCTS: f64 = 0.32;
/// The same for the weight's gradient.
const CORRELATIONS: f64 = 0.34;
/// What the sums of a nonzero take to be fetched and put back for each image, in positions.
const SUMS: usize = 48;

impl Nonzeros<'_> {
    /// The nonzeros for each weight, times the positions for each window that a kernel goes over, with as many more.
    fn share(&self, patches: &Patches, more: usize) -> f64 {
        let (down, across) = patches.windows();
        let density = self.pattern.nonzeros() as f64 / self.pattern.weights().max(1) as f64;
        density * (Shape::of(patches, 1).stride + more) as f64 / (down * across).max(1) as f64
    }

    /// Whether output and input's gradient of a convolution with these windows go over the nonzeros alone: by shape and
    /// pattern.
    pub(super) fn convolves(&self, patches: &Patches) -> bool {
        self.always || self.share(patches, 0) <= PRODUCTS
    }

    /// Whether the weight's gradient does, too.
    fn correlates_windows(&self, patches: &Patches) -> bool {
        self.always || self.share(patches, SUMS) <= CORRELATIONS
    }
}

/// Gives the gradients of a layer that goes over its nonzeros to the products that bring them: `over` these alone, or
/// `dense`. Each is called at most once.
pub(super) fn share_out<'g>(
    nonzeros: Nonzeros<'_>,
    patches: &Patches,
    grads: ConvGrads<'g>,
    over: impl FnOnce(ConvGrads<'_>),
    dense: impl FnOnce(ConvGrads<'_>),
) {
    let ConvGrads { dx, dw, dense_dw, db } = grads;
    let all = dw.is_none() || !dense_dw && nonzeros.correlates_windows(patches);
    let (dx, db) = match nonzeros.convolves(patches) {
        true if all => return over(ConvGrads { dx, dw, dense_dw: false, db }),
        true => {
            over(ConvGrads { dx, dw: None, dense_dw: false, db: None });
            (None, db)
        }
        false => (dx, db),
    };
    match dw {
        Some(dw) if !dense_dw => scratch::with(nonzeros.pattern.weights(), |whole| {
            dense(ConvGrads { dx, dw: Some(Grad::overwrite(whole)), dense_dw: true, db });
            nonzeros.pattern.put_dense(dw, whole);
        }),
        dw => dense(ConvGrads { dx, dw, dense_dw, db }),
    }
}

/// As [`super::forward()`].
pub(super) fn forward(conv: &Conv<'_>, nonzeros: Nonzeros<'_>, x: &[f32], y: &mut [f32], argmax: Option<&mut [u8]>) {
    conv.check_weight(nonzeros.pattern.weights());
    conv.check_rest(x);
    let (image, out, batch) = (conv.patches.image(), conv.output_len(), conv.batch);
    assert_eq!(y.len(), batch * out, "y of a convolution {:?}", conv.patches);
    if y.is_empty() {
        return;
    }
    let shape = Shape::of(&conv.patches, conv.filters);
    let (rows, work) = (shape.rows(nonzeros.pattern), shape.work(nonzeros.pattern));
    let group = (batch * par::SERIAL_BELOW).div_ceil(batch * work).clamp(1, batch);
    let argmax = par::chunks_mut_or_none(argmax, group * out, batch.div_ceil(group));
    let pieces = x.chunks(group * image).zip(y.chunks_mut(group * out)).zip(argmax);
    par::for_each(batch * work, pieces, |((x, y), argmax)| {
        let argmax = par::chunks_mut_or_none(argmax, out, x.len() / image);
        scratch::aligned(shape.filters * shape.stride + shape.dealt(), |buffer| {
            let (raw, dealt) = buffer.split_at_mut(shape.filters * shape.stride);
            dealt.fill(0.0);
            for ((x, y), argmax) in x.chunks(image).zip(y.chunks_mut(out)).zip(argmax) {
                shape.deal(x, dealt);
                multiply(&rows, nonzeros.values, dealt, shape.positions, raw, shape.stride);
                finish(conv, raw, shape.stride, shape.phases.pitch, y, argmax);
            }
        });
    });
}

/// As [`super::backward()`], with the weight's gradient at its nonzeros alone, if it is wanted, in rising order.
pub(super) fn backward(
    conv: &Conv<'_>,
    nonzeros: Nonzeros<'_>,
    x: &[f32],
    (y, argmax): (&[f32], Option<&[u8]>),
    dy: &[f32],
    grads: ConvGrads<'_>,
) {
    conv.check_weight(nonzeros.pattern.weights());
    conv.check_rest(x);
    let (image, out) = (conv.patches.image(), conv.output_len());
    assert_eq!((y.len(), dy.len()), (conv.batch * out, conv.batch * out), "y, dy of a convolution");
    let ConvGrads { dx, dw, db, .. } = grads;
    if y.is_empty() || x.is_empty() {
        let nothing = [dx, dw, db].into_iter().flatten();
        return nothing.filter(|g| g.mode == Accumulate::Overwrite).for_each(|g| g.out.fill(0.0));
    }
    let shape = Shape::of(&conv.patches, conv.filters);
    let products = Products::of(&shape, nonzeros, dx.is_some(), dw.is_some());
    let band = conv.batch.div_ceil(BANDS.min(conv.batch));
    let bands = conv.batch.div_ceil(band);
    let places = par::chunks_or_none(argmax, band * out, bands);
    let pieces = x.chunks(band * image).zip(y.chunks(band * out).zip(dy.chunks(band * out))).zip(places);
    let pieces = pieces.zip(grad::chunks_or_none(dx, band * image, bands));
    products.in_bands(pieces, bands, conv.batch, (dw, db), |(((x, (y, dy)), argmax), dx), lanes, db| {
        let part = Part { conv, weight: &[], x, y, dy, argmax };
        scratch::aligned(shape.planes() + shape.dealt(), |buffer| {
            let (planes, dealt) = buffer.split_at_mut(shape.planes());
            planes.fill(0.0);
            dealt.fill(0.0);
            for (i, dx) in grad::chunks_or_none(dx, image, x.len() / image).enumerate() {
                part.before_activation(i, &mut planes[shape.front..], shape.plane, shape.phases.pitch, db);
                if !lanes.is_empty() {
                    shape.deal(&x[i * image..][..image], dealt);
                    products.correlate(planes, dealt, lanes);
                }
                if let Some(dx) = dx {
                    products.image(planes, |dealt| shape.gather(dealt, dx));
                }
            }
        });
    });
}

/// The products of a backward pass.
struct Products<'a> {
    shape: &'a Shape,
    pattern: &'a Pattern,
    rows: Rows,
    wants_dw: bool,
    /// The other order of the nonzeros, with their values; where it is needed.
    turned: Option<(Rows, Vec<f32>)>,
}

impl<'a> Products<'a> {
    fn of(shape: &'a Shape, nonzeros: Nonzeros<'a>, turned: bool, wants_dw: bool) -> Self {
        let pattern = nonzeros.pattern;
        let turned = turned.then(|| {
            let (rows, order) = shape.turned(pattern);
            (rows, order.iter().map(|&nth| nonzeros.values[nth as usize]).collect())
        });
        Self { shape, pattern, rows: shape.rows(pattern), wants_dw, turned }
    }

    /// Runs `f` on each band of images with the lanes of its weight gradient, none where it is not wanted, and its bias
    /// gradient; adds these up in order.
    fn in_bands<T: Send>(
        &self,
        pieces: impl Iterator<Item = T>,
        bands: usize,
        batch: usize,
        (dw, db): (Option<Grad<'_>>, Option<Grad<'_>>),
        f: impl Fn(T, &mut [f32], &mut [f32]) + Send + Sync,
    ) {
        let weights = if self.wants_dw { self.pattern.nonzeros() } else { 0 };
        let biases = db.as_ref().map_or(self.shape.filters.max(self.shape.patches.channels), |db| db.out.len());
        let mut partial = vec![0.0; bands * (weights + biases)];
        let pieces = pieces.zip(partial.chunks_mut(weights + biases));
        par::for_each(2 * batch * self.shape.work(self.pattern), pieces, |(piece, partial)| {
            let (dw, db) = partial.split_at_mut(weights);
            scratch::aligned(weights * WIDEST, |lanes| {
                lanes.fill(0.0);
                f(piece, lanes, db);
                add_up(lanes, dw);
            });
        });
        let (total, rest) = partial.split_at_mut(weights + biases);
        rest.chunks(weights + biases).for_each(|part| elementwise::add_assign(total, part));
        let (dw_total, db_total) = total.split_at(weights);
        if let Some(mut dw) = dw {
            dw.put(dw_total);
        }
        if let Some(mut db) = db {
            db.put(db_total);
        }
    }

    /// Adds an image's part of the weight's gradient to its lanes.
    fn correlate(&self, planes: &[f32], dealt: &[f32], lanes: &mut [f32]) {
        correlate(&self.rows, dealt, (&planes[self.shape.front..], self.shape.plane), self.shape.positions, lanes);
    }

    /// What the planes come to in an image, lent to `f` dealt out.
    fn image(&self, planes: &[f32], f: impl FnOnce(&[f32])) {
        if let Some((rows, values)) = &self.turned {
            let len = self.shape.phases.len;
            scratch::aligned(rows.count() * len, |dealt| {
                multiply(rows, values, planes, len, dealt, len);
                f(dealt);
            });
        }
    }
}

impl Shape {
    /// Operations for an image: those of a product, and what brings images and planes into place.
    fn work(&self, pattern: &Pattern) -> usize {
        4 * (self.patches.image() + self.filters * self.positions) + 2 * pattern.nonzeros() * self.positions
    }
}
