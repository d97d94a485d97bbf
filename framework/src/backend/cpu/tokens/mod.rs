//! Tokens.

mod merge;
mod sequence;

use super::tensor::{filled, wanted};
use crate::backend::tokens::{check_embed, check_merging, check_patches, check_sizes, check_token, check_tokens};
use crate::backend::{LayerGrads, Merge, Slot, TokenOps};
use crate::error::Result;
use crate::tensor::{Shape, Tensor};
use dfdx::tensor::Cpu;

type T = Tensor<Cpu>;

impl TokenOps for Cpu {
    fn patches(x: &T, side: usize) -> Result<T> {
        let [batch, channels, height, width] = check_patches(x, side)?;
        let (down, across) = (height / side, width / side);
        let shape = Shape::from([batch * down * across, channels * side * side]);
        let data = x.data();
        Ok(filled(x.device(), shape, |y| {
            let rows = y.chunks_exact_mut(side);
            // Output order: image, patch row, patch column, channel, row in the patch.
            for (i, to) in rows.enumerate() {
                let (r, rest) = (i % side, i / side);
                let (c, rest) = (rest % channels, rest / channels);
                let (px, rest) = (rest % across, rest / across);
                let (py, b) = (rest % down, rest / down);
                let from = ((b * channels + c) * height + py * side + r) * width + px * side;
                to.copy_from_slice(&data[from..from + side]);
            }
        }))
    }

    fn embed(x: &T, class: Option<&T>, position: Option<&T>) -> Result<T> {
        let (batch, tokens, after, dim) = check_embed(x, class, position)?;
        let (class, position) = (class.map(Tensor::data), position.map(Tensor::data));
        Ok(filled(x.device(), [batch, after, dim].into(), |y| {
            sequence::embed(y, x.data(), class, position, (tokens, dim))
        }))
    }

    fn embed_backward(
        x: &T,
        class: Option<&T>,
        position: Option<&T>,
        dy: &T,
        grads: LayerGrads<'_, Self>,
    ) -> Result<()> {
        let (_, tokens, dim) = check_tokens("embed", x)?;
        let (dx, dclass, dposition) = (wanted(grads.x, Some(x))?, wanted(grads.w, class)?, wanted(grads.b, position)?);
        sequence::embed_backward(dy.data(), dx, dclass, dposition, class.is_some(), (tokens, dim));
        Ok(())
    }

    fn mean_tokens(x: &T, sizes: Option<&T>) -> Result<T> {
        let (batch, tokens, dim) = check_tokens("mean of tokens", x)?;
        check_sizes("mean of tokens", sizes, batch, tokens)?;
        Ok(filled(x.device(), [batch, dim].into(), |y| {
            sequence::mean_pool(y, x.data(), sizes.map(Tensor::data), (tokens, dim))
        }))
    }

    fn mean_tokens_backward(x: &T, sizes: Option<&T>, dy: &T, dx: &mut Slot<Self>) -> Result<()> {
        let (_, tokens, dim) = check_tokens("mean of tokens", x)?;
        sequence::mean_pool_backward(dx.grad(x)?, dy.data(), sizes.map(Tensor::data), (tokens, dim));
        Ok(())
    }

    fn take_token(x: &T, index: usize) -> Result<T> {
        let (batch, tokens, dim) = check_token(x, index)?;
        Ok(filled(x.device(), [batch, dim].into(), |y| sequence::select(y, x.data(), index, (tokens, dim))))
    }

    fn take_token_backward(x: &T, index: usize, dy: &T, dx: &mut Slot<Self>) -> Result<()> {
        let (_, tokens, dim) = check_tokens("take token", x)?;
        sequence::select_backward(dx.grad(x)?, dy.data(), index, (tokens, dim));
        Ok(())
    }

    fn match_tokens(metric: &T, r: usize, protected: usize) -> Result<Merge<Self>> {
        let found = merge::matching(metric.data(), check_tokens("matching", metric)?, r, protected);
        Ok(Merge { tokens: found.tokens, kept: found.kept, target: found.target })
    }

    fn merge_tokens(merge: &Merge<Self>, x: &T, sizes: &T) -> Result<(T, T)> {
        let (batch, _, dim) = check_merging((merge.tokens, merge.target.len()), x, sizes)?;
        let mut kept = x.zeros_like([batch, merge.kept].into());
        let out = kept.data_mut()?;
        let merging = merging(merge);
        let y =
            filled(x.device(), [batch, merge.kept, dim].into(), |y| merging.forward(y, out, x.data(), sizes.data()));
        Ok((y, kept))
    }

    fn merge_tokens_backward(
        merge: &Merge<Self>,
        x: &T,
        dy: &T,
        sizes: &T,
        kept: &T,
        dx: &mut Slot<Self>,
    ) -> Result<()> {
        merging(merge).backward(dx.grad(x)?, dy.data(), sizes.data(), kept.data());
        Ok(())
    }
}

fn merging(merge: &Merge<Cpu>) -> merge::Merging {
    merge::Merging { tokens: merge.tokens, kept: merge.kept, target: merge.target.clone() }
}
