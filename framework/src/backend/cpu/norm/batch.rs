//! Batch normalisation (Ioffe and Szegedy 2015) of x [batch, channels, inner]: inner is rows times columns of an image,
//! or 1 for feature vectors.

use crate::backend::cpu::common::elementwise::PIECE;
use crate::backend::cpu::common::simd::{simd_fn, sum_of_pairs};
use crate::backend::cpu::common::{Accumulate, Grad, par};

/// Shape [batch, channels, inner].
pub type Shape = (usize, usize, usize);

/// Mean and biased variance of each channel over batch and inner, in two passes.
pub fn statistics(x: &[f32], shape: Shape, mean: &mut [f32], variance: &mut [f32]) {
    let count = (shape.0 * shape.2) as f64;
    let zero = vec![0.0; shape.1];
    for (mean, sum) in mean.iter_mut().zip(channel_sums(x, x, &zero, shape, |x, _, _| x)) {
        *mean = (sum / count) as f32;
    }
    let sums = channel_sums(x, x, mean, shape, |x, _, mean| (x - mean) * (x - mean));
    for (variance, sum) in variance.iter_mut().zip(sums) {
        *variance = (sum / count) as f32;
    }
}

/// Moves running statistics towards those of a batch of `count` values a channel, as PyTorch:
/// running = (1 - momentum) running + momentum batch, with the unbiased variance.
pub fn update_running(
    running: (&mut [f32], &mut [f32]),
    (mean, variance): (&[f32], &[f32]),
    count: usize,
    momentum: f32,
) {
    let unbiased = count as f32 / count.saturating_sub(1).max(1) as f32;
    for (r, &m) in running.0.iter_mut().zip(mean) {
        *r += momentum * (m - *r);
    }
    for (r, &v) in running.1.iter_mut().zip(variance) {
        *r += momentum * (v * unbiased - *r);
    }
}

/// y = (x - mean) / sqrt(variance + eps) * gamma + beta, with the statistics of the batch (training) or the running
/// ones (evaluation). All of y is overwritten.
pub fn forward(
    x: &[f32],
    shape: Shape,
    (mean, variance): (&[f32], &[f32]),
    (gamma, beta): (&[f32], &[f32]),
    eps: f32,
    y: &mut [f32],
) {
    let factors: Vec<[f32; 3]> =
        (0..shape.1).map(|c| [gamma[c] / (variance[c] + eps).sqrt(), mean[c], beta[c]]).collect();
    map(Grad::overwrite(y), x, x, &factors, shape, |x, _, [scale, mean, beta]| (x - mean).mul_add(scale, beta));
}

