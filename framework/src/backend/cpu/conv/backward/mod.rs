//! The gradients of a convolution.

mod input;
mod kernel;
mod winners;

use super::depthwise::Depthwise;
use super::direct::Direct;
use super::epilogue::{slopes, unpool};
use super::layer::{Conv, ConvGrads, effective};
use super::tiles::{Images, correlate, pack, product};
use crate::backend::cpu::activation::curves::with_curve;
use crate::backend::cpu::common::bf16::multiply_in;
use crate::backend::cpu::common::matrix::{Mat, MatMut};
use crate::backend::cpu::common::{Accumulate, Grad, elementwise, grad, par, scratch};
use winners::Winners;

/// Most bands of images that have a partial weight gradient of their own.
pub(super) const BANDS: usize = 16;
/// Elements of the partial weight gradients together.
const PARTIAL: usize = 1 << 22;
/// Elements of the images whose weight gradient is accumulated in registers: half of a usual second-level cache.
const CACHED: usize = 1 << 17;

/// Computes the wanted gradients from `dy`, the layer's input and output, and the places of the maxima.
pub fn backward(conv: &Conv<'_>, x: &[f32], y: &[f32], argmax: Option<&[u8]>, dy: &[f32], grads: ConvGrads<'_>) {
    conv.check(x);
    let (image, out, depth) = (conv.patches.image(), conv.output_len(), conv.depth());
    assert_eq!((y.len(), dy.len()), (conv.batch * out, conv.batch * out), "y, dy of a convolution");
    assert!(!conv.pool || argmax.is_some_and(|a| a.len() == y.len()), "a pooled convolution needs its argmax");
    let ConvGrads { mut dx, dw, dense_dw, db } = grads;
    if y.is_empty() || x.is_empty() {
        let nothing = [dx, dw, db].into_iter().flatten();
        return nothing.filter(|g| g.mode == Accumulate::Overwrite).for_each(|g| g.out.fill(0.0));
    }
    let weight = effective(conv.weight, conv.mask);
    input::by_winograd(conv, &weight, y, dy, &mut dx);
    if dx.is_none() && dw.is_none() && db.is_none() {
        return;
    }
    let (winners, depthwise) = (Winners::of(conv), Depthwise::of(conv));
    let direct = Direct::of(conv).filter(|_| winners.is_none());
    let mut packed = Vec::new();
    if let Some(winners) = winners.as_ref().filter(|_| dx.is_some()) {
        packed = winners.turn_weight(&weight);
    }
    if direct.is_some() && dx.is_some() {
        let (kernel, area) = (conv.patches.kernel, conv.patches.kernel.0 * conv.patches.kernel.1);
        // The gradient of the input is a convolution of dy with the kernel turned around.
        pack(conv.patches.channels, conv.filters * area, &mut packed, |c, k| {
            let (f, element) = (k / area, k % area);
            weight[(f * conv.patches.channels + c) * area + kernel.0 * kernel.1 - 1 - element]
        });
    }
    let weights = winners.as_ref().map_or(conv.filters * depth, Winners::weights);
    let bands = conv.batch.min(BANDS).min((PARTIAL / weights.max(1)).max(4));
    let band = conv.batch.div_ceil(bands);
    let bands = conv.batch.div_ceil(band);
    let wants_dw = dw.is_some();
    let mut partial = vec![0.0; bands * (weights + conv.filters)];
    let pieces = x
        .chunks(band * image)
        .zip(grad::chunks_or_none(dx, band * image, bands))
        .zip(y.chunks(band * out).zip(dy.chunks(band * out)))
        .zip(par::chunks_or_none(argmax, band * out, bands))
        .zip(partial.chunks_mut(weights + conv.filters));
    par::for_each(conv.flops().saturating_mul(2), pieces, |((((x, dx), (y, dy)), argmax), partial)| {
        let (dw, db) = partial.split_at_mut(weights);
        let part = Part { conv, weight: &weight, x, y, dy, argmax };
        match (&winners, &depthwise, &direct) {
            (Some(w), ..) => part.backward_winners(w, &packed, dx, wants_dw.then_some(dw), db),
            (None, Some(d), _) => part.backward_depthwise(d, dx, wants_dw.then_some(dw), db),
            (None, None, Some(d)) => part.backward_direct(d, &packed, dx, wants_dw.then_some(dw), db),
            (None, None, None) => part.backward_columns(dx, wants_dw.then_some(dw), db),
        }
    });
    let (total, rest) = partial.split_at_mut(weights + conv.filters);
    rest.chunks(weights + conv.filters).for_each(|part| elementwise::add_assign(total, part));
    let (dw_total, db_total) = total.split_at(weights);
    if let Some(mut dw) = dw {
        let turned = winners.map(|winners| winners.turn_weight_back(dw_total));
        let dw_total = turned.as_deref().unwrap_or(dw_total);
        match conv.mask.filter(|_| !dense_dw) {
            Some(mask) => dw.put_product(dw_total, mask),
            None => dw.put(dw_total),
        }
    }
    if let Some(mut db) = db {
        db.put(db_total);
    }
}

