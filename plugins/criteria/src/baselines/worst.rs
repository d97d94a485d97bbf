//! The most important first: what a criterion must be far better than.

use secateur::prelude::*;

/// Scores with their sign turned, so that what another criterion holds most important goes first.
///
/// The "randomised" baseline of the contribution-rank report is this one in fact.
#[derive(Default)]
pub struct Reversed;

impl<B: Backend> Rescore<B> for Reversed {
    const NAME: &'static str = "worst";

    fn weights(&mut self, scores: Tensor<B>, _: &Target<'_, B>) -> Result<Tensor<B>> {
        scores.scale(-1.0)
    }

    fn units(&mut self, scores: Vec<f32>, _: &Target<'_, B>) -> Vec<f32> {
        scores.into_iter().map(|score| -score).collect()
    }
}

/// Another criterion in reverse.
pub type Worst<B> = Rescored<B, Reversed>;

register!(
    Criterion,
    "worst",
    Worst<B>,
    "Another criterion in reverse: its most important first.",
    options = RescoredOptions
);
