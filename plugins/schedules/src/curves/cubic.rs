//! Sparsity that grows fast at first and gently at the end.

use crate::run::Curve;
use secateur::prelude::*;

/// `s = s_f + (s_i - s_f) (1 - p)³` (Zhu & Gupta 2017, equation 1).
pub(crate) fn rise(initial: f64, last: f64, part: f64) -> f64 {
    last + (initial - last) * (1.0 - part).powi(3)
}

/// Sparsity along [`rise`].
pub struct Cubic(Curve);

impl From<Curve> for Cubic {
    fn from(curve: Curve) -> Self {
        Self(curve)
    }
}

impl Schedule for Cubic {
    fn at_start(&self, _run: &RunLength) -> Result<Option<Amount>> {
        Ok(self.0.at_start())
    }

    fn next(&self, from: Step, run: &RunLength) -> Result<Option<Step>> {
        Ok(self.0.next(from, run))
    }

    fn target(&self, step: Step, run: &RunLength) -> Result<Option<Amount>> {
        Ok(self.0.target(step, run, rise))
    }
}

register!(Schedule, "cubic", Cubic, "Fast at first, gently at the end (Zhu & Gupta 2017).", options = Curve);
