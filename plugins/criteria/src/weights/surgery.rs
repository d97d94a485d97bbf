//! Dynamic network surgery: thresholds with a gap between them, and weights that come back.

use rand::RngExt as _;
use secateur::prelude::*;
use std::collections::BTreeMap;

choices! {
    /// When the thresholds are taken from the weights.
    pub enum Statistics {
        /// Before the first update of the run.
        FirstStep = "first-step",
        /// At the first pruning step.
        FirstPruning = "first-pruning",
    }
}

options! {
    /// Dynamic network surgery (Guo, Yao and Chen 2016, "Dynamic Network Surgery for Efficient DNNs", equation 3 with the
    /// constants of the authors' code): of each layer T = max(mean |w| + c_rate std |w|, 0), taken once. A weight of at
    /// most 0.9 T goes, one above 1.1 T comes back, and in between it stays what it was. The criterion decides itself,
    /// weight by weight; the schedule only says when.
    ///
    /// Weights come back under `prune.regrow = true` only, where the masked ones keep learning. The authors begin with a
    /// trained network, and so take T of trained weights: a run that trains before its first pruning step does the same
    /// with `statistics = "first-pruning"`.
    pub struct SurgeryOptions {
        /// Standard deviations between the mean of |w| and the threshold, of every layer that `c_rates` does not list; the
        /// paper tunes it layer by layer. It may be negative.
        #[acts(always)]
        pub c_rate: f64 = 1.0,
        /// The same for single parameters: `{ "fc1.weight" = 2.0 }`.
        #[acts(always)]
        pub c_rates: BTreeMap<String, f64> = BTreeMap::new(),
        /// When T is taken: `first-step`, of the weights before the first update, or `first-pruning`, of those at the
        /// first pruning step.
        #[acts(always)]
        pub statistics: Statistics = Statistics::FirstStep,
        /// A weight of at most this part of T goes.
        #[acts(always)]
        pub prune_below: f64 = 0.9,
        /// A weight above this part of T comes back.
        #[acts("prune.regrow", |regrow| regrow == "true", "prune.regrow = true")]
        pub restore_above: f64 = 1.1,
        /// Masks are renewed with probability (1 + gamma step)^(-power), of each layer by itself: updates get rarer as the
        /// network settles. 0 renews them at every pruning step.
        #[acts(always)]
        pub gamma: f64 = 0.0,
        /// Exponent of that probability.
        #[acts(|s| s.gamma > 0.0, "gamma above 0")]
        pub power: f64 = 1.0,
    }

    fn check(&self, checks: &mut Checks) {
        checks.range("c_rate", self.c_rate, ..);
        for (name, rate) in &self.c_rates {
            checks.range(&secateur::options::key_in("c_rates", name), *rate, ..);
        }
        checks.range("prune_below", self.prune_below, 0.0..);
        checks.range("restore_above", self.restore_above, 0.0..);
        let gap = self.restore_above >= self.prune_below;
        checks.ensure("restore_above", gap, "must not lie below `prune_below`: a weight would go and come back at once");
        checks.range("gamma", self.gamma, 0.0..);
        checks.range("power", self.power, 0.0..);
    }
}

/// The thresholds of the layers that were looked at so far.
pub struct Surgery {
    options: SurgeryOptions,
    thresholds: BTreeMap<String, f64>,
}

impl From<SurgeryOptions> for Surgery {
    fn from(options: SurgeryOptions) -> Self {
        Self { options, thresholds: BTreeMap::new() }
    }
}

impl Surgery {
    fn threshold(&self, name: &str, weights: &[f32]) -> f64 {
        let n = weights.len().max(1) as f64;
        let mean = weights.iter().map(|w| f64::from(w.abs())).sum::<f64>() / n;
        let variance = weights.iter().map(|w| (f64::from(w.abs()) - mean).powi(2)).sum::<f64>() / n;
        let rate = self.options.c_rates.get(name).unwrap_or(&self.options.c_rate);
        (mean + rate * variance.sqrt()).max(0.0)
    }

