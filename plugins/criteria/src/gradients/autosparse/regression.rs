//! Least squares over the terms of many weights.

use super::TERMS;

const N: usize = TERMS.len();

/// Sums over weights, from which the coefficients follow: no row is kept.
#[derive(Debug, Clone, Default)]
pub struct Regression {
    count: u64,
    sums: [f64; N + 1],
    products: [[f64; N + 1]; N + 1],
}

/// What least squares found.
#[derive(Debug, Clone, PartialEq)]
pub struct Fitted {
    /// Coefficients in the order of [`TERMS`]; 0 for a term that those before it determine.
    pub coefficients: [f64; N],
    /// What is predicted where all terms are zero.
    pub intercept: f64,
    /// Part of the variance that the terms explain, from 0 to 1.
    pub r_squared: f64,
    /// Weights that it was fitted to.
    pub weights: u64,
}

impl Regression {
    /// Adds a weight: its terms, and what they are to predict.
    pub fn add(&mut self, terms: [f64; N], target: f64) {
        let row: [f64; N + 1] = std::array::from_fn(|i| if i < N { terms[i] } else { target });
        self.count += 1;
        for (i, x) in row.iter().enumerate() {
            self.sums[i] += x;
            row.iter().enumerate().for_each(|(j, y)| self.products[i][j] += x * y);
        }
    }

    /// Ordinary least squares with an intercept, by elimination in the normal equations of the centred terms; nothing
    /// where there is nothing to predict, because all targets are alike.
    pub fn solve(&self) -> Option<Fitted> {
        let mean = self.sums.map(|sum| sum / self.count.max(1) as f64);
        let centred = |i: usize, j: usize| self.products[i][j] - self.sums[i] * mean[j];
        let mut left: [[f64; N + 1]; N + 1] = std::array::from_fn(|i| std::array::from_fn(|j| centred(i, j)));
        let own: [f64; N + 1] = std::array::from_fn(|i| left[i][i]);
        if own[N] <= 1e-12 * self.products[N][N] {
            return None;
        }
        // What a term adds to those before it, next to what rounding leaves of nothing.
        let mut adds = [false; N];
        for k in 0..N {
            adds[k] = left[k][k] > 1e-10 * own[k].max(1e-6 * self.products[k][k]);
            if adds[k] {
                let pivot = left[k];
                for row in &mut left[k + 1..] {
                    let factor = row[k] / pivot[k];
                    (k + 1..=N).for_each(|j| row[j] -= factor * pivot[j]);
                }
            }
        }
        let mut coefficients = [0.0; N];
        for k in (0..N).rev().filter(|&k| adds[k]) {
            let others: f64 = (k + 1..N).map(|j| left[k][j] * coefficients[j]).sum();
            coefficients[k] = (left[k][N] - others) / left[k][k];
        }
        let explained: f64 = coefficients.iter().zip(mean).map(|(c, m)| c * m).sum();
        let r_squared = (1.0 - left[N][N] / own[N]).clamp(0.0, 1.0);
        Some(Fitted { coefficients, intercept: mean[N] - explained, r_squared, weights: self.count })
    }

