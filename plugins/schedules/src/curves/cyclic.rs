//! Sparsity that rises again and again.

use crate::run::{check_span, due};
use secateur::prelude::*;

choices! {
    /// How the sparsity rises within a cycle.
    pub enum Shape {
        /// Along half a wave: gently, fast, gently.
        Cosine = "cosine",
        /// Evenly.
        Linear = "linear",
        /// Fast at first, gently at the end (Srinivas et al. 2022).
        Cubic = "cubic",
    }
}

options! {
    /// The sparsity rises from `low` to `sparsity` and falls back, cycle after cycle, so that weights which were pruned
    /// early get another chance (Srinivas et al. 2022, "Cyclical Pruning for Sparse Neural Networks"); the last cycle
    /// ends at `sparsity`. Needs `prune.regrow = true` where there is more than one.
    pub struct Cyclic {
        /// Sparsity at the beginning of every cycle.
        #[acts(always)]
        pub low: f64 = 0.0,
        /// Sparsity at the end of every cycle.
        #[acts(always)]
        pub sparsity: f64 = 0.9,
        /// Number of cycles.
        #[acts(always)]
        pub cycles: u64 = 4,
        /// How it rises within a cycle: `cosine`, `linear` or `cubic`.
        #[acts(always)]
        pub shape: Shape = Shape::Cosine,
        /// Fraction of the run at which the first cycle begins; 0 is before the first update.
        #[acts(always)]
        pub from: f64 = 0.1,
        /// Fraction of the run at which the last cycle ends.
        #[acts(always)]
        pub to: f64 = 0.9,
        /// Steps between two pruning steps; the last step of a cycle always is one.
        #[acts(always)]
        pub every: u64 = 100,
    }

    fn check(&self, checks: &mut Checks) {
        checks.sparsity("low", self.low);
        checks.sparsity("sparsity", self.sparsity);
        let rises = self.sparsity.partial_cmp(&self.low) == Some(std::cmp::Ordering::Greater);
        checks.ensure("sparsity", rises, format!("must lie above `low` = {}", self.low));
        checks.ensure("cycles", self.cycles > 0, "must be at least 1");
        check_span(checks, self.from, self.to, self.every);
    }
}

impl Cyclic {
    /// The part of its cycle that is done at `step`, or `None` where nothing is pruned.
    fn part(&self, step: Step, run: &RunLength) -> Option<f64> {
        let (first, last) = (run.at_fraction(self.from).0, run.at_fraction(self.to).0);
        let since = step.0.checked_sub(first).filter(|_| step.0 <= last)?;
        let (begin, end) = self.cycle(since, last - first + 1);
        let begun = self.from == 0.0 && since == 0;
        let due = !begun && (since == end || (since - begin).is_multiple_of(self.every));
        due.then(|| (since - begin) as f64 / (end - begin).max(1) as f64)
    }

    /// The first and the last step of the cycle to which a step belongs, of so many steps in all cycles together, each
    /// counted from the first.
    fn cycle(&self, since: u64, way: u64) -> (u64, u64) {
        let begins = |cycle: u64| (u128::from(cycle) * u128::from(way) / u128::from(self.cycles.max(1))) as u64;
        // A cycle begins at the first step that is not before its share of the way.
        let guess = (u128::from(since) * u128::from(self.cycles) / u128::from(way)) as u64;
        let cycle = if begins(guess + 1) <= since { guess + 1 } else { guess };
        (begins(cycle), begins(cycle + 1) - 1)
    }
}

impl Schedule for Cyclic {
    fn setup(&mut self, run: &RunLength) -> Result<()> {
        let way = run.at_fraction(self.to).0 - run.at_fraction(self.from).0 + 1;
        if self.cycles.saturating_mul(2) <= way {
            return Ok(());
        }
        let text = format!("must leave at least 2 steps for a cycle: there are {way} between `from` and `to`");
        Err(OptionError::new("cycles", self.cycles, text).into())
    }

