//! Wanda: weights by their size and that of what they are multiplied with.

use super::inputs::{self, Within};
use crate::gathered::{Gather, Gathered, Sums};
use secateur::prelude::*;

options! {
    /// |w_ij| ‖x_j‖₂ (Sun et al. 2023, "A Simple and Effective Pruning Approach for Large Language Models", equation 1):
    /// the size of a weight times the L2 norm of its input over all samples, compared within each output alone.
    ///
    /// Where single weights are pruned and `within = "output"`, the score is the rank of a weight among those of its
    /// output, as a part of 1. `prune.scope` then says how the sparsity is shared among layers, and each output of a
    /// layer loses the same fraction, but for rounding: with `global` and `layer` alike the same fraction of every output
    /// of the network, which is the paper's; with `erk`, `table` and `counts` that of its layer. With
    /// `within = "layer"` the products themselves are ranked, over the layers too where the scope is global.
    ///
    /// Where units are pruned, products are summed over a unit (`prune.reduce`). A convolution's input is a channel, at
    /// all positions of all images; kernels at the border see less of it, which is left out. The samples are those of the
    /// training batches in `window`; the paper takes 128.
    pub struct Wanda {
        /// Which weights are compared: `output`, those of one neuron or filter, or `layer`.
        #[acts("prune.granularity", |what| what != "unit", "prune.granularity = \"weight\"")]
        pub within: Within = Within::Output,
        /// Which training steps count: `last-step` (the batch of the pruning step), `epoch` (those of the epoch that ends
        /// with the pruning step), or `since-prune`.
        #[acts(always)]
        pub window: Window = Window::LastStep,
    }
}

impl<B: Backend> Gather<B> for Wanda {
    fn needs(&self) -> Needs {
        Needs::INPUTS
    }

    fn window(&self) -> Window {
        self.window
    }

    fn reduce(&self) -> Reduce {
        Reduce::L1
    }

    fn step(&self, seen: &Observation<'_, B>, sums: &mut Sums<B>) -> Result<()> {
        inputs::add(seen, sums, Tensor::square)
    }

    fn score(&self, sums: &Sums<B>, target: &Target<'_, B>) -> Result<Scores<B>> {
        let (products, axis) = inputs::weighted(sums, target, f32::sqrt)?;
        match target.group() {
            None if self.within == Within::Output => Ok(inputs::ranks(&products, axis, target)?.into()),
            _ => Ok(products.into()),
        }
    }
}

type WandaCriterion<B> = Gathered<B, Wanda>;
register!(
    Criterion,
    "wanda",
    WandaCriterion<B>,
    "Weights by |w| times the norm of their input, compared within each output.",
    options = Wanda
);
