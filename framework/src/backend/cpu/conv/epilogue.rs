//! What follows a convolution while an image's result is in cache, and its way back: bias, activation, pooling.

use super::layer::Conv;
use crate::backend::cpu::activation::curves::{Curve, with_curve};
use crate::backend::cpu::common::simd::{simd_fn, sum_of, sum_of_pairs};

/// Bias, activation and pooling of an image: filters of `raw` are `plane` apart, rows `pitch`.
pub(super) fn finish(
    conv: &Conv<'_>,
    raw: &[f32],
    plane: usize,
    pitch: usize,
    y: &mut [f32],
    argmax: Option<&mut [u8]>,
) {
    let (_, rows, cols) = conv.output();
    match (conv.pool, argmax) {
        (true, Some(argmax)) => {
            with_curve!(conv.act, C => pooled::<C>(y, argmax, raw, plane, pitch, conv.bias, rows, cols));
        }
        (true, None) => with_curve!(conv.act, C => maxima::<C>(y, raw, plane, pitch, conv.bias, rows, cols)),
        (false, _) => with_curve!(conv.act, C => activated::<C>(y, raw, plane, pitch, conv.bias, rows, cols)),
    }
}

/// The same, `added` to the image before its activation where there is any, and nothing pooled then.
pub(super) fn finish_added(
    conv: &Conv<'_>,
    raw: &[f32],
    plane: usize,
    pitch: usize,
    y: &mut [f32],
    (added, argmax): (Option<&[f32]>, Option<&mut [u8]>),
) {
    let (_, rows, cols) = conv.output();
    match added {
        None => finish(conv, raw, plane, pitch, y, argmax),
        Some(added) => with_curve!(conv.act, C => summed::<C>(y, raw, plane, pitch, conv.bias, added, rows, cols)),
    }
}

/// Length and distance of the rows of a plane; a plane whose rows touch is one row.
#[inline(always)]
fn line((rows, cols): (usize, usize), pitch: usize) -> (usize, usize) {
    if pitch == cols { (rows * cols, rows * pitch) } else { (cols, pitch) }
}

simd_fn! { pub(super) fn activated<C: Curve>(
    y: &mut [f32], raw: &[f32], plane: usize, pitch: usize, bias: Option<&[f32]>, rows: usize, cols: usize,
) {
    let (line, pitch) = line((rows, cols), pitch);
    for (f, (y, raw)) in y.chunks_exact_mut(rows * cols).zip(raw.chunks(plane)).enumerate() {
        let bias = bias.map_or(0.0, |b| b[f]);
        for (y, raw) in y.chunks_exact_mut(line).zip(raw.chunks(pitch)) {
            for (y, &raw) in y.iter_mut().zip(raw) {
                *y = C::value(raw + bias);
            }
        }
    }
} }

simd_fn! { fn summed<C: Curve>(
    y: &mut [f32], raw: &[f32], plane: usize, pitch: usize, bias: Option<&[f32]>, added: &[f32],
    rows: usize, cols: usize,
) {
    let (line, pitch) = line((rows, cols), pitch);
    let outputs = y.chunks_exact_mut(rows * cols).zip(added.chunks_exact(rows * cols));
    for (f, ((y, added), raw)) in outputs.zip(raw.chunks(plane)).enumerate() {
        let bias = bias.map_or(0.0, |b| b[f]);
        for ((y, added), raw) in y.chunks_exact_mut(line).zip(added.chunks_exact(line)).zip(raw.chunks(pitch)) {
            for ((y, &added), &raw) in y.iter_mut().zip(added).zip(raw) {
                *y = C::value(raw + bias + added);
            }
        }
    }
} }

simd_fn! { fn maxima<C: Curve>(
    y: &mut [f32], raw: &[f32], plane: usize, pitch: usize, bias: Option<&[f32]>, rows: usize, cols: usize,
) {
    for (f, (y, raw)) in y.chunks_exact_mut(rows * cols).zip(raw.chunks(plane)).enumerate() {
        let bias = bias.map_or(0.0, |b| b[f]);
        for (y, raw) in y.chunks_exact_mut(cols).zip(raw.chunks(2 * pitch)) {
            let (upper, lower) = raw.split_at(pitch);
            let (upper, lower) = (upper.as_chunks::<2>().0, lower.as_chunks::<2>().0);
            for ((y, up), low) in y.iter_mut().zip(upper).zip(lower) {
                let top = if up[1] > up[0] { up[1] } else { up[0] };
                let bottom = if low[1] > low[0] { low[1] } else { low[0] };
                let max = if bottom > top { bottom } else { top };
                // Every activation here is monotone, so it can follow the maximum.
                *y = C::value(max + bias);
            }
        }
    }
} }

