//! One group of values.

use statrs::distribution::{ContinuousCDF, StudentsT};

use super::rounding::{mean, settled};

/// Mean and spread of some values.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Sample {
    /// How many values there are.
    pub n: usize,
    /// Their arithmetic mean.
    pub mean: f64,
    /// Standard deviation with n - 1; absent for a single value, and 0 where values are equal but for rounding.
    pub std: Option<f64>,
    /// 95 % interval of the mean; absent for a single value, and where values do not vary: they say nothing about chance.
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

impl Interval {
    /// The part of it between two bounds, where what it is about cannot lie outside them: it holds the true value as often as the
    /// whole, and zero where the whole does, if that is between them.
    pub fn within(self, (low, high): (f64, f64)) -> Self {
        Self { low: self.low.max(low), high: self.high.min(high) }
    }

    /// Whether it holds a value.
    pub fn holds(self, value: f64) -> bool {
        (self.low..=self.high).contains(&value)
    }
}

impl Sample {
    /// Describes values; `None` where there are none.
    pub fn of(values: &[f64]) -> Option<Self> {
        let size = values.iter().fold(0.0f64, |size, value| size.max(value.abs()));
        Self::of_size(values, size)
    }

    /// Describes values that were made from numbers of that size, to which their rounding belongs.
    pub(super) fn of_size(values: &[f64], size: f64) -> Option<Self> {
        let values = settled(values, size);
        let (n, mean) = (values.len(), mean(&values)?);
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let std = (n > 1).then(|| (squares / (n - 1) as f64).sqrt());
        Some(Self { n, mean, std, interval: Self { n, mean, std, interval: None }.interval_at(0.05) })
    }

    /// The interval that misses the mean with this probability; absent where [`Self::interval`] is.
    pub fn interval_at(&self, missed: f64) -> Option<Interval> {
        let std = self.std.filter(|std| *std > 0.0)?;
        let half = t_quantile(1.0 - missed / 2.0, self.n - 1) * std / (self.n as f64).sqrt();
        Some(Interval { low: self.mean - half, high: self.mean + half })
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
    2.0 * t_above(t.abs(), freedom)
}

/// The probability of a t at least as large.
pub fn t_above(t: f64, freedom: usize) -> f64 {
    match t {
        f64::INFINITY => 0.0,
        f64::NEG_INFINITY => 1.0,
        t => student(freedom).sf(t),
    }
}

fn student(freedom: usize) -> StudentsT {
    StudentsT::new(0.0, 1.0, freedom as f64).expect("at least one degree of freedom")
}
