//! Sparsity that rises while the remaining weights can carry it.

use crate::curves::cubic::rise;
use crate::run::{check_span, due};
use secateur::prelude::*;

choices! {
    /// What is taken for the burden of a layer, on its active weights.
    pub enum Indicator {
        /// Root of the mean square of the gradient.
        Gradient = "gradient",
        /// Mean magnitude of the gradient.
        GradientMean = "gradient-mean",
        /// Root of the mean square of the weights.
        Weight = "weight",
    }
}

choices! {
    /// Whose burden is compared with the bound.
    pub enum Whose {
        /// That of all layers together.
        Network = "network",
        /// That of the layer which is furthest above its own level.
        WorstLayer = "worst-layer",
    }
}

options! {
    /// A cubic rise that waits: at every pruning step the burden (arXiv 2407.16716) is compared with the dense
    /// network's, measured at the first of them, which takes only the initial sparsity. Where the ratio is at most
    /// `bound` the sparsity goes one pruning step further along the curve, otherwise it holds until the burden has
    /// fallen. The curve reaches `sparsity` at `to` if it never waits; what it has waited is made up for until `until`,
    /// and a run may end below `sparsity`, unless `reach` is set. The burden is the mean over the last eight looks, or as many as were since
    /// the pruning step before. The paper reports the indicators and leaves open what to do by them (its open question
    /// 3): this rule is ours.
    pub struct BurdenGuidedOptions {
        /// Sparsity of the first pruning step.
        #[acts(always)]
        pub initial: f64 = 0.0,
        /// The most that is ever asked for.
        #[acts(always)]
        pub sparsity: f64 = 0.9,
        /// Fraction of the run at which the dense network is measured and pruning begins.
        #[acts(always)]
        pub from: f64 = 0.1,
        /// Fraction of the run at which `sparsity` is reached at the earliest.
        #[acts(always)]
        pub to: f64 = 0.6,
        /// Fraction of the run until which it may rise.
        #[acts(always)]
        pub until: f64 = 0.8,
        /// Steps between two pruning steps.
        #[acts(always)]
        pub every: u64 = 100,
        /// Largest burden at which the sparsity rises, in parts of the dense network's.
        #[acts(always)]
        pub bound: f64 = 1.5,
        /// The burden of a layer: `gradient`, `gradient-mean` or `weight`.
        #[acts(always)]
        pub indicator: Indicator = Indicator::Gradient,
        /// Whose burden it is: `network`, or `worst-layer`, each layer being compared with its own level.
        #[acts(always)]
        pub whose: Whose = Whose::Network,
        /// Whether it waits only as long as `sparsity` can still be reached by `until`, so that runs end equally sparse.
        #[acts(always)]
        pub reach: bool = false,
    }

    fn check(&self, checks: &mut Checks) {
        checks.sparsity("initial", self.initial);
        checks.sparsity("sparsity", self.sparsity);
        let grows = self.sparsity.partial_cmp(&self.initial) == Some(std::cmp::Ordering::Greater);
        checks.ensure("sparsity", grows, format!("must lie above `initial` = {}", self.initial));
        check_span(checks, self.from, self.to, self.every);
        checks.above("from", self.from, 0.0);
        let later = self.until >= self.to && self.until <= 1.0;
        checks.ensure("until", later, format!("must lie between `to` = {} and 1", self.to));
        checks.above("bound", self.bound, 0.0);
    }
}

/// The schedule and where it stands.
pub struct BurdenGuided {
    options: BurdenGuidedOptions,
    /// Steps along the curve that were taken.
    risen: u64,
    /// The dense network's burden, by layer, and that of all layers last.
    level: Vec<f64>,
}

impl From<BurdenGuidedOptions> for BurdenGuided {
    fn from(options: BurdenGuidedOptions) -> Self {
        Self { options, risen: 0, level: vec![] }
    }
}

