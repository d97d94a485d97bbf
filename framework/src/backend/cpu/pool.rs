//! Maximum and average over windows of each channel.

use super::common::{Accumulate, Grad, par};
use super::tensor::filled;
use crate::backend::pool::check_pool;
use crate::backend::{Patches, Pool, PoolOps, Pooling, Slot};
use crate::error::Result;
use crate::tensor::{Shape, Tensor};
use dfdx::tensor::Cpu;
use std::ops::Range;

type T = Tensor<Cpu>;

impl PoolOps for Cpu {
    fn pool(x: &T, pool: Pool) -> Result<(T, Option<Vec<u32>>)> {
        let p = check_pool(x, pool)?;
        let (down, across) = p.windows();
        let shape = Shape::from([x.shape()[0], p.channels, down, across]);
        let mut argmax = (pool.kind == Pooling::Max).then(|| vec![0; shape.count()]);
        let y = filled(x.device(), shape, |y| match &mut argmax {
            Some(argmax) => max_forward(&p, x.data(), y, argmax),
            None => average_forward(&p, x.data(), y),
        });
        Ok((y, argmax))
    }

    fn pool_backward(x: &T, pool: Pool, argmax: Option<&Vec<u32>>, dy: &T, dx: &mut Slot<Self>) -> Result<()> {
        let p = check_pool(x, pool)?;
        match argmax {
            Some(argmax) => max_backward(&p, dx.grad(x)?, dy.data(), argmax),
            None => average_backward(&p, dx.grad(x)?, dy.data()),
        }
        Ok(())
    }
}

/// y [images, channels, windows] = the largest value of each window; padding never wins. `argmax` (as long as y)
/// receives its index in the channel, the first of equals, for the backward pass. Both are overwritten.
///
/// Every window must contain a pixel (padding at most half of the kernel).
fn max_forward(p: &Patches, x: &[f32], y: &mut [f32], argmax: &mut [u32]) {
    let (plane, windows) = check(p, x.len(), y.len());
    assert_eq!(argmax.len(), y.len(), "argmax of a pooling");
    let work = p.kernel.0 * p.kernel.1 * y.len();
    let outputs = y.chunks_mut(windows).zip(argmax.chunks_mut(windows));
    par::for_each(2 * work, x.chunks(plane).zip(outputs), |(x, (y, argmax))| {
        for (w, (y, argmax)) in y.iter_mut().zip(argmax).enumerate() {
            let (rows, cols) = window(p, w);
            let first = rows.start * p.width + cols.start;
            (*y, *argmax) = (x[first], first as u32);
            for row in rows {
                for (i, &v) in (row * p.width + cols.start..).zip(&x[row * p.width..][cols.clone()]) {
                    // As PyTorch, a NaN wins.
                    if v > *y || v.is_nan() {
                        (*y, *argmax) = (v, i as u32);
                    }
                }
            }
        }
    });
}

/// dx from dy: each goes to the pixel that won.
fn max_backward(p: &Patches, dx: Grad<'_>, dy: &[f32], argmax: &[u32]) {
    let (plane, windows) = check(p, dx.out.len(), dy.len());
    assert_eq!(argmax.len(), dy.len(), "argmax of a pooling");
    let cost = 4 * (dx.out.len() + dy.len());
    par::for_each(cost, dx.chunks(plane).zip(dy.chunks(windows).zip(argmax.chunks(windows))), |(dx, (dy, argmax))| {
        if dx.mode == Accumulate::Overwrite {
            dx.out.fill(0.0);
        }
        for (&dy, &i) in dy.iter().zip(argmax) {
            dx.out[i as usize] += dy;
        }
    });
}

/// y [images, channels, windows] = the mean of each window, padding counted as zeros (PyTorch's default).
fn average_forward(p: &Patches, x: &[f32], y: &mut [f32]) {
    let (plane, windows) = check(p, x.len(), y.len());
    let (area, cost) = ((p.kernel.0 * p.kernel.1) as f32, 2 * p.kernel.0 * p.kernel.1 * y.len());
    par::for_each(cost, x.chunks(plane).zip(y.chunks_mut(windows)), |(x, y)| {
        for (w, y) in y.iter_mut().enumerate() {
            let (rows, cols) = window(p, w);
            *y = rows.map(|row| x[row * p.width..][cols.clone()].iter().sum::<f32>()).sum::<f32>() / area;
        }
    });
}

/// dx from dy: each is shared by the pixels of its window.
fn average_backward(p: &Patches, dx: Grad<'_>, dy: &[f32]) {
    let (plane, windows) = check(p, dx.out.len(), dy.len());
    let (area, cost) = ((p.kernel.0 * p.kernel.1) as f32, 2 * p.kernel.0 * p.kernel.1 * dy.len());
    par::for_each(cost, dx.chunks(plane).zip(dy.chunks(windows)), |(dx, dy)| {
        if dx.mode == Accumulate::Overwrite {
            dx.out.fill(0.0);
        }
        for (w, dy) in dy.iter().enumerate() {
            let (rows, cols) = window(p, w);
            for row in rows {
                dx.out[row * p.width..][cols.clone()].iter_mut().for_each(|dx| *dx += dy / area);
            }
        }
    });
}