/// The wanted gradients from dy, the layer's input and the statistics of the forward pass. With `batch_statistics`
/// (training) the gradient flows through mean and variance; without, they are constants.
pub fn backward(
    x: &[f32],
    dy: &[f32],
    shape: Shape,
    (mean, variance): (&[f32], &[f32]),
    (gamma, eps): (&[f32], f32),
    batch_statistics: bool,
    (dx, dgamma, dbeta): (Option<Grad<'_>>, Option<Grad<'_>>, Option<Grad<'_>>),
) {
    let inverse: Vec<f32> = variance.iter().map(|v| 1.0 / (v + eps).sqrt()).collect();
    let sums = channel_sums(dy, x, mean, shape, |dy, _, _| dy);
    let products = channel_sums(dy, x, mean, shape, |dy, x, mean| dy * (x - mean));
    if let Some(mut dgamma) = dgamma {
        dgamma.put(&products.iter().zip(&inverse).map(|(p, &i)| *p as f32 * i).collect::<Vec<_>>());
    }
    if let Some(mut dbeta) = dbeta {
        dbeta.put(&sums.iter().map(|&s| s as f32).collect::<Vec<_>>());
    }
    let Some(dx) = dx else { return };
    let count = (shape.0 * shape.2) as f64;
    // dx = gamma / std (dy - mean(dy) - xhat mean(dy xhat)) = scale dy + slope (x - mean) + shift
    let factors: Vec<[f32; 4]> = (0..shape.1)
        .map(|c| {
            let scale = gamma[c] * inverse[c];
            let (mut slope, mut shift) = (0.0, 0.0);
            if batch_statistics {
                slope = -scale * inverse[c] * inverse[c] * (products[c] / count) as f32;
                shift = -scale * (sums[c] / count) as f32;
            }
            [scale, slope, mean[c], shift]
        })
        .collect();
    map(dx, dy, x, &factors, shape, |dy, x, [scale, slope, mean, shift]| {
        scale.mul_add(dy, slope.mul_add(x - mean, shift))
    });
}

/// Images a piece of work.
fn group(shape: Shape) -> usize {
    (PIECE / (shape.1 * shape.2).max(1)).max(1)
}

/// For each channel the sum of f(x, z, parameter of the channel).
fn channel_sums<F: Fn(f32, f32, f32) -> f32 + Copy + Send + Sync>(
    x: &[f32],
    z: &[f32],
    parameter: &[f32],
    shape: Shape,
    f: F,
) -> Vec<f64> {
    let (batch, channels, inner) = shape;
    assert_eq!((x.len(), z.len(), parameter.len()), (batch * channels * inner, x.len(), channels), "[{shape:?}]");
    let mut totals = vec![0.0; channels];
    if x.is_empty() {
        return totals;
    }
    let piece = group(shape) * channels * inner;
    let parts = par::map(4 * x.len(), x.chunks(piece).zip(z.chunks(piece)), |(x, z)| {
        let mut sums = vec![0.0; channels];
        sums_piece(&mut sums, x, z, parameter, inner, f);
        sums
    });
    for part in parts {
        totals.iter_mut().zip(part).for_each(|(total, part)| *total += f64::from(part));
    }
    totals
}

simd_fn! { fn sums_piece<F: Fn(f32, f32, f32) -> f32>(
    sums: &mut [f32], x: &[f32], z: &[f32], parameter: &[f32], inner: usize, f: F,
) {
    let image = sums.len() * inner;
    for (x, z) in x.chunks_exact(image).zip(z.chunks_exact(image)) {
        if inner == 1 {
            for (((sum, &x), &z), &p) in sums.iter_mut().zip(x).zip(z).zip(parameter) {
                *sum += f(x, z, p);
            }
        } else {
            let planes = x.chunks_exact(inner).zip(z.chunks_exact(inner));
            for ((sum, (x, z)), &p) in sums.iter_mut().zip(planes).zip(parameter) {
                *sum += sum_of_pairs(x, z, |x, z| f(x, z, p));
            }
        }
    }
} }

/// out (+)= f(x, z, factors of the channel).
fn map<const N: usize, F: Fn(f32, f32, [f32; N]) -> f32 + Copy + Send + Sync>(
    out: Grad<'_>,
    x: &[f32],
    z: &[f32],
    factors: &[[f32; N]],
    shape: Shape,
    f: F,
) {
    let (batch, channels, inner) = shape;
    assert_eq!((out.out.len(), x.len(), z.len()), (batch * channels * inner, x.len(), x.len()), "[{shape:?}]");
    let piece = group(shape) * channels * inner;
    let add = out.mode == Accumulate::Add;
    let pieces = out.chunks(piece).zip(x.chunks(piece.max(1)).zip(z.chunks(piece.max(1))));
    par::for_each(8 * x.len(), pieces, |(out, (x, z))| {
        map_piece(out.out, x, z, inner, channels, |c, x, z| f(x, z, factors[c]), add);
    });
}

simd_fn! { fn map_piece<F: Fn(usize, f32, f32) -> f32>(
    out: &mut [f32], x: &[f32], z: &[f32], inner: usize, channels: usize, f: F, add: bool,
) {
    // Feature vectors are walked as rows of channels, images as planes of one channel: long loops in both.
    let (len, step) = if inner == 1 { (channels, 1) } else { (inner, 0) };
    let lines = out.chunks_exact_mut(len).zip(x.chunks_exact(len).zip(z.chunks_exact(len)));
    for (line, (out, (x, z))) in lines.enumerate() {
        let first = if inner == 1 { 0 } else { line % channels };
        for (i, ((out, &x), &z)) in out.iter_mut().zip(x).zip(z).enumerate() {
            let v = f(first + i * step, x, z);
            *out = if add { *out + v } else { v };
        }
    }
} }

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::cpu::common::testing::*;

    const EPS: f32 = 1e-5;

    /// Channel means, variances and the normalised x, in f64; fixed statistics if given.
    fn reference(x: &[f64], shape: Shape, g: &[f64], b: &[f64], fixed: Option<(&[f64], &[f64])>) -> Vec<f64> {
        let (batch, channels, inner) = shape;
        let channel = |c: usize| (0..batch * inner).map(move |e| (e / inner * channels + c) * inner + e % inner);
        let mut y = vec![0.0; x.len()];
        for c in 0..channels {
            let n = (batch * inner) as f64;
            let mean = fixed.map_or(channel(c).map(|i| x[i]).sum::<f64>() / n, |f| f.0[c]);
            let own = channel(c).map(|i| (x[i] - mean).powi(2)).sum::<f64>() / n;
            let variance = fixed.map_or(own, |f| f.1[c]);
            for i in channel(c) {
                y[i] = (x[i] - mean) / (variance + f64::from(EPS)).sqrt() * g[c] + b[c];
            }
        }
        y
    }

    #[test]
    fn output_and_gradients_agree_with_the_definition() {
        for shape in [(4, 3, 5), (5, 4, 1), (3, 2, 9)] {
            let (batch, channels, inner) = shape;
            let n = batch * channels * inner;
            let (x, dy, g, b) = (random(n, 1), random(n, 2), random(channels, 3), random(channels, 4));
            let running = (random(channels, 5), vec![0.5; channels]);
            for training in [true, false] {
                let (mut mean, mut variance) = running.clone();
                if training {
                    statistics(&x, shape, &mut mean, &mut variance);
                }
                let stats = (&mean[..], &variance[..]);
                let fixed = (wide(&running.0), wide(&running.1));
                let fixed = (!training).then_some((&fixed.0[..], &fixed.1[..]));
                let (xw, gw, bw) = (wide(&x), wide(&g), wide(&b));
                let mut y = vec![f32::NAN; n];
                forward(&x, shape, stats, (&g, &b), EPS, &mut y);
                assert_close(&y, &reference(&xw, shape, &gw, &bw, fixed), 1e-5, "y");
                let (mut dx, mut dg, mut db) = (vec![1.0; n], vec![f32::NAN; channels], vec![f32::NAN; channels]);
                let (dgamma, dbeta) = (Some(Grad::overwrite(&mut dg)), Some(Grad::overwrite(&mut db)));
                backward(&x, &dy, shape, stats, (&g, EPS), training, (Some(Grad::add(&mut dx)), dgamma, dbeta));
                let by = |x: &[f64], g: &[f64], b: &[f64]| dot(&reference(x, shape, g, b, fixed), &dy);
                let slopes = numeric_gradient(&xw, |x| by(x, &gw, &bw));
                assert_close(&dx, &slopes.iter().map(|g| g + 1.0).collect::<Vec<_>>(), 1e-4, "dx");
                assert_close(&dg, &numeric_gradient(&gw, |g| by(&xw, g, &bw)), 1e-4, "dgamma");
                assert_close(&db, &numeric_gradient(&bw, |b| by(&xw, &gw, b)), 1e-4, "dbeta");
            }
        }
    }

    #[test]
    fn running_statistics_follow_pytorch() {
        let (mut mean, mut variance) = ([0.0], [1.0]);
        update_running((&mut mean, &mut variance), (&[2.0], &[3.0]), 4, 0.1);
        assert!((mean[0] - 0.2).abs() < 1e-6);
        assert!((variance[0] - (0.9 + 0.1 * 4.0)).abs() < 1e-6); // unbiased: 3 * 4 / 3
    }

    #[test]
    fn threads_do_not_change_bits() {
        for shape in [(40, 16, 100), (4_000, 70, 1)] {
            let n = shape.0 * shape.1 * shape.2;
            let (x, dy, g) = (random(n, 1), random(n, 2), random(shape.1, 3));
            assert_same_bits(|| {
                let (mut mean, mut variance) = (vec![0.0; shape.1], vec![0.0; shape.1]);
                statistics(&x, shape, &mut mean, &mut variance);
                let (mut y, mut dx) = (vec![0.0; n], vec![0.0; n]);
                forward(&x, shape, (&mean, &variance), (&g, &g), EPS, &mut y);
                let dx_grad = Some(Grad::overwrite(&mut dx));
                backward(&x, &dy, shape, (&mean, &variance), (&g, EPS), true, (dx_grad, None, None));
                [mean, variance, y, dx].concat()
            });
        }
    }
}
