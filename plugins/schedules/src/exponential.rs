//! A density that falls by the same factor each time.

use crate::run::{Curve, CurveOptions};
use secateur::prelude::*;

/// `1 - s = (1 - s_i) ((1 - s_f) / (1 - s_i))^p`: every pruning step takes the same fraction of what is left.
pub struct Exponential(Curve);

impl TryFrom<CurveOptions> for Exponential {
    type Error = Error;
    fn try_from(options: CurveOptions) -> Result<Self> {
        Curve::try_from(options).map(Self)
    }
}

impl Schedule for Exponential {
    fn target(&self, step: Step, run: &RunLength) -> Option<Amount> {
        self.0.target(step, run, |i, f, p| 1.0 - (1.0 - i) * ((1.0 - f) / (1.0 - i)).powf(p))
    }
}

register!(
    Schedule,
    "exponential",
    Exponential,
    "The density falls by the same factor each time.",
    options = CurveOptions
);
