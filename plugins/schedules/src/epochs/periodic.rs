//! A fraction of what remains, every few epochs.

use crate::run::{due, end_of, epochs_from};
use secateur::prelude::*;

options! {
    /// Takes `fraction` of what remains at the end of epochs `first`, `first + every`, `first + 2 every`, ..., but not
    /// after the last epoch: every pruning step has training after it to recover.
    pub struct Periodic {
        /// Epochs before the first pruning step.
        #[acts(always)]
        pub first: u64 = 5,
        /// Epochs between two pruning steps.
        #[acts(always)]
        pub every: u64 = 5,
        /// Fraction of what remains that goes each time.
        #[acts(always)]
        pub fraction: f64 = 0.1,
        /// Most pruning steps; as many as fit where absent.
        #[acts(always)]
        pub count: Option<u64> = None,
    }

    fn check(&self, checks: &mut Checks) {
        checks.ensure("first", self.first > 0, "must be at least 1 epoch");
        checks.ensure("every", self.every > 0, "must be at least 1 epoch");
        let takes = self.fraction > 0.0 && self.fraction < 1.0;
        checks.ensure("fraction", takes, "must lie between 0 and 1, both excluded");
    }
}

impl Schedule for Periodic {
    fn setup(&mut self, run: &RunLength) -> Result<()> {
        let epochs = run.steps / run.steps_per_epoch.max(1);
        if self.first < epochs {
            return Ok(());
        }
        let text = format!("must lie below train.epochs = {epochs}: nothing is pruned after the last epoch");
        Err(OptionError::new("first", self.first, text).into())
    }

    fn next(&self, from: Step, run: &RunLength) -> Result<Option<Step>> {
        let epochs = due(epochs_from(from, run), self.first, self.every);
        let due = self.count.is_none_or(|n| (epochs - self.first) / self.every < n);
        Ok(due.then(|| end_of(epochs, run)))
    }

    fn target(&self, step: Step, run: &RunLength) -> Result<Option<Amount>> {
        let since = run.epochs_finished(step).and_then(|finished| finished.checked_sub(self.first));
        let due = since.is_some_and(|since| {
            since.is_multiple_of(self.every)
                && self.count.is_none_or(|n| since / self.every < n)
                && step.0 + 1 < run.steps
        });
        Ok(due.then_some(Amount::OfRemaining(self.fraction)))
    }
}

register!(Schedule, "periodic", Periodic, "A fraction of what remains, every few epochs.");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::targets;
    use secateur::options::OptionSet as _;

    #[test]
    fn prunes_at_the_ends_of_its_epochs_but_not_after_the_last() {
        let options = Periodic { first: 2, every: 3, fraction: 0.1, count: None };
        let at = |schedule: &Periodic| targets(schedule, 80, 10).iter().map(|t| t.0).collect::<Vec<_>>();
        assert_eq!(at(&options), [19, 49]);
        assert_eq!(at(&Periodic { count: Some(1), ..options }), [19]);
    }

    #[test]
    fn a_run_that_ends_before_the_first_pruning_is_refused() {
        let mut schedule = Periodic { first: 8, ..Periodic::default() };
        let setup = |schedule: &mut Periodic, epochs: u64| {
            schedule.setup(&RunLength { steps: epochs * 10, steps_per_epoch: 10 }).map_err(|e| e.to_string())
        };
        let text = setup(&mut schedule, 8).unwrap_err();
        assert!(text.contains("`first` = 8") && text.contains("train.epochs = 8"), "{text}");
        assert_eq!(setup(&mut schedule, 9), Ok(()));
    }

    #[test]
    fn what_would_prune_nothing_or_everything_is_refused() {
        let keys = |schedule: Periodic| schedule.errors().into_iter().map(|e| e.key).collect::<Vec<_>>();
        for fraction in [0.0, 1.0, -0.1, f64::NAN] {
            assert_eq!(keys(Periodic { fraction, ..Periodic::default() }), ["fraction"]);
        }
        assert_eq!(keys(Periodic { first: 0, every: 0, ..Periodic::default() }), ["first", "every"]);
    }
}
