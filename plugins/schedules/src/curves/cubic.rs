//! Sparsity that grows fast at first and gently at the end.

use crate::run::Curve;
use secateur::prelude::*;

/// `s = s_f + (s_i - s_f) (1 - p)³` (Zhu & Gupta 2017, equation 1).
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

    fn target(&self, step: Step, run: &RunLength) -> Result<Option<Amount>> {
        Ok(self.0.target(step, run, |i, f, p| f + (i - f) * (1.0 - p).powi(3)))
    }
}

register!(Schedule, "cubic", Cubic, "Fast at first, gently at the end (Zhu & Gupta 2017).", options = Curve);