    /// Whether each weight stays, given which were there.
    fn rule(&self, threshold: f64, weights: &[f32], was: Option<&[bool]>) -> Vec<bool> {
        let (low, high) = (self.options.prune_below * threshold, self.options.restore_above * threshold);
        let stays = |(i, w): (usize, &f32)| {
            let (size, was) = (f64::from(w.abs()), was.is_none_or(|was| was[i]));
            if was { size > low } else { size > high }
        };
        weights.iter().enumerate().map(stays).collect()
    }

    /// Whether a layer's mask is renewed at this pruning step.
    fn renews<B: Backend>(&self, target: &Target<'_, B>) -> bool {
        let step = target.step().0;
        let chance = (1.0 + self.options.gamma * step as f64).powf(-self.options.power);
        let drawn: f64 = target.seed().stream("surgery", &[&step.to_string()]).random();
        self.options.gamma == 0.0 || drawn < chance
    }
}

impl<B: Backend> Criterion<B> for Surgery {
    fn setup(&mut self, run: &Setup<'_, B>) -> Result<()> {
        let known: Vec<&str> = run.layout.params.iter().filter(|p| p.prunable).map(|p| p.name.as_str()).collect();
        let unknown = self.options.c_rates.iter().find(|(name, _)| !known.contains(&name.as_str()));
        unknown.map_or(Ok(()), |(name, rate)| {
            let allowed = secateur::options::unknown("parameter", name, &known);
            Err(OptionError::new(secateur::options::key_in("c_rates", name), rate, allowed).into())
        })
    }

    fn observe(&mut self, seen: &Observation<'_, B>) -> Result<()> {
        if self.options.statistics == Statistics::FirstPruning || !self.thresholds.is_empty() {
            return Ok(());
        }
        for p in seen.params.iter().filter(|p| p.spec().prunable) {
            let threshold = self.threshold(&p.spec().name, &p.value().host());
            self.thresholds.insert(p.spec().name.clone(), threshold);
        }
        Ok(())
    }

    fn score(&mut self, target: &Target<'_, B>) -> Result<Scores<B>> {
        let weight = target.weight()?;
        let weights = weight.host();
        let threshold = match self.thresholds.get(target.name()) {
            Some(threshold) => *threshold,
            None => self.threshold(target.name(), &weights),
        };
        self.thresholds.insert(target.name().to_owned(), threshold);
        let was = target.param().mask().map(|mask| mask.keep());
        if !self.renews(target) {
            return Ok(Scores::Keep(was.map_or_else(|| vec![true; weights.len()], <[bool]>::to_vec)));
        }
        Ok(Scores::Keep(self.rule(threshold, &weights, was)))
    }

    fn save(&self) -> Result<State> {
        Ok(State(self.thresholds.iter().map(|(name, t)| (name.clone(), vec![*t])).collect()))
    }

    fn load(&mut self, state: State, _device: &B) -> Result<()> {
        self.thresholds = state.0.into_iter().filter_map(|(name, t)| Some((name, *t.first()?))).collect();
        Ok(())
    }
}

register!(
    Criterion,
    "surgery",
    Surgery,
    "Weights below one threshold go and above another come back: dynamic network surgery.",
    options = SurgeryOptions
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn between_the_thresholds_a_weight_stays_what_it_was() {
        let surgery = Surgery::from(SurgeryOptions { c_rate: 0.0, ..SurgeryOptions::default() });
        let weights = [1.0, -1.0, 0.5, 1.5, -0.9, 1.1];
        assert!((surgery.threshold("w", &weights) - 1.0).abs() < 1e-6);
        let was = [true, false, true, false, true, false];
        let weights = [1.0, -1.0, 0.5, 1.5, -0.9, 1.05];
        assert_eq!(surgery.rule(1.0, &weights, Some(&was)), [true, false, false, true, false, false]);
        assert_eq!(surgery.rule(1.0, &weights, None), [true, true, false, true, false, true]);
        assert_eq!(
            Surgery::from(SurgeryOptions { c_rate: -9.0, ..SurgeryOptions::default() }).threshold("w", &weights),
            0.0
        );
    }
}
