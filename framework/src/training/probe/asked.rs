//! What a network answers to a question, whoever asks.

use super::difference::{Gradients, derivative};
use crate::autograd::{Kinks, Tape};
use crate::backend::Backend;
use crate::error::{Error, Result};
use crate::network::compressor::Compressor;
use crate::network::forward::{Forward, Needs};
use crate::network::model::{Batch, Model, Output};
use crate::network::params::ParamStore;
use crate::pruning::criterion::{Objective, ProbeMode, Question, fits};
use crate::seed::Seed;
use crate::tensor::Tensor;
use crate::training::Loss;
use std::collections::BTreeMap;

/// How far the weights are moved at most, as a share of their norm, before a smaller step is looked for.
const REACH: f64 = 0.5;

/// The network that is asked.
pub(crate) struct Asked<'a, B: Backend> {
    pub params: &'a ParamStore<B>,
    pub model: &'a dyn Model<B>,
    pub compressor: &'a dyn Compressor<B>,
    pub loss: Loss,
    pub smoothing: f64,
    /// Seeds dropout.
    pub noise: Seed,
}

impl<B: Backend> Asked<'_, B> {
    /// Gradients by parameter name.
    pub fn gradients(&self, batch: &Batch<B>, question: &Question<'_, B>) -> Result<Gradients<B>> {
        question.check(self.params)?;
        self.pass(batch, question, |tape| tape)
    }

    /// The Hessian times a vector, see [`Probe::hessian_vector`](crate::pruning::criterion::Probe::hessian_vector).
    pub fn hessian_vector(
        &self,
        batch: &Batch<B>,
        question: &Question<'_, B>,
        vector: &BTreeMap<String, Tensor<B>>,
    ) -> Result<Gradients<B>> {
        question.check(self.params)?;
        let ray = Ray::new(self.params, question, vector)?;
        let kinks = self.kinks(batch, question)?;
        let Some(reach) = ray.reach() else {
            // Along nothing, nothing changes.
            let zero = |(name, g): (String, Tensor<B>)| Ok((name, Tensor::zeros(g.device(), g.shape())?));
            return self.gradients(batch, question)?.into_iter().map(zero).collect();
        };
        let along = derivative(reach, |step| {
            let moved = ray.at(question.replaced, step)?;
            self.pass(batch, &question.clone().replacing(&moved), |tape| tape.keeping_kinks(kinks.clone()))
        })?;
        along.into_iter().map(|(name, g)| Ok((name, g.scale(ray.length as f32)?))).collect()
    }

    fn forward<'s>(&'s self, question: &Question<'_, B>, tape: impl FnOnce(Tape<B>) -> Tape<B>) -> Forward<'s, B> {
        let cx = match question.mode {
            ProbeMode::Training => Forward::training(self.params, Needs::WEIGHTS, self.noise),
            ProbeMode::Evaluation => Forward::evaluation(self.params).with_gradients(),
        };
        cx.with_compressor(self.compressor).with_replaced(question.replaced).with_tape(tape)
    }

    /// Where the network's kinks lie.
    fn kinks(&self, batch: &Batch<B>, question: &Question<'_, B>) -> Result<Kinks<B>> {
        let mut cx = self.forward(question, Tape::noting_kinks);
        self.model.forward(&mut cx, batch)?;
        cx.tape().take_kinks()
    }

    fn pass(
        &self,
        batch: &Batch<B>,
        question: &Question<'_, B>,
        tape: impl FnOnce(Tape<B>) -> Tape<B>,
    ) -> Result<Gradients<B>> {
        let mut cx = self.forward(question, tape);
        let trained = self.params.iter().filter(|p| !p.spec().buffer);
        let leaves = trained.map(|p| cx.leaf(&p.spec().name)).collect::<Result<Vec<_>>>()?;
        let output = self.model.forward(&mut cx, batch)?;
        let (tape, ..) = cx.finish();
        let (root, seed) = self.root(output, batch, question.objective)?;
        let grads = tape.backward(&root, seed)?;
        Ok(leaves.into_iter().filter_map(|(name, leaf)| Some((name, grads.get(&leaf)?.clone()))).collect())
    }

    /// What is differentiated, and its own gradient.
    fn root(&self, output: Output<B>, batch: &Batch<B>, objective: Objective) -> Result<(Tensor<B>, Tensor<B>)> {
        let ones = |t: &Tensor<B>| Tensor::from_vec(t.device(), vec![1.0; t.count()], t.shape());
        match (output, objective) {
            (Output::Logits(_), Objective::Loss { temperature })
                if temperature != 1.0 && self.loss == Loss::SquaredError =>
            {
                Err(Error::Config(format!(
                    "a probe was asked for a temperature of {temperature}, which divides logits, but under train.loss = \
                     \"squared-error\" outputs are values: set criterion.temperature = 1.0"
                )))
            }
            (Output::Logits(logits), Objective::Loss { temperature }) => {
                let colder = (1.0 / temperature) as f32;
                let found = self.loss.of(&logits.scale(colder)?, batch, self.smoothing, true)?;
                let seed = found.grad.ok_or_else(|| Error::Other("the loss has no gradient".into()))?;
                Ok((logits, seed.scale(colder)?))
            }
            (Output::Loss { loss, .. }, Objective::Loss { temperature: 1.0 }) => Ok((loss.clone(), ones(&loss)?)),
            (Output::Loss { .. }, Objective::Loss { temperature }) => Err(Error::Config(format!(
                "a probe was asked for a temperature of {temperature}, but the model has a loss of its own, without logits \
                 to divide: ask for a temperature of 1"
            ))),
            (Output::Logits(t) | Output::Loss { prediction: t, .. }, Objective::OutputSum) => {
                let seed = ones(&t)?;
                Ok((t, seed))
            }
        }
    }
}

