//! Automated gradual pruning (Zhu & Gupta 2017), in the paper's own parameters.

use crate::run::due;
use secateur::prelude::*;

choices! {
    /// What the points of a schedule are counted in.
    pub enum Unit {
        /// Optimizer updates.
        Steps = "steps",
        /// Passes over the training data.
        Epochs = "epochs",
    }
}

options! {
    /// `s_t = s_f + (s_i - s_f) (1 - (t - t0) / (t_end - t0))³` after t = t0, t0 + Δt, ..., t_end updates (Zhu & Gupta
    /// 2017, equation 1, with t_end = t0 + n Δt): what `cubic` does along fractions of the run. The last pruning step
    /// always lies at the end, also where Δt does not divide the way; TensorFlow's `PolynomialDecay` stops short of the
    /// final sparsity there.
    pub struct Agp {
        /// Sparsity at the beginning, s_i.
        #[acts(always)]
        pub initial: f64 = 0.0,
        /// Sparsity at the end, s_f; it holds from there on.
        #[acts(always)]
        pub sparsity: f64 = 0.9,
        /// What `begin`, `end` and `frequency` are counted in: `epochs` or `steps`.
        #[acts(always)]
        pub unit: Unit = Unit::Epochs,
        /// Epochs or steps that are trained before the first pruning step, t0; 0 is before the first update.
        #[acts(always)]
        pub begin: u64 = 1,
        /// Epochs or steps that are trained before the last pruning step.
        #[acts(always)]
        pub end: u64 = 8,
        /// Epochs or steps between two pruning steps, Δt.
        #[acts(always)]
        pub frequency: u64 = 1,
        /// Exponent of the curve; 3 in the paper.
        #[acts(always)]
        pub power: f64 = 3.0,
        /// Counts t one update ahead, as JaxPruner does (`(t + 1 - t0) / (t_end - t0)`, at most 1): the first pruning
        /// step then asks for more than s_i, and the final sparsity is reached one update early.
        #[acts(always)]
        pub plus_one: bool = false,
    }

    fn check(&self, checks: &mut Checks) {
        checks.sparsity("initial", self.initial);
        checks.sparsity("sparsity", self.sparsity);
        let grows = self.sparsity.partial_cmp(&self.initial) != Some(std::cmp::Ordering::Less);
        checks.ensure("sparsity", grows, format!("must not lie below `initial` = {}", self.initial));
        checks.ensure("end", self.end > self.begin, format!("must lie after `begin` = {}", self.begin));
        checks.ensure("frequency", self.frequency > 0, "must be at least 1");
        checks.above("power", self.power, 0.0);
    }
}

impl Agp {
    /// A number of epochs or steps as updates.
    fn updates(&self, count: u64, run: &RunLength) -> u64 {
        match self.unit {
            Unit::Steps => count,
            Unit::Epochs => count.saturating_mul(run.steps_per_epoch),
        }
    }

    /// What holds after so many updates.
    fn after(&self, updates: u64, run: &RunLength) -> Option<Amount> {
        let [begin, end, every] = [self.begin, self.end, self.frequency].map(|count| self.updates(count, run));
        let since = updates.checked_sub(begin).filter(|_| updates <= end)?;
        if updates < end && !since.is_multiple_of(every.max(1)) {
            return None;
        }
        let part = ((since + u64::from(self.plus_one)) as f64 / (end - begin) as f64).min(1.0);
        let sparsity = self.sparsity + (self.initial - self.sparsity) * (1.0 - part).powf(self.power);
        Some(Amount::Sparsity(if part >= 1.0 { self.sparsity } else { sparsity }))
    }
}

impl Schedule for Agp {
    fn setup(&mut self, run: &RunLength) -> Result<()> {
        if self.updates(self.end, run) <= run.steps {
            return Ok(());
        }
        let (epochs, steps) = (run.steps / run.steps_per_epoch.max(1), run.steps);
        let text =
            format!("must lie within the run of {epochs} epochs ({steps} steps), or its sparsity is never reached");
        Err(OptionError::new("end", self.end, text).into())
    }

    fn at_start(&self, run: &RunLength) -> Result<Option<Amount>> {
        Ok(self.after(0, run))
    }

