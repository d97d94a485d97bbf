//! Image operations: from tensors to kernels.

use super::kernels::{attention, conv, dropout, layer_norm, merge, tokens};
use super::ops::{filled, wanted};
use crate::backend::Slot;
use crate::backend::tensor::{Shape, Tensor};
use crate::backend::vision::{Conv2d, Conv2dSaved, Heads, LayerGrads, Merge, VisionOps, fit};
use crate::error::Result;
use dfdx::tensor::Cpu;

type T = Tensor<Cpu>;

fn kernel(op: &Conv2d<Cpu>) -> Result<conv::Conv<'_>> {
    let (batch, patches, filters) = fit::conv2d(op)?;
    let (weight, mask) = (op.w.value.data(), op.w.mask.as_ref().map(Tensor::data));
    Ok(conv::Conv {
        batch,
        patches,
        filters,
        weight,
        mask,
        bias: op.b.as_ref().map(Tensor::data),
        act: op.act,
        pool: op.pool,
    })
}

fn heads(shape: Heads) -> attention::Attention {
    let Heads { batch, tokens, heads, head_dim, scale } = shape;
    attention::Attention { batch, tokens, heads, head_dim, scale }
}

impl VisionOps for Cpu {
    fn conv2d(op: &Conv2d<Self>, save: bool) -> Result<(T, Option<Conv2dSaved<Self>>)> {
        let layer = kernel(op)?;
        let (filters, rows, cols) = layer.output();
        let shape = Shape::from([layer.batch, filters, rows, cols]);
        let mut argmax = (save && op.pool).then(|| vec![0; shape.count()]);
        let y = filled(op.x.device(), shape, |y| conv::forward(&layer, op.x.data(), y, argmax.as_deref_mut()));
        let saved = save.then(|| Conv2dSaved { y: y.clone(), argmax });
        Ok((y, saved))
    }

    fn conv2d_backward(
        op: &Conv2d<Self>,
        saved: &Conv2dSaved<Self>,
        dy: &T,
        grads: LayerGrads<'_, Self>,
    ) -> Result<()> {
        let wanted = conv::ConvGrads {
            dx: wanted(grads.x, Some(&op.x))?,
            dw: wanted(grads.w, Some(&op.w.value))?,
            dense_dw: true,
            db: wanted(grads.b, op.b.as_ref())?,
        };
        conv::backward(&kernel(op)?, op.x.data(), saved.y.data(), saved.argmax.as_deref(), dy.data(), wanted);
        Ok(())
    }

    fn layer_norm(x: &T, gamma: &T, beta: &T, eps: f32) -> Result<(T, T)> {
        let n = fit::layer_norm(x, gamma, beta)?;
        let mut stats = x.zeros_like([x.count() / n, 2].into());
        let out = stats.data_mut()?;
        let y = x.like(|y| layer_norm::forward(x.data(), gamma.data(), beta.data(), eps, y, out));
        Ok((y, stats))
    }

    fn layer_norm_backward(x: &T, gamma: &T, stats: &T, dy: &T, grads: LayerGrads<'_, Self>) -> Result<()> {
        let (dx, dgamma, dbeta) =
            (wanted(grads.x, Some(x))?, wanted(grads.w, Some(gamma))?, wanted(grads.b, Some(gamma))?);
        layer_norm::backward(x.data(), gamma.data(), stats.data(), dy.data(), dx, dgamma, dbeta);
        Ok(())
    }

    fn attention(shape: Heads, qkv: &T, sizes: Option<&T>, save: bool) -> Result<(T, Option<T>)> {
        let (layer, (rows, width)) = (heads(shape), fit::attention(shape, qkv, sizes)?);
        let bias: Option<Vec<f32>> = sizes.map(|s| s.data().iter().map(|s| s.ln()).collect());
        let run = |kept: Option<&mut [f32]>| {
            filled(qkv.device(), [rows, width].into(), |y| {
                attention::forward(&layer, qkv.data(), bias.as_deref(), y, kept)
            })
        };
        if !save {
            return Ok((run(None), None));
        }
        let mut y = None;
        let probabilities = filled(qkv.device(), [layer.probabilities()].into(), |kept| y = Some(run(Some(kept))));
        Ok((y.expect("`filled` calls its argument"), Some(probabilities)))
    }

    fn attention_backward(shape: Heads, qkv: &T, probabilities: &T, dy: &T, dqkv: &mut Slot<Self>) -> Result<()> {
        attention::backward(&heads(shape), qkv.data(), probabilities.data(), dy.data(), dqkv.grad(qkv)?);
        Ok(())
    }

    fn patches(x: &T, side: usize) -> Result<T> {
        let [batch, channels, height, width] = fit::patches(x, side)?;
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
        let (batch, tokens, after, dim) = fit::embed(x, class, position)?;
        let (class, position) = (class.map(Tensor::data), position.map(Tensor::data));
        Ok(filled(x.device(), [batch, after, dim].into(), |y| {
            tokens::embed(y, x.data(), class, position, (tokens, dim))
        }))
    }

    fn embed_backward(
        x: &T,
        class: Option<&T>,
        position: Option<&T>,
        dy: &T,
        grads: LayerGrads<'_, Self>,
    ) -> Result<()> {
        let (_, tokens, dim) = fit::tokens("embed", x)?;
        let (dx, dclass, dposition) = (wanted(grads.x, Some(x))?, wanted(grads.w, class)?, wanted(grads.b, position)?);
        tokens::embed_backward(dy.data(), dx, dclass, dposition, class.is_some(), (tokens, dim));
        Ok(())
    }

    fn mean_tokens(x: &T, sizes: Option<&T>) -> Result<T> {
        let (batch, tokens, dim) = fit::tokens("mean of tokens", x)?;
        fit::sizes("mean of tokens", sizes, batch, tokens)?;
        Ok(filled(x.device(), [batch, dim].into(), |y| {
            tokens::mean_pool(y, x.data(), sizes.map(Tensor::data), (tokens, dim))
        }))
    }

    fn mean_tokens_backward(x: &T, sizes: Option<&T>, dy: &T, dx: &mut Slot<Self>) -> Result<()> {
        let (_, tokens, dim) = fit::tokens("mean of tokens", x)?;
        tokens::mean_pool_backward(dx.grad(x)?, dy.data(), sizes.map(Tensor::data), (tokens, dim));
        Ok(())
    }

    fn take_token(x: &T, index: usize) -> Result<T> {
        let (batch, tokens, dim) = fit::token(x, index)?;
        Ok(filled(x.device(), [batch, dim].into(), |y| tokens::select(y, x.data(), index, (tokens, dim))))
    }

    fn take_token_backward(x: &T, index: usize, dy: &T, dx: &mut Slot<Self>) -> Result<()> {
        let (_, tokens, dim) = fit::tokens("take token", x)?;
        tokens::select_backward(dx.grad(x)?, dy.data(), index, (tokens, dim));
        Ok(())
    }

    fn dropout(x: &T, p: f32, seed: u64) -> Result<T> {
        Ok(x.like(|y| dropout::forward(dropout::Dropout { p, seed }, y, x.data())))
    }

    fn match_tokens(metric: &T, r: usize, protected: usize) -> Result<Merge<Self>> {
        let found = merge::matching(metric.data(), fit::tokens("matching", metric)?, r, protected);
        Ok(Merge { tokens: found.tokens, kept: found.kept, target: found.target })
    }

    fn merge_tokens(merge: &Merge<Self>, x: &T, sizes: &T) -> Result<(T, T)> {
        let (batch, _, dim) = fit::merging((merge.tokens, merge.target.len()), x, sizes)?;
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