impl BurdenGuided {
    /// The sparsity after so many pruning steps that rose.
    fn curve(&self, risen: u64, run: &RunLength) -> f64 {
        let BurdenGuidedOptions { initial, sparsity, from, to, every, .. } = self.options;
        let way = run.at_fraction(to).0 - run.at_fraction(from).0;
        let part = risen.saturating_mul(every) as f64 / way.max(1) as f64;
        if part >= 1.0 { sparsity } else { rise(initial, sparsity, part) }
    }

    /// Pruning steps from the first one to the end of a curve that never waits, and as many as there are until `until`.
    fn rises(&self, run: &RunLength) -> [u64; 2] {
        let BurdenGuidedOptions { from, to, until, every, .. } = self.options;
        let [from, to, until] = [from, to, until].map(|fraction| run.at_fraction(fraction).0);
        [to.saturating_sub(from).div_ceil(every).max(1), until.saturating_sub(from) / every]
    }

    /// Whether the curve must go on now to reach its end, all pruning steps that are left being rises.
    fn is_late(&self, seen: &Measured<'_>) -> bool {
        let BurdenGuidedOptions { from, every, reach, .. } = self.options;
        let [rises, fit] = self.rises(&seen.run);
        let now = seen.step.0.saturating_sub(seen.run.at_fraction(from).0) / every;
        reach && rises.saturating_sub(self.risen) > fit.saturating_sub(now)
    }

    /// The burden by layer, and that of all layers: the same root or mean over all active weights.
    fn burden(&self, layers: &[Indicators]) -> Vec<f64> {
        let of = |layer: &Indicators| match self.options.indicator {
            Indicator::Gradient => layer.gradient,
            Indicator::GradientMean => layer.gradient_mean,
            Indicator::Weight => layer.weight,
        };
        let kept = layers.iter().map(|layer| layer.kept as f64).sum::<f64>().max(1.0);
        let mean = |f: fn(f64) -> f64| layers.iter().map(|l| l.kept as f64 * f(of(l))).sum::<f64>() / kept;
        let all = match self.options.indicator {
            Indicator::GradientMean => mean(|value| value),
            Indicator::Gradient | Indicator::Weight => mean(|value| value * value).sqrt(),
        };
        layers.iter().map(of).chain([all]).collect()
    }

    /// The burden in parts of the dense network's.
    fn ratio(&self, burden: &[f64]) -> f64 {
        let mut ratios =
            burden.iter().zip(&self.level).map(|(now, dense)| if *dense > 0.0 { now / dense } else { 0.0 });
        match self.options.whose {
            Whose::Network => ratios.next_back().unwrap_or(0.0),
            Whose::WorstLayer => ratios.take(burden.len() - 1).fold(0.0, f64::max),
        }
    }
}

impl Schedule for BurdenGuided {
    fn setup(&mut self, run: &RunLength) -> Result<()> {
        let [rises, fit] = self.rises(run);
        if rises <= fit {
            return Ok(());
        }
        let BurdenGuidedOptions { from, until, every, .. } = self.options;
        let [from, until] = [from, until].map(|fraction| run.at_fraction(fraction).0);
        let text = format!(
            "must be small enough for {rises} rises after the first pruning step: {fit} fit between the steps {from} \
             and {until} (`until`)"
        );
        Err(OptionError::new("every", every, text).into())
    }

    fn next(&self, from: Step, run: &RunLength) -> Result<Option<Step>> {
        let BurdenGuidedOptions { from: begin, until, every, .. } = self.options;
        let step = Step(due(from.0, run.at_fraction(begin).0, every));
        Ok(Some(step).filter(|step| *step <= run.at_fraction(until)))
    }

    fn target(&self, step: Step, run: &RunLength) -> Result<Option<Amount>> {
        let BurdenGuidedOptions { from, until, every, .. } = self.options;
        let first = run.at_fraction(from);
        let since = step.0.checked_sub(first.0).filter(|_| step <= run.at_fraction(until));
        let due = since.filter(|since| since.is_multiple_of(every));
        Ok(due.map(|since| Amount::Sparsity(self.curve(since / every, run))))
    }

    fn watches(&self) -> bool {
        true
    }

