//! Random pruning: the baseline that every criterion must beat.

use rand::RngExt as _;
use secateur::prelude::*;

options! {
    /// Uniform random scores, fixed by the run's seed, the pruning step and the name of the parameter.
    ///
    /// Units get one random score each. With held masks the pruned set only grows, whatever the scores.
    pub struct Random {}
}

impl<B: Backend> Criterion<B> for Random {
    fn score(&mut self, target: &Target<'_, B>) -> Result<Scores<B>> {
        let mut rng = target.seed().stream("random", &[]);
        let mut draw = |n: usize| (0..n).map(|_| rng.random::<f32>()).collect::<Vec<_>>();
        Ok(match target.group() {
            Some(group) => Scores::Units(draw(group.units)),
            None => {
                let weight = target.weight();
                Tensor::from_vec(weight.device(), draw(weight.count()), weight.shape())?.into()
            }
        })
    }
}

register!(Criterion, "random", Random, "Uniform random scores, seeded: the baseline to beat.");
