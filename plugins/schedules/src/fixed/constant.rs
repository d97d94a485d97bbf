//! One sparsity all along.

use crate::run::{check_span, due};
use secateur::prelude::*;

options! {
    /// The same sparsity all along, with the masks renewed every few steps: for training sparse from the start with
    /// regrowth.
    pub struct Constant {
        /// Sparsity from the first pruning step on.
        #[acts(always)]
        pub sparsity: f64 = 0.5,
        /// Fraction of the run at which pruning begins; 0 is before the first update.
        #[acts(always)]
        pub from: f64 = 0.0,
        /// Fraction of the run at which masks are fixed.
        #[acts(always)]
        pub to: f64 = 1.0,
        /// Steps between two updates of the masks.
        #[acts(always)]
        pub every: u64 = 100,
    }

    fn check(&self, checks: &mut Checks) {
        checks.sparsity("sparsity", self.sparsity);
        check_span(checks, self.from, self.to, self.every);
    }
}

impl Schedule for Constant {
    fn at_start(&self, _run: &RunLength) -> Result<Option<Amount>> {
        Ok((self.from == 0.0).then_some(Amount::Sparsity(self.sparsity)))
    }

    fn next(&self, from: Step, run: &RunLength) -> Result<Option<Step>> {
        let (first, last) = (run.at_fraction(self.from), run.at_fraction(self.to));
        Ok(Some(Step(due(from.0, first.0, self.every))).filter(|step| *step <= last))
    }

    fn target(&self, step: Step, run: &RunLength) -> Result<Option<Amount>> {
        let (first, last) = (run.at_fraction(self.from), run.at_fraction(self.to));
        let begun = self.from == 0.0 && step == first;
        let due = step >= first && step <= last && !begun && (step.0 - first.0).is_multiple_of(self.every);
        Ok(due.then_some(Amount::Sparsity(self.sparsity)))
    }
}

register!(Schedule, "constant", Constant, "One sparsity all along, masks renewed every few steps.");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::targets;

    #[test]
    fn constant_renews_its_masks() {
        let s = Constant { sparsity: 0.5, from: 0.0, to: 0.5, every: 4 };
        assert_eq!(targets(&s, 21, 5).iter().map(|t| t.0).collect::<Vec<_>>(), [4, 8]);
        let run = RunLength { steps: 21, steps_per_epoch: 5 };
        assert_eq!(s.at_start(&run).unwrap(), Some(Amount::Sparsity(0.5)), "the first masks come before any update");
    }
}
