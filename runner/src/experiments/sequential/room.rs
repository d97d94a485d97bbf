//! How many seeds leave room for looks to save some.
//!
//! Looks save the seeds that come after the decision, so that a design which may not go on for much longer than a fixed one
//! saves little: with at most 12 seeds for one comparison, or 20 for eight, the best of all tests that go by t, whatever their
//! levels are and whenever they give up, takes 81 % and 78 % of the fixed design of its power (`best.py` finds it).

use statrs::distribution::{ChiSquared, Continuous, ContinuousCDF, Normal};

use crate::experiments::statistics::t_quantile;

/// The most seeds, in those of a fixed design that finds the difference four times in five, from which on looks take three
/// quarters of the fixed design of equal power: by the simulation in the tests.
const ROOM: usize = 2;

/// The most seeds of a setting from which on looks take no more than three quarters of the seeds of a fixed design of equal
/// power, where a difference is of one standard deviation and so many comparisons share the error.
pub fn room(error: f64, comparisons: usize) -> usize {
    let level = error / comparisons.max(1) as f64;
    let fixed = (3..1000).find(|pairs| power(*pairs, level) >= 0.8).unwrap_or(1000);
    ROOM * fixed
}

/// The power of a two-sided paired t-test with so many pairs, at least 2, for a mean of one deviation.
pub fn power(pairs: usize, level: f64) -> f64 {
    let freedom = pairs - 1;
    let bound = t_quantile(1.0 - level / 2.0, freedom);
    let (Ok(variance), normal) = (ChiSquared::new(freedom as f64), Normal::standard()) else { return 0.0 };
    // Over the estimated variance, in small steps.
    let (top, steps) = (freedom as f64 + 12.0 * (2.0 * freedom as f64).sqrt() + 20.0, 1000);
    let shift = (pairs as f64).sqrt();
    let at = |step: usize| {
        let v = top * (step as f64 + 0.5) / steps as f64;
        let bound = bound * (v / freedom as f64).sqrt();
        variance.pdf(v) * (normal.sf(bound - shift) + normal.cdf(-bound - shift))
    };
    (0..steps).map(at).sum::<f64>() * top / steps as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn power_is_that_of_the_noncentral_t() {
        // G*Power 3.1 says 0.8031 for 10 pairs; all are of SciPy 1.17: nct.sf(c, n - 1, sqrt(n)) + nct.cdf(-c, n - 1, sqrt(n)).
        let cases = [
            (10, 0.05, 0.803_10),
            (5, 0.05, 0.401_39),
            (9, 0.05, 0.748_02),
            (17, 0.006_25, 0.815_69),
            (20, 0.0025, 0.817_15),
            (40, 0.001, 0.995_10),
        ];
        for (pairs, level, expected) in cases {
            assert!((power(pairs, level) - expected).abs() < 1e-3, "{pairs} {level}: {}", power(pairs, level));
        }
    }

    #[test]
    fn more_comparisons_need_more_room() {
        assert_eq!([1, 3, 8, 20].map(|comparisons| room(0.05, comparisons)), [20, 28, 34, 40]);
    }
}
