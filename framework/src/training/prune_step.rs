//! One pruning step: score, plan, apply, and check what came of it.

use super::Engine;
use super::probe::EngineProbe;
use crate::backend::Backend;
use crate::data::SplitName;
use crate::error::{Error, Result};
use crate::network::forward::Forward;
use crate::network::forward::Needs;
use crate::network::model::{Batch, Output};
use crate::network::params::ParamStore;
use crate::pruning::criterion::Target;
use crate::pruning::schedule::{Amount, Step};
use crate::pruning::{self, Apply, Plan, Pruned};
use crate::tensor::Tensor;
use crate::training::event::{EvalAt, Event};
use std::time::Instant;

/// Examples on which a shrunk network is compared with the masked one.
const COMPARED: usize = 16;

impl<B: Backend> Engine<'_, B> {
    pub(super) fn prune_step(
        &mut self,
        step: Step,
        amount: Amount,
        batch: &Batch<B>,
        observer: &mut dyn super::Observer,
    ) -> Result<()> {
        let around = self.timeline.prunes.len() <= self.run.train.eval_prunes;
        if around {
            self.evaluate(step, SplitName::Validation, EvalAt::BeforePrune, observer)?;
            self.show(step, EvalAt::BeforePrune, observer)?;
        }
        let clock = Instant::now();
        let mut pruned: Option<Pruned> = None;
        for amount in self.rounds(amount)? {
            let next = self.prune_once(step, amount, batch)?;
            pruned = Some(match pruned {
                None => next,
                Some(first) => {
                    Pruned { left: first.left + next.left, returned: first.returned + next.returned, ..next }
                }
            });
        }
        let Some(pruned) = pruned else { return Ok(()) };
        let rewound_to = self.timeline.rewind(step);
        if let Some(to) = rewound_to {
            self.rewind(to)?;
        } else if self.run.train.fresh_optimizer {
            self.params.forget_optimizer();
        }
        self.run.criterion.reset();
        self.check(step)?;
        let seconds = clock.elapsed();
        self.clock.prune += seconds;
        let (weights_kept, weights_total) = crate::pruning::measure::count_params(&self.params);
        observer.event(&Event::Prune {
            step: step.0,
            epoch: self.length.epoch(step),
            target: pruned.target,
            achieved: pruned.achieved,
            units: pruning::units_in_use(&self.params),
            kept: pruning::counts(&self.run.prune, &self.params)?,
            weights_kept,
            weights_total,
            left: pruned.left,
            returned: pruned.returned,
            rewound_to: rewound_to.map(|s| s.0),
            seconds: seconds.as_secs_f64(),
        })?;
        if around {
            self.evaluate(step, SplitName::Validation, EvalAt::AfterPrune, observer)?;
            self.show(step, EvalAt::AfterPrune, observer)?;
        }
        Ok(())
    }

    /// The amounts of the rounds of one pruning step: densities fall geometrically to the target (SynFlow, Tanaka et al. 2020).
    fn rounds(&self, amount: Amount) -> Result<Vec<Amount>> {
        let n = self.run.prune.rounds;
        let now = 1.0 - pruning::sparsity(&self.run.prune, &self.params)?;
        Ok((1..=n)
            .map(|i| match amount {
                _ if i == n && n == 1 => amount,
                Amount::Sparsity(s) => {
                    Amount::Sparsity(1.0 - now * ((1.0 - s) / now).powf(f64::from(i) / f64::from(n)))
                }
                Amount::OfRemaining(f) => Amount::OfRemaining(1.0 - (1.0 - f).powf(1.0 / f64::from(n))),
            })
            .collect())
    }

    fn prune_once(&mut self, step: Step, amount: Amount, batch: &Batch<B>) -> Result<Pruned> {
        let criterion = self.run.criterion.needs();
        if criterion.has(Needs::PROBE) {
            self.with_criterion(|engine, criterion| criterion.prepare(&mut EngineProbe::new(engine, step)))?;
        }
        let end = self.timeline.final_sparsity();
        let nth = self.timeline.prunes.partition_point(|(at, _)| *at < step);
        let plan = self.with_criterion(|engine, criterion| {
            let view = |name, group| {
                Ok(Target {
                    param: engine.params.get(name)?,
                    params: &engine.params,
                    group,
                    grads: engine.last_grads.as_ref(),
                    step,
                    seed: engine.run.seed.derive("criterion", &[]),
                    reduce: engine.run.prune.reduce,
                })
            };
            pruning::plan(&engine.run.prune, &engine.params, criterion, amount, end, nth, &view)
        })?;
        let before = (self.run.prune.apply == Apply::Shrink).then(|| self.masked_output(&plan, batch)).transpose()?;
        let pruned =
            pruning::apply(&self.run.prune, &mut self.params, &plan, self.run.model.as_ref(), &self.input, step)?;
        self.burden.moved(&pruned.churn);
        if let Some((few, expected)) = before {
            let found = self.output(&self.params, &few)?;
            same_output(&expected, &found, step)?;
        }
        Ok(pruned)
    }

    /// The output of the network with the plan's units masked, on a few examples.
    fn masked_output(&self, plan: &Plan<B>, batch: &Batch<B>) -> Result<(Batch<B>, Vec<f32>)> {
        let few = batch.first(COMPARED)?;
        let mut masked = self.params.clone();
        masked.set_alive(plan.units())?;
        let output = self.output(&masked, &few)?;
        Ok((few, output))
    }

    fn output(&self, params: &ParamStore<B>, batch: &Batch<B>) -> Result<Vec<f32>> {
        let mut cx = Forward::evaluation(params).with_compressor(self.run.compressor.as_deref());
        let (Output::Logits(t) | Output::Loss { prediction: t, .. }) = self.run.model.forward(&mut cx, batch)?;
        Ok(t.to_vec())
    }

    /// Brings back the weights of an earlier step under today's masks; the optimizer starts anew.
    fn rewind(&mut self, to: Step) -> Result<()> {
        let snapshot =
            self.snapshots.get(&to).ok_or_else(|| Error::Other(format!("no weights were kept of step {}", to.0)))?;
        self.params.rewind(snapshot)
    }

    /// What must hold after every pruning step.
    fn check(&self, step: Step) -> Result<()> {
        for p in self.params.iter() {
            let name = &p.spec().name;
            let fail = |message: String| Err(Error::Invariant { step: step.0, layer: name.clone(), message });
            if let Some(state) = p.state().iter().find(|s| s.shape() != p.value().shape()) {
                return fail(format!("optimizer state is {}, the parameter is {}", state.shape(), p.value().shape()));
            }
            let Some(mask) = p.mask() else { continue };
            // What a layer really gets: with held masks the value itself, which must be zero already.
            let crate::backend::Weight { value, mask: applied } = self.params.weight(name)?;
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
}

fn same_output(expected: &[f32], found: &[f32], step: Step) -> Result<()> {
    let scale = expected.iter().fold(1.0f32, |m, x| m.max(x.abs()));
    let worst = expected.iter().zip(found).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    // Sums run over fewer terms after a removal, so the last bits differ.
    if expected.len() == found.len() && worst <= 1e-4 * scale {
        return Ok(());
    }
    let message = format!(
        "the output of the smaller network differs by {worst} from that of the masked one (largest value {scale})"
    );
    Err(Error::Invariant { step: step.0, layer: "the output".into(), message })
}
