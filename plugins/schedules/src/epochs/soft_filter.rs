//! Soft filter pruning (He et al. 2018) and its asymptotic form (He et al. 2019).

use crate::run::{due, end_of, epochs_from};
use secateur::prelude::*;

choices! {
    /// How the sparsity goes over the epochs.
    pub enum Rate {
        /// The same all along (He et al. 2018).
        Constant = "constant",
        /// Fast at first, towards the goal (He et al. 2019).
        Asymptotic = "asymptotic",
    }
}

options! {
    /// The masks are renewed at the end of every epoch, the last one included, and what is masked goes on learning
    /// until then: with `prune.granularity = "unit"` and `prune.regrow = true` this is soft filter pruning (He et al.
    /// 2018), there with the L2 norm in every layer. The asymptotic rate is `P(e) = a exp(-k e) + b` after e of E
    /// epochs, through (0, P_min), (E/8, 3/4 P_goal) and (E, P_goal) (He et al. 2019, section III; the paper's earlier
    /// form was called progressive).
    pub struct SoftFilter {
        /// Sparsity of every pruning step, or the one at the end of the run.
        #[acts(always)]
        pub sparsity: f64 = 0.3,
        /// How the sparsity goes over the epochs: `constant` or `asymptotic`.
        #[acts(always)]
        pub rate: Rate = Rate::Constant,
        /// Sparsity at the beginning of the run, P_min.
        #[acts(|s| s.rate == Rate::Asymptotic, "rate = \"asymptotic\"")]
        pub initial: f64 = 0.0,
        /// Epochs between two pruning steps.
        #[acts(always)]
        pub every: u64 = 1,
        /// Whether the network is pruned before the first update too, as the authors' code does and the paper's
        /// algorithm does not.
        #[acts(always)]
        pub at_start: bool = false,
    }

    fn check(&self, checks: &mut Checks) {
        checks.sparsity("sparsity", self.sparsity);
        checks.above("sparsity", self.sparsity, 0.0);
        checks.sparsity("initial", self.initial);
        // A decay through all three points exists below this ratio only.
        let decays = self.rate == Rate::Constant || self.initial < 5.0 / 7.0 * self.sparsity;
        let allowed = "must lie below 5/7 of `sparsity`: no exponential goes through all three points";
        checks.ensure("initial", decays, allowed);
        checks.ensure("every", self.every > 0, "must be at least 1 epoch");
    }
}

impl SoftFilter {
    /// The sparsity after `epochs` of `all`.
    fn after(&self, epochs: u64, all: u64) -> f64 {
        match self.rate {
            Rate::Asymptotic if epochs < all => asymptotic(self.initial, self.sparsity, epochs as f64 / all as f64),
            Rate::Constant | Rate::Asymptotic => self.sparsity,
        }
    }
}

/// `a exp(-k e) + b` at a part `p` of all epochs, through (0, least), (1/8, 3/4 goal) and (1, goal).
///
/// With x = exp(-k/8) the three points give (1 - x⁸) / (1 - x) = (goal - least) / (3/4 goal - least), whose left side
/// is 1 + x + ... + x⁷ and grows from 1 to 8.
fn asymptotic(least: f64, goal: f64, p: f64) -> f64 {
    let ratio = (goal - least) / (0.75 * goal - least);
    let sum = |x: f64| (0..8).fold(0.0, |sum, _| sum * x + 1.0);
    let (mut low, mut high) = (0.0, 1.0);
    // Each halving gives a bit of the fraction.
    for _ in 0..f64::MANTISSA_DIGITS + 2 {
        let middle = f64::midpoint(low, high);
        if sum(middle) < ratio { low = middle } else { high = middle }
    }
    let x: f64 = f64::midpoint(low, high);
    let a = (least - goal) / (1.0 - x.powi(8));
    a * x.powf(8.0 * p) + least - a
}

