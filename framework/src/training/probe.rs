//! Gradients at other weights, inputs or objectives, for criteria that ask for them.

use super::setting::{Setting, at_least_one};
use super::step::next_batch;
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
pub(super) struct RunProbe<'e, 'a, B: Backend> {
    pub setting: &'e Setting<'a, B>,
    pub params: &'e ParamStore<B>,
    pub step: Step,
}

impl<B: Backend> RunProbe<'_, '_, B> {
    fn batch(&self, input: ProbeInput) -> Result<Batch<B>> {
        let (setting, step) = (self.setting, self.step.0.to_string());
        match input {
            ProbeInput::Ones => {
                let axes: Vec<usize> = std::iter::once(1).chain(setting.data.shape.iter().copied()).collect();
                let ones = vec![1.0; axes.iter().product()];
                Ok(Batch { input: Tensor::from_vec(&setting.device, ones, &axes[..])?, classes: vec![0] })
            }
            ProbeInput::Batch(n) => {
                let size = at_least_one(setting.train.batch_size);
                let per_epoch = setting.length.steps_per_epoch;
                let order = Order::Shuffled { seed: setting.seed.derive("probe", &[&step]).0, epoch: n / per_epoch };
                let mut batches = setting.data.batches(SplitName::Train, size, order);
                batches.skip((n % per_epoch) as usize);
                next_batch(&setting.device, setting.data, &mut batches)?
                    .ok_or_else(|| Error::Other("the training split is empty".into()))
            }
        }
    }
}

impl<B: Backend> Probe<B> for RunProbe<'_, '_, B> {
    fn params(&self) -> &ParamStore<B> {
        self.params
    }

    fn gradients(
        &mut self,
        input: ProbeInput,
        objective: Objective,
        replaced: &[(String, Tensor<B>)],
    ) -> Result<BTreeMap<String, Tensor<B>>> {
        let (setting, params, batch) = (self.setting, self.params, self.batch(input)?);
        for (name, value) in replaced {
            let shape = params.get(name)?.value().shape();
            if value.shape() != shape {
                return Err(Error::shape(
                    "probe",
                    format!("the replacement of `{name}` is {}, the parameter is {shape}", value.shape()),
                ));
            }
        }
        let noise = setting.seed.derive("probe noise", &[&self.step.0.to_string()]);
        let mut cx = Forward::training(params, Needs::WEIGHTS, noise)
            .with_compressor(setting.compressor.as_ref())
            .with_replaced(replaced);
        let leaves =
            params.iter().filter(|p| !p.spec().buffer).map(|p| cx.leaf(&p.spec().name)).collect::<Result<Vec<_>>>()?;
        let output = setting.model.forward(&mut cx, &batch)?;
        let (tape, ..) = cx.finish();
        let ones = |t: &Tensor<B>| Tensor::from_vec(&setting.device, vec![1.0; t.count()], t.shape());
        let (root, seed) = match (output, objective) {
            (Output::Logits(logits), Objective::Loss) => {
                let found = setting.train.loss.of(&logits, &batch.classes, setting.train.label_smoothing, true)?;
                (logits, found.grad.ok_or_else(|| Error::Other("the loss has no gradient".into()))?)
            }
            (Output::Loss { loss, .. }, Objective::Loss) => (loss.clone(), ones(&loss)?),
            (Output::Logits(t) | Output::Loss { prediction: t, .. }, Objective::OutputSum) => (t.clone(), ones(&t)?),
        };
        let grads = tape.backward(&root, seed)?;
        Ok(leaves.into_iter().filter_map(|(name, leaf)| Some((name, grads.get(&leaf)?.clone()))).collect())
    }
}
