//! A criterion as its author writes it: the same file is linked into a program, or built as a library and loaded.

use secateur::prelude::*;

options! {
    /// |w g|: the first-order change of the loss when w is removed (Molchanov et al. 2017).
    pub struct Taylor {}
}

impl<B: Backend> Criterion<B> for Taylor {
    fn needs(&self) -> Needs {
        Needs::GRADIENTS
    }

    fn window(&self) -> Window {
        Window::LastStep
    }

    fn score(&mut self, target: &Target<'_, B>) -> Result<Scores<B>> {
        Ok(target.weight()?.mul(&target.grad()?)?.abs()?.into())
    }
}

register!(Criterion, "taylor", Taylor, "First-order change of the loss when a weight is removed.");
