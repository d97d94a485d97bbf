//! Recorded operations of tokens.

use super::{Mapping, Operation, Part, Tape};
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
        if self.traces() {
            let operands: Vec<&Tensor<B>> = std::iter::once(x).chain(&class).chain(&position).collect();
            let operation = Operation::Embed { class: class.is_some(), position: position.is_some() };
            self.write_down(operation, &operands, &[&y]);
            self.note_embedding(x, class.as_ref(), position.as_ref(), &y)?;
        }
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

    /// Notes [`Tape::embed`]: class token and positions do not depend on `x`.
    fn note_embedding(
        &mut self,
        x: &Tensor<B>,
        class: Option<&Tensor<B>>,
        position: Option<&Tensor<B>>,
        y: &Tensor<B>,
    ) -> Result<()> {
        let (class, position) = (class.map(Tensor::detach), position.map(Tensor::detach));
        let none = class.as_ref().map(|class| Tensor::zeros(class.device(), class.shape())).transpose()?;
        self.note(&[x], y, Mapping::Linear, move |tape, inputs, part| match part {
            Part::All | Part::Positive => tape.embed(&inputs[0], none.clone(), None).map(Some),
            Part::Negative => Ok(None),
            Part::Constant => {
                let zeros = Tensor::zeros(inputs[0].device(), inputs[0].shape())?;
                tape.embed(&zeros, class.clone(), position.clone()).map(Some)
            }
        });
        Ok(())
    }

    /// Mean of the tokens `[batch, tokens, dim] -> [batch, dim]`, weighted by `sizes [batch, tokens]`.
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn mean_tokens(&mut self, x: &Tensor<B>, sizes: Option<&Tensor<B>>) -> Result<Tensor<B>> {
        let y = B::mean_tokens(x, sizes)?;
        self.write_down(Operation::MeanTokens, &std::iter::once(x).chain(sizes).collect::<Vec<_>>(), &[&y]);
        let sizes = sizes.cloned();
        let held = sizes.clone();
        self.note_positive(&[x], &y, move |tape, inputs| tape.mean_tokens(&inputs[0], held.as_ref()));
        self.through(x, y, move |x, dy, slot| B::mean_tokens_backward(x, sizes.as_ref(), dy, slot))
    }

    /// Token `index` of every image: `[batch, tokens, dim] -> [batch, dim]`.
    ///
    /// # Errors
    /// If there is no such token.
    pub fn take_token(&mut self, x: &Tensor<B>, index: usize) -> Result<Tensor<B>> {
        let y = B::take_token(x, index)?;
        self.write_down(Operation::TakeToken { index }, &[x], &[&y]);
        self.note_single(x, &y, move |tape, x| tape.take_token(x, index));
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
        // Only the compressor knows how it matched them.
        self.write_down(Operation::Other("merging of tokens".into()), &[x, sizes], &[&y, &kept]);
        let (sizes, after) = (sizes.clone(), kept.clone());
        let held = (merge.clone(), sizes.clone());
        self.note_positive(&[x], &y, move |tape, inputs| Ok(tape.merge_tokens(held.0.clone(), &inputs[0], &held.1)?.0));
        let y = self.through(x, y, move |x, dy, slot| B::merge_tokens_backward(&merge, x, dy, &sizes, &after, slot))?;
        Ok((y, kept))
    }
}