/// The line through the weights along a vector of length one.
struct Ray<B: Backend> {
    /// Parameter, its value, its part of the direction.
    parts: Vec<(String, Tensor<B>, Tensor<B>)>,
    /// Norm of the vector that was given.
    length: f64,
    /// Norm of the parameters that it moves.
    weights: f64,
}

impl<B: Backend> Ray<B> {
    fn new(params: &ParamStore<B>, question: &Question<'_, B>, vector: &BTreeMap<String, Tensor<B>>) -> Result<Self> {
        let (mut parts, mut length, mut weights) = (vec![], 0.0, 0.0);
        for (name, direction) in vector {
            fits("vector's part", params, name, direction)?;
            let param = params.get(name)?;
            if param.spec().buffer {
                return Err(Error::Config(format!(
                    "`{name}` is no parameter but a buffer: nothing is differentiated by it"
                )));
            }
            let (value, direction) = match question.replaced.iter().find(|(replaced, _)| replaced == name) {
                Some((_, value)) => (value.clone(), direction.clone()),
                None => {
                    (param.effective()?, param.mask().map_or(Ok(direction.clone()), |m| direction.mul(m.tensor()))?)
                }
            };
            length += B::norm_squared(&direction)?;
            weights += B::norm_squared(&value)?;
            parts.push((name.clone(), value, direction));
        }
        let (length, weights) = (length.sqrt(), weights.sqrt());
        if !length.is_finite() {
            return Err(Error::Config(format!("the norm of a probe's vector is {length}: it must be finite")));
        }
        if length > 0.0 {
            for (.., direction) in &mut parts {
                *direction = direction.scale((1.0 / length) as f32)?;
            }
        }
        Ok(Self { parts, length, weights })
    }

    /// The largest step to try; none where the vector is zero.
    fn reach(&self) -> Option<f64> {
        let weights = if self.weights > 0.0 { self.weights } else { 1.0 };
        (self.length > 0.0).then_some(REACH * weights)
    }

    /// The replaced parameters, and those of the line at this step.
    fn at(&self, replaced: &[(String, Tensor<B>)], step: f64) -> Result<Vec<(String, Tensor<B>)>> {
        let moved = self
            .parts
            .iter()
            .map(|(name, value, direction)| Ok((name.clone(), value.add(&direction.scale(step as f32)?)?)));
        // A later entry counts.
        replaced.iter().cloned().map(Ok).chain(moved).collect()
    }
}
