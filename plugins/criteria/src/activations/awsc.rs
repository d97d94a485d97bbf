//! AWSC: weights by their share in what their neuron receives.

use super::inputs::{Inputs, Within, ranks, shares};
use secateur::prelude::*;

options! {
    /// Activation-weight significance (Dong et al. 2017): `s_ij = E|a_i w_ij| / Σ_k E|a_k w_kj|`, the share of weight
    /// w_ij, from unit i, in what neuron j receives on average. The least significant connections of each neuron go first.
    ///
    /// With `within = "output"` (the paper's, as we read it) the score is the rank of a weight among those of its neuron,
    /// as a part of 1: `prune.scope` says how the sparsity is shared among layers, and each neuron of a layer loses the
    /// same fraction of its inputs, but for rounding. With `within = "layer"` the shares themselves are ranked, over the
    /// layers too where the scope is global: a neuron with few inputs has large ones.
    ///
    /// A convolution's input is a channel, at all positions of all images, and its neurons are the filters. Shares of a
    /// neuron sum to one, so that they say nothing of the neuron itself: where units are pruned, `contribution-rank` sums
    /// the same shares over the neurons that a unit feeds.
    pub struct AwscOptions {
        /// Which weights are compared: `output`, those of one neuron or filter, or `layer`.
        #[acts(always)]
        pub within: Within = Within::Output,
        /// Which training steps count: `epoch` (those of the epoch that ends with the pruning step), `since-prune`, or
        /// `last-step`.
        #[acts(always)]
        pub window: Window = Window::Epoch,
    }
}

/// Magnitudes of inputs, summed up.
pub struct Awsc<B: Backend> {
    options: AwscOptions,
    inputs: Inputs<B>,
}

impl<B: Backend> From<AwscOptions> for Awsc<B> {
    fn from(options: AwscOptions) -> Self {
        Self { options, inputs: Inputs::default() }
    }
}

impl<B: Backend> Criterion<B> for Awsc<B> {
    fn needs(&self) -> Needs {
        Needs::INPUTS
    }

    fn window(&self) -> Window {
        self.options.window
    }

    fn observe(&mut self, seen: &Observation<'_, B>) -> Result<()> {
        self.inputs.add(seen, Tensor::abs)
    }

    fn score(&mut self, target: &Target<'_, B>) -> Result<Scores<B>> {
        if target.group().is_some() {
            return Err(Error::Config(
                "awsc scores single weights, whose shares sum to one in every neuron: set prune.granularity = \"weight\", \
                 or criterion.name = \"contribution-rank\" for units"
                    .into(),
            ));
        }
        // How many samples there were cancels out.
        let (products, axis) = self.inputs.weighted(target, |sum| sum)?;
        let shares = shares(&products, axis)?;
        Ok(match self.options.within {
            Within::Output => ranks(&shares, axis, target)?,
            Within::Layer => shares,
        }
        .into())
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
    "awsc",
    Awsc<B>,
    "Weights by their share in what their neuron receives on average.",
    options = AwscOptions
);
