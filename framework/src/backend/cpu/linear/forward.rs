//! The forward pass: y = act(x (w * mask)^T + bias) + residual.

use super::layer::{CHUNK, Linear, with_effective_weight};
use super::nonzeros;
use crate::backend::Act;
use crate::backend::cpu::activation::rows::{act_in_place, act_into, finish_rows, finish_rows_keeping};
use crate::backend::cpu::common::matrix::{Mat, MatMut, flops};
use crate::backend::cpu::common::panels::{
    affine, product_by_blocks, product_of_rows, suits_rows, tile, with_left, with_panels,
};
use crate::backend::cpu::common::{Accumulate, par};

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
    if let Some(nonzeros) = layer.nonzeros.filter(|nonzeros| nonzeros.multiplies(layer.rows)) {
        return nonzeros::forward(layer, nonzeros, bias, x, residual, y, pre);
    }
    with_effective_weight(layer, |weight| {
        if layer.many_rows() {
            return forward_in_chunks(&Linear { weight, ..*layer }, bias, x, residual, y, pre);
        }
        let by_rows = suits_rows(outputs, inputs);
        let tile = if by_rows { (rows_at_once(outputs, inputs), outputs) } else { tile(rows, outputs, inputs) };
        let mut pres = pre.map(|pre| MatMut::new(pre, rows, outputs).tiles(tile));
        let tiles = MatMut::new(y, rows, outputs).tiles(tile).map(|y| (y, pres.as_mut().and_then(Iterator::next)));
        let (a, b) = (Mat::new(x, rows, inputs), Mat::new(weight, outputs, inputs));
        if by_rows {
            return par::for_each(flops(rows, outputs, inputs), tiles, |(mut y, pre)| {
                finish_tile(act, &mut y, pre, bias, residual, |to| product_of_rows(to, a, b));
            });
        }
        let b = b.t();
        with_left(a, |a| {
            par::for_each(flops(rows, outputs, inputs), tiles, |(mut y, pre)| {
                let multiply = |to: &mut MatMut<'_>| product_by_blocks(to, Accumulate::Overwrite, a, b);
                finish_tile(act, &mut y, pre, bias, residual, multiply);
            });
        });
    });
}

/// Rows of a task where nothing is cut for them: enough work to be handed to another thread.
fn rows_at_once(outputs: usize, inputs: usize) -> usize {
    const MULTIPLE: usize = 8;
    par::SERIAL_BELOW.div_ceil(flops(1, outputs, inputs)).next_multiple_of(MULTIPLE)
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
            finish_chunk(act, y, pre, residual, multiply);
        });
    });
}

/// A tile of the output: `multiply` puts the product where it is told, and what follows is done while that is in the cache.
/// Bias and residual are those of the whole output.
pub(super) fn finish_tile(
    act: Act,
    y: &mut MatMut<'_>,
    pre: Option<MatMut<'_>>,
    bias: &[f32],
    residual: Option<&[f32]>,
    multiply: impl FnOnce(&mut MatMut<'_>),
) {
    let bias = &bias[y.first_col()..][..y.cols()];
    let mut residuals = residual.map(|r| y.blocks_in(r));
    let mut next_residual = || residuals.as_mut().and_then(Iterator::next);
    if let Some(mut pre) = pre {
        multiply(&mut pre);
        for (y, pre) in y.blocks().zip(pre.blocks()) {
            finish_rows_keeping(act, y, pre, bias, next_residual());
        }
    } else {
        multiply(y);
        for y in y.blocks() {
            finish_rows(act, y, bias, next_residual());
        }
    }
}

/// A chunk of rows: `multiply` puts the product with its bias, and a residual where there is one, where it is told.
pub(super) fn finish_chunk(
    act: Act,
    y: &mut [f32],
    pre: Option<&mut [f32]>,
    residual: Option<&[f32]>,
    multiply: impl FnOnce(&mut [f32], Option<&[f32]>),
) {
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
}