impl Schedule for SoftFilter {
    fn at_start(&self, run: &RunLength) -> Result<Option<Amount>> {
        let all = run.steps / run.steps_per_epoch.max(1);
        Ok(self.at_start.then(|| Amount::Sparsity(self.after(0, all))))
    }

    fn next(&self, from: Step, run: &RunLength) -> Result<Option<Step>> {
        let (from, all) = (epochs_from(from, run), run.steps / run.steps_per_epoch.max(1));
        let epochs = due(from, self.every, self.every);
        Ok(Some(end_of(if from <= all { epochs.min(all) } else { epochs }, run)))
    }

    fn target(&self, step: Step, run: &RunLength) -> Result<Option<Amount>> {
        let all = run.steps / run.steps_per_epoch.max(1);
        let due = run.epochs_finished(step).filter(|e| e.is_multiple_of(self.every) || *e == all);
        Ok(due.map(|epochs| Amount::Sparsity(self.after(epochs, all))))
    }
}

register!(
    Schedule,
    "soft-filter",
    SoftFilter,
    "Masks renewed every epoch, at one rate or rising to it (He et al. 2018)."
);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::targets;
    use secateur::options::OptionSet as _;

    #[test]
    fn a_constant_rate_holds_after_every_epoch_and_the_last() {
        let schedule = SoftFilter { every: 3, ..SoftFilter::default() };
        assert_eq!(targets(&schedule, 80, 10), [(29, 0.3), (59, 0.3), (79, 0.3)]);
        let run = RunLength { steps: 80, steps_per_epoch: 10 };
        assert_eq!(schedule.at_start(&run).unwrap(), None);
        let first = SoftFilter { at_start: true, ..schedule }.at_start(&run).unwrap();
        assert_eq!(first, Some(Amount::Sparsity(0.3)));
    }

    /// a, k and b found by `scipy.optimize.fsolve` (SciPy 1.17.1) from the three points, evaluated after the epochs
    /// 1, 2, 5, E/8, E/4, E/2 and E.
    #[test]
    fn the_asymptotic_rate_goes_through_the_papers_points() {
        let cases: [(f64, f64, u64, [f64; 7]); 3] = [
            (
                0.0,
                0.3,
                200,
                [0.016_182_433_1, 0.031_491_975_8, 0.072_641_541_6, 0.225, 0.281_252_575_9, 0.298_832_471_8, 0.3],
            ),
            (
                0.0,
                0.4,
                200,
                [0.021_576_577_5, 0.041_989_301, 0.096_855_388_8, 0.3, 0.375_003_434_5, 0.398_443_295_8, 0.4],
            ),
            (
                0.1,
                0.4,
                100,
                [
                    0.125_238_376_1,
                    0.148_353_823_4,
                    0.206_674_466_9,
                    0.295_506_783,
                    0.366_687_038_5,
                    0.396_337_044_1,
                    0.4,
                ],
            ),
        ];
        for (initial, sparsity, all, expected) in cases {
            let schedule = SoftFilter { sparsity, rate: Rate::Asymptotic, initial, ..SoftFilter::default() };
            for (epochs, expected) in [1, 2, 5, all / 8, all / 4, all / 2, all].into_iter().zip(expected) {
                let found = schedule.after(epochs, all);
                assert!((found - expected).abs() < 2e-9, "{epochs} of {all}: {found}, not {expected}");
            }
            assert!((schedule.after(0, all) - initial).abs() < 1e-12);
        }
        let eighth = asymptotic(0.2, 0.4, 0.125);
        assert!((eighth - 0.3).abs() < 1e-12, "{eighth}");
    }

    #[test]
    fn a_start_that_no_decay_goes_through_is_refused() {
        let keys = |initial| {
            let schedule = SoftFilter { initial, rate: Rate::Asymptotic, ..SoftFilter::default() };
            schedule.errors().into_iter().map(|e| e.key).collect::<Vec<_>>()
        };
        assert_eq!(keys(0.215), ["initial"]);
        assert!(keys(0.21).is_empty());
    }
}