/// Lengths of a channel and of its windows; at least 1, for chunks.
fn check(p: &Patches, x: usize, y: usize) -> (usize, usize) {
    let (down, across) = p.windows();
    let (plane, windows) = (p.height * p.width, down * across);
    let kernel = p.kernel.0.min(p.kernel.1);
    assert!(p.stride > 0 && 2 * p.padding <= kernel, "a pooling's padding is at most half of its kernel: {p:?}");
    assert!(x.is_multiple_of((p.channels * plane).max(1)), "images of {p:?}");
    assert_eq!(x * windows, y * plane, "windows of {p:?}");
    (plane.max(1), windows.max(1))
}

/// The rows and columns of the image in window `w`.
fn window(p: &Patches, w: usize) -> (Range<usize>, Range<usize>) {
    let across = p.windows().1;
    let range = |w: usize, kernel: usize, side: usize| {
        let start = w * p.stride;
        start.saturating_sub(p.padding)..(start + kernel - p.padding).min(side)
    };
    (range(w / across, p.kernel.0, p.height), range(w % across, p.kernel.1, p.width))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::cpu::common::testing::*;

    const SHAPES: [Patches; 4] = [
        Patches { channels: 2, height: 4, width: 6, kernel: (2, 2), stride: 2, padding: 0 },
        Patches { channels: 3, height: 5, width: 7, kernel: (3, 3), stride: 2, padding: 1 },
        Patches { channels: 1, height: 5, width: 4, kernel: (3, 2), stride: 1, padding: 1 },
        Patches { channels: 2, height: 4, width: 4, kernel: (4, 4), stride: 4, padding: 0 },
    ];

    /// The values of each window, padding as `None`.
    fn values(p: &Patches, x: &[f64]) -> Vec<Vec<Option<f64>>> {
        let (down, across) = p.windows();
        let planes = x.len() / (p.height * p.width);
        let at = |i: usize, k: usize| {
            let row = (i / across % down * p.stride + k / p.kernel.1).checked_sub(p.padding)?;
            let col = (i % across * p.stride + k % p.kernel.1).checked_sub(p.padding)?;
            let inside = row < p.height && col < p.width;
            inside.then(|| x[(i / (across * down) * p.height + row) * p.width + col])
        };
        (0..planes * down * across).map(|i| (0..p.kernel.0 * p.kernel.1).map(|k| at(i, k)).collect()).collect()
    }

    #[test]
    fn poolings_agree_with_the_definition() {
        for p in SHAPES {
            let x = random(2 * p.image(), 1);
            let (down, across) = p.windows();
            let n = 2 * p.channels * down * across;
            let (mut y, mut argmax, mut dx) = (vec![f32::NAN; n], vec![0; n], vec![f32::NAN; x.len()]);
            let dy = random(n, 2);

            let max = |x: &[f64]| -> Vec<f64> {
                values(&p, x).iter().map(|w| w.iter().flatten().copied().fold(f64::NEG_INFINITY, f64::max)).collect()
            };
            max_forward(&p, &x, &mut y, &mut argmax);
            assert_close(&y, &max(&wide(&x)), 0.0, "max");
            max_backward(&p, Grad::overwrite(&mut dx), &dy, &argmax);
            assert_close(&dx, &numeric_gradient(&wide(&x), |x| dot(&max(x), &dy)), 1e-5, "max backward");

            let mean = |x: &[f64]| -> Vec<f64> {
                values(&p, x).iter().map(|w| w.iter().flatten().sum::<f64>() / w.len() as f64).collect()
            };
            average_forward(&p, &x, &mut y);
            assert_close(&y, &mean(&wide(&x)), 1e-6, "mean");
            dx.fill(1.0);
            average_backward(&p, Grad::add(&mut dx), &dy);
            let slopes = numeric_gradient(&wide(&x), |x| dot(&mean(x), &dy));
            assert_close(&dx, &slopes.iter().map(|g| g + 1.0).collect::<Vec<_>>(), 1e-5, "mean backward");
        }
    }

    #[test]
    fn the_first_of_equals_wins() {
        let mut argmax = [9];
        let p = Patches { channels: 1, height: 2, width: 2, kernel: (2, 2), stride: 2, padding: 0 };
        max_forward(&p, &[1.0, 2.0, 2.0, 0.0], &mut [0.0], &mut argmax);
        assert_eq!(argmax, [1]);
    }

    #[test]
    fn threads_do_not_change_bits() {
        let p = Patches { channels: 8, height: 32, width: 32, kernel: (3, 3), stride: 2, padding: 1 };
        let (x, n) = (random(16 * p.image(), 1), 16 * 8 * 16 * 16);
        assert_same_bits(|| {
            let (mut y, mut argmax) = (vec![0.0; n], vec![0; n]);
            let (mut dx, mut da) = (vec![0.0; x.len()], vec![0.0; x.len()]);
            max_forward(&p, &x, &mut y, &mut argmax);
            max_backward(&p, Grad::overwrite(&mut dx), &y, &argmax);
            average_forward(&p, &x, &mut y);
            average_backward(&p, Grad::overwrite(&mut da), &y);
            [y, dx, da].concat()
        });
    }
}
