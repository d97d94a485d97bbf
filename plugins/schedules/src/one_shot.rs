//! The whole sparsity at once.

use secateur::prelude::*;

options! {
    /// The whole sparsity in one pruning step; the rest of the run recovers.
    pub struct OneShot {
        /// Final sparsity.
        #[acts(always)]
        pub sparsity: f64 = 0.5,
        /// Fraction of the run after which it is reached, in one step.
        #[acts(always)]
        pub at: f64 = 0.5,
    }

    fn check(&self, checks: &mut Checks) {
        checks.sparsity("sparsity", self.sparsity);
        checks.range("at", self.at, 0.0..=1.0);
    }
}

impl Schedule for OneShot {
    fn target(&self, step: Step, run: &RunLength) -> Result<Option<Amount>> {
        Ok((step == run.at_fraction(self.at)).then_some(Amount::Sparsity(self.sparsity)))
    }
}

register!(Schedule, "one-shot", OneShot, "All at once, at one point of the run.");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::targets;
    use secateur::options::OptionSet as _;

    #[test]
    fn one_shot_prunes_once() {
        assert_eq!(targets(&OneShot { sparsity: 0.8, at: 1.0 }, 100, 10), [(99, 0.8)]);
        assert_eq!(OneShot { sparsity: 1.0, at: 0.5 }.errors()[0].key, "sparsity");
    }
}
