//! Where the tokens of a pass went, for pictures of what a compressor does.

use crate::backend::Backend;
use crate::network::compressor::Tokens;

/// Which token holds each original token of a batch when the pass is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trail {
    /// Tokens of one example before any were merged, the protected ones included.
    pub original: usize,
    /// Leading tokens that are never merged (the class token).
    pub protected: usize,
    /// Tokens of one example at the end.
    pub remaining: usize,
    /// For every original token the token that holds it, `batch * original` indices.
    pub holder: Vec<u32>,
}

/// Whether a pass follows its tokens, and what it knows so far.
#[derive(Debug, Clone, Default)]
pub(crate) enum Following {
    #[default]
    Off,
    /// No token has come to a compressor yet.
    Start,
    At(Trail),
    /// The model or the compressor did not carry the sources on, or not rightly.
    Lost,
}

impl Following {
    /// Tokens arrive at a compressor: the first ones are the original tokens.
    pub fn arrive<B: Backend>(&mut self, tokens: &mut Tokens<B>) {
        match (&self, &*tokens.x.shape()) {
            (Self::Start, &[batch, count, _]) => {
                let own = || (0..batch).flat_map(|_| 0..count as u32).collect();
                tokens.source.get_or_insert_with(own);
            }
            (Self::At(_), _) if tokens.source.is_none() => *self = Self::Lost,
            _ => {}
        }
    }

    /// Tokens leave a compressor. Sources that cannot be right are as good as none: nobody else needs them.
    pub fn leave<B: Backend>(&mut self, tokens: &Tokens<B>) {
        if matches!(self, Self::Off | Self::Lost) {
            return;
        }
        *self = Self::Lost;
        if let (&[batch, remaining, _], Some(holder)) = (&*tokens.x.shape(), &tokens.source) {
            let original = holder.len() / batch.max(1);
            let fits = original * batch == holder.len() && original >= remaining;
            if fits && holder.iter().all(|holder| (*holder as usize) < remaining) {
                *self = Self::At(Trail { original, protected: tokens.protected, remaining, holder: holder.clone() });
            }
        }
    }
}

impl Trail {
    /// The side in pixels of the square patches that the unprotected tokens were, row by row, where such patches fill
    /// the image.
    pub fn patch(&self, height: usize, width: usize) -> Option<usize> {
        let patches = self.original.checked_sub(self.protected).filter(|n| *n > 0)?;
        let side = (height * width / patches).isqrt();
        let divides = side > 0 && height.is_multiple_of(side) && width.is_multiple_of(side);
        (divides && height / side * (width / side) == patches).then_some(side)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::Cpu;
    use crate::tensor::Tensor;

    fn tokens(count: usize, source: Option<Vec<u32>>) -> Tokens<Cpu> {
        let x = Tensor::from_vec(&Cpu::default(), vec![0.0; 2 * count], [2, count, 1]).unwrap();
        Tokens { x, metric: None, sizes: None, source, protected: 1 }
    }

    #[test]
    fn original_tokens_are_followed_from_stage_to_stage() {
        let (mut following, mut first) = (Following::Start, tokens(3, None));
        following.arrive(&mut first);
        assert_eq!(first.source.unwrap(), [0, 1, 2, 0, 1, 2]);
        let mut merged = tokens(2, Some(vec![0, 1, 1, 0, 1, 0]));
        following.leave(&merged);
        following.arrive(&mut merged);
        following.leave(&merged);
        let Following::At(trail) = following else { panic!("it was followed") };
        assert_eq!((trail.original, trail.remaining, trail.holder), (3, 2, vec![0, 1, 1, 0, 1, 0]));
    }

    #[test]
    fn sources_that_are_dropped_or_wrong_are_lost() {
        for source in [None, Some(vec![0, 1, 2, 0, 1, 1]), Some(vec![0, 1, 1]), Some(vec![0, 0])] {
            let (mut following, mut first) = (Following::Start, tokens(3, None));
            following.arrive(&mut first);
            following.leave(&tokens(2, source.clone()));
            assert!(matches!(following, Following::Lost), "{source:?}");
        }
        let (mut following, mut later) = (Following::Start, tokens(2, None));
        following.leave(&tokens(2, Some(vec![0, 1, 1, 0, 1, 0])));
        following.arrive(&mut later);
        assert!(matches!(following, Following::Lost), "the model made new tokens");
    }

    #[test]
    fn patches_are_squares_that_fill_the_image() {
        let patch = |original, height, width| {
            Trail { original, protected: 1, remaining: 1, holder: vec![] }.patch(height, width)
        };
        assert_eq!((patch(65, 32, 32), patch(17, 28, 28), patch(33, 16, 32)), (Some(4), Some(7), Some(4)));
        assert_eq!((patch(64, 32, 32), patch(1, 32, 32)), (None, None));
    }
}
