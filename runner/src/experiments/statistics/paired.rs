//! Two groups, pair by pair.

use super::bootstrap::Bootstrap;
use super::rounding::settled;
use super::sample::{Interval, Sample, t_two_sided};
use super::wilcoxon::wilcoxon;

/// The level of every test and interval.
pub const LEVEL: f64 = 0.05;

/// Differences between paired values, and how sure we are that they are not zero.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Paired {
    /// How many pairs there are.
    pub n: usize,
    /// The mean difference.
    pub mean: f64,
    /// Standard deviation of the differences with n - 1; absent for a single pair.
    pub std: Option<f64>,
    /// Its 95 % interval, for this comparison alone; absent where there is no test.
    pub interval: Option<Interval>,
    /// Probability under the paired t-test, for this comparison alone; absent for a single pair, and where differences do
    /// not vary: they say nothing about chance.
    pub p_t: Option<f64>,
    /// Probability under Wilcoxon's signed-rank test; absent where there is no t-test.
    pub p_wilcoxon: Option<f64>,
    /// Cohen's d_z: mean difference in standard deviations of the differences; absent where there is no test.
    pub effect: Option<f64>,
}

/// A comparison as one of several: what of it holds for all of them at once.
///
/// Bonferroni's correction, of the interval and the probability alike, so that the interval excludes zero just where the
/// probability is below 5 %. Holm's probabilities are smaller, but no interval goes with them.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Family {
    /// How many comparisons there are.
    pub comparisons: usize,
    /// All of their intervals hold the true differences with a probability of at least 95 %.
    pub interval: Interval,
    /// A level of 5 % on these keeps the probability of calling any equal pair different below 5 %.
    pub p: f64,
}

impl Family {
    /// The same by resampling: Bonferroni's correction of a bootstrap interval, and of the probability that goes with it.
    pub fn resampled(found: &Bootstrap, comparisons: usize) -> Self {
        let interval = found.interval_at(LEVEL / comparisons.max(1) as f64);
        Self { comparisons, interval, p: (found.p() * comparisons as f64).min(1.0) }
    }

    /// The same where no difference can lie outside of these bounds, between which zero is.
    pub fn within(self, bounds: (f64, f64)) -> Self {
        Self { interval: self.interval.within(bounds), ..self }
    }
}

impl Paired {
    /// Compares each pair's first value with its second; `None` where there are no pairs.
    pub fn of(pairs: &[(f64, f64)]) -> Option<Self> {
        let size = pairs.iter().fold(0.0f64, |size, (a, b)| size.max(a.abs()).max(b.abs()));
        let differences: Vec<f64> = pairs.iter().map(|(a, b)| a - b).collect();
        let sample = Sample::of_size(&differences, size)?;
        let varying = sample.std.filter(|std| *std > 0.0);
        let t = varying.map(|std| sample.mean / (std / (sample.n as f64).sqrt()));
        Some(Self {
            n: sample.n,
            mean: sample.mean,
            std: sample.std,
            interval: sample.interval,
            p_t: t.map(|t| t_two_sided(t, sample.n - 1)),
            p_wilcoxon: varying.and_then(|_| wilcoxon(&settled(&differences, size))),
            effect: varying.map(|std| sample.mean / std),
        })
    }

    /// The comparison as one of so many; `None` where there is no test.
    pub fn among(&self, comparisons: usize) -> Option<Family> {
        let Self { n, mean, std, interval, .. } = *self;
        let interval = Sample { n, mean, std, interval }.interval_at(LEVEL / comparisons as f64)?;
        Some(Family { comparisons, interval, p: (self.p_t? * comparisons as f64).min(1.0) })
    }
}