    /// Pearson's correlation over the weights between the score with these coefficients and what is to be predicted: how
    /// well they do where they were not fitted, whatever scale and offset they have. None of any coefficients is above the
    /// root of [`Fitted::r_squared`]. `None` where the scores or the targets are all alike.
    pub fn correlation(&self, coefficients: &[f64; N]) -> Option<f64> {
        let mean = self.sums.map(|sum| sum / self.count.max(1) as f64);
        let centred = |i: usize, j: usize| self.products[i][j] - self.sums[i] * mean[j];
        let of_score = |j: usize| (0..N).map(|i| coefficients[i] * centred(i, j)).sum::<f64>();
        let variance: f64 = (0..N).map(|j| coefficients[j] * of_score(j)).sum();
        // Next to what rounding leaves of nothing.
        let size = |i: usize, j: usize| (coefficients[i] * coefficients[j] * self.products[i][j]).abs();
        let sizes: f64 = (0..N).map(|i| (0..N).map(|j| size(i, j)).sum::<f64>()).sum();
        let varies = variance > 1e-12 * sizes && centred(N, N) > 1e-12 * self.products[N][N];
        varies.then(|| (of_score(N) / (variance * centred(N, N)).sqrt()).clamp(-1.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(i: u32) -> [f64; N] {
        let number = |k: u32| f64::from((i * 7919 + k * 104_729 + i * i * k) % 1009) / 1009.0;
        std::array::from_fn(|k| number(k as u32 + 1))
    }

    #[test]
    fn what_is_linear_is_found_and_what_repeats_is_left_out() {
        let truth = [0.5, -2.0, 0.0, 1.0, 3.0, -0.25];
        let (mut whole, mut twice) = (Regression::default(), Regression::default());
        for i in 0..200 {
            let terms = row(i);
            let value: f64 = 0.75 + terms.iter().zip(truth).map(|(x, c)| x * c).sum::<f64>();
            whole.add(terms, value);
            twice.add([terms[0], 2.0 * terms[0], 0.0, 1.0, terms[4], terms[5]], terms[0] - terms[5]);
        }
        let found = whole.solve().unwrap();
        assert!(found.coefficients.iter().zip(truth).all(|(a, b)| (a - b).abs() < 1e-9), "{found:?}");
        assert!((found.intercept - 0.75).abs() < 1e-9 && found.r_squared > 1.0 - 1e-12 && found.weights == 200);
        let found = twice.solve().unwrap().coefficients;
        let expected = [1.0, 0.0, 0.0, 0.0, 0.0, -1.0];
        assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-9), "{found:?}");
    }

    #[test]
    fn where_all_are_alike_there_is_nothing_to_fit() {
        let mut all = Regression::default();
        (0..50).for_each(|i| all.add(row(i), 0.3));
        assert_eq!(all.solve(), None);
        assert_eq!(Regression::default().solve(), None);
        assert_eq!((all.correlation(&[1.0; N]), Regression::default().correlation(&[1.0; N])), (None, None));
    }

    #[test]
    fn a_score_correlates_with_what_it_predicts_whatever_its_scale() {
        let mut all = Regression::default();
        let of = |c: [f64; N], i: u32| row(i).iter().zip(c).map(|(x, c)| x * c).sum::<f64>();
        let (truth, other) = ([0.5, -2.0, 0.0, 1.0, 3.0, -0.25], [1.0, 1.0, 0.0, 0.0, 2.0, 0.0]);
        (0..200).for_each(|i| all.add(row(i), 0.75 + of(truth, i)));
        assert!((all.correlation(&truth.map(|c| 40.0 * c)).unwrap() - 1.0).abs() < 1e-9);
        assert!((all.correlation(&truth.map(|c| -c)).unwrap() + 1.0).abs() < 1e-9);
        // The definition, over the rows.
        let pairs: Vec<(f64, f64)> = (0..200).map(|i| (of(other, i), of(truth, i))).collect();
        let mean = |of: fn(&(f64, f64)) -> f64| pairs.iter().map(of).sum::<f64>() / 200.0;
        let (a, b) = (mean(|p| p.0), mean(|p| p.1));
        let sum = |of: &dyn Fn(f64, f64) -> f64| pairs.iter().map(|p| of(p.0 - a, p.1 - b)).sum::<f64>();
        let expected = sum(&|x, y| x * y) / (sum(&|x, _| x * x) * sum(&|_, y| y * y)).sqrt();
        let found = all.correlation(&other).unwrap();
        assert!((found - expected).abs() < 1e-9 && found < all.solve().unwrap().r_squared.sqrt(), "{found} {expected}");
        assert_eq!(all.correlation(&[0.0; N]), None, "all scores are alike");
    }
}
