//! What the engine shows a criterion.

use super::MakeCriterion;
use crate::autograd::Grads;
use crate::backend::Backend;
use crate::error::{Error, Result};
use crate::network::forward::{Needs, Taps, Trace};
use crate::network::layout::{Layout, Member, UnitGroup};
use crate::network::params::{Masking, Param, ParamStore};
use crate::pruning::KeepMask;
use crate::pruning::schedule::Step;
use crate::seed::Seed;
use crate::tensor::Tensor;
use std::borrow::Cow;

/// What is known before the first step.
pub struct Setup<'a, B: Backend> {
    /// Parameters and groups of the dense network; of the network as it is, in the second call of a run that goes on from
    /// another's checkpoint.
    pub layout: &'a Layout,
    /// The run's seed for this plugin.
    pub seed: Seed,
    /// Makes the criterion that another one wraps.
    pub make_criterion: &'a MakeCriterion<'a, B>,
}

/// A group that lost units for good.
#[derive(Debug, Clone, Copy)]
pub struct Cut<'a> {
    /// The network as it was before; what the same pruning step cut out of other groups earlier is gone already.
    pub layout: &'a Layout,
    /// The group as it was before.
    pub group: &'a UnitGroup,
    /// Which of its units stay, by their index before, in order.
    pub kept: &'a [usize],
}

impl Cut<'_> {
    /// Which indices along the axis of `member` stay, in order; those of other groups, if it has any, among them.
    pub fn indices(&self, member: &Member) -> Vec<usize> {
        let mut stays = vec![true; self.layout.spec(&member.param).map_or(0, |spec| spec.shape[member.axis])];
        for unit in (0..self.group.units).filter(|unit| !self.kept.contains(unit)) {
            member.indices(unit, self.group.units).for_each(|i| stays[i] = false);
        }
        (0..stays.len()).filter(|&i| stays[i]).collect()
    }
}

/// What a pruning step is about to leave of a network.
#[derive(Debug)]
pub struct Refit<'a, B: Backend> {
    /// Parameters and masks as they were before.
    pub params: &'a ParamStore<B>,
    /// What stays of every parameter or group that may be pruned, by name.
    pub keep: &'a [(String, KeepMask<B>)],
}

impl<B: Backend> Refit<'_, B> {
    /// Which units of a group stay; `None` where the group is left alone.
    pub fn units(&self, group: &str) -> Option<&[bool]> {
        self.keep.iter().find_map(|(name, keep)| match keep {
            KeepMask::Units(keep) if name == group => Some(keep.as_slice()),
            _ => None,
        })
    }
}

/// One training step, between the backward pass and the optimizer's update.
#[derive(Debug)]
pub struct Observation<'a, B: Backend> {
    /// This step.
    pub step: Step,
    /// Its epoch, from 0.
    pub epoch: u64,
    /// Examples in the batch.
    pub examples: usize,
    /// Parameters and masks.
    pub params: &'a ParamStore<B>,
    /// Gradients of the loss, by parameter value.
    pub grads: &'a Grads<B>,
    /// What the forward pass recorded.
    pub taps: &'a Taps<B>,
}

impl<B: Backend> Observation<'_, B> {
    /// Groups whose units can be scored.
    pub fn groups(&self) -> &[UnitGroup] {
        &self.params.layout().groups
    }

    /// A parameter's values, in its shape; with dynamic masks the dense ones.
    ///
    /// # Errors
    /// If there is no such parameter.
    pub fn weight(&self, param: &str) -> Result<Tensor<B>> {
        Ok(self.params.get(param)?.value().clone())
    }

    /// The loss's gradient for a parameter, in its shape; masked weights have theirs too.
    ///
    /// # Errors
    /// Without [`Needs::GRADIENTS`]; if there is no such parameter, or no gradient reached it.
    pub fn grad(&self, param: &str) -> Result<Tensor<B>> {
        if !self.taps.needs.has(Needs::GRADIENTS) {
            return Err(Error::Other(format!(
                "the gradient of `{param}` is not whole where it is masked: declare Needs::GRADIENTS"
            )));
        }
        let grad = self.grads.get(&self.params.get(param)?.outline()).cloned();
        grad.ok_or_else(|| Error::Other(format!("no gradient reached `{param}`: the loss does not depend on it")))
    }

    /// Input of a layer: `[rows, in]` of a linear one, where a token is a row as an example is; `[batch, channels,
    /// rows, columns]` of a convolution.
    ///
    /// # Errors
    /// Without [`Needs::INPUTS`], or if the layer did not run.
    pub fn input(&self, layer: &str) -> Result<&Tensor<B>> {
        self.taps.inputs.get(layer).ok_or_else(|| self.taps.missing(Needs::INPUTS, layer))
    }

    /// Output of a layer, after batch normalisation and activation, before pooling or a residual: `[rows, out]`, or
    /// `[batch, channels, rows, columns]` of a convolution.
    ///
    /// # Errors
    /// Without [`Needs::OUTPUTS`], or if the layer did not run.
    pub fn output(&self, layer: &str) -> Result<&Tensor<B>> {
        self.taps.outputs.get(layer).ok_or_else(|| self.taps.missing(Needs::OUTPUTS, layer))
    }

    /// Gradient of the loss with respect to a layer's output.
    ///
    /// # Errors
    /// Without [`Needs::OUTPUT_GRADIENTS`], or if the layer did not run.
    pub fn output_grad(&self, layer: &str) -> Result<&Tensor<B>> {
        self.grads.get(self.output(layer)?).ok_or_else(|| self.taps.missing(Needs::OUTPUT_GRADIENTS, layer))
    }

    /// A layer's product with its input, plus its bias, before batch normalisation; in the shape of its output.
    ///
    /// # Errors
    /// Without [`Needs::PRODUCTS`], or if the layer did not run.
    pub fn product(&self, layer: &str) -> Result<&Tensor<B>> {
        self.taps.products.get(layer).ok_or_else(|| self.taps.missing(Needs::PRODUCTS, layer))
    }

    /// What enters a layer's activation: its product, after batch normalisation where there is one; in the shape of its
    /// output.
    ///
    /// # Errors
    /// Without [`Needs::PREACTIVATIONS`], or if the layer did not run.
    pub fn preactivation(&self, layer: &str) -> Result<&Tensor<B>> {
        self.taps.preactivations.get(layer).ok_or_else(|| self.taps.missing(Needs::PREACTIVATIONS, layer))
    }

    /// Every operation of the forward pass, in order, and where it ended.
    ///
    /// # Errors
    /// Without [`Needs::TRACE`].
    pub fn trace(&self) -> Result<&Trace<B>> {
        if self.taps.needs.has(Needs::TRACE) {
            Ok(&self.taps.trace)
        } else {
            Err(self.taps.missing(Needs::TRACE, "the network"))
        }
    }
}

