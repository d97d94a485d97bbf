//! Friedman's test, and the critical difference of mean ranks; against SciPy and autorank (`golden.py`).

use serde::Serialize;
use statrs::distribution::{ChiSquared, Continuous, ContinuousCDF, Normal};

/// What the ranks of treatments in blocks say.
#[derive(Clone, Debug, Serialize)]
pub struct Friedman {
    /// The mean rank of each treatment; the lowest value of a block has rank 1, equal values share their mean rank.
    pub ranks: Vec<f64>,
    /// The statistic, corrected for ties.
    pub chi_square: f64,
    /// Probability of one at least as large if every order in a block were as likely.
    pub p: f64,
}

impl Friedman {
    /// Ranks the values of each block; all blocks have as many, at least two.
    pub fn of(blocks: &[Vec<f64>]) -> Self {
        let (n, k) = (blocks.len() as f64, blocks.first().map_or(0, Vec::len));
        let (mut sums, mut ties) = (vec![0.0; k], 0.0);
        for block in blocks {
            let mut order: Vec<usize> = (0..k).collect();
            order.sort_by(|a, b| block[*a].total_cmp(&block[*b]));
            let mut first = 0;
            for same in order.chunk_by(|a, b| block[*a] == block[*b]) {
                let count = same.len() as f64;
                same.iter().for_each(|treatment| sums[*treatment] += first as f64 + (count + 1.0) / 2.0);
                ties += count * count * count - count;
                first += same.len();
            }
        }
        let k = k as f64;
        let squares: f64 = sums.iter().map(|sum| sum * sum).sum();
        let spread = 12.0 / (k * n * (k + 1.0)) * squares - 3.0 * n * (k + 1.0);
        let correction = 1.0 - ties / (k * (k * k - 1.0) * n);
        let chi_square = if correction > 0.0 { spread / correction } else { 0.0 };
        let p = ChiSquared::new(k - 1.0).map_or(1.0, |distribution| distribution.sf(chi_square));
        Self { ranks: sums.iter().map(|sum| sum / n).collect(), chi_square, p }
    }
}

/// Nemenyi's critical difference of the mean ranks of `k` treatments in `n` blocks: q sqrt(k (k + 1) / (6 n)), with q the quantile of
/// the range of k standard normal deviates over sqrt 2.
pub fn critical_difference(k: usize, n: usize, level: f64) -> f64 {
    let (mut low, mut high) = (0.0, 20.0);
    for _ in 0..60 {
        let middle = (low + high) / 2.0;
        if range_above(middle, k) > level { low = middle } else { high = middle }
    }
    let k = k as f64;
    (low / std::f64::consts::SQRT_2) * (k * (k + 1.0) / (6.0 * n as f64)).sqrt()
}

/// The probability that the range of `k` standard normal deviates is above `q`: 1 - k ∫ φ(z) (Φ(z) - Φ(z - q))^(k-1) dz.
fn range_above(q: f64, k: usize) -> f64 {
    const STEP: f64 = 0.01;
    let normal = Normal::standard();
    let at = |z: f64| normal.pdf(z) * (normal.cdf(z) - normal.cdf(z - q)).powi(k as i32 - 1);
    // Smooth, and nothing at the ends: sums over equal steps are as good as any rule.
    let whole: f64 = (-900..=900).map(|i| at(f64::from(i) * STEP)).sum();
    1.0 - k as f64 * whole * STEP
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn ranks_test_and_difference_agree_with_scipy_and_autorank() {
        let golden: Value = serde_json::from_str(include_str!("golden.json")).unwrap();
        let near = |what: &str, found: f64, expected: &Value| {
            let expected = expected.as_f64().unwrap();
            assert!((found - expected).abs() <= 1e-6 * expected.abs().max(1e-3), "{what}: {found}, not {expected}");
        };
        let cases = golden["tables"].as_array().unwrap();
        assert!(cases.len() > 8);
        for case in cases {
            let table: Vec<Vec<f64>> = serde_json::from_value(case["values"].clone()).unwrap();
            let found = Friedman::of(&table);
            near("chi-square", found.chi_square, &case["chi_square"]);
            near("p", found.p, &case["p"]);
            for (rank, expected) in found.ranks.iter().zip(case["ranks"].as_array().unwrap()) {
                near("rank", *rank, expected);
            }
            near(
                "critical difference",
                critical_difference(table[0].len(), table.len(), 0.05),
                &case["critical_difference"],
            );
        }
        for case in golden["quantiles"].as_array().unwrap() {
            let (k, level) = (case["k"].as_u64().unwrap() as usize, case["level"].as_f64().unwrap());
            let found = critical_difference(k, 1, level);
            let expected = case["q"].as_f64().unwrap() / 2f64.sqrt() * (k as f64 * (k as f64 + 1.0) / 6.0).sqrt();
            assert!((found / expected - 1.0).abs() < 1e-6, "{case}: {found}, not {expected}");
        }
    }
}
