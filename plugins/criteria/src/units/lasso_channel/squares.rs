//! Products of the samples with each other, and what follows from them: contributions, and least squares.

use super::path::Path;
use super::samples::Samples;
use secateur::prelude::*;

/// Columns whose products are taken together: as many as stay in a core's cache.
const BLOCK: usize = 16;
/// Added to the diagonal, as a part of its mean: what the samples leave open stays as it is.
const RIDGE: f64 = 1e-10;

/// `xᵀx` of samples x `[samples, columns]`, in double precision: least squares by normal equations need it.
pub(super) struct Squares {
    columns: usize,
    products: Vec<f64>,
}

impl Squares {
    pub fn of(samples: &Samples) -> Self {
        let n = samples.columns;
        let rows = samples.values.len() / n.max(1);
        let mut columns = vec![0.0; n * rows];
        for (row, values) in samples.values.chunks(n.max(1)).enumerate() {
            values.iter().enumerate().for_each(|(i, v)| columns[i * rows + row] = f64::from(*v));
        }
        let column = |i: usize| &columns[i * rows..][..rows];
        let mut products = vec![0.0; n * n];
        for block in (0..n).step_by(BLOCK) {
            for j in block..n {
                for i in block..(block + BLOCK).min(j + 1) {
                    let product = dot(column(i), column(j));
                    (products[i * n + j], products[j * n + i]) = (product, product);
                }
            }
        }
        Self { columns: n, products }
    }

    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Adds the products of the units' contributions `x_c w_cᵀ` with each other, and with the output `x wᵀ`: sums of
    /// `(xᵀx)_ij (wᵀw)_ij`.
    pub fn contributions<B: Backend>(
        &self,
        weight: &Tensor<B>,
        member: &Member,
        units: usize,
        path: &mut Path,
    ) -> Result<()> {
        let (n, inputs) = (self.columns, weight.shape()[1]);
        let weight = weight.reshape([weight.shape()[0], n])?;
        let weights = weight.matmul(true, &weight, false)?;
        let weights = weights.host();
        let mut unit_of = vec![None; inputs];
        for unit in 0..units {
            member.indices(unit, units).for_each(|i| unit_of[i] = Some(unit));
        }
        let kernel = n / inputs.max(1);
        for i in 0..n {
            let Some(a) = unit_of[i / kernel] else { continue };
            for j in 0..n {
                let product = self.products[i * n + j] * f64::from(weights[i * n + j]);
                path.with_output[a] += product;
                if let Some(b) = unit_of[j / kernel] {
                    path.gram[a * units + b] += product;
                }
            }
        }
        Ok(())
    }

    /// The weights `[out, columns]` whose columns outside of `stays` (by input) are zero, and by which those that stay
    /// come nearest to the output of all.
    pub fn fit(&self, weight: &[f32], stays: &[bool]) -> Vec<f32> {
        let (n, kernel) = (self.columns, self.columns / stays.len().max(1));
        let (kept, gone): (Vec<usize>, Vec<usize>) = (0..n).partition(|i| stays[i / kernel.max(1)]);
        let k = kept.len();
        let mut matrix: Vec<f64> =
            kept.iter().flat_map(|&i| kept.iter().map(move |&j| self.products[i * n + j])).collect();
        let ridge = RIDGE * (0..k).map(|i| matrix[i * k + i]).sum::<f64>() / k.max(1) as f64;
        // Where nothing was seen, any number above zero keeps the weights as they are.
        let ridge = if ridge > 0.0 { ridge } else { 1.0 };
        (0..k).for_each(|i| matrix[i * k + i] += ridge);
        factor(&mut matrix, k);
        let mut fitted = vec![0.0; weight.len()];
        let mut change = vec![0.0; k];
        for (row, new) in weight.chunks_exact(n.max(1)).zip(fitted.chunks_exact_mut(n.max(1))) {
            // What the survivors must take over: the share of those that go.
            for (change, &i) in change.iter_mut().zip(&kept) {
                *change = gone.iter().map(|&j| self.products[i * n + j] * f64::from(row[j])).sum();
            }
            solve(&matrix, k, &mut change);
            for (change, &i) in change.iter().zip(&kept) {
                new[i] = (f64::from(row[i]) + change) as f32;
            }
        }
        fitted
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [0.0; 8];
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    for (a, b) in a.iter().zip(b) {
        (0..8).for_each(|i| sums[i] += a[i] * b[i]);
    }
    sums.iter().sum::<f64>() + a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum::<f64>()
}

/// Cholesky: the lower triangle becomes L with `L Lᵀ` the matrix.
fn factor(matrix: &mut [f64], n: usize) {
    for i in 0..n {
        let (above, row) = matrix.split_at_mut(i * n);
        for j in 0..i {
            let other = &above[j * n..][..=j];
            row[j] = (row[j] - dot(&row[..j], &other[..j])) / other[j];
        }
        // Rounding may leave nothing of what the ridge kept above zero.
        row[i] = (row[i] - dot(&row[..i], &row[..i])).max(f64::MIN_POSITIVE).sqrt();
    }
}

/// Solves `L Lᵀ x = b` in place.
fn solve(lower: &[f64], n: usize, b: &mut [f64]) {
    for i in 0..n {
        b[i] = (b[i] - dot(&lower[i * n..][..i], &b[..i])) / lower[i * n + i];
    }
    for i in (0..n).rev() {
        let (before, rest) = b.split_at_mut(i);
        rest[0] /= lower[i * n + i];
        before.iter_mut().zip(&lower[i * n..][..i]).for_each(|(b, l)| *b -= rest[0] * l);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn survivors_take_over_what_goes() {
        // The third column is the first plus twice the second, so that nothing is lost with it.
        let mut samples = Samples::default();
        let rows = [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [2.0, -1.0]];
        let rows = rows.iter().flat_map(|[a, b]| [*a, *b, a + 2.0 * b]).collect();
        samples.add((rows, 1), 3);
        let squares = Squares::of(&samples);
        let found = squares.fit(&[1.0, 1.0, 0.5, 0.0, 0.0, -1.0], &[true, true, false]);
        let expected = [1.5, 2.0, 0.0, -1.0, -2.0, 0.0];
        assert!(found.iter().zip(expected).all(|(a, b): (&f32, f32)| (a - b).abs() < 1e-5), "{found:?}");
    }

    #[test]
    fn what_the_samples_leave_open_stays() {
        let mut samples = Samples::default();
        samples.add((vec![1.0, 0.0, 1.0], 1), 3);
        let found = Squares::of(&samples).fit(&[3.0, 7.0, 2.0], &[true, true, false]);
        assert!((found[0] - 5.0).abs() < 1e-4 && found[1] == 7.0, "{found:?}");
    }
}
