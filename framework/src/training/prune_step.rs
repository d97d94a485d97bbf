//! One pruning step: score, plan, apply, and check what came of it.

use super::probe::RunProbe;
use super::reporter::Reporter;
use super::run::Live;
use super::setting::Setting;
use crate::backend::Backend;
use crate::data::SplitName;
use crate::error::{Error, Result};
use crate::network::forward::{Forward, Needs};
use crate::network::model::{Batch, Output};
use crate::network::params::ParamStore;
use crate::pruning::criterion::Target;
use crate::pruning::measure;
use crate::pruning::schedule::{Amount, Position, Step};
use crate::pruning::{self, Apply, Plan, Pruned};
use crate::tensor::Tensor;
use crate::training::event::{EvalAt, Event};
use std::time::Instant;

/// Examples on which a shrunk network is compared with the masked one.
const COMPARED: usize = 16;

impl<B: Backend> Live<B> {
    pub fn prune_step(
        &mut self,
        setting: &Setting<'_, B>,
        position: Position,
        batch: &Batch<B>,
        reporter: &mut Reporter<'_, B>,
    ) -> Result<()> {
        let step = self.next;
        let around = setting.timeline.prunes.len() <= setting.train.eval_prunes;
        if around {
            setting.evaluate(&self.params, step, SplitName::Validation, EvalAt::BeforePrune, reporter)?;
            setting.show(&self.params, step, EvalAt::BeforePrune, reporter)?;
        }
        let clock = Instant::now();
        let mut done: Option<Pruned> = None;
        for amount in self.rounds(setting, position.amount)? {
            let next = self.prune_once(setting, Position { amount, ..position }, batch)?;
            let (pruned, regrown) = done.map_or((0, 0), |before| (before.pruned, before.regrown));
            done = Some(Pruned { pruned: pruned + next.pruned, regrown: regrown + next.regrown, ..next });
        }
        let Some(done) = done else { return Ok(()) };
        let rewound_to = setting.timeline.rewind(step);
        if let Some(to) = rewound_to {
            self.rewind(to)?;
        } else if setting.train.fresh_optimizer {
            self.params.forget_optimizer();
        }
        self.criterion.reset()?;
        check(&self.params, step)?;
        let seconds = clock.elapsed();
        reporter.clock.prune += seconds;
        let (weights_kept, weights_total) = measure::count_params(&self.params);
        let paths = measure::Paths::of(&self.params);
        reporter.event(&Event::Prune {
            step: step.0,
            epoch: setting.length.epoch(step),
            target: done.target,
            achieved: done.achieved,
            units: pruning::units_in_use(&self.params),
            kept: pruning::counts(&setting.prune, &self.params)?,
            weights_kept,
            weights_total,
            nnz: Some(paths.nnz),
            nnz_effective: Some(paths.nnz_effective),
            units_cut_off: paths.units_cut_off,
            pruned: done.pruned,
            regrown: done.regrown,
            rewound_to: rewound_to.map(|s| s.0),
            seconds: seconds.as_secs_f64(),
        })?;
        if around {
            setting.evaluate(&self.params, step, SplitName::Validation, EvalAt::AfterPrune, reporter)?;
            setting.show(&self.params, step, EvalAt::AfterPrune, reporter)?;
        }
        Ok(())
    }

    /// The amounts of the rounds of one pruning step: densities fall geometrically to the target (SynFlow, Tanaka et
    /// al. 2020).
    fn rounds(&self, setting: &Setting<'_, B>, amount: Amount) -> Result<Vec<Amount>> {
        let n = setting.prune.rounds;
        let now = 1.0 - pruning::sparsity(&setting.prune, &self.params)?;
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

    fn prune_once(&mut self, setting: &Setting<'_, B>, position: Position, batch: &Batch<B>) -> Result<Pruned> {
        let Self { next: step, params, criterion, last_grads, burden, .. } = self;
        let (step, seed) = (*step, setting.seed.derive("criterion", &[]));
        if criterion.needs().has(Needs::PROBE) {
            criterion.prepare(&mut RunProbe { setting, params, step })?;
        }
        let view = |name, group| {
            let (param, grads) = (params.get(name)?, last_grads.as_ref());
            Ok(Target { param, params, group, grads, step, seed, reduce: setting.prune.reduce })
        };
        let plan = pruning::plan(&setting.prune, params, criterion.as_mut(), position, &view)?;
        let shrinks = setting.prune.apply == Apply::Shrink;
        let before = shrinks.then(|| masked_output(setting, params, &plan, batch)).transpose()?;
        if shrinks {
            burden.shrink(params.layout(), &plan.units());
        }
        let pruned = pruning::apply(&setting.prune, params, &plan, setting.model.as_ref(), &setting.input, step)?;
        burden.moved(&pruned.churn);
        if let Some((few, expected)) = before {
            same_output(&expected, &output(setting, params, &few)?, step)?;
        }
        Ok(pruned)
    }

    /// Brings back the weights of an earlier step under today's masks; the optimizer starts anew.
    fn rewind(&mut self, to: Step) -> Result<()> {
        let snapshot =
            self.snapshots.get(&to).ok_or_else(|| Error::Other(format!("no weights were kept of step {}", to.0)))?;
        self.params.rewind(snapshot)
    }
}

/// The output of the network with the plan's units masked, on a few examples.
fn masked_output<B: Backend>(
    setting: &Setting<'_, B>,
    params: &ParamStore<B>,
    plan: &Plan<B>,
    batch: &Batch<B>,
) -> Result<(Batch<B>, Vec<f32>)> {
    let few = batch.first(COMPARED)?;
    let mut masked = params.clone();
    masked.set_alive(plan.units())?;
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
        let crate::backend::Weight { value, mask: applied } = params.weight(name)?;
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
        "the output of the smaller network differs by {worst} from that of the masked one (largest value {scale})"
    );
    Err(Error::Invariant { step: step.0, layer: "the output".into(), message })
}
