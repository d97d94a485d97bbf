//! SNIP: connections that the loss does not feel go first, before any training.

use crate::gathered::{Gather, Gathered, Sums};
use secateur::prelude::*;

options! {
    /// |w dL/dw| on training data, the sensitivity of the loss to a connection (Lee et al. 2019, "SNIP", equations 4 and
    /// 5); their division by the sum of all changes no order and is left out. Meant for a network at initialisation:
    /// `schedule.name = "one-shot"` with `at = 0`.
    ///
    /// The data is asked for at the pruning step, whose gradient and weights so belong together; batch normalisation uses
    /// the statistics of the batch. With `prune.rounds` above 1 every round asks the network that the one before left. The
    /// score of a unit is the sum over its weights.
    pub struct Snip {
        /// Batches whose gradients are averaged; the paper uses one.
        #[acts(always)]
        pub batches: u64 = 1,
        /// Examples of each class in a batch; a batch of training, of `train.batch_size`, where absent.
        #[acts(always)]
        pub per_class: Option<usize> = None,
    }

    fn check(&self, checks: &mut Checks) {
        checks.range("batches", self.batches, 1.0..);
        checks.range("per_class", self.per_class, 1.0..);
    }
}

impl<B: Backend> Gather<B> for Snip {
    fn needs(&self) -> Needs {
        Needs::PROBE
    }

    fn round(&self, probe: &mut dyn Probe<B>, sums: &mut Sums<B>) -> Result<()> {
        for n in 0..self.batches {
            let balanced = |per_class| ProbeInput::Balanced { per_class, nth: n as usize };
            let input = self.per_class.map_or(ProbeInput::Batch(n), balanced);
            sums.add_all(probe.gradients(&Question::new(input, Objective::LOSS))?)?;
        }
        Ok(())
    }

    fn score(&self, sums: &Sums<B>, target: &Target<'_, B>) -> Result<Scores<B>> {
        Ok(target.weight()?.mul(&sums.mean(target.name())?)?.abs()?.into())
    }
}

type SnipCriterion<B> = Gathered<B, Snip>;
register!(
    Criterion,
    "snip",
    SnipCriterion<B>,
    "Connections that the loss does not feel first: |w dL/dw|, at initialisation.",
    options = Snip
);
