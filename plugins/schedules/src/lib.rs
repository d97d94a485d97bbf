//! Pruning schedules. Fractions of a run go from 0, its first step, to 1, its last.

mod curves;
mod never;
mod one_shot;
mod periodic;

pub use curves::{Cubic, Exponential, Linear};
pub use never::Never;
pub use one_shot::{Constant, OneShot};
pub use periodic::Periodic;

use secateur::prelude::*;

/// A value that must be a fraction of the run.
fn run_fraction(key: &str, value: f64) -> Result<f64> {
    if (0.0..=1.0).contains(&value) {
        Ok(value)
    } else {
        Err(OptionError::new(key, value, "must be a fraction of the run, between 0 and 1").into())
    }
}

#[cfg(test)]
mod testing {
    use secateur::prelude::*;

    /// Every pruning step of a run, with the sparsity or the fraction of what remains.
    pub fn targets(schedule: &dyn Schedule, steps: u64, steps_per_epoch: u64) -> Vec<(u64, f64)> {
        let run = RunLength { steps, steps_per_epoch };
        let amount = |a| match a {
            Amount::Sparsity(s) | Amount::OfRemaining(s) => s,
        };
        (0..steps).filter_map(|s| Some((s, amount(schedule.target(Step(s), &run)?)))).collect()
    }
}
