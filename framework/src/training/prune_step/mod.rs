//! One pruning step: score, plan, apply, and check what came of it.

mod checks;
mod cost;
mod disconnected;
mod multiples;
mod ranking;
mod returning;
mod shown;

use super::reporter::Reporter;
use super::run::Live;
use super::setting::Setting;
use super::step::next_batch;
use crate::backend::Backend;
use crate::data::SplitName;
use crate::error::{Error, Result};
use crate::network::model::Batch;
use crate::network::params::{Param, ParamStore};
use crate::pruning::criterion::{Cut, Refit};
use crate::pruning::measure;
use crate::pruning::schedule::{Amount, Measured, Position, Step};
use crate::pruning::{self, Apply, Census, Goal, KeepCount, OnEmptyLayer};
use crate::training::KeptWeights;
use crate::training::event::{EvalAt, Event};
use checks::{check, masked_output, output, same_output};
use ranking::Ranking;
pub(super) use shown::Shown;
use std::time::Instant;

impl<B: Backend> Live<B> {
    /// Prunes before the first update, where the schedule says so. The criterion sees the first training batch, and
    /// nothing is updated. `grow.start` may stand in its place.
    pub fn prune_at_start(&mut self, setting: &Setting<'_, B>, reporter: &mut Reporter<'_, B>) -> Result<()> {
        let Some(position) = setting.timeline.start else { return Ok(()) };
        let step = self.next;
        let mut batches = setting.batches_from(step);
        let batch = next_batch(&setting.device, setting.data, &mut batches)?
            .ok_or_else(|| Error::Other("the training split is empty".into()))?;
        let later = self.first.take().map(|first| std::mem::replace(&mut self.criterion, first));
        self.look(setting, &batch)?;
        self.prune_step(setting, position, None, &batch, reporter)?;
        if let Some(later) = later {
            self.criterion = later;
        }
        Ok(())
    }

