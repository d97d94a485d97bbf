//! What schedules share: points of a run, and the curve along which a sparsity grows.
//!
//! Fractions of a run go from 0, its first step, to 1, its last.

use secateur::prelude::*;

/// Refuses a beginning and an end that are no fractions of the run in this order, and a period of no steps.
pub(crate) fn check_span(checks: &mut Checks, from: f64, to: f64, every: u64) {
    checks.ensure("from", (0.0..=1.0).contains(&from), FRACTION);
    checks.ensure("to", (0.0..=1.0).contains(&to), FRACTION);
    checks.ensure("to", from < to, format!("must lie after `from` = {from}"));
    checks.ensure("every", every > 0, "must be at least 1 step");
}

/// The first of `first`, `first + every`, `first + 2 every` and so on that does not lie before `from`.
pub(crate) fn due(from: u64, first: u64, every: u64) -> u64 {
    let periods = from.saturating_sub(first).div_ceil(every.max(1));
    first.saturating_add(periods.saturating_mul(every))
}

/// How many epochs are finished after the first step, `from` or a later one, that is the last of its epoch.
pub(crate) fn epochs_from(from: Step, run: &RunLength) -> u64 {
    (from.0 + 1).div_ceil(run.steps_per_epoch.max(1))
}

/// The step after which so many epochs are finished, at least one.
pub(crate) fn end_of(epochs: u64, run: &RunLength) -> Step {
    Step(epochs.saturating_mul(run.steps_per_epoch.max(1)) - 1)
}

const FRACTION: &str = "must be a fraction of the run, between 0 and 1";

options! {
    /// Where a curve begins and ends, and how often it is followed.
    pub struct Curve {
        /// Sparsity at the beginning.
        #[acts(always)]
        pub initial: f64 = 0.0,
        /// Sparsity at the end; it holds from there on.
        #[acts(always)]
        pub sparsity: f64 = 0.9,
        /// Fraction of the run at which pruning begins.
        #[acts(always)]
        pub from: f64 = 0.1,
        /// Fraction of the run at which the final sparsity is reached.
        #[acts(always)]
        pub to: f64 = 0.75,
        /// Steps between two pruning steps.
        #[acts(always)]
        pub every: u64 = 100,
        /// Whether masks are still renewed, at the final sparsity, after it is reached: where weights return or grow,
        /// which alone makes a difference.
        #[acts(
            ["prune.regrow", "grow.fraction"],
            |regrow, fraction| regrow == "true" || fraction.parse::<f64>().is_ok_and(|f| f > 0.0),
            "prune.regrow = true or grow.fraction above 0"
        )]
        pub renew: bool = false,
    }

    fn check(&self, checks: &mut Checks) {
        checks.sparsity("initial", self.initial);
        checks.sparsity("sparsity", self.sparsity);
        let grows = self.sparsity.partial_cmp(&self.initial) != Some(std::cmp::Ordering::Less);
        checks.ensure("sparsity", grows, format!("must not lie below `initial` = {}", self.initial));
        check_span(checks, self.from, self.to, self.every);
    }
}

impl Curve {
    /// The part of the way that is done at `step`, or `None` where nothing is pruned. The last step of the curve always
    /// is one.
    fn progress(&self, step: Step, run: &RunLength) -> Option<f64> {
        let (first, last) = (run.at_fraction(self.from), run.at_fraction(self.to));
        if step < first || (step > last && !self.renew) || self.begins(step, run) {
            return None;
        }
        let due = step == last || (step.0 - first.0).is_multiple_of(self.every);
        let way = last.0.saturating_sub(first.0).max(1) as f64;
        due.then(|| ((step.0 - first.0) as f64 / way).min(1.0))
    }

    /// The first step that is due, `from` or a later one.
    pub(crate) fn next(&self, from: Step, run: &RunLength) -> Option<Step> {
        let (first, last) = (run.at_fraction(self.from), run.at_fraction(self.to));
        let step = Step(due(from.0, first.0, self.every));
        let step = if from <= last { step.min(last) } else { step };
        (step <= last || self.renew).then_some(step)
    }

    /// Whether what `step` would ask for holds before the first update already.
    fn begins(&self, step: Step, run: &RunLength) -> bool {
        self.at_start().is_some() && step == run.at_fraction(self.from)
    }