/// One parameter to be scored, alone or as the weights of a group's units.
#[derive(Debug, Clone)]
pub struct Target<'a, B: Backend> {
    pub(crate) param: &'a Param<B>,
    pub(crate) params: &'a ParamStore<B>,
    pub(crate) group: Option<&'a UnitGroup>,
    /// The weight that made the gradient, where it is another than the parameter's value now.
    pub(crate) weight: Option<Tensor<B>>,
    pub(crate) grad: Option<Tensor<B>>,
    pub(crate) step: Step,
    pub(crate) seed: Seed,
    pub(crate) to_go: Option<usize>,
    /// One for every weight that may grow, where this is what is scored.
    pub(crate) candidates: Option<Tensor<B>>,
}

impl<'a, B: Backend> Target<'a, B> {
    /// A target outside a run, in a loop of one's own.
    ///
    /// # Errors
    /// If there is no such parameter.
    pub fn new(
        params: &'a ParamStore<B>,
        param: &str,
        group: Option<&'a UnitGroup>,
        step: Step,
        seed: Seed,
    ) -> Result<Self> {
        let param = params.get(param)?;
        Ok(Self { param, params, group, weight: None, grad: None, step, seed, to_go: None, candidates: None })
    }

    /// The same with gradients of the loss, for criteria that need them.
    #[must_use]
    pub fn with_grads(self, grads: &Grads<B>) -> Self {
        Self { grad: grads.get(&self.param.outline()).cloned(), ..self }
    }

    /// Name of the parameter.
    pub fn name(&self) -> &'a str {
        &self.param.spec().name
    }

    /// Values; with dynamic masks the dense ones, so that a pruned weight can win its place back. A criterion that
    /// needs gradients is shown the weights that made them, as they were before the optimizer's update.
    ///
    /// # Errors
    /// If the device is out of memory.
    pub fn weight(&self) -> Result<Tensor<B>> {
        Ok(self.weight.as_ref().unwrap_or(self.param.value()).clone())
    }

    /// The parameter itself: mask, optimizer state, specification.
    pub fn param(&self) -> &'a Param<B> {
        self.param
    }

    /// All parameters.
    pub fn params(&self) -> &'a ParamStore<B> {
        self.params
    }

    /// The group whose units are pruned, or `None` where single weights are.
    pub fn group(&self) -> Option<&'a UnitGroup> {
        self.group
    }

    /// Gradient of the last training step, in the weight's shape.
    ///
    /// # Errors
    /// Without [`Needs::GRADIENTS`].
    pub fn grad(&self) -> Result<Tensor<B>> {
        let missing =
            || Error::Other(format!("the gradient of `{}` was not recorded: declare Needs::GRADIENTS", self.name()));
        self.grad.clone().ok_or_else(missing)
    }

    /// The pruning step.
    pub fn step(&self) -> Step {
        self.step
    }

    /// Randomness for this target, the same at every pruning step of a run: what is drawn anew each time derives from
    /// it with the step.
    pub fn seed(&self) -> Seed {
        self.seed.derive("score", &[self.name()])
    }

    /// How many of this target's weights or units are to go in this round; `None` where one ranking over all layers
    /// decides that, and where weights grow.
    pub fn to_go(&self) -> Option<usize> {
        self.to_go
    }

    /// Which of the target's weights are ranked, where not all of them are: what held masks leave, or, where weights
    /// grow, all that may.
    pub fn ranked(&self) -> Option<Cow<'a, [bool]>> {
        if let Some(candidates) = &self.candidates {
            return Some(Cow::Owned(candidates.host().iter().map(|&v| v != 0.0).collect()));
        }
        let held = self.params.masking() == Masking::Held;
        self.param.mask().filter(|_| held).map(|mask| Cow::Borrowed(mask.keep()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::layout::{LayoutBuilder, Sizes};

    #[test]
    fn what_other_groups_have_of_an_axis_stays() {
        let sizes = Sizes::default();
        let mut layout = LayoutBuilder::new(&sizes);
        let old = layout.units("old", 3);
        let all = old.then(layout.units("new", 2));
        layout.linear("fc", &all, &1.into(), false);
        let layout = layout.build().unwrap();
        let stay = |name: &str, kept: &[usize]| {
            let group = layout.group(name).unwrap();
            Cut { layout: &layout, group, kept }.indices(&group.members[0])
        };
        assert_eq!(stay("old", &[0, 2]), [0, 2, 3, 4]);
        assert_eq!(stay("new", &[1]), [0, 1, 2, 4]);
    }
}
