//! No compression: tokens pass through.

use secateur::prelude::*;

options! {
    /// Leaves tokens as they are.
    pub struct Identity {}
}

impl<B: Backend> Compressor<B> for Identity {
    fn compress(&self, _: &mut Tape<B>, tokens: Tokens<B>, _: Stage) -> Result<Tokens<B>> {
        Ok(tokens)
    }

    fn acts(&self, _: Stage) -> bool {
        false
    }
}

register!(Compressor, "none", Identity, "Leaves tokens as they are.");
