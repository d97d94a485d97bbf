//! Sequences of tokens: made of images, summed up, matched and merged.

use crate::error::{Error, Result};
use crate::tensor::{Device, LayerGrads, Slot, Tensor};

/// Which tokens go together; indices of kept tokens, `[batch, tokens]`.
#[derive(Debug, Clone)]
pub struct Merge<B: Device> {
    /// Tokens of each image before the merge.
    pub tokens: usize,
    /// Tokens of each image after the merge.
    pub kept: usize,
    /// Each token's index among the kept ones.
    pub target: B::Ints,
}

/// Operations of tokens on a device.
pub trait TokenOps: Device {
    /// Patches of `[batch, channels, rows, columns]`, row by row: `[batch * patches, channels * side * side]`. No
    /// gradient.
    ///
    /// # Errors
    /// If memory runs out, or the shapes do not fit; so for every operation.
    fn patches(x: &Tensor<Self>, side: usize) -> Result<Tensor<Self>>;
    /// Class token in front of `x [batch, tokens, dim]`, and positions added.
    fn embed(x: &Tensor<Self>, class: Option<&Tensor<Self>>, position: Option<&Tensor<Self>>) -> Result<Tensor<Self>>;
    /// Gradients of [`TokenOps::embed`]: input, class token (`w`), positions (`b`).
    fn embed_backward(
        x: &Tensor<Self>,
        class: Option<&Tensor<Self>>,
        position: Option<&Tensor<Self>>,
        dy: &Tensor<Self>,
        grads: LayerGrads<'_, Self>,
    ) -> Result<()>;
    /// Mean of the tokens `[batch, tokens, dim] -> [batch, dim]`, weighted by `sizes [batch, tokens]`.
    fn mean_tokens(x: &Tensor<Self>, sizes: Option<&Tensor<Self>>) -> Result<Tensor<Self>>;
    /// Gradient of [`TokenOps::mean_tokens`].
    fn mean_tokens_backward(
        x: &Tensor<Self>,
        sizes: Option<&Tensor<Self>>,
        dy: &Tensor<Self>,
        dx: &mut Slot<Self>,
    ) -> Result<()>;
    /// Token `index` of every image: `[batch, tokens, dim] -> [batch, dim]`.
    fn take_token(x: &Tensor<Self>, index: usize) -> Result<Tensor<Self>>;
    /// Gradient of [`TokenOps::take_token`].
    fn take_token_backward(x: &Tensor<Self>, index: usize, dy: &Tensor<Self>, dx: &mut Slot<Self>) -> Result<()>;

    /// Bipartite soft matching (Bolya et al. 2022) by the cosine of `metric [batch, tokens, dim]`.
    fn match_tokens(metric: &Tensor<Self>, r: usize, protected: usize) -> Result<Merge<Self>>;
    /// Size-weighted means of the tokens that go together, and their sizes.
    fn merge_tokens(
        merge: &Merge<Self>,
        x: &Tensor<Self>,
        sizes: &Tensor<Self>,
    ) -> Result<(Tensor<Self>, Tensor<Self>)>;
    /// Gradient of [`TokenOps::merge_tokens`] with respect to the tokens.
    fn merge_tokens_backward(
        merge: &Merge<Self>,
        x: &Tensor<Self>,
        dy: &Tensor<Self>,
        sizes: &Tensor<Self>,
        kept: &Tensor<Self>,
        dx: &mut Slot<Self>,
    ) -> Result<()>;
}

/// Batch, tokens and width of `[batch, tokens, dim]`.
pub(super) fn check_tokens<B: Device>(what: &str, x: &Tensor<B>) -> Result<(usize, usize, usize)> {
    match *x.shape() {
        [batch, tokens, dim] => Ok((batch, tokens, dim)),
        _ => Err(Error::shape(what, format!("tokens {} must have the axes [batch, tokens, dim]", x.shape()))),
    }
}

/// One size for each token.
pub(super) fn check_sizes<B: Device>(what: &str, sizes: Option<&Tensor<B>>, batch: usize, tokens: usize) -> Result<()> {
    match sizes {
        Some(s) if s.count() != batch * tokens => {
            Err(Error::shape(what, format!("sizes {} for {batch} x {tokens} tokens", s.shape())))
        }
        _ => Ok(()),
    }
}

/// Axes of images that patches of this side divide.
pub(super) fn check_patches<B: Device>(x: &Tensor<B>, side: usize) -> Result<[usize; 4]> {
    let &[batch, channels, height, width] = &*x.shape() else {
        return Err(Error::shape(
            "patches",
            format!("images {} must have the axes [batch, channels, rows, columns]", x.shape()),
        ));
    };
    if side == 0 || height % side != 0 || width % side != 0 {
        return Err(Error::shape(
            "patches",
            format!("patches of {side}x{side} do not divide an image of {height}x{width}"),
        ));
    }
    Ok([batch, channels, height, width])
}

/// Batch, tokens, tokens with the class token, and width.
pub(super) fn check_embed<B: Device>(
    x: &Tensor<B>,
    class: Option<&Tensor<B>>,
    position: Option<&Tensor<B>>,
) -> Result<(usize, usize, usize, usize)> {
    let (batch, tokens, dim) = check_tokens("embed", x)?;
    let after = tokens + usize::from(class.is_some());
    let fits = class.is_none_or(|c| c.count() == dim) && position.is_none_or(|p| p.count() == after * dim);
    if !fits {
        return Err(Error::shape(
            "embed",
            format!("class token or positions do not fit {after} tokens of width {dim}"),
        ));
    }
    Ok((batch, tokens, after, dim))
}

/// Batch, tokens and width, where there is a token of this index.
pub(super) fn check_token<B: Device>(x: &Tensor<B>, index: usize) -> Result<(usize, usize, usize)> {
    let (batch, tokens, dim) = check_tokens("take token", x)?;
    if index >= tokens {
        return Err(Error::shape("take token", format!("token {index} of {tokens}")));
    }
    Ok((batch, tokens, dim))
}

/// Batch, tokens and width of tokens that a matching of `matched` tokens each, `targets` in all, is for.
pub(super) fn check_merging<B: Device>(
    (matched, targets): (usize, usize),
    x: &Tensor<B>,
    of_tokens: &Tensor<B>,
) -> Result<(usize, usize, usize)> {
    let (batch, tokens, dim) = check_tokens("merging", x)?;
    check_sizes("merging", Some(of_tokens), batch, tokens)?;
    if matched != tokens || targets != batch * tokens {
        return Err(Error::shape("merging", format!("tokens {} do not fit a matching of {matched} tokens", x.shape())));
    }
    Ok((batch, tokens, dim))
}
