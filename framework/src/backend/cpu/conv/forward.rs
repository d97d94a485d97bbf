//! The forward pass of a convolution.

use super::depthwise::Depthwise;
use super::direct::Direct;
use super::epilogue::finish;
use super::layer::{Conv, effective};
use super::ready::Winograd;
use super::small;
use super::tiles::{pack, product, product_tile};
use crate::backend::cpu::common::bf16::multiply_in;
use crate::backend::cpu::common::matrix::{Mat, MatMut};
use crate::backend::cpu::common::{Accumulate, par, scratch};

/// Computes `y` [batch, output]; all of it is overwritten. With pooling, `argmax` (as long as y) receives the place of
/// each maximum in its window (0 to 3, the first of equals) for the backward pass.
pub fn forward(conv: &Conv<'_>, x: &[f32], y: &mut [f32], argmax: Option<&mut [u8]>) {
    conv.check(x);
    let (image, out) = (conv.patches.image(), conv.output_len());
    assert_eq!(y.len(), conv.batch * out, "y of a convolution {:?}", conv.patches);
    assert!(argmax.as_ref().is_none_or(|a| conv.pool && a.len() == y.len()), "argmax of a pooled convolution");
    if y.is_empty() {
        return;
    }
    if small::takes(conv) {
        return small::forward(conv, &effective(conv.weight, conv.mask), x, None, y, argmax);
    }
    if let Some(winograd) = Winograd::is_for_any_batch(conv).then(|| Winograd::of(conv)).flatten() {
        return winograd.forward(conv, (x, None, y), argmax);
    }
    let weight = effective(conv.weight, conv.mask);
    let (depthwise, direct) = (Depthwise::of(conv), Direct::of(conv));
    let mut packed = Vec::new();
    if direct.is_some() {
        let depth = conv.patches.depth();
        pack(conv.filters, depth, &mut packed, |f, k| weight[f * depth + k]);
    }
    // Images a piece: enough work to be handed to another thread.
    let group = (conv.batch * par::SERIAL_BELOW).div_ceil(conv.flops().max(1)).clamp(1, conv.batch);
    if let (Some(direct), true) = (&direct, group == conv.batch) {
        return over_filters(conv, direct, &packed, x, y, argmax);
    }
    let pieces = x.chunks(group * image).zip(y.chunks_mut(group * out)).zip(par::chunks_mut_or_none(
        argmax,
        group * out,
        conv.batch.div_ceil(group),
    ));
    par::for_each(conv.flops(), pieces, |((x, y), argmax)| {
        let argmax = par::chunks_mut_or_none(argmax, out, x.len() / image);
        let images = x.chunks(image).zip(y.chunks_mut(out)).zip(argmax);
        match (&depthwise, &direct) {
            (Some(d), _) => scratch::with(d.x_len + d.raw_len(conv.filters), |buffer| {
                let (dealt, raw) = buffer.split_at_mut(d.x_len);
                dealt.fill(0.0);
                for ((x, y), argmax) in images {
                    d.products(conv, &weight, x, dealt, raw);
                    finish(conv, raw, d.plane, d.pitch, y, argmax);
                }
            }),
            (None, Some(d)) => scratch::with(d.x_len, |padded| {
                padded.fill(0.0);
                scratch::with(d.raw_len(conv.filters, d.positions), |raw| {
                    for ((x, y), argmax) in images {
                        d.pad_input(conv, x, padded);
                        let stride = d.raw_stride(d.positions);
                        product(&packed, &d.x_offsets, padded, d.positions, raw, stride);
                        finish(conv, raw, stride, d.pitch, y, argmax);
                    }
                });
            }),
            (None, None) => {
                let (down, across) = conv.patches.windows();
                let (depth, windows) = (conv.patches.depth(), down * across);
                scratch::with((depth + conv.filters) * windows, |buffer| {
                    let (cols, raw) = buffer.split_at_mut(depth * windows);
                    for ((x, y), argmax) in images {
                        conv.patches.to_columns(x, cols);
                        // The filters of a group, and the rows of the columns that they see.
                        let (rows, own) = (conv.filters / conv.groups, conv.depth());
                        let parts = raw.chunks_mut(rows * windows).zip(cols.chunks(own * windows));
                        for ((raw, cols), w) in parts.zip(weight.chunks(rows * own)) {
                            let (w, cols) = (Mat::new(w, rows, own), Mat::new(cols, own, windows));
                            multiply_in(
                                conv.precision,
                                &mut MatMut::new(raw, rows, windows),
                                Accumulate::Overwrite,
                                1.0,
                                w,
                                cols,
                            );
                        }
                        finish(conv, raw, windows, across, y, argmax);
                    }
                });
            }
        }
    });
}

/// The direct form where there are too few images to be shared out: filters are.
fn over_filters(conv: &Conv<'_>, d: &Direct, packed: &[f32], x: &[f32], y: &mut [f32], argmax: Option<&mut [u8]>) {
    let ((filters, rows, cols), depth, flops) = (conv.output(), conv.patches.depth(), conv.flops() / conv.batch);
    let (area, stride) = (rows * cols, d.raw_stride(d.positions));
    let some = (filters * par::SERIAL_BELOW).div_ceil(flops.max(1)).min(filters).next_multiple_of(product_tile().0);
    scratch::with(d.x_len, |padded| {
        padded.fill(0.0);
        let argmax = par::chunks_mut_or_none(argmax, filters * area, conv.batch);
        for ((x, y), argmax) in x.chunks(conv.patches.image()).zip(y.chunks_mut(filters * area)).zip(argmax) {
            d.pad_input(conv, x, padded);
            let padded = &*padded;
            let argmax = par::chunks_mut_or_none(argmax, some * area, filters.div_ceil(some));
            let parts = y.chunks_mut(some * area).zip(packed.chunks(some * depth)).zip(argmax).enumerate();
            par::for_each(flops, parts, |(i, ((y, packed), argmax))| {
                let filters = y.len() / area;
                let part = Conv { filters, bias: conv.bias.map(|b| &b[i * some..][..filters]), ..*conv };
                scratch::with(d.raw_len(filters, d.positions), |raw| {
                    product(packed, &d.x_offsets, padded, d.positions, raw, stride);
                    finish(&part, raw, stride, d.pitch, y, argmax);
                });
            });
        }
    });
}
