//! Recorded forms of the image operations.

use super::Tape;
use crate::backend::Backend;
use crate::backend::vision::{Conv2d, Heads, LayerGrads, Merge};
use crate::error::Result;
use crate::tensor::Tensor;

impl<B: Backend> Tape<B> {
    /// Convolution with its activation and pooling: `[batch, in, rows, columns]` -> `[batch, out, ...]`.
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn conv2d(&mut self, op: Conv2d<B>) -> Result<Tensor<B>> {
        let mut inputs = vec![&op.x, &op.w.value];
        inputs.extend(op.b.iter());
        let (y, saved) = B::conv2d(&op, self.wants(&inputs))?;
        let Some(saved) = saved else { return Ok(y) };
        Ok(self.record(y, move |dy, grads| {
            let (mut x, mut w) = (grads.slot(&op.x), grads.slot(&op.w.value));
            let mut b = op.b.as_ref().and_then(|b| grads.slot(b));
            B::conv2d_backward(&op, &saved, &dy, LayerGrads { x: x.as_mut(), w: w.as_mut(), b: b.as_mut() })?;
            grads.fill(&op.x, x);
            grads.fill(&op.w.value, w);
            op.b.iter().for_each(|bias| grads.fill(bias, b.take()));
            Ok(())
        }))
    }

    /// Layer normalisation over the last axis.
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn layer_norm(&mut self, x: &Tensor<B>, gamma: &Tensor<B>, beta: &Tensor<B>, eps: f32) -> Result<Tensor<B>> {
        let (y, stats) = B::layer_norm(x, gamma, beta, eps)?;
        if !self.wants(&[x, gamma, beta]) {
            return Ok(y);
        }
        let (x, gamma, beta) = (x.clone(), gamma.clone(), beta.clone());
        Ok(self.record(y, move |dy, grads| {
            let (mut dx, mut dg, mut db) = (grads.slot(&x), grads.slot(&gamma), grads.slot(&beta));
            let wanted = LayerGrads { x: dx.as_mut(), w: dg.as_mut(), b: db.as_mut() };
            B::layer_norm_backward(&x, &gamma, &stats, &dy, wanted)?;
            grads.fill(&x, dx);
            grads.fill(&gamma, dg);
            grads.fill(&beta, db);
            Ok(())
        }))
    }

    /// Multi-head attention of `qkv [batch * tokens, 3 * heads * head_dim]`; `sizes [batch, tokens]` adds log(size) to the keys.
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn attention(&mut self, shape: Heads, qkv: &Tensor<B>, sizes: Option<&Tensor<B>>) -> Result<Tensor<B>> {
        let (y, probabilities) = B::attention(shape, qkv, sizes, self.wants(&[qkv]))?;
        let Some(probabilities) = probabilities else { return Ok(y) };
        let qkv = qkv.clone();
        Ok(self.record(y, move |dy, grads| {
            let mut slot = grads.slot(&qkv);
            if let Some(slot) = &mut slot {
                B::attention_backward(shape, &qkv, &probabilities, &dy, slot)?;
            }
            grads.fill(&qkv, slot);
            Ok(())
        }))
    }

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
        let (y, kept) = B::merge_tokens(&merge, x, sizes)?;
        let (sizes, after) = (sizes.clone(), kept.clone());
        let y = self.through(x, y, move |x, dy, slot| B::merge_tokens_backward(&merge, x, dy, &sizes, &after, slot))?;
        Ok((y, kept))
    }

    /// Dropout with probability `p`, its pattern fixed by `seed`.
    ///
    /// # Errors
    /// If memory runs out.
    pub fn dropout(&mut self, x: &Tensor<B>, p: f32, seed: u64) -> Result<Tensor<B>> {
        let y = B::dropout(x, p, seed)?;
        if !self.wants(&[x]) {
            return Ok(y);
        }
        let x = x.clone();
        Ok(self.record(y, move |dy, grads| grads.add(&x, B::dropout(&dy, p, seed)?)))
    }

    /// Records an operation of one input whose backward kernel fills that input's slot.
    pub(super) fn through(
        &mut self,
        x: &Tensor<B>,
        y: Tensor<B>,
        backward: impl FnOnce(&Tensor<B>, &Tensor<B>, &mut crate::backend::Slot<B>) -> Result<()> + 'static,
    ) -> Result<Tensor<B>> {
        if !self.wants(&[x]) {
            return Ok(y);
        }
        let x = x.clone();
        Ok(self.record(y, move |dy, grads| {
            let mut slot = grads.slot(&x);
            if let Some(slot) = &mut slot {
                backward(&x, &dy, slot)?;
            }
            grads.fill(&x, slot);
            Ok(())
        }))
    }
}
