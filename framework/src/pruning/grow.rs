//! Sparse training: masks are held, but a pruning step takes more than the schedule asks for, and as much grows
//! elsewhere, by a criterion of its own (SET, Mocanu et al. 2018; RigL, Evci et al. 2020; GraNet, Liu et al. 2021).
//!
//! Where the schedule leaves K weights of a layer (of all layers, where one ranking goes over them), [`plan`] keeps
//! the best K - g of those that are there, g = round(f K) with the fraction f of this step, and [`grow`] takes the best
//! g of all that is out then. What was dropped a moment ago is among them (RigL, algorithm 1: the candidates are all but
//! the connections that remain); where it wins its place back it was never gone, and keeps its value and its optimizer
//! state, as in the authors' code. All others begin at zero without optimizer state, as held masks left them. Exactly K
//! weights remain.
//!
//! [`plan`]: super::plan

use super::budget::{self, Asked, Goal, KeepCount};
use super::config::{Granularity, Normalizer, PruneConfig, Scope};
use super::masks::{self, KeepMask, Layer};
use super::plan::Plan;
use super::scores::{Answers, score_layer, targets};
use crate::backend::Backend;
use crate::error::{Error, OptionError, Result};
use crate::network::layout::UnitGroup;
use crate::network::params::ParamStore;
use crate::options::PluginSpec;
use crate::pruning::criterion::{Criterion, Target};
use crate::pruning::schedule::{Position, RunLength, Step};
use crate::tensor::Tensor;

crate::choices! {
    /// How the fraction that changes places falls.
    pub enum Decay {
        /// Half a cosine to zero.
        Cosine = "cosine",
        /// A straight line to zero.
        Linear = "linear",
        /// It stays as it is to the end.
        Constant = "constant",
    }
}

crate::options! {
    /// Sparse training with weights that change places.
    pub struct GrowConfig {
        /// Fraction of the weights that the schedule leaves which changes places at a pruning step, at the beginning:
        /// so many more are dropped, and as many grow among all that is out. 0 for no growth; 0.3 in RigL.
        #[acts(run, "pruning steps between the first update and `until`")]
        pub fraction: f64 = 0.0,
        /// How the fraction f falls from `fraction` = a at the first step to 0 at T, the step of `until`: `cosine` is
        /// f(t) = a/2 (1 + cos(pi t/T)), `linear` a (1 - t/T), `constant` a until then.
        #[acts(|g| g.is_on(), "fraction above 0")]
        pub decay: Decay = Decay::Cosine,
        /// Fraction of the run after which no weights change places any more.
        #[acts(|g| g.is_on(), "fraction above 0")]
        pub until: f64 = 0.75,
        /// The criterion that ranks what may grow, the highest first: `gradient` for RigL and GraNet, `random-redrawn`
        /// for SET.
        #[acts(|g| g.is_on(), "fraction above 0")]
        pub criterion: PluginSpec = PluginSpec::named("gradient"),
        /// The criterion of the pruning before the first update, if another than the run's: `{ name = "random" }` for
        /// the random networks that RigL and SET begin with.
        #[acts(|g| g.is_on(), "fraction above 0")]
        #[acts(run, "a schedule that prunes before the first update")]
        pub start: Option<PluginSpec> = None,
    }

    fn check(&self, checks: &mut Checks) {
        checks.range("fraction", self.fraction, 0.0..1.0);
        checks.above("until", self.until, 0.0);
        checks.range("until", self.until, ..=1.0);
    }
}

impl GrowConfig {
    /// Whether anything grows.
    pub fn is_on(&self) -> bool {
        self.fraction > 0.0
    }

    /// The fraction of the weights that changes places in the pruning after `step`; none in the one before the first
    /// update, where nothing is out yet.
    pub fn fraction_at(&self, step: Option<Step>, run: &RunLength) -> f64 {
        let (Some(Step(step)), Step(end)) = (step, run.at_fraction(self.until)) else { return 0.0 };
        if step >= end {
            return 0.0;
        }
        let part = step as f64 / end as f64;
        self.fraction
            * match self.decay {
                Decay::Cosine => 0.5 * (1.0 + (std::f64::consts::PI * part).cos()),
                Decay::Linear => 1.0 - part,
                Decay::Constant => 1.0,
            }
    }

    /// Whether `step` comes when nothing changes places any more; the step at which that ends has its pruning still.
    pub fn is_over(&self, step: Option<Step>, run: &RunLength) -> bool {
        !self.is_on() || step.is_some_and(|step| step > run.at_fraction(self.until))
    }

