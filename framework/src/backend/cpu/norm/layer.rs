//! Layer normalisation: y = (x - mean) / sqrt(var + eps) * gamma + beta over each row (Ba et al. 2016).

use crate::backend::cpu::common::simd::{simd_fn, sum_of, sum_of_pairs};
use crate::backend::cpu::common::{Accumulate, Grad, elementwise, grad, par, scratch};

/// Bands of rows with partial gradients of gamma and beta.
const BANDS: usize = 16;
/// Rough cost of an element, in floating-point operations.
const COST: usize = 16;

/// Normalises the rows of `x` [rows, n] with gamma and beta `[n]`. Overwrites `y` [rows, n] and `stats` [rows, 2]: mean
/// and 1 / sqrt(var + eps) of each row, for the backward pass.
pub fn forward(x: &[f32], gamma: &[f32], beta: &[f32], eps: f32, y: &mut [f32], stats: &mut [f32]) {
    let n = gamma.len();
    assert!(n > 0 && x.len().is_multiple_of(n), "rows of {n}");
    assert_eq!((y.len(), stats.len(), beta.len()), (x.len(), x.len() / n * 2, n));
    let rows = (elementwise::PIECE / n).max(1);
    let pieces = x.chunks(rows * n).zip(y.chunks_mut(rows * n)).zip(stats.chunks_mut(rows * 2));
    par::for_each(COST * x.len(), pieces, |((x, y), stats)| forward_rows(x, gamma, beta, eps, y, stats));
}

/// Gradients from `dy` [rows, n], the input and the statistics of the forward pass.
pub fn backward(
    x: &[f32],
    gamma: &[f32],
    stats: &[f32],
    dy: &[f32],
    dx: Option<Grad<'_>>,
    dgamma: Option<Grad<'_>>,
    dbeta: Option<Grad<'_>>,
) {
    let n = gamma.len();
    let rows = x.len() / n;
    assert_eq!((dy.len(), stats.len()), (x.len(), rows * 2));
    // A band has at least 64 rows, so that adding up the bands stays small beside the rest.
    let band = rows.div_ceil(BANDS).max(64);
    let bands = rows.div_ceil(band);
    scratch::with(3 * n * bands, |partial| {
        let pieces = x
            .chunks(band * n)
            .zip(dy.chunks(band * n))
            .zip(stats.chunks(band * 2))
            .zip(grad::chunks_or_none(dx, band * n, bands))
            .zip(partial.chunks_mut(3 * n));
        par::for_each(2 * COST * x.len(), pieces, |((((x, dy), stats), dx), partial)| {
            let (sums, row) = partial.split_at_mut(2 * n);
            sums.fill(0.0);
            let (dgamma, dbeta) = sums.split_at_mut(n);
            let (add, dx) = match dx {
                Some(dx) => (dx.mode == Accumulate::Add, Some(dx.out)),
                None => (false, None),
            };
            backward_rows(x, gamma, stats, dy, dx, add, dgamma, dbeta, row);
        });
        let mut total = vec![0.0; 2 * n];
        partial.chunks(3 * n).for_each(|part| elementwise::add_assign(&mut total, &part[..2 * n]));
        for (grad, sum) in [(dgamma, &total[..n]), (dbeta, &total[n..])] {
            if let Some(mut grad) = grad {
                grad.put(sum);
            }
        }
    });
}

simd_fn! { fn forward_rows(x: &[f32], gamma: &[f32], beta: &[f32], eps: f32, y: &mut [f32], stats: &mut [f32]) {
    let n = gamma.len();
    let scale = 1.0 / n as f32;
    for ((x, y), stats) in x.chunks_exact(n).zip(y.chunks_exact_mut(n)).zip(stats.chunks_exact_mut(2)) {
        let mean = sum_of(x, |x| x) * scale;
        let variance = sum_of(x, |x| (x - mean) * (x - mean)) * scale;
        let inverse = 1.0 / (variance + eps).sqrt();
        stats.copy_from_slice(&[mean, inverse]);
        for (((y, &x), &gamma), &beta) in y.iter_mut().zip(x).zip(gamma).zip(beta) {
            *y = ((x - mean) * inverse).mul_add(gamma, beta);
        }
    }
} }

