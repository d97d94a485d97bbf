//! Whether operands fit each other; the same checks and messages on every device.

use super::{Conv2d, Heads};
use crate::backend::cpu::kernels::patches::Patches;
use crate::backend::tensor::Tensor;
use crate::backend::{Backend, Weight};
use crate::error::{Error, Result};

/// Batch, tokens and width of `[batch, tokens, dim]`.
pub(in crate::backend) fn tokens<B: Backend>(what: &str, x: &Tensor<B>) -> Result<(usize, usize, usize)> {
    match *x.shape() {
        [batch, tokens, dim] => Ok((batch, tokens, dim)),
        _ => Err(Error::shape(what, format!("tokens {} must have the axes [batch, tokens, dim]", x.shape()))),
    }
}

/// One size for each token.
pub(in crate::backend) fn sizes<B: Backend>(
    what: &str,
    sizes: Option<&Tensor<B>>,
    batch: usize,
    tokens: usize,
) -> Result<()> {
    match sizes {
        Some(s) if s.count() != batch * tokens => {
            Err(Error::shape(what, format!("sizes {} for {batch} x {tokens} tokens", s.shape())))
        }
        _ => Ok(()),
    }
}

/// Features of a layer normalisation.
pub(in crate::backend) fn layer_norm<B: Backend>(x: &Tensor<B>, gamma: &Tensor<B>, beta: &Tensor<B>) -> Result<usize> {
    let n = gamma.count();
    if n == 0 || beta.count() != n || x.shape().last() != Some(&n) {
        return Err(Error::shape("layer norm", format!("input {} does not fit {} features", x.shape(), n)));
    }
    Ok(n)
}

/// Rows and width of an attention layer's output.
pub(in crate::backend) fn attention<B: Backend>(
    shape: Heads,
    qkv: &Tensor<B>,
    of_tokens: Option<&Tensor<B>>,
) -> Result<(usize, usize)> {
    let (rows, width) = (shape.batch * shape.tokens, shape.heads * shape.head_dim);
    if *qkv.shape() != [rows, 3 * width] {
        let found = qkv.shape();
        return Err(Error::shape(
            "attention",
            format!("queries, keys and values {found} must be [{rows}, {}]", 3 * width),
        ));
    }
    sizes("attention", of_tokens, shape.batch, shape.tokens)?;
    Ok((rows, width))
}

/// Axes of images that patches of this side divide.
pub(in crate::backend) fn patches<B: Backend>(x: &Tensor<B>, side: usize) -> Result<[usize; 4]> {
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
pub(in crate::backend) fn embed<B: Backend>(
    x: &Tensor<B>,
    class: Option<&Tensor<B>>,
    position: Option<&Tensor<B>>,
) -> Result<(usize, usize, usize, usize)> {
    let (batch, tokens, dim) = tokens("embed", x)?;
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
pub(in crate::backend) fn token<B: Backend>(x: &Tensor<B>, index: usize) -> Result<(usize, usize, usize)> {
    let (batch, tokens, dim) = tokens("take token", x)?;
    if index >= tokens {
        return Err(Error::shape("take token", format!("token {index} of {tokens}")));
    }
    Ok((batch, tokens, dim))
}

/// Batch, tokens and width of tokens that a matching of `matched` tokens each, `targets` in all, is for.
pub(in crate::backend) fn merging<B: Backend>(
    (matched, targets): (usize, usize),
    x: &Tensor<B>,
    of_tokens: &Tensor<B>,
) -> Result<(usize, usize, usize)> {
    let (batch, tokens, dim) = tokens("merging", x)?;
    sizes("merging", Some(of_tokens), batch, tokens)?;
    if matched != tokens || targets != batch * tokens {
        return Err(Error::shape("merging", format!("tokens {} do not fit a matching of {matched} tokens", x.shape())));
    }
    Ok((batch, tokens, dim))
}

/// Batch, windows and filters of a convolution.
pub(in crate::backend) fn conv2d<B: Backend>(op: &Conv2d<B>) -> Result<(usize, Patches, usize)> {
    const WHAT: &str = "conv2d";
    let (&[batch, channels, height, width], &[filters, inputs, rows, cols]) = (&*op.x.shape(), &*op.w.value.shape())
    else {
        let message = format!("input {} and weight {} must have four axes", op.x.shape(), op.w.value.shape());
        return Err(Error::shape(WHAT, message));
    };
    if channels != inputs {
        return Err(Error::shape(WHAT, format!("input {} does not fit weight {}", op.x.shape(), op.w.value.shape())));
    }
    let patches =
        Patches { channels, height, width, kernel: (rows, cols), stride: op.stride.max(1), padding: op.padding };
    if patches.windows().0 == 0 || patches.windows().1 == 0 {
        return Err(Error::shape(WHAT, format!("a kernel of {rows}x{cols} does not fit an image of {height}x{width}")));
    }
    if op.act.needs_pre(false) {
        return Err(Error::shape(
            WHAT,
            format!("{:?} cannot be fused into a convolution: apply it on its own", op.act),
        ));
    }
    parameters(WHAT, &op.w, op.b.as_ref(), filters)?;
    Ok((batch, patches, filters))
}

/// Bias and mask of a weight with as many outputs.
pub(in crate::backend) fn parameters<B: Backend>(
    what: &str,
    w: &Weight<B>,
    b: Option<&Tensor<B>>,
    outputs: usize,
) -> Result<()> {
    if b.is_some_and(|b| b.count() != outputs) {
        return Err(Error::shape(what, format!("the bias does not fit weight {}", w.value.shape())));
    }
    if w.mask.as_ref().is_some_and(|m| m.count() != w.value.count()) {
        return Err(Error::shape(what, format!("the mask does not fit weight {}", w.value.shape())));
    }
    Ok(())
}