    /// What a schedule's amount asks of a network as it is now, where what is out can grow again.
    ///
    /// # Errors
    /// If the store lacks a name of the configuration.
    pub fn asked<B: Backend>(&self, prune: &PruneConfig, store: &ParamStore<B>, position: Position) -> Result<Asked> {
        if !self.is_on() {
            return budget::asked(prune, store, position);
        }
        let names = prune.names(store.layout());
        let mut layers = names.iter().map(|n| budget::budget(prune, store, n)).collect::<Result<Vec<_>>>()?;
        layers.iter_mut().for_each(|layer| layer.most = layer.dense);
        Ok(budget::allocate(prune, &budget::bounded(prune, &layers, position.progress), position))
    }

    /// What the pruning criterion is asked for, so that growth makes up what is asked.
    pub fn before_growth(&self, asked: &Asked, fraction: f64) -> Asked {
        let left = |(keep, now): (&usize, &usize)| {
            let grown = (fraction * *keep as f64).round() as usize;
            keep.saturating_sub(grown).min(*now)
        };
        let all = || asked.keep.counts().iter().zip(asked.now.counts()).map(left);
        let keep = match asked.keep {
            _ if !self.is_on() => asked.keep.clone(),
            KeepCount::Total(_) | KeepCount::Cost(_) => KeepCount::Total(all().sum()),
            KeepCount::Each(_) => KeepCount::Each(all().collect()),
        };
        Asked { keep, ..asked.clone() }
    }

    /// Checks that what `[prune]` says lets weights grow.
    ///
    /// # Errors
    /// The key of this section that cannot be met.
    pub fn fits(&self, prune: &PruneConfig) -> Result<()> {
        let refuse = |text: &str| Err(OptionError::new("fraction", self.fraction, text).into());
        match (self.is_on(), prune.granularity == Granularity::Weight, prune.regrow) {
            (true, false, _) => refuse(
                "grows single weights, but prune.granularity is another than \"weight\": no gradient reaches a masked \
                 unit, which is zero on both sides, so that it would never learn; set prune.granularity = \"weight\", \
                 or grow.fraction = 0",
            ),
            (true, true, true) => refuse(
                "grows what masks hold at zero, but with prune.regrow = true all of it learns, and returns by \
                 [criterion] itself; set prune.regrow = false, or grow.fraction = 0",
            ),
            _ if self.is_on()
                && (prune.has_cost()
                    || prune.scope == Scope::Global && (prune.is_bounded() || prune.rounds_to_multiples())) =>
            {
                refuse(
                    "grows as many weights as are dropped in one ranking over all layers, and goes by no cost, bound of a layer \
                 or multiple: leave out prune.target, prune.multiple, prune.min_sparsity and prune.max_sparsity, or set \
                 prune.scope = \"layer\" for the last three, or grow.fraction = 0",
                )
            }
            _ => Ok(()),
        }
    }
}

