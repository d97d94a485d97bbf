//! Operators that move windows over images.

use super::{Array, OnnxNode};

/// Kernel, stride and padding, alike on both axes.
fn window(node: &OnnxNode) -> ([usize; 2], usize, usize) {
    let kernel = node.ints("kernel_shape");
    ([kernel[0], kernel[1]], node.ints("strides")[0], node.ints("pads")[0])
}

/// Where a window at `at` meets the image, with the place inside of the window.
fn inside(
    at: usize,
    kernel: usize,
    stride: usize,
    padding: usize,
    side: usize,
) -> impl Iterator<Item = (usize, usize)> {
    (0..kernel).filter_map(move |k| (at * stride + k).checked_sub(padding).filter(|i| *i < side).map(|i| (k, i)))
}

pub(super) fn conv(node: &OnnxNode, x: &Array, w: &Array, b: Option<&Array>) -> Array {
    let ([kh, kw], stride, padding) = window(node);
    let &[n, channels, height, width] = &x.dims[..] else { return x.clone() };
    let (filters, inputs) = (w.dims[0], w.dims[1]);
    // Filters of a group see its channels alone.
    let each = filters / node.int("group", 1) as usize;
    let (rows, columns) = ((height + 2 * padding - kh) / stride + 1, (width + 2 * padding - kw) / stride + 1);
    let mut values = Vec::with_capacity(n * filters * rows * columns);
    for (image, filter) in (0..n).flat_map(|image| (0..filters).map(move |filter| (image, filter))) {
        for (row, column) in (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column))) {
            let mut sum = b.map_or(0.0, |b| b.values[filter]);
            for input in 0..inputs {
                let channel = filter / each * inputs + input;
                let (plane, of) = ((image * channels + channel) * height, (filter * inputs + input) * kh);
                for (i, y) in inside(row, kh, stride, padding, height) {
                    for (j, at) in inside(column, kw, stride, padding, width) {
                        sum += x.values[(plane + y) * width + at] * w.values[(of + i) * kw + j];
                    }
                }
            }
            values.push(sum);
        }
    }
    Array::with(vec![n, filters, rows, columns], values)
}

pub(super) fn conv_transpose(node: &OnnxNode, x: &Array, w: &Array, b: Option<&Array>) -> Array {
    let ([kh, kw], stride, padding) = window(node);
    let &[n, channels, height, width] = &x.dims[..] else { return x.clone() };
    let filters = w.dims[1];
    let (rows, columns) = ((height - 1) * stride + kh - 2 * padding, (width - 1) * stride + kw - 2 * padding);
    let bias = |i: usize| b.map_or(0.0, |b| b.values[i / (rows * columns) % filters]);
    let mut y: Vec<f64> = (0..n * filters * rows * columns).map(bias).collect();
    for (image, channel) in (0..n).flat_map(|image| (0..channels).map(move |channel| (image, channel))) {
        for (row, column) in (0..height).flat_map(|row| (0..width).map(move |column| (row, column))) {
            let value = x.values[((image * channels + channel) * height + row) * width + column];
            for filter in 0..filters {
                for (i, to) in inside(row, kh, stride, padding, rows) {
                    for (j, at) in inside(column, kw, stride, padding, columns) {
                        let weight = w.values[((channel * filters + filter) * kh + i) * kw + j];
                        y[((image * filters + filter) * rows + to) * columns + at] += value * weight;
                    }
                }
            }
        }
    }
    Array::with(vec![n, filters, rows, columns], y)
}

/// The maximum of each window, or its mean with zeros for the padding.
pub(super) fn pool(node: &OnnxNode, x: &Array, maximum: bool) -> Array {
    let ([kh, kw], stride, padding) = window(node);
    let &[n, channels, height, width] = &x.dims[..] else { return x.clone() };
    let (rows, columns) = ((height + 2 * padding - kh) / stride + 1, (width + 2 * padding - kw) / stride + 1);
    let mut values = Vec::with_capacity(n * channels * rows * columns);
    for plane in 0..n * channels {
        for (row, column) in (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column))) {
            let all = inside(row, kh, stride, padding, height).flat_map(|(_, y)| {
                inside(column, kw, stride, padding, width).map(move |(_, at)| (plane * height + y) * width + at)
            });
            let all = all.map(|at| x.values[at]);
            values.push(if maximum {
                all.fold(f64::NEG_INFINITY, f64::max)
            } else {
                all.sum::<f64>() / (kh * kw) as f64
            });
        }
    }
    Array::with(vec![n, channels, rows, columns], values)
}
