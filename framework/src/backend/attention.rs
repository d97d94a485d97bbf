//! Multi-head attention.

use super::tokens::check_sizes;
use crate::error::{Error, Result};
use crate::tensor::{Device, Precision, Slot, Tensor};

/// Sizes of an attention layer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Heads {
    /// Images of the batch.
    pub batch: usize,
    /// Tokens of each image.
    pub tokens: usize,
    /// Heads that remain.
    pub heads: usize,
    /// Width of a head's queries, keys and values.
    pub head_dim: usize,
    /// Factor of the logits: 1 / sqrt of the dense head's width, also after dimensions were removed.
    pub scale: f32,
}

impl Heads {
    /// Width of the output: heads * head_dim.
    pub fn width(&self) -> usize {
        self.heads * self.head_dim
    }

    /// Elements of the attention probabilities `[batch, heads, tokens, tokens]`.
    pub fn probabilities(&self) -> usize {
        self.batch * self.heads * self.tokens * self.tokens
    }
}

/// Attention on a device.
pub trait AttentionOps: Device {
    /// `softmax(scale q k^T + log sizes) v` of `qkv [batch * tokens, 3 * heads * head_dim]`; also the probabilities
    /// where `save`; `precision` is that of the products.
    ///
    /// # Errors
    /// If memory runs out, or the shapes do not fit; so for every operation.
    fn attention(
        shape: Heads,
        qkv: &Tensor<Self>,
        sizes: Option<&Tensor<Self>>,
        precision: Precision,
        save: bool,
    ) -> Result<(Tensor<Self>, Option<Tensor<Self>>)>;
    /// Gradient of [`AttentionOps::attention`]; sizes are constants.
    fn attention_backward(
        shape: Heads,
        qkv: &Tensor<Self>,
        probabilities: &Tensor<Self>,
        dy: &Tensor<Self>,
        precision: Precision,
        dqkv: &mut Slot<Self>,
    ) -> Result<()>;
}

/// Rows and width of an attention layer's output.
pub(super) fn check_attention<B: Device>(
    shape: Heads,
    qkv: &Tensor<B>,
    of_tokens: Option<&Tensor<B>>,
) -> Result<(usize, usize)> {
    let (rows, width) = (shape.batch * shape.tokens, shape.width());
    if *qkv.shape() != [rows, 3 * width] {
        let found = qkv.shape();
        return Err(Error::shape(
            "attention",
            format!("queries, keys and values {found} must be [{rows}, {}]", 3 * width),
        ));
    }
    check_sizes("attention", of_tokens, shape.batch, shape.tokens)?;
    Ok((rows, width))
}