simd_fn! { fn pooled<C: Curve>(
    y: &mut [f32], argmax: &mut [u8], raw: &[f32], plane: usize, pitch: usize, bias: Option<&[f32]>,
    rows: usize, cols: usize,
) {
    let outputs = y.chunks_exact_mut(rows * cols).zip(argmax.chunks_exact_mut(rows * cols));
    for (f, ((y, argmax), raw)) in outputs.zip(raw.chunks(plane)).enumerate() {
        let bias = bias.map_or(0.0, |b| b[f]);
        let lines = y.chunks_exact_mut(cols).zip(argmax.chunks_exact_mut(cols));
        for ((y, argmax), raw) in lines.zip(raw.chunks(2 * pitch)) {
            let (upper, lower) = raw.split_at(pitch);
            let (upper, lower) = (upper.as_chunks::<2>().0, lower.as_chunks::<2>().0);
            for (((y, place), up), low) in y.iter_mut().zip(argmax).zip(upper).zip(lower) {
                let (top, top_place) = if up[1] > up[0] { (up[1], 1) } else { (up[0], 0) };
                let (bottom, bottom_place) = if low[1] > low[0] { (low[1], 3) } else { (low[0], 2) };
                let (max, max_place) = if bottom > top { (bottom, bottom_place) } else { (top, top_place) };
                // Every activation here is monotone, so it can follow the maximum.
                *y = C::value(max + bias);
                *place = max_place;
            }
        }
    }
} }

simd_fn! { pub(super) fn slopes<C: Curve>(
    dpre: &mut [f32], plane: usize, pitch: usize, dy: &[f32], y: &[f32], rows: usize, cols: usize, db: &mut [f32],
) {
    let planes = dpre.chunks_mut(plane).zip(dy.chunks_exact(rows * cols)).zip(y.chunks_exact(rows * cols));
    for (((dpre, dy), y), db) in planes.zip(db) {
        for ((dpre, dy), y) in dpre.chunks_mut(pitch).zip(dy.chunks_exact(cols)).zip(y.chunks_exact(cols)) {
            for ((d, &dy), &y) in dpre.iter_mut().zip(dy).zip(y) {
                *d = dy * C::slope_from_out(y);
            }
            *db += sum_of(&dpre[..cols], |d| d);
        }
    }
} }

simd_fn! {
    /// The gradient before activation and pooling of the winners of an image, `window` of each filter; adds its sums to `db`.
    pub(super) fn slopes_of_winners<C: Curve>(slopes: &mut [f32], dy: &[f32], y: &[f32], window: usize, db: &mut [f32]) {
        for ((slope, &dy), &y) in slopes.iter_mut().zip(dy).zip(y) {
            *slope = dy * C::slope_from_out(y);
        }
        for (slopes, db) in slopes.chunks_exact(window).zip(db) {
            *db += sum_of(slopes, |slope| slope);
        }
    }
}

/// Pooling windows handled at once: the compiler turns a loop of known length into straight vector code, which short
/// rows need.
const WINDOWS: usize = 8;

#[inline(always)]
fn unpool_line<C: Curve>(upper: &mut [f32], lower: &mut [f32], dy: &[f32], y: &[f32], places: &[u8]) {
    for (i, ((&dy, &y), &place)) in dy.iter().zip(y).zip(places).enumerate() {
        let d = dy * C::slope_from_out(y);
        upper[2 * i] = if place == 0 { d } else { 0.0 };
        upper[2 * i + 1] = if place == 1 { d } else { 0.0 };
        lower[2 * i] = if place == 2 { d } else { 0.0 };
        lower[2 * i + 1] = if place == 3 { d } else { 0.0 };
    }
}

simd_fn! { pub(super) fn unpool<C: Curve>(
    dpre: &mut [f32], plane: usize, pitch: usize, dy: &[f32], y: &[f32], argmax: &[u8],
    rows: usize, cols: usize, db: &mut [f32],
) {
    let size = rows * cols;
    let outputs = dy.chunks_exact(size).zip(y.chunks_exact(size)).zip(argmax.chunks_exact(size));
    for ((dpre, ((dy, y), argmax)), db) in dpre.chunks_mut(plane).zip(outputs).zip(db) {
        *db += sum_of_pairs(dy, y, |dy, y| dy * C::slope_from_out(y));
        let lines = dy.chunks_exact(cols).zip(y.chunks_exact(cols)).zip(argmax.chunks_exact(cols));
        for (((dy, y), argmax), dpre) in lines.zip(dpre.chunks_mut(2 * pitch)) {
            let (upper, lower) = dpre.split_at_mut(pitch);
            let (upper, lower) = (&mut upper[..2 * cols], &mut lower[..2 * cols]);
            let (dys, dy) = dy.as_chunks::<WINDOWS>();
            let (ys, y) = y.as_chunks::<WINDOWS>();
            let (places, argmax) = argmax.as_chunks::<WINDOWS>();
            let (uppers, upper) = upper.as_chunks_mut::<{ 2 * WINDOWS }>();
            let (lowers, lower) = lower.as_chunks_mut::<{ 2 * WINDOWS }>();
            for ((((dy, y), place), up), low) in dys.iter().zip(ys).zip(places).zip(uppers).zip(lowers) {
                unpool_line::<C>(up, low, dy, y, place);
            }
            unpool_line::<C>(upper, lower, dy, y, argmax);
        }
    }
} }