    /// Prunes after the step `after`, or before the first one.
    pub fn prune_step(
        &mut self,
        setting: &Setting<'_, B>,
        position: Position,
        after: Option<Step>,
        batch: &Batch<B>,
        reporter: &mut Reporter<'_, B>,
    ) -> Result<()> {
        let (step, prune, plan) = (self.next, &setting.prune, position);
        let around = setting.measures_prunes();
        let (mut validation_loss, mut measured, mut accuracy) = (None, None, None);
        if around {
            let at = EvalAt::BeforePrune;
            let found = setting.evaluate(&self.params, step, SplitName::Validation, at, reporter)?;
            // Without a validation split the test split is measured, which no schedule may go by.
            validation_loss = (!setting.data.validation.is_empty()).then_some(found.loss);
            (measured, accuracy) = (self.before_prune(setting, found)?, found.accuracy);
            setting.show(&self.params, step, EvalAt::BeforePrune, reporter)?;
        }
        let clock = Instant::now();
        let asking = |params: &ParamStore<B>, position| {
            if prune.has_cost() {
                return pruning::asked_at_cost(prune, params, position, &|kept| setting.cost(kept));
            }
            setting.grow.asked(prune, params, position)
        };
        let watches = after.is_some() && self.schedule.watches();
        let planned = watches.then(|| asking(&self.params, plan)).transpose()?.map(|asked| asked.target);
        let position = if watches { self.adjusted(setting, plan, validation_loss)? } else { plan };
        let asked = asking(&self.params, position)?;
        let dropping = setting.grow.before_growth(&asked, setting.grow.fraction_at(after, &setting.length));
        // What an earlier round dropped, and what then grows again, was never gone.
        let rounds = prune.rounds_in_step();
        let whole = (self.grower.is_some() && rounds > 1).then(|| self.params.clone());
        let (before, kept) = (Census::take(prune, &self.params)?, pruning::counts(prune, &self.params)?);
        let due = measure::Histogram::is_due(position.nth, setting.timeline.count());
        let weights = due.then(|| measure::Histogram::before(&self.params)).flatten();
        let mut own_rule = false;
        for round in 1..=rounds {
            let last = (round == rounds).then_some((&asked.keep, &whole));
            own_rule = self.prune_once(setting, &dropping.round(round, rounds), last, batch, reporter)?;
        }
        let churn = before.churn(prune, &self.params)?;
        let (pruned, regrown) = churn.values().fold((0, 0), |(p, r), c| (p + c.0, r + c.1));
        before.returned(prune, &self.params, &churn, &mut self.burden.returned)?;
        self.burden.moved(&churn);
        self.burden.forget_recent();
        let rewound_to = after.and_then(|step| setting.timeline.rewind(step));
        if let Some(to) = rewound_to {
            self.rewind(to)?;
        } else if setting.train.fresh_optimizer {
            self.params.forget_optimizer();
        }
        self.criterion.reset()?;
        self.grower.as_mut().map_or(Ok(()), |grower| grower.reset())?;
        self.shown = None;
        check(&self.params, step)?;
        if !own_rule {
            asked.verify(prune, &self.params, step)?;
            asked.verify_cost(prune, &self.params, step, &|kept| setting.cost(kept))?;
        }
        self.asked = (!own_rule).then_some(asked.target);
        let seconds = clock.elapsed();
        reporter.clock.prune += seconds;
        let (weights_kept, weights_total) = measure::count_params(&self.params);
        let paths = measure::Paths::of(&self.params);
        reporter.event(&Event::Prune {
            step: step.0,
            epoch: setting.length.nth_epoch(step),
            at_start: after.is_none(),
            target: (!own_rule).then_some(asked.target),
            planned: planned.filter(|_| !own_rule),
            achieved: setting.gone(&self.params)?,
            of: Some(prune.counted()),
            units: pruning::units_in_use(&self.params),
            kept: pruning::counts(prune, &self.params)?,
            weights_kept,
            weights_total,
            nnz: Some(paths.nnz),
            nnz_effective: Some(paths.nnz_effective),
            units_cut_off: paths.units_cut_off,
            pruned,
            regrown,
            sparse_layers: self.params.sparse_layers(),
            rewound_to: rewound_to.map(|s| s.0),
            weights: weights.map(|weights| weights.after(&self.params)),
            scores: self.burden.scores.clone(),
            seconds: seconds.as_secs_f64(),
        })?;
        let prunable = self.params.iter().filter(|p| p.spec().prunable);
        reporter.pruned(position.nth, &mut prunable.filter_map(kept_weights))?;
        let last = after.is_some() && after == setting.timeline.prunes.last().map(|prune| prune.0);
        if let Some(most) = planned.filter(|most| last && !own_rule && asked.target < *most) {
            let text = format!(
                "The schedule goes by what is measured: at its last pruning step it asked for a sparsity of {:.4}, and \
                 had planned up to {most:.4}.",
                asked.target
            );
            reporter.note(step, ["schedule.name"], text)?;
        }
        for (name, now) in pruning::counts(prune, &self.params)? {
            if now == 0 && kept.get(&name).is_some_and(|before| *before > 0) {
                let text = format!(
                    "No weight of {name} is left after {}: nothing passes through it, unless around it; \
                     prune.on_empty_layer = \"keep-one\" keeps its best, \"stop\" ends the run.",
                    after.map_or("the pruning before the first step".into(), |step| format!("step {}", step.0))
                );
                reporter.note(step, ["prune.on_empty_layer"], text)?;
            }
        }
        if position.nth == 0 && !own_rule && !prune.regrow && setting.forecast.idle > 0 {
            let (idle, all) = (setting.forecast.idle, setting.timeline.count());
            let said = format!("{idle} of the {all} pruning steps ask for what is pruned by then, and do nothing: ");
            if setting.grow.is_on() {
                let text = format!("{said}they come when no weights grow any more, after grow.until.");
                reporter.note(step, ["grow.until", "schedule.name"], text)?;
            } else {
                let text = "masks that are renewed at one sparsity change only with prune.regrow = true, or where \
                            weights grow (grow.fraction).";
                reporter.note(step, ["prune.regrow", "schedule.name"], said + text)?;
            }
        }
        if position.nth + 1 == setting.timeline.count() && !own_rule {
            self.multiple_note(setting, &asked, reporter)?;
        }
        if around {
            let found = setting.evaluate(&self.params, step, SplitName::Validation, EvalAt::AfterPrune, reporter)?;
            match accuracy.zip(found.accuracy).filter(|_| pruned + regrown > 0) {
                _ if rewound_to.is_some() => self.burden.recovering.rewound(),
                Some((before, after)) => self.burden.recovering.pruned(before, after),
                None => {}
            }
            // Weights that are brought back from an earlier step say nothing of what the pruning cost.
            if let Some(before) = measured.filter(|_| rewound_to.is_none()) {
                self.note_cost(setting, &before, &found)?;
            }
            setting.show(&self.params, step, EvalAt::AfterPrune, reporter)?;
        }
        Ok(())
    }

