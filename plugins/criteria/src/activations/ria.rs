//! RIA: weights by their parts in what enters and leaves a unit, and by what they are multiplied with.

use super::inputs;
use crate::axes::input_axis;
use crate::gathered::{Gather, Gathered, Sums};
use secateur::prelude::*;

options! {
    /// (|w_ij| / Σ_k |w_ik| + |w_ij| / Σ_k |w_kj|) ‖x_j‖₂^½ on the batch of the pruning step, ranked in each layer by itself
    /// (`prune.scope = "layer"`): Zhang et al. 2024, "Plug-and-Play: An Efficient Post-training Pruning Method for LLMs".
    pub struct Ria {}
}

impl<B: Backend> Gather<B> for Ria {
    fn needs(&self) -> Needs {
        Needs::INPUTS
    }
    fn window(&self) -> Window {
        Window::LastStep
    }
    fn step(&self, seen: &Observation<'_, B>, sums: &mut Sums<B>) -> Result<()> {
        inputs::add(seen, sums, Tensor::square)
    }
    fn score(&self, sums: &Sums<B>, target: &Target<'_, B>) -> Result<Scores<B>> {
        let (size, axis) = (target.weight()?.abs()?, input_axis(target.params().layout(), target.name()));
        let norms = inputs::over_weights(sums, target, |x| x.powf(0.25))?;
        let (of_inputs, of_outputs) = (inputs::shares_of_inputs(&size, axis, target)?, inputs::shares(&size, axis)?);
        Ok(of_inputs.add(&of_outputs)?.mul(&norms)?.into())
    }
}

type RiaCriterion<B> = Gathered<B, Ria>;
register!(
    Criterion,
    "ria",
    RiaCriterion<B>,
    "Weights by their parts in their rows, columns and inputs.",
    options = Ria
);
