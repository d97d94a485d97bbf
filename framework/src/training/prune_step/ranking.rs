//! What a pruning step leaves: what the criterion keeps, and what grows besides.

use super::Shown;
use crate::backend::Backend;
use crate::error::{Error, Result};
use crate::network::forward::Needs;
use crate::network::layout::UnitGroup;
use crate::network::params::ParamStore;
use crate::pruning::criterion::{Criterion, Target};
use crate::pruning::schedule::Step;
use crate::pruning::{self, Goal, KeepCount, Plan};
use crate::seed::Seed;
use crate::training::probe::RunProbe;
use crate::training::setting::Setting;

/// What the criteria of a run are shown at a pruning step.
pub(super) struct Ranking<'a, B: Backend> {
    pub setting: &'a Setting<'a, B>,
    pub params: &'a ParamStore<B>,
    pub shown: Option<&'a Shown<B>>,
    pub step: Step,
}

impl<B: Backend> Ranking<'_, B> {
    /// What `criterion` keeps: as many as `goal` says, unless it decides itself.
    pub fn plan(&self, criterion: &mut dyn Criterion<B>, goal: &Goal) -> Result<Plan<B>> {
        self.prepare(criterion)?;
        let shown = self.shown_to(criterion);
        let view = |name, group| self.target(shown, self.setting.seeds.pruner.derive("criterion", &[]), name, group);
        let cost = |kept: &[usize]| self.setting.cost(kept);
        pruning::plan_at_cost(&self.setting.prune, self.params, criterion, (goal, &cost), &view)
    }

    /// Adds what grows by `criterion`, up to `counts`.
    pub fn grow(&self, criterion: &mut dyn Criterion<B>, plan: &mut Plan<B>, counts: &KeepCount) -> Result<()> {
        if plan.answers.decisions {
            return Err(Error::Config(
                "the criterion decides itself which weights go, so that no number says how many grow in their place: \
                 choose one that scores, or set grow.fraction = 0"
                    .into(),
            ));
        }
        self.prepare(criterion)?;
        let shown = self.shown_to(criterion);
        let view = |name, group| self.target(shown, self.setting.growth_seed(), name, group);
        pruning::grow(&self.setting.prune, self.params, criterion, plan, counts, &view)
    }

    fn prepare(&self, criterion: &mut dyn Criterion<B>) -> Result<()> {
        if criterion.needs().has(Needs::PROBE) {
            criterion.prepare(&mut RunProbe { setting: self.setting, params: self.params, step: self.step })?;
        }
        Ok(())
    }

    /// The weights before the update go with the gradients: a criterion without use for them looks at the weights now.
    fn shown_to(&self, criterion: &dyn Criterion<B>) -> Option<&Shown<B>> {
        self.shown.filter(|_| criterion.needs().has(Needs::GRADIENTS))
    }

    fn target<'t>(
        &'t self,
        shown: Option<&Shown<B>>,
        seed: Seed,
        name: &'t str,
        group: Option<&'t UnitGroup>,
    ) -> Result<Target<'t, B>> {
        let (weight, grad) = shown.and_then(|shown| shown.get(name)).cloned().unzip();
        Ok(Target { weight, grad, ..Target::new(self.params, name, group, self.step, seed)? })
    }
}