    /// What the schedule asks for at a pruning step, given what was measured: its plan or less.
    fn adjusted(&mut self, setting: &Setting<'_, B>, plan: Position, validation_loss: Option<f64>) -> Result<Position> {
        let (step, burden) = (self.next, self.burden.recent(&self.params));
        let sparsity = setting.gone(&self.params)?;
        let seen = Measured { step, run: setting.length, sparsity, burden: &burden, validation_loss };
        let amount = self.schedule.adjust(plan.amount, &seen).map_err(|error| error.under("schedule"))?;
        let alike = matches!(
            (amount, plan.amount),
            (Amount::Sparsity(_), Amount::Sparsity(_)) | (Amount::OfRemaining(_), Amount::OfRemaining(_))
        );
        if alike && (0.0..=plan.amount.fraction()).contains(&amount.fraction()) {
            return Ok(Position { amount, ..plan });
        }
        Err(Error::Other(format!(
            "after step {} the schedule asks for {amount:?}, but had planned {:?}: what is measured may only lower it",
            step.0, plan.amount
        )))
    }

    /// One round: scores, and leaves so many; in the last one weights grow up to what is asked, and the network as it was
    /// before all rounds gets the masks, where that is another. Returns whether the criterion decided itself.
    fn prune_once(
        &mut self,
        setting: &Setting<'_, B>,
        goal: &Goal,
        last: Option<(&KeepCount, &Option<ParamStore<B>>)>,
        batch: &Batch<B>,
        reporter: &mut Reporter<'_, B>,
    ) -> Result<bool> {
        let Self { next: step, params, criterion, grower, shown, burden, .. } = self;
        let (step, prune) = (*step, &setting.prune);
        let ranking = Ranking { setting, params, shown: shown.as_ref(), step };
        let mut plan = ranking.plan(criterion.as_mut(), goal)?;
        if let (Some(grower), Some((counts, whole))) = (grower, last) {
            ranking.grow(grower.as_mut(), &mut plan, counts)?;
            if let Some(whole) = whole {
                *params = whole.clone();
            }
        }
        let own_rule = plan.answers.decisions;
        burden.scores.clone_from(&plan.scores);
        for note in setting.idle_beside(plan.answers) {
            reporter.note(step, note.keys, note.text)?;
        }
        if prune.on_empty_layer == OnEmptyLayer::Stop
            && let Some(layer) = plan.emptied()?.first()
        {
            return Err(Error::Other(format!(
                "the pruning at step {} would leave no weight of {layer}, and prune.on_empty_layer = \"stop\": prune \
                 less, share it otherwise (prune.scope), or set \"warn\" or \"keep-one\"",
                step.0
            )));
        }
        let refitted = criterion.refit(&Refit { params, keep: &plan.keep })?;
        params.refit(refitted)?;
        let (shrinks, units) = (prune.apply == Apply::Shrink, plan.units());
        let masked = prune.apply == Apply::Mask && prune.regrow && !units.is_empty();
        let before = (shrinks || masked).then(|| masked_output(setting, params, &units, batch)).transpose()?;
        let layout = shrinks.then(|| params.layout().clone());
        pruning::apply(prune, params, &plan, setting.model.as_ref(), &setting.input, step)?;
        if let Some((few, expected)) = before {
            same_output(&expected, &output(setting, params, &few)?, step)?;
        }
        let Some(mut layout) = layout else {
            shown.as_mut().map_or(Ok(()), |shown| shown.follow_masks(params))?;
            return Ok(own_rule);
        };
        shown.as_mut().map_or(Ok(()), |shown| shown.follow_cut(&layout, &units))?;
        burden.shrink(&layout, &units);
        let mut sizes = layout.sizes();
        for (name, keep) in &units {
            let kept: Vec<usize> = (0..keep.len()).filter(|&unit| keep[unit]).collect();
            if let Some(group) = layout.group(name).filter(|_| kept.len() < keep.len()) {
                criterion.cut(&Cut { layout: &layout, group, kept: &kept })?;
                // Groups can share an axis (heads, and the dimensions of each): the next one finds it without these.
                sizes.0.insert(name.clone(), kept.len());
                layout = setting.model.layout(&setting.input, &sizes)?;
            }
        }
        Ok(own_rule)
    }

    /// Brings back the weights of an earlier step under today's masks; the optimizer starts anew.
    fn rewind(&mut self, to: Step) -> Result<()> {
        let snapshot =
            self.snapshots.get(&to).ok_or_else(|| Error::Other(format!("no weights were kept of step {}", to.0)))?;
        self.params.rewind(snapshot)
    }
}

/// What is kept of a parameter that has a mask.
fn kept_weights<B: Backend>(p: &Param<B>) -> Option<KeptWeights<'_>> {
    Some(KeptWeights { name: &p.spec().name, shape: p.value().shape(), keep: p.mask()?.keep() })
}
