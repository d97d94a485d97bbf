//! Bootstrap intervals of a mean, bias-corrected and accelerated (BCa; Efron 1987), as `scipy.stats.bootstrap` makes them of the same
//! resamples.

use statrs::distribution::{ContinuousCDF, Normal};

use super::rounding::{ROUNDING, mean, settled};
use super::sample::Interval;

/// Resamples, as in SciPy.
const RESAMPLES: usize = 9999;

/// What resampling says about the mean of some values.
#[derive(Clone, Debug)]
pub struct Bootstrap {
    /// The means of the resamples, sorted.
    means: Vec<f64>,
    /// Bias correction and acceleration.
    bias: f64,
    acceleration: f64,
}

impl Bootstrap {
    /// Draws the resamples; `None` for fewer than two values, and where they are equal but for rounding. The same values give the
    /// same resamples.
    pub fn of(values: &[f64], size: f64) -> Option<Self> {
        let values = settled(values, size);
        let (n, middle) = (values.len(), mean(&values)?);
        if n < 2 || values.iter().all(|value| *value == values[0]) {
            return None;
        }
        let mut draw = Draw(0);
        let mut means: Vec<f64> =
            (0..RESAMPLES).map(|_| (0..n).map(|_| values[draw.below(n)]).sum::<f64>() / n as f64).collect();
        // One order of the same values must not be below another by a rounding.
        let near = ROUNDING * values.iter().fold(0.0f64, |most, value| most.max(value.abs()));
        means.iter_mut().filter(|found| (**found - middle).abs() <= near).for_each(|found| *found = middle);
        means.sort_by(f64::total_cmp);
        // As SciPy counts: those below, and half of those that are equal.
        let below = means.partition_point(|mean| *mean < middle);
        let upto = means.partition_point(|mean| *mean <= middle);
        let bias = quantile_of_normal((below + upto) as f64 / (2.0 * RESAMPLES as f64));
        // Leaving out one value moves the mean by its distance to it.
        let away: Vec<f64> = values.iter().map(|value| value - middle).collect();
        let (cubes, squares) = (away.iter().map(|d| d.powi(3)).sum::<f64>(), away.iter().map(|d| d * d).sum::<f64>());
        let acceleration = cubes / (6.0 * squares.powf(1.5));
        Some(Self { means, bias, acceleration })
    }

    /// The interval that misses the mean with about this probability.
    pub fn interval_at(&self, missed: f64) -> Interval {
        let end = |probability: f64| {
            let z = self.bias + quantile_of_normal(probability);
            let corrected = Normal::standard().cdf(self.bias + z / (1.0 - self.acceleration * z));
            self.quantile(corrected)
        };
        Interval { low: end(missed / 2.0), high: end(1.0 - missed / 2.0) }
    }

    /// The largest probability of missing at which the interval does not hold zero: what a test by the interval says. So
    /// many resamples tell nothing about less than one in them and the values themselves (Davison & Hinkley 1997, 4.2).
    pub fn p(&self) -> f64 {
        let least = 1.0 / (RESAMPLES + 1) as f64;
        let (mut low, mut high) = (least, 1.0);
        if self.interval_at(least).holds(0.0) {
            for _ in 0..60 {
                let middle = f64::midpoint(low, high);
                if self.interval_at(middle).holds(0.0) { low = middle } else { high = middle }
            }
        }
        low
    }

    /// A quantile of the means, linear between neighbours.
    fn quantile(&self, probability: f64) -> f64 {
        let place = probability.clamp(0.0, 1.0) * (self.means.len() - 1) as f64;
        let (below, part) = (place.floor() as usize, place.fract());
        let above = (below + 1).min(self.means.len() - 1);
        self.means[below] + part * (self.means[above] - self.means[below])
    }
}

fn quantile_of_normal(probability: f64) -> f64 {
    let normal = Normal::standard();
    let x = normal.inverse_cdf(probability);
    if !x.is_finite() {
        return x;
    }
    // The library stops at about 1e-9; a Newton step brings it to full precision.
    use statrs::distribution::Continuous;
    x - (normal.cdf(x) - probability) / normal.pdf(x)
}

/// Numbers from a counter (SplitMix64, Steele et al. 2014), so that a comparison says the same whenever it is asked.
struct Draw(u64);

impl Draw {
    fn below(&mut self, n: usize) -> usize {
        self.0 += 1;
        let mut z = self.0.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (((z ^ (z >> 31)) >> 32) as usize * n) >> 32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn intervals_are_those_that_scipy_makes_of_the_same_resamples() {
        let golden: Value = serde_json::from_str(include_str!("bootstrap.json")).unwrap();
        let cases = golden.as_array().unwrap();
        assert!(cases.len() > 8);
        for case in cases {
            let values: Vec<f64> = serde_json::from_value(case["values"].clone()).unwrap();
            let found = Bootstrap::of(&values, 1.0).unwrap();
            for row in case["intervals"].as_array().unwrap() {
                let interval = found.interval_at(row["missed"].as_f64().unwrap());
                for (what, found, expected) in
                    [("low", interval.low, &row["low"]), ("high", interval.high, &row["high"])]
                {
                    let expected = expected.as_f64().unwrap();
                    assert!(
                        (found - expected).abs() <= 1e-9 * expected.abs().max(1e-3),
                        "{what} of {values:?}: {found}, not {expected}"
                    );
                }
            }
            let p = found.p();
            for missed in [0.5, 0.2, 0.05, 0.01] {
                assert_eq!(found.interval_at(missed).holds(0.0), p >= missed, "{values:?} at {missed}: p = {p}");
            }
        }
        // No resample of three values below zero has a mean above it, which says no more than so many resamples can.
        assert_eq!(Bootstrap::of(&[-0.03, -0.01, -0.01], 1.0).unwrap().p(), 1e-4);
        assert!(Bootstrap::of(&[1.0, 1.0, 1.0], 1.0).is_none() && Bootstrap::of(&[1.0], 1.0).is_none());
    }
}