    fn next(&self, from: Step, run: &RunLength) -> Result<Option<Step>> {
        let [begin, end, every] = [self.begin, self.end, self.frequency].map(|count| self.updates(count, run));
        let updates = due(from.0 + 1, begin, every).min(end);
        Ok((updates > from.0).then(|| Step(updates - 1)))
    }

    fn target(&self, step: Step, run: &RunLength) -> Result<Option<Amount>> {
        Ok(self.after(step.0 + 1, run))
    }
}

register!(Schedule, "agp", Agp, "Automated gradual pruning in the paper's parameters (Zhu & Gupta 2017).");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::curves::cubic::Cubic;
    use crate::run::{Curve, targets};
    use secateur::options::OptionSet as _;

    fn close(found: &[(u64, f64)], expected: &[(u64, f64)]) {
        assert_eq!(found.len(), expected.len(), "{found:?}");
        assert!(found.iter().zip(expected).all(|(a, b)| a.0 == b.0 && (a.1 - b.1).abs() < 1e-12), "{found:?}");
    }

    fn steps(begin: u64, end: u64, frequency: u64) -> Agp {
        Agp { sparsity: 0.5, unit: Unit::Steps, begin, end, frequency, ..Agp::default() }
    }

    /// `tfmot.sparsity.keras.PolynomialDecay(0, .5, 0, 100, frequency=25)` of tensorflow-model-optimization 0.8.1 asks
    /// for .4375 half way; its other values follow from its documented formula.
    #[test]
    fn follows_tensorflows_polynomial_decay() {
        let agp = steps(0, 100, 25);
        let run = RunLength { steps: 200, steps_per_epoch: 10 };
        assert_eq!(agp.at_start(&run).unwrap(), Some(Amount::Sparsity(0.0)));
        close(&targets(&agp, 200, 10), &[(24, 0.289_062_5), (49, 0.4375), (74, 0.492_187_5), (99, 0.5)]);
    }

    /// JaxPruner's `PolynomialSchedule(update_freq=25, update_start_step=0, update_end_step=100)` at a target of .5:
    /// `0.5 (1 - (1 - min(t + 1, 100) / 100)^3)` at t = 0, 25, 50, 75, 100 (jaxpruner/sparsity_schedules.py).
    #[test]
    fn one_update_ahead_it_follows_jaxpruner() {
        let agp = Agp { plus_one: true, ..steps(0, 100, 25) };
        let run = RunLength { steps: 200, steps_per_epoch: 10 };
        let Some(Amount::Sparsity(first)) = agp.at_start(&run).unwrap() else { panic!("it begins before any update") };
        assert!((first - 0.014_850_5).abs() < 1e-12, "{first}");
        close(&targets(&agp, 200, 10), &[(24, 0.297_388), (49, 0.441_175_5), (74, 0.493_088), (99, 0.5)]);
    }

    #[test]
    fn epochs_are_those_that_are_trained_before() {
        let agp = Agp { sparsity: 0.8, begin: 1, end: 4, frequency: 1, ..Agp::default() };
        let third = |k: f64| 0.8 - 0.8 * (1.0 - k / 3.0).powi(3);
        close(&targets(&agp, 60, 10), &[(9, 0.0), (19, third(1.0)), (29, third(2.0)), (39, 0.8)]);
    }

    #[test]
    fn is_the_cubic_curve_between_the_same_steps() {
        let curve = Curve { initial: 0.2, sparsity: 0.9, from: 0.1, to: 0.7, every: 20, ..Curve::default() };
        let agp = Agp { initial: 0.2, sparsity: 0.9, ..steps(11, 71, 20) };
        close(&targets(&agp, 101, 10), &targets(&Cubic::from(curve), 101, 10));
    }

    #[test]
    fn the_end_is_a_pruning_step_whatever_the_frequency_and_lies_within_the_run() {
        assert_eq!(targets(&steps(10, 45, 20), 60, 10).last(), Some(&(44, 0.5)));
        let mut late = Agp { end: 9, ..Agp::default() };
        let text = late.setup(&RunLength { steps: 80, steps_per_epoch: 10 }).unwrap_err().to_string();
        assert!(text.contains("`end` = 9") && text.contains("8 epochs"), "{text}");
        let keys: Vec<_> = steps(5, 5, 0).errors().into_iter().map(|e| e.key).collect();
        assert_eq!(keys, ["end", "frequency"]);
    }
}
