//! GraSP: weights whose removal keeps, or raises, the flow of gradients go first, before any training.

use crate::gathered::{Gather, Gathered, Sums};
use secateur::prelude::*;

options! {
    /// w (H g), with g the gradient of the loss and H its Hessian: the lowest go (Wang et al. 2020, "Picking Winning
    /// Tickets Before Training by Preserving Gradient Flow", equation 8, where S = -w (H g) and the highest go). Meant for
    /// a network at initialisation: `schedule.name = "one-shot"` with `at = 0`.
    ///
    /// g and H g run over the weights that could be pruned, without biases and norms, as in the authors' code; batch
    /// normalisation uses the statistics of the batch. The Hessian-vector product of each batch costs 18 to 192 gradients.
    /// The score of a unit is the sum over its weights.
    pub struct Grasp {
        /// Examples of each class in a batch.
        #[acts(always)]
        pub per_class: usize = 10,
        /// Batches over which g and H are averaged; no two share an example.
        #[acts(always)]
        pub batches: usize = 1,
        /// What the logits are divided by before the loss; 1 for a model with a loss of its own.
        #[acts(always)]
        pub temperature: f64 = 200.0,
    }

    fn check(&self, checks: &mut Checks) {
        checks.range("per_class", self.per_class, 1.0..);
        checks.range("batches", self.batches, 1.0..);
        checks.above("temperature", self.temperature, 0.0);
    }
}

impl<B: Backend> Gather<B> for Grasp {
    fn needs(&self) -> Needs {
        Needs::PROBE
    }

    fn round(&self, probe: &mut dyn Probe<B>, sums: &mut Sums<B>) -> Result<()> {
        let loss = Objective::Loss { temperature: self.temperature };
        let question = |nth| Question::new(ProbeInput::Balanced { per_class: self.per_class, nth }, loss);
        let mut gradients = Sums::default();
        for nth in 0..self.batches {
            gradients.add_all(probe.gradients(&question(nth))?)?;
        }
        let mut g = gradients.means()?;
        let prunable = |name: &String| probe.params().find(name).is_some_and(|p| p.spec().prunable);
        g.retain(|name, _| prunable(name));
        for nth in 0..self.batches {
            sums.add_all(probe.hessian_vector(&question(nth), &g)?)?;
        }
        Ok(())
    }

    fn score(&self, sums: &Sums<B>, target: &Target<'_, B>) -> Result<Scores<B>> {
        Ok(target.weight()?.mul(&sums.mean(target.name())?)?.into())
    }
}

type GraspCriterion<B> = Gathered<B, Grasp>;
register!(
    Criterion,
    "grasp",
    GraspCriterion<B>,
    "Weights whose removal keeps the gradients flowing first: w (H g), at initialisation.",
    options = Grasp
);
