//! One pruning step: score, plan, apply, and check what came of it.

mod ranking;
mod shown;

use super::reporter::Reporter;
use super::run::Live;
use super::setting::Setting;
use super::step::next_batch;
use crate::backend::{Backend, Weight};
use crate::data::SplitName;
use crate::error::{Error, Result};
use crate::network::forward::Forward;
use crate::network::model::{Batch, Output};
use crate::network::params::ParamStore;
use crate::pruning::criterion::Cut;
use crate::pruning::measure;
use crate::pruning::schedule::{Position, Step};
use crate::pruning::{self, Apply, Census, KeepCount, OnEmptyLayer};
use crate::tensor::Tensor;
use crate::training::event::{EvalAt, Event};
use ranking::Ranking;
pub(super) use shown::Shown;
use std::time::Instant;

/// Examples on which a pruned network is compared with one that has zeros in place of what is gone.
const COMPARED: usize = 16;

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
        let (step, prune) = (self.next, &setting.prune);
        let around = setting.timeline.count() <= setting.train.eval_prunes;
        if around {
            setting.evaluate(&self.params, step, SplitName::Validation, EvalAt::BeforePrune, reporter)?;
            setting.show(&self.params, step, EvalAt::BeforePrune, reporter)?;
        }
        let clock = Instant::now();
        let asked = setting.grow.asked(prune, &self.params, position)?;
        let left = setting.grow.left_before(&asked, setting.grow.fraction_at(after, &setting.length));
        // What an earlier round dropped, and what then grows again, was never gone.
        let whole = (self.grower.is_some() && prune.rounds > 1).then(|| self.params.clone());
        let (before, kept) = (Census::take(prune, &self.params)?, pruning::counts(prune, &self.params)?);
        let mut own_rule = false;
        for round in 1..=prune.rounds {
            let counts = asked.now.towards(&left, round, prune.rounds);
            let last = (round == prune.rounds).then_some((&asked.keep, &whole));
            own_rule = self.prune_once(setting, &counts, last, batch, reporter)?;
        }
        let churn = before.churn(prune, &self.params)?;
        let (pruned, regrown) = churn.values().fold((0, 0), |(p, r), c| (p + c.0, r + c.1));
        self.burden.moved(&churn);
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
        }
        let seconds = clock.elapsed();
        reporter.clock.prune += seconds;
        let (weights_kept, weights_total) = measure::count_params(&self.params);
        let paths = measure::Paths::of(&self.params);
        reporter.event(&Event::Prune {
            step: step.0,
            epoch: setting.length.epoch(step),
            at_start: after.is_none(),
            target: (!own_rule).then_some(asked.target),
            achieved: pruning::sparsity(prune, &self.params)?,
            units: pruning::units_in_use(&self.params),
            kept: pruning::counts(prune, &self.params)?,
            weights_kept,
            weights_total,
            nnz: Some(paths.nnz),
            nnz_effective: Some(paths.nnz_effective),
            units_cut_off: paths.units_cut_off,
            pruned,
            regrown,
            rewound_to: rewound_to.map(|s| s.0),
            seconds: seconds.as_secs_f64(),
        })?;
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
        if around {
            setting.evaluate(&self.params, step, SplitName::Validation, EvalAt::AfterPrune, reporter)?;
            setting.show(&self.params, step, EvalAt::AfterPrune, reporter)?;
        }
        Ok(())
    }

    /// One round: scores, and leaves so many. In the `last` one weights grow up to what is asked, and the network as it
    /// was before all rounds gets the masks, where there were others. Returns whether the criterion decided itself.
    fn prune_once(
        &mut self,
        setting: &Setting<'_, B>,
        counts: &KeepCount,
        last: Option<(&KeepCount, &Option<ParamStore<B>>)>,
        batch: &Batch<B>,
        reporter: &mut Reporter<'_, B>,
    ) -> Result<bool> {
        let Self { next: step, params, criterion, grower, shown, burden, .. } = self;
        let (step, prune) = (*step, &setting.prune);
        let ranking = Ranking { setting, params, shown: shown.as_ref(), step };
        let mut plan = ranking.plan(criterion.as_mut(), counts)?;
        if let (Some(grower), Some((counts, whole))) = (grower, last) {
            ranking.grow(grower.as_mut(), &mut plan, counts)?;
            if let Some(whole) = whole {
                *params = whole.clone();
            }
        }
        let own_rule = plan.answers.decisions;
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
        let (shrinks, units) = (prune.apply == Apply::Shrink, plan.units());
        let masked = prune.apply == Apply::Mask && prune.regrow && !units.is_empty();
        let before = (shrinks || masked).then(|| masked_output(setting, params, &units, batch)).transpose()?;
        let layout = shrinks.then(|| params.layout().clone());
        pruning::apply(prune, params, &plan, setting.model.as_ref(), &setting.input, step)?;
        if let Some((few, expected)) = before {
            same_output(&expected, &output(setting, params, &few)?, step)?;
        }
        let Some(layout) = layout else {
            shown.as_mut().map_or(Ok(()), |shown| shown.follow_masks(params))?;
            return Ok(own_rule);
        };
        shown.as_mut().map_or(Ok(()), |shown| shown.follow_cut(&layout, &units))?;
        burden.shrink(&layout, &units);
        for (name, keep) in &units {
            let kept: Vec<usize> = (0..keep.len()).filter(|&unit| keep[unit]).collect();
            if let Some(group) = layout.group(name).filter(|_| kept.len() < keep.len()) {
                criterion.cut(&Cut { group, kept: &kept })?;
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

/// The output of the network in which the units that go are zero on both sides, on a few examples.
fn masked_output<B: Backend>(
    setting: &Setting<'_, B>,
    params: &ParamStore<B>,
    units: &[(String, Vec<bool>)],
    batch: &Batch<B>,
) -> Result<(Batch<B>, Vec<f32>)> {
    let few = batch.first(COMPARED)?;
    let mut masked = params.holding();
    masked.set_alive(units.to_vec())?;
    let output = output(setting, &masked, &few)?;
    Ok((few, output))
}

fn output<B: Backend>(setting: &Setting<'_, B>, params: &ParamStore<B>, batch: &Batch<B>) -> Result<Vec<f32>> {
    let mut cx = Forward::evaluation(params).with_compressor(setting.compressor.as_ref());
    let (Output::Logits(t) | Output::Loss { prediction: t, .. }) = setting.model.forward(&mut cx, batch)?;
    Ok(t.to_vec())
}

/// What must hold after every pruning step.
fn check<B: Backend>(params: &ParamStore<B>, step: Step) -> Result<()> {
    for p in params.iter() {
        let name = &p.spec().name;
        let fail = |message: String| Err(Error::Invariant { step: step.0, layer: name.clone(), message });
        if let Some(state) = p.state().iter().find(|s| s.shape() != p.value().shape()) {
            return fail(format!("optimizer state is {}, the parameter is {}", state.shape(), p.value().shape()));
        }
        let Some(mask) = p.mask() else { continue };
        // What a layer really gets: with held masks the value itself, which must be zero already.
        let Weight { value, mask: applied } = params.weight(name)?;
        // Units that keep learning are kept out on one side alone; the outputs were compared.
        if params.units_learn() {
            continue;
        }
        let entering = applied.map_or(Ok(value.clone()), |applied| value.mul(&applied))?;
        let pruned: Tensor<B> = entering.sub(&entering.mul(mask.tensor())?)?;
        if B::norm_squared(&pruned)? == 0.0 {
            continue;
        }
        let (at, weight) = pruned.host().iter().copied().enumerate().find(|(_, w)| *w != 0.0).unwrap_or_default();
        return fail(format!("weight {at} is masked but enters the forward pass as {weight}"));
    }
    Ok(())
}

fn same_output(expected: &[f32], found: &[f32], step: Step) -> Result<()> {
    let scale = expected.iter().fold(1.0f32, |m, x| m.max(x.abs()));
    let worst = expected.iter().zip(found).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    // Sums run over fewer terms after a removal, so the last bits differ.
    if expected.len() == found.len() && worst <= 1e-4 * scale {
        return Ok(());
    }
    let message = format!(
        "the output of the pruned network differs by {worst} from that of one with zeros in place of the units that are \
         gone (largest value {scale}): the model's unit groups do not list all that reads them"
    );
    Err(Error::Invariant { step: step.0, layer: "the output".into(), message })
}
