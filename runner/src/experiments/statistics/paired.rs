//! Two groups, pair by pair.

use super::sample::{Interval, Sample, t_two_sided};
use super::wilcoxon::wilcoxon;

/// Differences between paired values, and how sure we are that they are not zero.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Paired {
    /// How many pairs there are.
    pub n: usize,
    /// The mean difference.
    pub mean: f64,
    /// Its 95 % interval; absent for a single pair.
    pub interval: Option<Interval>,
    /// Probability under the paired t-test; absent for a single pair, or where differences do not vary.
    pub p_t: Option<f64>,
    /// Probability under Wilcoxon's signed-rank test; absent for a single pair, or where all differences are zero.
    pub p_wilcoxon: Option<f64>,
    /// Cohen's d_z: mean difference in standard deviations of the differences; absent where they do not vary.
    pub effect: Option<f64>,
}

impl Paired {
    /// Compares differences with zero; `None` where there are none.
    pub fn of(differences: &[f64]) -> Option<Self> {
        let sample = Sample::of(differences)?;
        let varying = sample.std.filter(|std| *std > 0.0);
        let t = varying.map(|std| sample.mean / (std / (sample.n as f64).sqrt()));
        // Differences that do not vary say nothing about chance, unless they are all zero.
        let constant = (sample.std.is_some() && sample.mean == 0.0).then_some(1.0);
        Some(Self {
            n: sample.n,
            mean: sample.mean,
            interval: sample.interval,
            p_t: t.map(|t| t_two_sided(t, sample.n - 1)).or(constant),
            p_wilcoxon: if sample.n > 1 { wilcoxon(differences) } else { None },
            effect: varying.map(|std| sample.mean / std),
        })
    }
}

/// Holm's correction: the probabilities to compare with the level when several comparisons are made (Holm 1979).
pub fn holm(probabilities: &[f64]) -> Vec<f64> {
    let n = probabilities.len();
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|a, b| probabilities[*a].total_cmp(&probabilities[*b]));
    let mut corrected = vec![0.0; n];
    let mut least: f64 = 0.0;
    for (rank, index) in order.into_iter().enumerate() {
        least = least.max(probabilities[index] * (n - rank) as f64).min(1.0);
        corrected[index] = least;
    }
    corrected
}
