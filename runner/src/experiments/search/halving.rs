//! Successive halving (Jamieson & Talwalkar 2016; Li et al. 2018): all trials of a wave get a few epochs, the best of them
//! more, and so on. Synchronous: a rung is over before the next one begins, so that what goes on does not depend on who was
//! fast.

use std::fmt;

use secateur::options;

use super::settings::{Settings, read};
use crate::printable::counted;

secateur::choices! {
    /// What trials are compared by while they go on.
    pub enum Measured {
        /// Accuracy on the validation split.
        Accuracy = "validation_accuracy",
        /// Mean loss on the validation split.
        Loss = "validation_loss",
    }
}

options! {
    /// How trials are stopped early.
    pub struct Halving {
        /// Epochs of every trial before any is stopped.
        #[acts(always)]
        pub min_epochs: u64 = 1,
        /// One of so many trials goes on at each rung, and gets so many times the epochs.
        #[acts(always)]
        pub eta: u64 = 3,
        /// What they are compared by: `validation_accuracy` or `validation_loss`; accuracy where there is one, where absent.
        #[acts(always)]
        pub metric: Option<Measured> = None,
    }

    fn check(&self, checks: &mut Checks) {
        checks.range("min_epochs", self.min_epochs, 1.0..);
        checks.range("eta", self.eta, 2.0..=100.0);
    }
}

impl Settings {
    /// How trials are stopped early, where they are.
    ///
    /// # Errors
    /// Everything that is wrong with it, in words.
    pub fn halving(&self) -> Result<Option<Halving>, Vec<String>> {
        self.halving.as_ref().map(|table| read(table, "halving")).transpose()
    }
}

impl Halving {
    /// After how many epochs trials are compared, for runs of so many.
    pub fn rungs(&self, epochs: u64) -> Vec<u64> {
        let next = |rung: &u64| rung.checked_mul(self.eta);
        std::iter::successors(Some(self.min_epochs), next).take_while(|rung| *rung < epochs).collect()
    }

    /// How many of so many trials go on.
    pub fn kept(&self, trials: usize) -> usize {
        (trials / usize::try_from(self.eta).unwrap_or(usize::MAX)).max(1)
    }

    /// Epochs that a wave of so many trials takes at most, and how many it has at each rung and at the end.
    pub fn cost(&self, trials: usize, epochs: u64) -> (u64, Vec<usize>) {
        let (mut at, mut before, mut sum, mut counts) = (trials, 0, 0, vec![trials]);
        for rung in self.rungs(epochs) {
            sum += at as u64 * (rung - before);
            (at, before) = (self.kept(at), rung);
            counts.push(at);
        }
        (sum + at as u64 * (epochs - before), counts)
    }
}

impl fmt::Display for Halving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { min_epochs, eta, metric } = self;
        write!(
            f,
            "halving: the best 1 of {eta} go on after {} and {eta} times as many each time, by ",
            counted(usize::try_from(*min_epochs).unwrap_or(usize::MAX), "epoch")
        )?;
        match metric {
            Some(metric) => metric.fmt(f),
            None => f.write_str("validation_accuracy, or validation_loss where there is none"),
        }
    }
}

/// The trials that go on, by their places: the best of those that have a figure; of equal ones the earlier.
pub fn promoted(figures: &[Option<f64>], keep: usize, more_is_better: bool) -> Vec<usize> {
    let mut order: Vec<(usize, f64)> = figures
        .iter()
        .enumerate()
        .filter_map(|(at, figure)| Some((at, (*figure)?)))
        .filter(|(_, f)| !f.is_nan())
        .collect();
    order.sort_by(|(_, a), (_, b)| if more_is_better { b.total_cmp(a) } else { a.total_cmp(b) });
    let mut kept: Vec<usize> = order.into_iter().take(keep).map(|(at, _)| at).collect();
    kept.sort_unstable();
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Twelve trials of 27 epochs: what each shows after 3 and after 9.
    const TABLE: [[f64; 2]; 9] = [
        [0.2, 0.9],
        [0.5, 0.6],
        [0.7, 0.7],
        [0.7, 0.8],
        [0.1, 0.1],
        [0.3, 0.3],
        [f64::NAN, 0.9],
        [0.6, 0.65],
        [0.7, 0.85],
    ];

    #[test]
    fn the_best_third_of_a_table_goes_on_at_each_rung() {
        let halving = Halving { min_epochs: 3, eta: 3, metric: None };
        assert_eq!(halving.rungs(27), [3, 9]);
        let at = |rung: usize, trials: &[usize]| {
            let figures: Vec<Option<f64>> = trials.iter().map(|trial| Some(TABLE[*trial][rung])).collect();
            let kept = promoted(&figures, halving.kept(trials.len()), true);
            kept.into_iter().map(|place| trials[place]).collect::<Vec<_>>()
        };
        let first = at(0, &(0..9).collect::<Vec<_>>());
        assert_eq!(first, [2, 3, 8], "a slow beginner is lost, one without a figure too");
        assert_eq!(at(1, &first), [8]);
        assert_eq!(promoted(&[Some(0.5), None, Some(0.5), Some(0.4)], 2, false), [0, 3], "the earlier of equal ones");
        assert_eq!(halving.cost(9, 27), (9 * 3 + 3 * 6 + 18, vec![9, 3, 1]));
        assert_eq!(halving.cost(9, 3), (27, vec![9]), "no rung before the end");
        assert_eq!(halving.kept(2), 1);
    }
}
