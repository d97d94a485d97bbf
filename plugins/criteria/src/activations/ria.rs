//! RIA: weights by their parts in what enters and leaves a unit, and by what they are multiplied with.

use super::inputs;
use crate::axes::{input_axis, spread};
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
        let (name, size) = (target.name(), target.weight()?.abs()?);
        let norms: Vec<f32> = sums.total(name)?.host().iter().map(|x| x.powf(0.25)).collect();
        let norms = spread(size.device(), &norms, input_axis(target.params().layout(), name), size.shape())?;
        Ok(inputs::shares(&size, 0)?.add(&inputs::shares(&size, 1)?)?.mul(&norms)?.into())
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
