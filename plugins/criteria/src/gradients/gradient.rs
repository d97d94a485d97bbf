//! Gradient: how fast the loss falls with a weight.

use secateur::prelude::*;

options! {
    /// |dL/dw| of the last training step: high where the loss would change most with the weight, whatever the weight is
    /// now. It ranks what grows in RigL (Evci et al. 2020, algorithm 1) and GraNet (Liu et al. 2021), where what is
    /// masked is zero and has a gradient all the same; of what goes it is a baseline beside |w| and |w dL/dw|.
    pub struct Gradient {}
}

impl<B: Backend> Criterion<B> for Gradient {
    fn needs(&self) -> Needs {
        Needs::GRADIENTS
    }

    fn window(&self) -> Window {
        Window::LastStep
    }

    fn score(&mut self, target: &Target<'_, B>) -> Result<Scores<B>> {
        Ok(target.grad()?.abs()?.into())
    }
}

register!(Criterion, "gradient", Gradient, "|dL/dw|: what grows in RigL and GraNet.");
