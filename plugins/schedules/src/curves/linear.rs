//! Sparsity that grows evenly.

use crate::run::Curve;
use secateur::prelude::*;

/// `s = s_i + (s_f - s_i) p`, with p the part of the way that is done.
pub struct Linear(Curve);

impl From<Curve> for Linear {
    fn from(curve: Curve) -> Self {
        Self(curve)
    }
}

impl Schedule for Linear {
    fn at_start(&self, _run: &RunLength) -> Result<Option<Amount>> {
        Ok(self.0.at_start())
    }

    fn next(&self, from: Step, run: &RunLength) -> Result<Option<Step>> {
        Ok(self.0.next(from, run))
    }

    fn target(&self, step: Step, run: &RunLength) -> Result<Option<Amount>> {
        Ok(self.0.target(step, run, |i, f, p| i + (f - i) * p))
    }
}

register!(Schedule, "linear", Linear, "Sparsity grows evenly.", options = Curve);