    /// What holds before the first update: the initial sparsity, where the curve begins with the run.
    pub(crate) fn at_start(&self) -> Option<Amount> {
        (self.from == 0.0).then_some(Amount::Sparsity(self.initial))
    }

    /// The amount at `step`, where `at` gives the sparsity after a part of the way, from the initial and the final one.
    pub(crate) fn target(&self, step: Step, run: &RunLength, at: fn(f64, f64, f64) -> f64) -> Option<Amount> {
        let sparsity = |p| if p >= 1.0 { self.sparsity } else { at(self.initial, self.sparsity, p) };
        self.progress(step, run).map(sparsity).map(Amount::Sparsity)
    }
}

/// Every pruning step of a run after an update, with the sparsity or the fraction of what remains.
#[cfg(test)]
pub(crate) fn targets(schedule: &dyn Schedule, steps: u64, steps_per_epoch: u64) -> Vec<(u64, f64)> {
    let run = RunLength { steps, steps_per_epoch };
    let amount = |a| match a {
        Amount::Sparsity(s) | Amount::OfRemaining(s) => s,
    };
    let at = |s| Some((s, amount(schedule.target(Step(s), &run).ok()??)));
    let all: Vec<(u64, f64)> = (0..steps).filter_map(at).collect();
    // Asked only where it says that it prunes, it says the same.
    let next = |from| schedule.next(Step(from), &run).unwrap().filter(|step| step.0 < steps).map(|step| step.0);
    let named = std::iter::successors(next(0), |step| next(step + 1));
    assert_eq!(named.filter_map(at).collect::<Vec<_>>(), all);
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::curves::cubic::Cubic;
    use crate::curves::exponential::Exponential;
    use crate::curves::linear::Linear;
    use secateur::options::OptionSet as _;

    fn options() -> Curve {
        Curve { sparsity: 0.8, from: 0.0, to: 1.0, every: 25, ..Curve::default() }
    }

    fn close(found: &[(u64, f64)], expected: &[(u64, f64)]) {
        assert_eq!(found.len(), expected.len(), "{found:?}");
        assert!(found.iter().zip(expected).all(|(a, b)| a.0 == b.0 && (a.1 - b.1).abs() < 1e-12), "{found:?}");
    }

    #[test]
    fn curves_pass_through_their_values() {
        close(&targets(&Linear::from(options()), 101, 10), &[(25, 0.2), (50, 0.4), (75, 0.6), (100, 0.8)]);
        close(&targets(&Cubic::from(options()), 101, 10), &[(25, 0.4625), (50, 0.7), (75, 0.7875), (100, 0.8)]);
        let e = targets(&Exponential::from(options()), 101, 10);
        close(&e[1..2], &[(50, 1.0 - 0.2f64.sqrt())]);
    }

    #[test]
    fn the_end_is_reached_even_between_two_periods() {
        let s = Cubic::from(Curve { every: 30, from: 0.1, to: 0.75, ..options() });
        let found = targets(&s, 101, 10);
        assert_eq!(found.last(), Some(&(75, 0.8)));
        assert_eq!(found.iter().map(|t| t.0).collect::<Vec<_>>(), [10, 40, 70, 75]);
    }

    #[test]
    fn masks_are_renewed_after_the_end_only_where_asked() {
        let s = Linear::from(Curve { to: 0.5, renew: true, ..options() });
        assert_eq!(targets(&s, 101, 10).iter().map(|t| t.0).collect::<Vec<_>>(), [25, 50, 75, 100]);
    }

    #[test]
    fn a_curve_that_begins_with_the_run_begins_before_the_first_update() {
        let run = RunLength { steps: 101, steps_per_epoch: 10 };
        let at_start = |from| Linear::from(Curve { initial: 0.3, from, ..options() }).at_start(&run).unwrap();
        assert_eq!((at_start(0.0), at_start(0.1)), (Some(Amount::Sparsity(0.3)), None));
    }

    #[test]
    fn impossible_curves_are_refused() {
        let text = |curve: Curve| curve.errors().iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        assert!(text(Curve { sparsity: 1.5, ..options() }).contains("`sparsity` = 1.5"));
        assert!(text(Curve { initial: 0.9, ..options() }).contains("must not lie below `initial` = 0.9"));
        assert!(text(Curve { from: 0.8, to: 0.2, ..options() }).contains("must lie after `from` = 0.8"));
        assert!(text(Curve { every: 0, ..options() }).contains("at least 1 step"));
    }
}
