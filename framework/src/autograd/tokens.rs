//! Recorded operations of tokens.

use super::Tape;
use crate::backend::{Backend, LayerGrads, Merge};
use crate::error::Result;
use crate::tensor::Tensor;

impl<B: Backend> Tape<B> {
    /// A class token in front of `x [batch, tokens, dim]`, and positions added.
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn embed(&mut self, x: &Tensor<B>, class: Option<Tensor<B>>, position: Option<Tensor<B>>) -> Result<Tensor<B>> {
        let y = B::embed(x, class.as_ref(), position.as_ref())?;
        let inputs: Vec<&Tensor<B>> = std::iter::once(x).chain(&class).chain(&position).collect();
        if !self.wants(&inputs) {
            return Ok(y);
        }
        let x = x.clone();
        Ok(self.record(y, move |dy, grads| {
            let mut dx = grads.slot(&x);
            let mut dc = class.as_ref().and_then(|c| grads.slot(c));
            let mut dp = position.as_ref().and_then(|p| grads.slot(p));
            let wanted = LayerGrads { x: dx.as_mut(), w: dc.as_mut(), b: dp.as_mut() };
            B::embed_backward(&x, class.as_ref(), position.as_ref(), &dy, wanted)?;
            grads.fill(&x, dx);
            class.iter().for_each(|c| grads.fill(c, dc.take()));
            position.iter().for_each(|p| grads.fill(p, dp.take()));
            Ok(())
        }))
    }

    /// Mean of the tokens `[batch, tokens, dim] -> [batch, dim]`, weighted by `sizes [batch, tokens]`.
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn mean_tokens(&mut self, x: &Tensor<B>, sizes: Option<&Tensor<B>>) -> Result<Tensor<B>> {
        let y = B::mean_tokens(x, sizes)?;
        let sizes = sizes.cloned();
        self.through(x, y, move |x, dy, slot| B::mean_tokens_backward(x, sizes.as_ref(), dy, slot))
    }

    /// Token `index` of every image: `[batch, tokens, dim] -> [batch, dim]`.
    ///
    /// # Errors
    /// If there is no such token.
    pub fn take_token(&mut self, x: &Tensor<B>, index: usize) -> Result<Tensor<B>> {
        let y = B::take_token(x, index)?;
        self.through(x, y, move |x, dy, slot| B::take_token_backward(x, index, dy, slot))
    }

    /// Size-weighted means of the tokens that go together, `[batch, kept, dim]`, and their sizes `[batch, kept]`.
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn merge_tokens(
        &mut self,
        merge: Merge<B>,
        x: &Tensor<B>,
        sizes: &Tensor<B>,
    ) -> Result<(Tensor<B>, Tensor<B>)> {
        let merge = if self.freezes() { self.frozen_merge(merge)? } else { merge };
        let (y, kept) = B::merge_tokens(&merge, x, sizes)?;
        let (sizes, after) = (sizes.clone(), kept.clone());
        let y = self.through(x, y, move |x, dy, slot| B::merge_tokens_backward(&merge, x, dy, &sizes, &after, slot))?;
        Ok((y, kept))
    }
}
