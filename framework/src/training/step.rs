//! One training step: forward, backward, observe, update.

use super::Task;
use super::prune_step::Shown;
use super::reporter::{PendingStep, Reporter};
use super::run::Live;
use super::setting::Setting;
use crate::autograd::Grads;
use crate::backend::{Backend, Precision};
use crate::data::{Batches, Dataset};
use crate::error::{Error, Result};
use crate::network::forward::{Forward, Needs, Taps, with_threads_awake};
use crate::network::model::{Batch, Output};
use crate::network::params::{Param, ParamStore};
use crate::pruning::criterion::{Criterion, Observation};
use crate::pruning::schedule::{RunLength, Step};
use crate::seed::Seed;
use crate::tensor::Tensor;

/// What a pass leaves.
pub(crate) struct Pass<B: Backend> {
    /// The loss and, of a classifier, the number of examples classified rightly.
    pub metrics: Tensor<B>,
    pub grads: Grads<B>,
    pub taps: Taps<B>,
    /// Running statistics that the pass moved.
    pub buffers: Vec<(String, Tensor<B>)>,
}

/// The next batch on the device, or `None` at the end of the split.
///
/// # Errors
/// If the device is out of memory.
pub fn next_batch<B: Backend>(device: &B, data: &Dataset, batches: &mut Batches<'_>) -> Result<Option<Batch<B>>> {
    let (mut values, mut classes) = (vec![], vec![]);
    if let Some(examples) = device.examples(batches.values())? {
        let Some(picks) = batches.next_picks(&mut classes) else { return Ok(None) };
        let input = device.draw(&examples, &picks)?;
        return Ok(Some(Batch { input, classes, responses: batches.responses() }));
    }
    let Some(count) = batches.next_into(&mut values, &mut classes) else { return Ok(None) };
    let axes: Vec<usize> = std::iter::once(count).chain(data.shape.iter().copied()).collect();
    let input = Tensor::from_vec(device, values, &axes[..])?;
    Ok(Some(Batch { input, classes, responses: batches.responses() }))
}

impl<B: Backend> Pass<B> {
    /// Forward and backward over a batch, with the loss that trains, products in `precision`; `noise` seeds dropout and
    /// the like.
    pub fn new(
        task: &Task<'_, B>,
        how: (f64, Precision),
        params: &ParamStore<B>,
        batch: &Batch<B>,
        needs: (Needs, Seed),
    ) -> Result<Self> {
        with_threads_awake(params, batch.len(), || Self::run(task, how, params, batch, needs))
    }

    fn run(
        task: &Task<'_, B>,
        (label_smoothing, precision): (f64, Precision),
        params: &ParamStore<B>,
        batch: &Batch<B>,
        (needs, noise): (Needs, Seed),
    ) -> Result<Self> {
        let cx = Forward::training(params, needs, noise).with_compressor(task.compressor);
        let cx = cx.with_precision(precision);
        // Whoever looks at gradients sees those of masked weights as well; everything else multiplies them by the mask.
        let mut cx = cx.over_nonzeros(needs.has(Needs::GRADIENTS));
        let output = task.model.forward(&mut cx, batch)?;
        let buffers = cx.take_buffers();
        let (tape, mut taps, _) = cx.finish();
        taps.conclude(&output, &batch.classes, params.layout());
        let (metrics, root, seed) = match output {
            Output::Logits(logits) => {
                let found = task.loss.of(&logits, batch, label_smoothing, true)?;
                let seed = found.grad.ok_or_else(|| Error::Other("the loss has no gradient".into()))?;
                (found.metrics, logits, seed)
            }
            Output::Loss { loss, .. } => {
                let seed = Tensor::from_vec(params.device(), vec![1.0], loss.shape())?;
                (loss.detach(), loss, seed)
            }
        };
        Ok(Self { metrics, grads: tape.backward(&root, seed)?, taps, buffers })
    }

    /// Adds the criterion's penalty to the gradients; returns its value.
    fn penalise(&mut self, criterion: &mut dyn Criterion<B>, params: &ParamStore<B>) -> Result<Option<f64>> {
        if !criterion.needs().has(Needs::PENALTY) {
            return Ok(None);
        }
        let mut total = 0.0;
        for p in params.iter().filter(|p| !p.spec().buffer) {
            if let Some((value, gradient)) = criterion.penalty(&p.spec().name, p.value())? {
                total += value;
                self.grads.add(p.value(), gradient)?;
            }
        }
        Ok(Some(total))
    }

