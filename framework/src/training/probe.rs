//! Gradients at other weights, inputs or objectives, for criteria that ask for them.

use super::pass::{loss, next_batch};
use super::{Engine, at_least_one};
use crate::backend::Backend;
use crate::data::{Order, SplitName};
use crate::error::{Error, Result};
use crate::network::forward::Forward;
use crate::network::forward::Needs;
use crate::network::model::{Batch, Output};
use crate::network::params::ParamStore;
use crate::pruning::criterion::{Objective, Probe, ProbeInput};
use crate::pruning::schedule::Step;
use crate::tensor::Tensor;
use std::collections::BTreeMap;

/// Answers out of a run under way; changes nothing in it.
pub(super) struct EngineProbe<'e, 'a, B: Backend> {
    engine: &'e Engine<'a, B>,
    step: Step,
}

impl<'e, 'a, B: Backend> EngineProbe<'e, 'a, B> {
    pub fn new(engine: &'e Engine<'a, B>, step: Step) -> Self {
        Self { engine, step }
    }

    fn batch(&self, input: ProbeInput) -> Result<Batch<B>> {
        let (run, step) = (&self.engine.run, self.step.0.to_string());
        match input {
            ProbeInput::Ones => {
                let axes: Vec<usize> = std::iter::once(1).chain(run.data.shape.iter().copied()).collect();
                let ones = vec![1.0; axes.iter().product()];
                Ok(Batch { input: Tensor::from_vec(&run.device, ones, &axes[..])?, classes: vec![0] })
            }
            ProbeInput::Batch(n) => {
                let size = at_least_one(run.train.batch_size);
                let per_epoch = self.engine.length.steps_per_epoch;
                let order = Order::Shuffled { seed: run.seed.derive("probe", &[&step]).0, epoch: n / per_epoch };
                let mut batches = run.data.batches(SplitName::Train, size, order);
                batches.skip((n % per_epoch) as usize);
                next_batch(&run.device, run.data, &mut batches)?
                    .ok_or_else(|| Error::Other("the training split is empty".into()))
            }
        }
    }
}

impl<B: Backend> Probe<B> for EngineProbe<'_, '_, B> {
    fn params(&self) -> &ParamStore<B> {
        &self.engine.params
    }

    fn gradients(
        &mut self,
        input: ProbeInput,
        objective: Objective,
        replaced: &[(String, Tensor<B>)],
    ) -> Result<BTreeMap<String, Tensor<B>>> {
        let (engine, batch) = (self.engine, self.batch(input)?);
        for (name, value) in replaced {
            let shape = engine.params.get(name)?.value().shape();
            if value.shape() != shape {
                return Err(Error::shape(
                    "probe",
                    format!("the replacement of `{name}` is {}, the parameter is {shape}", value.shape()),
                ));
            }
        }
        let noise = engine.run.seed.derive("probe noise", &[&self.step.0.to_string()]);
        let compressor = engine.run.compressor.as_deref();
        let mut cx = Forward::training(&engine.params, Needs::WEIGHTS, noise)
            .with_compressor(compressor)
            .with_replaced(replaced);
        let leaves = engine
            .params
            .iter()
            .filter(|p| !p.spec().buffer)
            .map(|p| cx.leaf(&p.spec().name))
            .collect::<Result<Vec<_>>>()?;
        let output = engine.run.model.forward(&mut cx, &batch)?;
        let (tape, ..) = cx.finish();
        let ones = |t: &Tensor<B>| Tensor::from_vec(&engine.run.device, vec![1.0; t.count()], t.shape());
        let (root, seed) = match (output, objective) {
            (Output::Logits(logits), Objective::Loss) => {
                let found = loss(&engine.run, &logits, &batch.classes, true)?;
                (logits, found.grad.ok_or_else(|| Error::Other("the loss has no gradient".into()))?)
            }
            (Output::Loss { loss, .. }, Objective::Loss) => (loss.clone(), ones(&loss)?),
            (Output::Logits(t) | Output::Loss { prediction: t, .. }, Objective::OutputSum) => (t.clone(), ones(&t)?),
        };
        let grads = tape.backward(&root, seed)?;
        Ok(leaves.into_iter().filter_map(|(name, leaf)| Some((name, grads.get(&leaf)?.clone()))).collect())
    }
}