/// Some of the images in the backward pass.
pub(super) struct Part<'a> {
    pub conv: &'a Conv<'a>,
    pub weight: &'a [f32],
    pub x: &'a [f32],
    pub y: &'a [f32],
    pub dy: &'a [f32],
    pub argmax: Option<&'a [u8]>,
}

impl Part<'_> {
    fn backward_direct(
        &self,
        d: &Direct,
        packed: &[f32],
        dx: Option<Grad<'_>>,
        mut dw: Option<&mut [f32]>,
        db: &mut [f32],
    ) {
        let p = &self.conv.patches;
        let (image, count) = (p.image(), self.x.len() / p.image());
        let group = (CACHED / (d.x_len + d.dy_len)).clamp(1, count);
        let positions = p.height * d.pitch;
        let stride = d.raw_stride(positions);
        scratch::with(group * (d.x_len + d.dy_len) + d.raw_len(p.channels, positions), |buffer| {
            let (padded, raw) = buffer.split_at_mut(group * (d.x_len + d.dy_len));
            padded.fill(0.0);
            let (xs, dys) = padded.split_at_mut(group * d.x_len);
            let groups = grad::chunks_or_none(dx, group * image, count.div_ceil(group));
            for (first, dx) in (0..count).step_by(group).zip(groups) {
                let n = group.min(count - first);
                for i in 0..n {
                    let dpre = &mut dys[i * d.dy_len..][..d.dy_len][d.dy_first..];
                    self.before_activation(first + i, dpre, d.dy_plane, d.pitch, db);
                }
                if let Some(dw) = dw.as_deref_mut() {
                    for i in 0..n {
                        let x = &self.x[(first + i) * image..][..image];
                        d.pad_input(self.conv, x, &mut xs[i * d.x_len..][..d.x_len]);
                    }
                    let x = Images { data: &xs[..n * d.x_len], len: d.x_len, plane: d.x_plane, first: 0 };
                    let data = &dys[..n * d.dy_len];
                    let dy = Images { data, len: d.dy_len, plane: d.dy_plane, first: d.dy_first };
                    correlate(dw, &d.x_offsets, d.positions, x, dy);
                }
                let Some(dx) = dx else { continue };
                for (dx, dy) in dx.chunks(image).zip(dys.chunks(d.dy_len)) {
                    product(packed, &d.dy_offsets, dy, positions, raw, stride);
                    let add = dx.mode == Accumulate::Add;
                    for (dx, raw) in dx.out.chunks_mut(p.height * p.width).zip(raw.chunks(stride)) {
                        for (dx, raw) in dx.chunks_mut(p.width).zip(raw.chunks(d.pitch)) {
                            if add {
                                dx.iter_mut().zip(raw).for_each(|(dx, raw)| *dx += raw);
                            } else {
                                dx.copy_from_slice(&raw[..p.width]);
                            }
                        }
                    }
                }
            }
        });
    }

    fn backward_depthwise(&self, d: &Depthwise, dx: Option<Grad<'_>>, mut dw: Option<&mut [f32]>, db: &mut [f32]) {
        let (conv, image) = (self.conv, self.conv.patches.image());
        let count = self.x.len() / image;
        scratch::with(d.x_len + d.dy_len(conv.filters), |buffer| {
            buffer.fill(0.0);
            let (dealt, dpre) = buffer.split_at_mut(d.x_len);
            for (i, dx) in grad::chunks_or_none(dx, image, count).enumerate() {
                self.before_activation(i, &mut dpre[d.front..], d.dy_plane, d.pitch, db);
                if let Some(dw) = dw.as_deref_mut() {
                    d.weight_gradient(conv, &self.x[i * image..][..image], dpre, dealt, dw);
                }
                if let Some(dx) = dx {
                    d.input_gradient(conv, self.weight, dpre, dx);
                }
            }
        });
    }

    fn backward_columns(&self, dx: Option<Grad<'_>>, mut dw: Option<&mut [f32]>, db: &mut [f32]) {
        let (p, filters, precision) = (&self.conv.patches, self.conv.filters, self.conv.precision);
        let (down, across) = p.windows();
        let (depth, windows, image) = (p.depth(), down * across, p.image());
        let count = self.x.len() / image;
        // The filters of a group, and the rows of the columns that they see.
        let (rows, own) = (filters / self.conv.groups, self.conv.depth());
        scratch::with((depth + filters) * windows, |buffer| {
            let (cols, dpre) = buffer.split_at_mut(depth * windows);
            dpre.fill(0.0);
            for (i, dx) in grad::chunks_or_none(dx, image, count).enumerate() {
                self.before_activation(i, dpre, windows, across, db);
                if let Some(dw) = dw.as_deref_mut() {
                    p.to_columns(&self.x[i * image..][..image], cols);
                    let parts = dpre.chunks(rows * windows).zip(cols.chunks(own * windows));
                    for ((dpre, cols), dw) in parts.zip(dw.chunks_mut(rows * own)) {
                        let (dpre, cols) = (Mat::new(dpre, rows, windows), Mat::new(cols, own, windows));
                        multiply_in(precision, &mut MatMut::new(dw, rows, own), Accumulate::Add, 1.0, dpre, cols.t());
                    }
                }
                let Some(dx) = dx else { continue };
                let parts = dpre.chunks(rows * windows).zip(cols.chunks_mut(own * windows));
                for ((dpre, cols), weight) in parts.zip(self.weight.chunks(rows * own)) {
                    let (dpre, weight) = (Mat::new(dpre, rows, windows), Mat::new(weight, rows, own));
                    multiply_in(
                        precision,
                        &mut MatMut::new(cols, own, windows),
                        Accumulate::Overwrite,
                        1.0,
                        weight.t(),
                        dpre,
                    );
                }
                if dx.mode == Accumulate::Overwrite {
                    dx.out.fill(0.0);
                }
                p.add_columns(cols, dx.out);
            }
        });
    }

    /// The gradient before activation and pooling of image `i`: rows `pitch`, filters `plane` apart. Adds its sums to
    /// `db`.
    pub fn before_activation(&self, i: usize, dpre: &mut [f32], plane: usize, pitch: usize, db: &mut [f32]) {
        let out = self.conv.output_len();
        let (y, dy) = (&self.y[i * out..][..out], &self.dy[i * out..][..out]);
        let (_, rows, cols) = self.conv.output();
        match self.argmax.filter(|_| self.conv.pool) {
            Some(argmax) => {
                let argmax = &argmax[i * out..][..out];
                with_curve!(self.conv.act, C => unpool::<C>(dpre, plane, pitch, dy, y, argmax, rows, cols, db));
            }
            None => with_curve!(self.conv.act, C => slopes::<C>(dpre, plane, pitch, dy, y, rows, cols, db)),
        }
    }
}