simd_fn! { fn backward_rows(
    x: &[f32], gamma: &[f32], stats: &[f32], dy: &[f32], dx: Option<&mut [f32]>, add: bool,
    dgamma: &mut [f32], dbeta: &mut [f32], scaled: &mut [f32],
) {
    let n = gamma.len();
    let scale = 1.0 / n as f32;
    let mut dxs = dx.map(|dx| dx.chunks_exact_mut(n));
    for ((x, dy), stats) in x.chunks_exact(n).zip(dy.chunks_exact(n)).zip(stats.chunks_exact(2)) {
        let (mean, inverse) = (stats[0], stats[1]);
        let sums = dgamma.iter_mut().zip(dbeta.iter_mut());
        for (((((s, &x), &dy), &gamma), dg), db) in
            scaled.iter_mut().zip(x).zip(dy).zip(gamma).zip(sums).map(|(rest, (dg, db))| ((rest, dg), db))
        {
            *s = dy * gamma;
            *dg = (dy * inverse).mul_add(x - mean, *dg);
            *db += dy;
        }
        let Some(dx) = dxs.as_mut().and_then(Iterator::next) else { continue };
        let shift = sum_of(scaled, |s| s) * scale;
        let slope = sum_of_pairs(scaled, x, |s, x| s * (x - mean)) * (scale * inverse * inverse);
        let value = |s: f32, x: f32| inverse * (s - shift - (x - mean) * slope);
        if add {
            for ((dx, &s), &x) in dx.iter_mut().zip(scaled.iter()).zip(x) {
                *dx += value(s, x);
            }
        } else {
            for ((dx, &s), &x) in dx.iter_mut().zip(scaled.iter()).zip(x) {
                *dx = value(s, x);
            }
        }
    }
} }

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::cpu::common::testing::*;

    const EPS: f32 = 1e-5;

    fn reference(x: &[f64], gamma: &[f64], beta: &[f64]) -> Vec<f64> {
        let n = gamma.len();
        let row = |x: &[f64]| {
            let mean = x.iter().sum::<f64>() / n as f64;
            let variance = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n as f64;
            let scale = 1.0 / (variance + f64::from(EPS)).sqrt();
            (0..n).map(|i| (x[i] - mean) * scale * gamma[i] + beta[i]).collect::<Vec<_>>()
        };
        x.chunks(n).flat_map(row).collect()
    }

    #[test]
    fn output_and_gradients_agree_with_the_definition() {
        at_each_level(|| {
            for (rows, n) in [(3, 5), (2, 37), (4, 1)] {
                let (x, gamma, beta) = (random(rows * n, 1), random(n, 2), random(n, 3));
                let dy = random(rows * n, 4);
                let (mut y, mut stats) = (vec![f32::NAN; rows * n], vec![f32::NAN; rows * 2]);
                forward(&x, &gamma, &beta, EPS, &mut y, &mut stats);
                let (xw, gw, bw) = (wide(&x), wide(&gamma), wide(&beta));
                assert_close(&y, &reference(&xw, &gw, &bw), 1e-5, "y");
                for add in [false, true] {
                    let start = f32::from(u8::from(add));
                    let (mut dx, mut dg, mut db) = (vec![start; rows * n], vec![start; n], vec![start; n]);
                    let grad = |out| Some(if add { Grad::add(out) } else { Grad::overwrite(out) });
                    backward(&x, &gamma, &stats, &dy, grad(&mut dx), grad(&mut dg), grad(&mut db));
                    let shifted = |g: Vec<f64>| g.into_iter().map(|g| g + f64::from(start)).collect::<Vec<_>>();
                    let by = |x: &[f64], g: &[f64], b: &[f64]| dot(&reference(x, g, b), &dy);
                    assert_close(&dx, &shifted(numeric_gradient(&xw, |x| by(x, &gw, &bw))), 2e-4, "dx");
                    assert_close(&dg, &shifted(numeric_gradient(&gw, |g| by(&xw, g, &bw))), 1e-4, "dgamma");
                    assert_close(&db, &shifted(numeric_gradient(&bw, |b| by(&xw, &gw, b))), 1e-4, "dbeta");
                }
            }
        });
    }

    #[test]
    fn threads_do_not_change_bits() {
        let (rows, n) = (1_500, 48);
        let (x, gamma, dy) = (random(rows * n, 1), random(n, 2), random(rows * n, 3));
        assert_same_bits(|| {
            let (mut y, mut stats) = (vec![0.0; rows * n], vec![0.0; rows * 2]);
            forward(&x, &gamma, &gamma, EPS, &mut y, &mut stats);
            let (mut dx, mut dg, mut db) = (vec![0.0; rows * n], vec![0.0; n], vec![0.0; n]);
            let grads = [&mut dg, &mut db].map(|g| Some(Grad::overwrite(g)));
            let [dgamma, dbeta] = grads;
            backward(&x, &gamma, &stats, &dy, Some(Grad::overwrite(&mut dx)), dgamma, dbeta);
            [y, dx, dg, db].concat()
        });
    }
}