    fn at_start(&self, _run: &RunLength) -> Result<Option<Amount>> {
        Ok((self.from == 0.0).then_some(Amount::Sparsity(self.low)))
    }

    fn next(&self, from: Step, run: &RunLength) -> Result<Option<Step>> {
        let (first, last) = (run.at_fraction(self.from).0, run.at_fraction(self.to).0);
        if from.0 > last {
            return Ok(None);
        }
        let since = from.0.saturating_sub(first);
        let (begin, end) = self.cycle(since, last - first + 1);
        Ok(Some(Step(first + due(since, begin, self.every).min(end))))
    }

    fn target(&self, step: Step, run: &RunLength) -> Result<Option<Amount>> {
        let risen = |part: f64| match self.shape {
            Shape::Cosine => (1.0 - (std::f64::consts::PI * part).cos()) / 2.0,
            Shape::Linear => part,
            Shape::Cubic => 1.0 - (1.0 - part).powi(3),
        };
        let at = |part: f64| self.low + (self.sparsity - self.low) * risen(part);
        let sparsity = |part: f64| if part >= 1.0 { self.sparsity } else { at(part) };
        Ok(self.part(step, run).map(sparsity).map(Amount::Sparsity))
    }
}

register!(Schedule, "cyclic", Cyclic, "Sparsity that rises again and again (Srinivas et al. 2022).");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::targets;
    use secateur::options::OptionSet as _;

    fn options(shape: Shape) -> Cyclic {
        Cyclic { low: 0.2, sparsity: 0.8, cycles: 2, shape, from: 0.1, to: 0.99, every: 15 }
    }

    /// Two cycles of 45 steps, 10 to 54 and 55 to 99, each with parts 0, 15/44, 30/44 and 1.
    #[test]
    fn every_cycle_goes_from_low_to_high() {
        let parts = [0.0, 15.0 / 44.0, 30.0 / 44.0, 1.0];
        type Rise = fn(f64) -> f64;
        let rises: [(Shape, Rise); 3] = [
            (Shape::Cosine, |p| 0.5 - 0.5 * (std::f64::consts::PI * p).cos()),
            (Shape::Linear, |p| p),
            (Shape::Cubic, |p| 1.0 - (1.0 - p) * (1.0 - p) * (1.0 - p)),
        ];
        for (shape, risen) in rises {
            let found = targets(&options(shape), 101, 10);
            let steps: Vec<u64> = found.iter().map(|f| f.0).collect();
            assert_eq!(steps, [10, 25, 40, 54, 55, 70, 85, 99], "{shape}");
            for (found, part) in found.iter().zip(parts.iter().cycle()) {
                assert!((found.1 - (0.2 + 0.6 * risen(*part))).abs() < 1e-12, "{shape} {found:?}");
            }
        }
    }

    #[test]
    fn cycles_that_do_not_divide_the_run_cover_all_of_it_and_end_high() {
        let schedule = Cyclic { cycles: 7, from: 0.0, to: 1.0, every: 1, ..options(Shape::Linear) };
        let found = targets(&schedule, 100, 10);
        assert_eq!(found.len(), 99, "the first is before the first update");
        assert_eq!(found.iter().filter(|f| f.1 == 0.8).count(), 7);
        assert_eq!(found.last(), Some(&(99, 0.8)));
        let run = RunLength { steps: 100, steps_per_epoch: 10 };
        assert_eq!(schedule.at_start(&run).unwrap(), Some(Amount::Sparsity(0.2)));
    }

    #[test]
    fn what_cannot_cycle_is_refused() {
        let keys = |schedule: Cyclic| schedule.errors().into_iter().map(|e| e.key).collect::<Vec<_>>();
        assert_eq!(keys(Cyclic { low: 0.9, cycles: 0, ..Cyclic::default() }), ["sparsity", "cycles"]);
        let mut many = Cyclic { cycles: 60, ..Cyclic::default() };
        assert!(
            many.setup(&RunLength { steps: 100, steps_per_epoch: 10 }).unwrap_err().to_string().contains("`cycles`")
        );
    }
}
