//! A fraction of what is left, every few epochs.

use secateur::prelude::*;

options! {
    /// When to begin, how often, and how much each time.
    pub struct PeriodicOptions {
        /// Epochs before the first pruning step.
        pub first: u64 = 5,
        /// Epochs between two pruning steps.
        pub every: u64 = 5,
        /// Fraction of what is left that goes each time.
        pub fraction: f64 = 0.1,
        /// Most pruning steps; as many as fit where absent.
        pub count: Option<u64> = None,
    }
}

/// Takes `fraction` of what is left at the end of epochs `first`, `first + every`, `first + 2 every`, ..., but not after the last
/// epoch: every pruning step has training after it to recover.
pub struct Periodic(PeriodicOptions);

impl TryFrom<PeriodicOptions> for Periodic {
    type Error = Error;
    fn try_from(o: PeriodicOptions) -> Result<Self> {
        if !(o.fraction > 0.0 && o.fraction < 1.0) {
            return Err(OptionError::new("fraction", o.fraction, "must lie between 0 and 1, both excluded").into());
        }
        for (key, value) in [("first", o.first), ("every", o.every)] {
            if value == 0 {
                return Err(OptionError::new(key, value, "must be at least 1 epoch").into());
            }
        }
        Ok(Self(o))
    }
}

impl Schedule for Periodic {
    fn target(&self, step: Step, run: &RunLength) -> Option<Amount> {
        let finished = run.epochs_finished(step)?;
        let since = finished.checked_sub(self.0.first)?;
        let due = since.is_multiple_of(self.0.every)
            && self.0.count.is_none_or(|n| since / self.0.every < n)
            && step.0 + 1 < run.steps;
        due.then_some(Amount::OfRemaining(self.0.fraction))
    }
}

secateur::register!(
    Schedule,
    "periodic",
    Periodic,
    "A fraction of what is left, every few epochs.",
    options = PeriodicOptions
);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::targets;

    #[test]
    fn prunes_at_the_ends_of_its_epochs_but_not_after_the_last() {
        let options = PeriodicOptions { first: 2, every: 3, fraction: 0.1, count: None };
        let at = |o: &PeriodicOptions| {
            targets(&Periodic::try_from(o.clone()).unwrap(), 80, 10).iter().map(|t| t.0).collect::<Vec<_>>()
        };
        assert_eq!(at(&options), [19, 49]);
        assert_eq!(at(&PeriodicOptions { count: Some(1), ..options.clone() }), [19]);
        assert!(Periodic::try_from(PeriodicOptions { fraction: 0.0, ..options }).is_err());
    }
}
