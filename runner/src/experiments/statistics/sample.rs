//! One group of values.

use statrs::distribution::{ContinuousCDF, StudentsT};

/// Mean and spread of some values.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Sample {
    /// How many values there are.
    pub n: usize,
    /// Their arithmetic mean.
    pub mean: f64,
    /// Standard deviation with n - 1; absent for a single value.
    pub std: Option<f64>,
    /// 95 % interval of the mean; absent for a single value.
    pub interval: Option<Interval>,
}

/// An interval of values.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

impl Sample {
    /// Describes values; `None` where there are none.
    pub fn of(values: &[f64]) -> Option<Self> {
        let n = values.len();
        if n == 0 {
            return None;
        }
        let mean = values.iter().sum::<f64>() / n as f64;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let std = (n > 1).then(|| (squares / (n - 1) as f64).sqrt());
        let interval = std.map(|std| {
            let half = t_quantile(0.975, n - 1) * std / (n as f64).sqrt();
            Interval { low: mean - half, high: mean + half }
        });
        Some(Self { n, mean, std, interval })
    }
}

/// A quantile of Student's t.
pub fn t_quantile(p: f64, freedom: usize) -> f64 {
    let t = student(freedom);
    let mut x = t.inverse_cdf(p);
    // The library stops at about 1e-8; two Newton steps bring the quantile to full precision.
    for _ in 0..2 {
        use statrs::distribution::Continuous;
        x -= (t.cdf(x) - p) / t.pdf(x);
    }
    x
}

/// The probability of a t at least as far from zero.
pub fn t_two_sided(t: f64, freedom: usize) -> f64 {
    if t.is_infinite() { 0.0 } else { 2.0 * student(freedom).sf(t.abs()) }
}

fn student(freedom: usize) -> StudentsT {
    StudentsT::new(0.0, 1.0, freedom as f64).expect("at least one degree of freedom")
}