    /// What gradients are multiplied by so that their norm does not exceed `limit`, and that norm: `[2]`. Weights held
    /// at zero do not move, so their gradients are no part of the step and do not count: a network with masked units is
    /// clipped as the one without them.
    fn clip_scale(&self, limit: Option<f64>, params: &ParamStore<B>) -> Result<Option<Tensor<B>>> {
        let Some(limit) = limit else { return Ok(None) };
        let moving = |p: &Param<B>| params.moving(p, |of| self.grads.get(of)).transpose();
        let grads = params.iter().filter_map(moving).collect::<Result<Vec<_>>>()?;
        Ok(Some(B::clip_scale(&grads.iter().collect::<Vec<_>>(), limit)?))
    }
}

impl<B: Backend> Live<B> {
    /// Forward, backward, observe, update.
    pub fn train_step(
        &mut self,
        setting: &Setting<'_, B>,
        batch: &Batch<B>,
        reporter: &mut Reporter<'_, B>,
    ) -> Result<()> {
        let (step, timeline, examples) = (self.next, &setting.timeline, batch.len());
        if timeline.snapshots.contains(&step) {
            self.snapshots.insert(step, self.params.snapshot());
        }
        let mut needs = Needs::WEIGHTS;
        let mut collecting = vec![];
        for criterion in self.criteria() {
            let collects = timeline.collects(step, criterion.window(), &setting.length);
            needs = if collects { needs | criterion.needs() } else { needs };
            collecting.push(collects);
        }
        let noise = setting.seeds.order.derive("noise", &[&step.0.to_string()]);
        let how = (setting.train.label_smoothing, setting.train.precision);
        let mut pass = Pass::new(&setting.task(), how, &self.params, batch, (needs, noise))?;
        let guides = timeline.position(step).is_some() && self.schedule.watches();
        if guides || looks_at_burden(step, setting.length.steps_per_epoch) {
            self.burden.observe(&self.params, &pass.grads)?;
        }
        let mut penalty = pass.penalise(self.criterion.as_mut(), &self.params)?;
        if let Some(grower) = &mut self.grower {
            let more = pass.penalise(grower.as_mut(), &self.params)?;
            penalty = penalty.into_iter().chain(more).reduce(|a, b| a + b);
        }
        let scale = pass.clip_scale(setting.train.clip_norm, &self.params)?;
        let (of_round, steps) = timeline.in_round(step);
        let lr = setting.train.lr_at(of_round, &RunLength { steps, ..setting.length });
        reporter.step(PendingStep { step, examples, metrics: pass.metrics, clip: scale.clone(), lr, penalty })?;
        let (epoch, params, grads, taps) = (setting.length.epoch(step), &self.params, &pass.grads, &pass.taps);
        let criteria = std::iter::once(&mut self.criterion).chain(&mut self.grower);
        for (criterion, _) in criteria.zip(collecting).filter(|(_, collects)| *collects) {
            criterion.observe(&Observation { step, epoch, examples, params, grads, taps })?;
        }
        let scored = timeline.position(step).is_some() && needs.has(Needs::GRADIENTS);
        self.shown = scored.then(|| Shown::new(&self.params, &pass.grads)).transpose()?;
        self.params.step(setting.train.rule(lr), scale.as_ref(), |value| pass.grads.get(value))?;
        self.params.set_buffers(pass.buffers)?;
        Ok(())
    }

    /// What looks at the run: the criterion, and the one by which weights grow.
    fn criteria(&self) -> impl Iterator<Item = &dyn Criterion<B>> {
        std::iter::once(&self.criterion).chain(&self.grower).map(Box::as_ref)
    }

    /// Shows the criterion the step that comes next, without making it: no update, no statistics moved.
    pub fn look(&mut self, setting: &Setting<'_, B>, batch: &Batch<B>) -> Result<()> {
        let (step, needs) = (self.next, self.criterion.needs());
        let noise = setting.seeds.order.derive("noise", &[&step.0.to_string()]);
        let how = (setting.train.label_smoothing, setting.train.precision);
        let mut pass = Pass::new(&setting.task(), how, &self.params, batch, (needs, noise))?;
        pass.penalise(self.criterion.as_mut(), &self.params)?;
        let (epoch, examples, params) = (setting.length.epoch(step), batch.len(), &self.params);
        let (grads, taps) = (&pass.grads, &pass.taps);
        self.criterion.observe(&Observation { step, epoch, examples, params, grads, taps })?;
        self.shown = needs.has(Needs::GRADIENTS).then(|| Shown::new(&self.params, &pass.grads)).transpose()?;
        Ok(())
    }
}

/// Whether the burden is measured at a step: at a few of every epoch, the last one among them, which is enough for a
/// steady mean at no cost worth naming.
fn looks_at_burden(step: Step, per_epoch: u64) -> bool {
    const LOOKS: u64 = 8;
    let done = step.0 % per_epoch + 1;
    done == per_epoch || done.is_multiple_of(per_epoch.div_ceil(LOOKS))
}
