//! All at once.

use super::run_fraction;
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

secateur::register!(Schedule, "one-shot", OneShot, "All at once, at one point of the run.", options = OneShotOptions);

options! {
    /// How much, how often, from when to when.
    pub struct ConstantOptions {
        /// Sparsity from the first pruning step on.
        pub sparsity: f64 = 0.5,
        /// Fraction of the run at which pruning begins.
        pub from: f64 = 0.0,
        /// Fraction of the run at which masks are fixed.
        pub to: f64 = 1.0,
        /// Steps between two updates of the masks.
        pub every: u64 = 100,
    }
}

/// The same sparsity all along, with the masks renewed every few steps: for training sparse from the start with regrowth.
pub struct Constant {
    sparsity: Sparsity,
    from: f64,
    to: f64,
    every: u64,
}

impl TryFrom<ConstantOptions> for Constant {
    type Error = Error;
    fn try_from(o: ConstantOptions) -> Result<Self> {
        let (from, to) = super::curves::range(o.from, o.to)?;
        Ok(Self { sparsity: Sparsity::new("sparsity", o.sparsity)?, from, to, every: super::curves::period(o.every)? })
    }
}

impl Schedule for Constant {
    fn target(&self, step: Step, run: &RunLength) -> Option<Amount> {
        let (first, last) = (run.at_fraction(self.from), run.at_fraction(self.to));
        let due = step >= first && step <= last && (step.0 - first.0).is_multiple_of(self.every);
        due.then_some(Amount::Sparsity(self.sparsity.get()))
    }
}

secateur::register!(
    Schedule,
    "constant",
    Constant,
    "One sparsity all along, masks renewed every few steps.",
    options = ConstantOptions
);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::targets;

    #[test]
    fn one_shot_prunes_once() {
        let s = OneShot::try_from(OneShotOptions { sparsity: 0.8, at: 1.0 }).unwrap();
        assert_eq!(targets(&s, 100, 10), [(99, 0.8)]);
        assert!(OneShot::try_from(OneShotOptions { sparsity: 1.0, at: 0.5 }).is_err());
    }

    #[test]
    fn constant_renews_its_masks() {
        let s = Constant::try_from(ConstantOptions { sparsity: 0.5, from: 0.0, to: 0.5, every: 4 }).unwrap();
        assert_eq!(targets(&s, 21, 5).iter().map(|t| t.0).collect::<Vec<_>>(), [0, 4, 8]);
    }
}
