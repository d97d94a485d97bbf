//! The whole sparsity at once.

use secateur::prelude::*;

options! {
    /// The whole sparsity in one pruning step; the rest of the run recovers.
    pub struct OneShot {
        /// Final sparsity.
        #[acts(always)]
        pub sparsity: f64 = 0.5,
        /// Fraction of the run after which it is reached, in one step; 0 prunes at initialisation, before the first
        /// update.
        #[acts(always)]
        pub at: f64 = 0.5,
    }

    fn check(&self, checks: &mut Checks) {
        checks.sparsity("sparsity", self.sparsity);
        checks.range("at", self.at, 0.0..=1.0);
    }
}

impl Schedule for OneShot {
    fn at_start(&self, _run: &RunLength) -> Result<Option<Amount>> {
        Ok((self.at == 0.0).then_some(Amount::Sparsity(self.sparsity)))
    }

    fn next(&self, from: Step, run: &RunLength) -> Result<Option<Step>> {
        Ok(Some(run.at_fraction(self.at)).filter(|at| *at >= from))
    }

    fn target(&self, step: Step, run: &RunLength) -> Result<Option<Amount>> {
        let due = self.at > 0.0 && step == run.at_fraction(self.at);
        Ok(due.then_some(Amount::Sparsity(self.sparsity)))
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
        let at_start = |at| OneShot { sparsity: 0.8, at }.at_start(&RunLength { steps: 100, steps_per_epoch: 10 });
        assert_eq!((at_start(0.0).unwrap(), at_start(0.001).unwrap()), (Some(Amount::Sparsity(0.8)), None));
        assert_eq!(targets(&OneShot { sparsity: 0.8, at: 0.0 }, 100, 10), []);
        assert_eq!(OneShot { sparsity: 1.0, at: 0.5 }.errors()[0].key, "sparsity");
    }
}
