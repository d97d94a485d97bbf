//! Wanda: weights by their size and that of what they are multiplied with.

use super::inputs::{Inputs, Within, ranks};
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
    pub struct WandaOptions {
        /// Which weights are compared: `output`, those of one neuron or filter, or `layer`.
        #[acts("prune.granularity", |what| what != "unit", "prune.granularity = \"weight\"")]
        pub within: Within = Within::Output,
        /// Which training steps count: `last-step` (the batch of the pruning step), `epoch` (those of the epoch that ends
        /// with the pruning step), or `since-prune`.
        #[acts(always)]
        pub window: Window = Window::LastStep,
    }
}

/// Squares of inputs, summed up.
pub struct Wanda<B: Backend> {
    options: WandaOptions,
    inputs: Inputs<B>,
}

impl<B: Backend> From<WandaOptions> for Wanda<B> {
    fn from(options: WandaOptions) -> Self {
        Self { options, inputs: Inputs::default() }
    }
}

impl<B: Backend> Criterion<B> for Wanda<B> {
    fn needs(&self) -> Needs {
        Needs::INPUTS
    }

    fn window(&self) -> Window {
        self.options.window
    }

    fn observe(&mut self, seen: &Observation<'_, B>) -> Result<()> {
        self.inputs.add(seen, Tensor::square)
    }

    fn score(&mut self, target: &Target<'_, B>) -> Result<Scores<B>> {
        let (products, axis) = self.inputs.weighted(target, f32::sqrt)?;
        match target.group() {
            None if self.options.within == Within::Output => Ok(ranks(&products, axis, target)?.into()),
            _ => Ok(products.into()),
        }
    }

    fn cut(&mut self, cut: &Cut<'_>) -> Result<()> {
        self.inputs.cut(cut);
        Ok(())
    }

    fn reset(&mut self) -> Result<()> {
        self.inputs.clear();
        Ok(())
    }

    fn save(&self) -> Result<State> {
        Ok(self.inputs.save())
    }

    fn load(&mut self, state: State, device: &B) -> Result<()> {
        self.inputs.load(state, device)
    }
}

register!(
    Criterion,
    "wanda",
    Wanda<B>,
    "Weights by |w| times the norm of their input, compared within each output.",
    options = WandaOptions
);
