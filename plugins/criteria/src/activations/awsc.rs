//! AWSC: weights by their share in what their neuron receives.

use super::inputs::{self, Within};
use crate::gathered::{Gather, Gathered, Sums};
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
    pub struct Awsc {
        /// Which weights are compared: `output`, those of one neuron or filter, or `layer`.
        #[acts(always)]
        pub within: Within = Within::Output,
        /// Which training steps count: `epoch` (those of the epoch that ends with the pruning step), `since-prune`, or
        /// `last-step`.
        #[acts(always)]
        pub window: Window = Window::Epoch,
    }
}

impl<B: Backend> Gather<B> for Awsc {
    fn needs(&self) -> Needs {
        Needs::INPUTS
    }

    fn window(&self) -> Window {
        self.window
    }

    fn step(&self, seen: &Observation<'_, B>, sums: &mut Sums<B>) -> Result<()> {
        inputs::add(seen, sums, Tensor::abs)
    }

    fn score(&self, sums: &Sums<B>, target: &Target<'_, B>) -> Result<Scores<B>> {
        if target.group().is_some() {
            return Err(Error::Config(
                "awsc scores single weights, whose shares sum to one in every neuron: set prune.granularity = \"weight\", \
                 or criterion.name = \"contribution-rank\" for units"
                    .into(),
            ));
        }
        // How many samples there were cancels out.
        let (products, axis) = inputs::weighted(sums, target, |sum| sum)?;
        let shares = inputs::shares(&products, axis)?;
        Ok(match self.within {
            Within::Output => inputs::ranks(&shares, axis, target)?,
            Within::Layer => shares,
        }
        .into())
    }
}

type AwscCriterion<B> = Gathered<B, Awsc>;
register!(
    Criterion,
    "awsc",
    AwscCriterion<B>,
    "Weights by their share in what their neuron receives on average.",
    options = Awsc
);
