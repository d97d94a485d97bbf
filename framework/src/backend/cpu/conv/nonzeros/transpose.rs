//! Transposed convolutions over nonzeros: what is an input's gradient in a convolution is the forward pass here.

use super::super::backward::BANDS;
use super::super::epilogue::{activated, slopes};
use super::super::layer::ConvGrads;
use super::super::transpose::ConvTranspose;
use super::Products;
use super::kernel::multiply;
use super::shape::Shape;
use crate::backend::cpu::activation::curves::with_curve;
use crate::backend::cpu::common::sparse::Nonzeros;
use crate::backend::cpu::common::{Accumulate, Grad, grad, par, scratch};

/// As [`super::super::transpose::forward`].
pub fn forward(layer: &ConvTranspose<'_>, nonzeros: Nonzeros<'_>, x: &[f32], y: &mut [f32]) {
    layer.check_weight(nonzeros.pattern.weights());
    layer.check_rest(x, y);
    let (p, batch) = (&layer.patches, layer.batch);
    if x.is_empty() || y.is_empty() {
        return;
    }
    let shape = Shape::of(p, layer.inputs);
    let products = Products::of(&shape, nonzeros, true, false);
    let (image, work, area) = (x.len() / batch, shape.work(nonzeros.pattern), p.height * p.width);
    let group = (batch * par::SERIAL_BELOW).div_ceil(batch * work).clamp(1, batch);
    let pieces = x.chunks(group * image).zip(y.chunks_mut(group * p.image()));
    par::for_each(batch * work, pieces, |(x, y)| {
        scratch::aligned(shape.planes() + p.image(), |buffer| {
            let (planes, raw) = buffer.split_at_mut(shape.planes());
            planes.fill(0.0);
            for (x, y) in x.chunks(image).zip(y.chunks_mut(p.image())) {
                lay_out(&shape, x, planes);
                products.image(planes, |dealt| shape.gather(dealt, Grad::overwrite(raw)));
                with_curve!(layer.act, C => activated::<C>(y, raw, area, p.width, layer.bias, p.height, p.width));
            }
        });
    });
}

/// As [`super::super::transpose::backward`], with the weight's gradient at its nonzeros alone, if it is wanted, in rising
/// order.
pub fn backward(
    layer: &ConvTranspose<'_>,
    nonzeros: Nonzeros<'_>,
    x: &[f32],
    y: &[f32],
    dy: &[f32],
    grads: ConvGrads<'_>,
) {
    layer.check_weight(nonzeros.pattern.weights());
    layer.check_rest(x, y);
    layer.check_rest(x, dy);
    let ConvGrads { dx, dw, db, .. } = grads;
    if x.is_empty() || y.is_empty() {
        let nothing = [dx, dw, db].into_iter().flatten();
        return nothing.filter(|g| g.mode == Accumulate::Overwrite).for_each(|g| g.out.fill(0.0));
    }
    let (p, batch) = (&layer.patches, layer.batch);
    let shape = Shape::of(p, layer.inputs);
    let products = Products::of(&shape, nonzeros, false, dw.is_some());
    let (image, out, area) = (x.len() / batch, p.image(), p.height * p.width);
    let band = batch.div_ceil(BANDS.min(batch));
    let bands = batch.div_ceil(band);
    let pieces = x.chunks(band * image).zip(y.chunks(band * out).zip(dy.chunks(band * out)));
    let pieces = pieces.zip(grad::chunks_or_none(dx, band * image, bands));
    products.in_bands(pieces, bands, batch, (dw, db), |((x, (y, dy)), dx), lanes, db| {
        let dxs = grad::chunks_or_none(dx, image, x.len() / image);
        scratch::aligned(shape.planes() + shape.dealt() + out + layer.inputs * shape.stride, |buffer| {
            let (planes, rest) = buffer.split_at_mut(shape.planes());
            let (dealt, rest) = rest.split_at_mut(shape.dealt());
            let (dpre, raw) = rest.split_at_mut(out);
            planes.fill(0.0);
            dealt.fill(0.0);
            for (((x, y), dy), dx) in x.chunks(image).zip(y.chunks(out)).zip(dy.chunks(out)).zip(dxs) {
                with_curve!(layer.act, C => slopes::<C>(dpre, area, p.width, dy, y, p.height, p.width, db));
                shape.deal(dpre, dealt);
                if !lanes.is_empty() {
                    lay_out(&shape, x, planes);
                    products.correlate(planes, dealt, lanes);
                }
                if let Some(dx) = dx {
                    multiply(&products.rows, nonzeros.values, dealt, shape.positions, raw, shape.stride);
                    take_out(&shape, raw, dx);
                }
            }
        });
    });
}

/// Puts an input image into planes, which are zero elsewhere.
fn lay_out(shape: &Shape, x: &[f32], planes: &mut [f32]) {
    let (down, across) = shape.patches.windows();
    for (x, plane) in x.chunks(down * across).zip(planes.chunks_mut(shape.plane)) {
        let rows = plane[shape.front..].chunks_mut(shape.phases.pitch);
        x.chunks(across).zip(rows).for_each(|(x, row)| row[..across].copy_from_slice(x));
    }
}

/// Takes an input's gradient out of the results.
fn take_out(shape: &Shape, raw: &[f32], dx: Grad<'_>) {
    let (down, across) = shape.patches.windows();
    for (dx, raw) in dx.chunks(down * across).zip(raw.chunks(shape.stride)) {
        for (mut dx, raw) in dx.chunks(across).zip(raw.chunks(shape.phases.pitch)) {
            dx.put(&raw[..across]);
        }
    }
}