    fn adjust(&mut self, planned: Amount, seen: &Measured<'_>) -> Result<Amount> {
        let burden = self.burden(seen.burden);
        if self.level.is_empty() {
            self.level = burden;
        } else if burden.len() != self.level.len() {
            return Err(Error::Other(format!(
                "the burden of {} layers cannot be compared with that of {}",
                burden.len() - 1,
                self.level.len() - 1
            )));
        } else if self.ratio(&burden) <= self.options.bound || self.is_late(seen) {
            self.risen += 1;
        }
        let most = planned.fraction();
        Ok(Amount::Sparsity(self.curve(self.risen, &seen.run).min(most)))
    }

    fn save(&self) -> Result<State> {
        Ok(State::default().with("risen", [self.risen as f64]).with("level", self.level.iter().copied()))
    }

    fn load(&mut self, mut state: State) -> Result<()> {
        self.risen = state.take("risen")?.first().map_or(0, |risen| *risen as u64);
        self.level = state.take("level")?;
        Ok(())
    }
}

register!(
    Schedule,
    "burden-guided",
    BurdenGuided,
    "A cubic rise that waits while the remaining weights are overburdened.",
    options = BurdenGuidedOptions
);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::targets;
    use secateur::options::OptionSet as _;

    const RUN: RunLength = RunLength { steps: 101, steps_per_epoch: 10 };

    fn options() -> BurdenGuidedOptions {
        BurdenGuidedOptions {
            sparsity: 0.8,
            to: 0.5,
            until: 0.9,
            every: 10,
            bound: 1.2,
            ..BurdenGuidedOptions::default()
        }
    }

    fn seen(gradients: [f64; 2]) -> Vec<Indicators> {
        let one =
            |(name, gradient): (&str, f64)| Indicators { name: name.into(), gradient, kept: 50, ..<_>::default() };
        [("a", gradients[0]), ("b", gradients[1])].map(one).into()
    }

    /// What is asked along the plan while the gradients of two layers are these.
    fn asked(schedule: &mut BurdenGuided, from: usize, gradients: &[[f64; 2]]) -> Vec<f64> {
        let plan = targets(schedule, RUN.steps, RUN.steps_per_epoch);
        let at = |((step, planned), gradients): (&(u64, f64), &[f64; 2])| {
            let burden = seen(*gradients);
            let seen = Measured { step: Step(*step), run: RUN, sparsity: 0.0, burden: &burden, validation_loss: None };
            schedule.adjust(Amount::Sparsity(*planned), &seen).unwrap().fraction()
        };
        plan[from..].iter().zip(gradients).map(at).collect()
    }

    /// The curve over four steps from 0 to .8.
    fn curve(risen: i32) -> f64 {
        0.8 - 0.8 * (1.0 - f64::from(risen.min(4)) / 4.0).powi(3)
    }

    #[test]
    fn the_plan_is_a_cubic_curve_that_stays_at_its_end() {
        let plan = targets(&BurdenGuided::from(options()), RUN.steps, RUN.steps_per_epoch);
        assert_eq!(plan.iter().map(|p| p.0).collect::<Vec<_>>(), [10, 20, 30, 40, 50, 60, 70, 80, 90]);
        for (i, (_, planned)) in (0..).zip(plan) {
            assert!((planned - curve(i)).abs() < 1e-12, "{i}: {planned}");
        }
    }

    #[test]
    fn it_rises_while_the_burden_is_low_and_waits_while_it_is_high() {
        let (low, high) = ([1.1, 1.1], [1.3, 1.3]);
        let gradients = [[1.0, 1.0], low, high, high, low, low, high, low, low];
        let found = asked(&mut BurdenGuided::from(options()), 0, &gradients);
        let expected = [0, 1, 1, 1, 2, 3, 3, 4, 5].map(curve);
        assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{found:?} {expected:?}");
    }

    #[test]
    fn one_layer_can_hold_all_back() {
        // The network's root mean square is below the bound where one of two layers is above it.
        let gradients = [[1.0, 1.0], [1.3, 0.9]];
        let whole = asked(&mut BurdenGuided::from(options()), 0, &gradients);
        let worst = BurdenGuidedOptions { whose: Whose::WorstLayer, ..options() };
        let worst = asked(&mut BurdenGuided::from(worst), 0, &gradients);
        assert!((whole[1] - curve(1)).abs() < 1e-12 && worst[1] == 0.0, "{whole:?} {worst:?}");
    }

    #[test]
    fn what_must_be_reached_is_reached_however_high_the_burden() {
        let high = [1.3, 1.3];
        let gradients = [[1.0, 1.0], high, high, high, high, high, high, high, high];
        let found = asked(&mut BurdenGuided::from(BurdenGuidedOptions { reach: true, ..options() }), 0, &gradients);
        // Nine pruning steps, the first of which measures: four rises are left for the last four.
        let expected = [0, 0, 0, 0, 0, 1, 2, 3, 4].map(curve);
        assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{found:?} {expected:?}");
        let without = asked(&mut BurdenGuided::from(options()), 0, &gradients);
        assert!(without.iter().all(|asked| *asked == 0.0), "{without:?}");
        // Where it rose before, it may wait for longer.
        let gradients = [[1.0, 1.0], [1.0, 1.0], high, high, high, high, high, high, high];
        let found = asked(&mut BurdenGuided::from(BurdenGuidedOptions { reach: true, ..options() }), 0, &gradients);
        let expected = [0, 1, 1, 1, 1, 1, 2, 3, 4].map(curve);
        assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{found:?} {expected:?}");
    }

    #[test]
    fn the_networks_burden_is_that_of_all_its_weights() {
        let mut layers = seen([0.3, 0.4]);
        layers[1].kept = 150;
        let of = |indicator, layers: &[Indicators]| {
            BurdenGuided::from(BurdenGuidedOptions { indicator, ..options() }).burden(layers)[2]
        };
        let expected = ((50.0 * 0.09 + 150.0 * 0.16) / 200.0f64).sqrt();
        assert!((of(Indicator::Gradient, &layers) - expected).abs() < 1e-12);
        (layers[0].gradient_mean, layers[1].gradient_mean) = (0.2, 0.4);
        assert!((of(Indicator::GradientMean, &layers) - 0.35).abs() < 1e-12);
    }

    #[test]
    fn its_state_is_how_far_it_rose_and_the_dense_level() {
        let gradients = [[1.0, 2.0], [1.1, 2.0], [1.3, 2.9], [1.0, 2.1], [1.1, 2.2]];
        let mut whole = BurdenGuided::from(options());
        let expected = asked(&mut whole, 0, &gradients);
        let mut first = BurdenGuided::from(options());
        asked(&mut first, 0, &gradients[..3]);
        let mut second = BurdenGuided::from(options());
        second.load(first.save().unwrap()).unwrap();
        assert_eq!(asked(&mut second, 3, &gradients[3..]), expected[3..]);
        assert_eq!(second.save().unwrap(), whole.save().unwrap());
    }

    #[test]
    fn a_curve_that_cannot_be_gone_in_time_is_refused() {
        let setup = |options: BurdenGuidedOptions| BurdenGuided::from(options).setup(&RUN).map_err(|e| e.to_string());
        assert_eq!(setup(options()), Ok(()));
        let text = setup(BurdenGuidedOptions { every: 35, until: 0.6, ..options() }).unwrap_err();
        assert!(text.contains("`every` = 35") && text.contains("2 rises") && text.contains("1 fit"), "{text}");
    }

    #[test]
    fn without_a_dense_network_to_measure_it_is_refused() {
        let keys = |options: BurdenGuidedOptions| options.errors().into_iter().map(|e| e.key).collect::<Vec<_>>();
        assert_eq!(keys(BurdenGuidedOptions { from: 0.0, ..options() }), ["from"]);
        assert_eq!(keys(BurdenGuidedOptions { until: 0.4, bound: 0.0, ..options() }), ["until", "bound"]);
    }
}
