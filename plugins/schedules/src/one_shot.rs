//! The whole sparsity at once.

use crate::run::run_fraction;
use secateur::prelude::*;

options! {
    /// When, and how much.
    pub struct OneShotOptions {
        /// Final sparsity.
        pub sparsity: f64 = 0.5,
        /// Fraction of the run after which it is reached, in one step.
        pub at: f64 = 0.5,
    }
}

/// The whole sparsity in one pruning step; the rest of the run recovers.
pub struct OneShot {
    sparsity: Sparsity,
    at: f64,
}

impl TryFrom<OneShotOptions> for OneShot {
    type Error = Error;
    fn try_from(o: OneShotOptions) -> Result<Self> {
        Ok(Self { sparsity: Sparsity::new("sparsity", o.sparsity)?, at: run_fraction("at", o.at)? })
    }
}

impl Schedule for OneShot {
    fn target(&self, step: Step, run: &RunLength) -> Option<Amount> {
        (step == run.at_fraction(self.at)).then_some(Amount::Sparsity(self.sparsity.get()))
    }
}

register!(Schedule, "one-shot", OneShot, "All at once, at one point of the run.", options = OneShotOptions);

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::run::targets;

    #[test]
    fn one_shot_prunes_once() {
        let s = OneShot::try_from(OneShotOptions { sparsity: 0.8, at: 1.0 }).unwrap();
        assert_eq!(targets(&s, 100, 10), [(99, 0.8)]);
        assert!(OneShot::try_from(OneShotOptions { sparsity: 1.0, at: 0.5 }).is_err());
    }
}
