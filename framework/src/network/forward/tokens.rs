//! Tokens on their way through the run's compressor.

use super::Forward;
use crate::backend::Backend;
use crate::error::{Error, Result};
use crate::network::compressor::{Stage, Tokens};

/// What became of the tokens of a forward pass.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Compressed {
    /// The compressor was asked at no stage at which it is active.
    #[default]
    NotAsked,
    /// It was asked, and left as many tokens as there were.
    AsMany,
    /// It left fewer.
    Fewer,
    /// The model asked the compressor past the pass, or may have: it took it, or lives in another library.
    NotSeen,
}

impl<B: Backend> Forward<'_, B> {
    /// What became of the tokens so far.
    pub(crate) fn compressed(&self) -> Compressed {
        if self.compressed == Compressed::NotAsked && self.taken.get() { Compressed::NotSeen } else { self.compressed }
    }

    /// Passes tokens through the run's compressor.
    ///
    /// # Errors
    /// What the compressor reports.
    pub fn compress(&mut self, mut tokens: Tokens<B>, at: Stage) -> Result<Tokens<B>> {
        let compressor = self.compressor;
        if !compressor.is_active(at) {
            return Ok(tokens);
        }
        let (shape, protected) = (tokens.x.shape(), tokens.protected);
        self.following.arrive(&mut tokens);
        let out = compressor.compress(&mut self.tape, tokens, at)?;
        match (&*shape, &*out.x.shape()) {
            (&[b, t, d], &[b2, t2, d2]) if b == b2 && d == d2 && t2 <= t && t2 > 0 && out.protected == protected => {
                self.following.leave(&out);
                if t2 < t {
                    self.compressed = Compressed::Fewer;
                } else if self.compressed == Compressed::NotAsked {
                    self.compressed = Compressed::AsMany;
                }
                Ok(out)
            }
            _ => Err(Error::shape(
                "compressor",
                format!("tokens {shape} became {}: only their number may change, and only fall", out.x.shape()),
            )),
        }
    }
}
