//! A density that falls by the same factor each time.

use crate::run::Curve;
use secateur::prelude::*;

/// `1 - s = (1 - s_i) ((1 - s_f) / (1 - s_i))^p`: every pruning step takes the same fraction of what remains.
pub struct Exponential(Curve);

impl From<Curve> for Exponential {
    fn from(curve: Curve) -> Self {
        Self(curve)
    }
}

impl Schedule for Exponential {
    fn at_start(&self, _run: &RunLength) -> Result<Option<Amount>> {
        Ok(self.0.at_start())
    }

    fn next(&self, from: Step, run: &RunLength) -> Result<Option<Step>> {
        Ok(self.0.next(from, run))
    }

    fn target(&self, step: Step, run: &RunLength) -> Result<Option<Amount>> {
        Ok(self.0.target(step, run, |i, f, p| 1.0 - (1.0 - i) * ((1.0 - f) / (1.0 - i)).powf(p)))
    }
}

register!(Schedule, "exponential", Exponential, "The density falls by the same factor each time.", options = Curve);