/// Adds to a plan what grows: of all that it leaves out the best by `criterion`, so that it keeps `counts`.
///
/// `view` makes what the criterion scores.
///
/// # Errors
/// What the criterion reports; scores that are not finite or do not fit; a criterion that decides itself.
pub fn grow<'a, B: Backend>(
    prune: &PruneConfig,
    store: &'a ParamStore<B>,
    criterion: &mut dyn Criterion<B>,
    plan: &mut Plan<B>,
    counts: &KeepCount,
    view: &dyn Fn(&'a str, Option<&'a UnitGroup>) -> Result<Target<'a, B>>,
) -> Result<()> {
    let kept = plan.keep.iter().map(|(_, keep)| keep.count()).collect::<Result<Vec<_>>>()?;
    let missing = match counts {
        KeepCount::Total(total) | KeepCount::Cost(total) => KeepCount::Total(total.saturating_sub(kept.iter().sum())),
        KeepCount::Each(counts) => KeepCount::Each(counts.iter().zip(kept).map(|(n, k)| n.saturating_sub(k)).collect()),
    };
    if missing.counts().iter().all(|n| *n == 0) {
        return Ok(());
    }
    let (mut shown, mut layers, mut answers) = (vec![], vec![], Answers::default());
    for (name, keep) in &plan.keep {
        let KeepMask::Weights(marks) = keep else {
            return Err(Error::Other(format!("`{name}` is a group of units: only weights grow")));
        };
        let shape = store.get(name)?.value().shape();
        let all = Tensor::from_vec(store.device(), vec![1.0; shape.count()], shape)?;
        let candidates = all.sub(&marks.reshape(shape)?)?;
        let view = |name, group| Ok(Target { candidates: Some(candidates.clone()), ..view(name, group)? });
        shown.push((name, targets(prune, store, name, view)?, candidates));
    }
    criterion.announce(&shown.iter().flat_map(|(_, targets, _)| targets.clone()).collect::<Vec<_>>())?;
    for (name, targets, candidates) in shown {
        let scores = score_layer(prune, store, (name, &targets), criterion, &mut answers)?;
        layers.push(Layer { scores, before: Some(KeepMask::Weights(candidates)) });
    }
    if answers.decisions {
        return Err(Error::Config(
            "grow.criterion decides weight by weight itself, and does not rank what may grow: choose one that scores"
                .into(),
        ));
    }
    if prune.scope == Scope::Global {
        let how = prune.normalize.unwrap_or(Normalizer::None);
        layers.iter_mut().try_for_each(|layer| layer.scores.normalize(how, layer.before.as_ref()))?;
    }
    let goal = Goal { counts: missing, bounds: vec![(0, usize::MAX); layers.len()], multiple: 1 };
    let grown = masks::best(&layers, &goal)?;
    for ((_, keep), grown) in plan.keep.iter_mut().zip(grown) {
        if let (KeepMask::Weights(marks), KeepMask::Weights(grown)) = (keep, grown) {
            *marks = marks.add(&grown.reshape(marks.shape())?)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::OptionSet as _;

    const RUN: RunLength = RunLength { steps: 101, steps_per_epoch: 10 };

    fn at(decay: Decay, step: u64) -> f64 {
        let config = GrowConfig { fraction: 0.4, decay, until: 0.5, ..GrowConfig::default() };
        config.fraction_at(Some(Step(step)), &RUN)
    }

    #[test]
    fn the_fraction_falls_as_its_decay_says_and_ends() {
        let found = |decay| [0, 25, 49, 50, 100].map(|step| at(decay, step));
        let close = |a: [f64; 5], b: [f64; 5]| assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-12), "{a:?}");
        close(found(Decay::Constant), [0.4, 0.4, 0.4, 0.0, 0.0]);
        close(found(Decay::Linear), [0.4, 0.2, 0.4 * 0.02, 0.0, 0.0]);
        // Evci et al. 2020, section 3, (2) update schedule.
        let cosine = |t: f64| 0.4 / 2.0 * (1.0 + (t * std::f64::consts::PI / 50.0).cos());
        close(found(Decay::Cosine), [0.4, 0.2, cosine(49.0), 0.0, 0.0]);
        assert_eq!(GrowConfig { fraction: 0.4, ..GrowConfig::default() }.fraction_at(None, &RUN), 0.0);
    }

    #[test]
    fn what_is_dropped_and_what_grows_make_up_what_is_asked() {
        let on = GrowConfig { fraction: 0.3, ..GrowConfig::default() };
        let asked =
            |keep: KeepCount, now| Asked { target: 0.5, wanted: keep.clone(), keep, now, layers: vec![], multiple: 1 };
        let left = |keep, now, fraction| on.before_growth(&asked(KeepCount::Total(keep), now), fraction).keep;
        assert_eq!(left(10, KeepCount::Total(10), 0.25), KeepCount::Total(7), "round(2.5) is 3");
        assert_eq!(left(10, KeepCount::Total(40), 0.25), KeepCount::Total(7));
        assert_eq!(
            left(10, KeepCount::Total(4), 0.25),
            KeepCount::Total(4),
            "the schedule asks for more than is there"
        );
        assert_eq!(left(1, KeepCount::Total(1), 0.3), KeepCount::Total(1));
        let each = |counts: &[usize]| KeepCount::Each(counts.to_vec());
        assert_eq!(on.before_growth(&asked(each(&[10, 20]), each(&[9, 30])), 0.3).keep, each(&[7, 14]));
        let off = GrowConfig::default().before_growth(&asked(each(&[10, 20]), each(&[9, 30])), 0.0);
        assert_eq!(off.keep, each(&[10, 20]), "masks that return may keep more than they did");
    }

    #[test]
    fn fractions_are_fractions() {
        let keys = |config: GrowConfig| config.errors().into_iter().map(|e| e.key).collect::<Vec<_>>();
        for fraction in [-0.1, 1.0, f64::NAN] {
            assert_eq!(keys(GrowConfig { fraction, ..GrowConfig::default() }), ["fraction"]);
        }
        for until in [0.0, 1.1] {
            assert_eq!(keys(GrowConfig { until, ..GrowConfig::default() }), ["until"]);
        }
        assert!(keys(GrowConfig { fraction: 0.3, until: 1.0, ..GrowConfig::default() }).is_empty());
    }

    #[test]
    fn growth_beside_units_or_masks_that_return_is_refused_with_its_key() {
        let on = GrowConfig { fraction: 0.3, ..GrowConfig::default() };
        let refused = |prune| on.fits(&prune).unwrap_err().to_string();
        let units = PruneConfig { granularity: Granularity::Unit, ..PruneConfig::default() };
        assert!(refused(units.clone()).contains("`fraction` = 0.3: grows single weights"));
        assert!(refused(PruneConfig { regrow: true, ..PruneConfig::default() }).contains("prune.regrow = false"));
        assert!(on.fits(&PruneConfig::default()).is_ok() && GrowConfig::default().fits(&units).is_ok());
    }
}
