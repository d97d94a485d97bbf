//! Movement: weights that training moves towards zero go first.

use crate::gathered::{Gather, Gathered, Sums};
use secateur::prelude::*;

choices! {
    /// From when on steps count.
    pub enum Since {
        /// From the pruning step before on.
        Prune = "prune",
        /// From the beginning of the run on.
        Start = "start",
    }
}

options! {
    /// S = -Σ w dL/dw over the training steps, with the sign that goes with it: a weight that moves away from zero is
    /// kept, one that shrinks goes, whatever its size (Sanh et al. 2020, "Movement Pruning", section 4, without the
    /// factor of the learning rate, which changes no order).
    ///
    /// Where weights may return (`prune.regrow = true`), as in the paper, a pruned weight goes on collecting with the
    /// gradient that it has behind its mask. The scores of units are sums over their weights.
    pub struct Movement {
        /// Which steps count: those since the last pruning step (`prune`), or all of the run (`start`), as in the paper.
        #[acts(always)]
        pub since: Since = Since::Prune,
    }
}

impl<B: Backend> Gather<B> for Movement {
    fn needs(&self) -> Needs {
        Needs::GRADIENTS
    }

    fn step(&self, seen: &Observation<'_, B>, sums: &mut Sums<B>) -> Result<()> {
        sums.add_each(seen, |w, g| w.mul(g)?.scale(-1.0))
    }

    fn score(&self, sums: &Sums<B>, target: &Target<'_, B>) -> Result<Scores<B>> {
        Ok(sums.total(target.name())?.clone().into())
    }

    fn forgets(&self) -> bool {
        self.since == Since::Prune
    }
}

type MovementCriterion<B> = Gathered<B, Movement>;
register!(
    Criterion,
    "movement",
    MovementCriterion<B>,
    "Weights that move towards zero first: -Σ w dL/dw over the training steps.",
    options = Movement
);
