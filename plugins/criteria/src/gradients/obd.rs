//! Optimal brain damage: weights whose removal raises the loss least, to second order, go first.

use crate::gathered::{Gather, Gathered, Sums};
use secateur::prelude::*;

choices! {
    /// Whose gradients are squared.
    pub enum Fisher {
        /// Those of single examples: the Fisher information.
        Examples = "examples",
        /// Those of whole batches: the common shortcut.
        Batches = "batches",
    }
}

options! {
    /// ½ F w², F = E[g²] the diagonal of the empirical Fisher information, which stands for that of the Hessian where the
    /// network is trained (LeCun et al. 1990, "Optimal Brain Damage"; Theis et al. 2018, "Faster gaze prediction with dense
    /// networks and Fisher pruning"). Interactions of weights are left out, as by the authors: the
    /// score of a unit is the sum over its weights.
    ///
    /// Both papers' mean runs over examples: g is the gradient of one example's loss, so it is asked for example by example,
    /// at the weights of the pruning step and with the running statistics of batch normalisation. The gradients of training
    /// are means over a batch; their squares are cheaper and smaller, and hold the square of the mean gradient in full but
    /// the spread of the examples only by one part in the batch size.
    pub struct Obd {
        /// `examples`, the Fisher information, or `batches`, the squared gradients of training.
        #[acts(always)]
        pub fisher: Fisher = Fisher::Examples,
        /// Training examples. Fully connected networks look at them in batches; in others each costs a pass of its own in
        /// every round of a pruning step.
        #[acts(|o| o.fisher == Fisher::Examples, "fisher = \"examples\"")]
        pub examples: u64 = 128,
        /// Training steps that count: `epoch` (those of the epoch up to the pruning step), `since-prune`, or `last-step`.
        #[acts(|o| o.fisher == Fisher::Batches, "fisher = \"batches\"")]
        pub window: Window = Window::Epoch,
    }

    fn check(&self, checks: &mut Checks) {
        checks.range("examples", self.examples, 1.0..);
    }
}

impl<B: Backend> Gather<B> for Obd {
    fn needs(&self) -> Needs {
        match self.fisher {
            Fisher::Examples => Needs::PROBE,
            Fisher::Batches => Needs::GRADIENTS,
        }
    }

    fn window(&self) -> Window {
        self.window
    }

    fn step(&self, seen: &Observation<'_, B>, sums: &mut Sums<B>) -> Result<()> {
        if self.fisher == Fisher::Batches { sums.add_each(seen, |_, g| g.square()) } else { Ok(()) }
    }

    fn round(&self, probe: &mut dyn Probe<B>, sums: &mut Sums<B>) -> Result<()> {
        let squares = probe.squared_gradients(self.examples)?;
        squares.into_iter().try_for_each(|(name, squares)| sums.add(&name, squares, self.examples))
    }

    fn score(&self, sums: &Sums<B>, target: &Target<'_, B>) -> Result<Scores<B>> {
        Ok(target.weight()?.square()?.mul(&sums.mean(target.name())?)?.scale(0.5)?.into())
    }
}

type ObdCriterion<B> = Gathered<B, Obd>;
register!(
    Criterion,
    "obd",
    ObdCriterion<B>,
    "Weights that the loss bends least around first: ½ w² E[g²].",
    options = Obd
);
