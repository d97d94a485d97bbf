//! Operations of image networks: convolution, normalisation, attention, tokens.

pub(in crate::backend) mod fit;

use super::{Act, Backend, Slot, Weight};
use crate::backend::tensor::Tensor;
use crate::error::Result;

/// Operands of a convolution fused with its activation and, where `pool`, a 2x2 maximum.
#[derive(Debug, Clone)]
pub struct Conv2d<B: Backend> {
    /// `[batch, in, rows, columns]`
    pub x: Tensor<B>,
    /// `[out, in, kernel rows, kernel columns]`
    pub w: Weight<B>,
    /// `[out]`
    pub b: Option<Tensor<B>>,
    /// Distance of windows.
    pub stride: usize,
    /// Zeros around the image.
    pub padding: usize,
    /// Applied after the bias: one whose derivative follows from its value.
    pub act: Act,
    /// Whether 2x2 windows of the output are replaced by their maximum.
    pub pool: bool,
}

/// What a convolution's forward pass leaves for its backward pass.
#[derive(Debug)]
pub struct Conv2dSaved<B: Backend> {
    /// The output.
    pub y: Tensor<B>,
    /// Where in its window each maximum was.
    pub argmax: Option<B::Bytes>,
}

/// Wanted gradients of a layer with input, weight and bias.
#[derive(Debug)]
pub struct LayerGrads<'a, B: Backend> {
    /// d input
    pub x: Option<&'a mut Slot<B>>,
    /// d weight
    pub w: Option<&'a mut Slot<B>>,
    /// d bias
    pub b: Option<&'a mut Slot<B>>,
}

/// Sizes of an attention layer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Heads {
    /// Images.
    pub batch: usize,
    /// Tokens of each.
    pub tokens: usize,
    /// Heads.
    pub heads: usize,
    /// Width of a head.
    pub head_dim: usize,
    /// Factor of the logits.
    pub scale: f32,
}

/// Which tokens go together; indices of kept tokens, `[batch, tokens]`.
#[derive(Debug, Clone)]
pub struct Merge<B: Backend> {
    /// Tokens of each image before.
    pub tokens: usize,
    /// Tokens of each image after.
    pub kept: usize,
    /// Each token's index among the kept ones.
    pub target: B::Ints,
}

/// Image operations of a device; a supertrait of [`Backend`].
pub trait VisionOps: Sized {
    /// Convolution, activation, pooling.
    ///
    /// # Errors
    /// If memory runs out, or the shapes do not fit; so for every operation.
    fn conv2d(op: &Conv2d<Self>, save: bool) -> Result<(Tensor<Self>, Option<Conv2dSaved<Self>>)>
    where
        Self: Backend;
    /// Gradients of [`VisionOps::conv2d`].
    fn conv2d_backward(
        op: &Conv2d<Self>,
        saved: &Conv2dSaved<Self>,
        dy: &Tensor<Self>,
        grads: LayerGrads<'_, Self>,
    ) -> Result<()>
    where
        Self: Backend;
    /// Rows of `x [rows, n]` normalised, then scaled by `gamma` and shifted by `beta`; also `[rows, 2]` statistics.
    fn layer_norm(
        x: &Tensor<Self>,
        gamma: &Tensor<Self>,
        beta: &Tensor<Self>,
        eps: f32,
    ) -> Result<(Tensor<Self>, Tensor<Self>)>
    where
        Self: Backend;
    /// Gradients of [`VisionOps::layer_norm`]: input, gamma (`w`), beta (`b`).
    fn layer_norm_backward(
        x: &Tensor<Self>,
        gamma: &Tensor<Self>,
        stats: &Tensor<Self>,
        dy: &Tensor<Self>,
        grads: LayerGrads<'_, Self>,
    ) -> Result<()>
    where
        Self: Backend;
    /// `softmax(scale q k^T + log sizes) v` of `qkv [batch * tokens, 3 * heads * head_dim]`; also the probabilities where `save`.
    fn attention(
        shape: Heads,
        qkv: &Tensor<Self>,
        sizes: Option<&Tensor<Self>>,
        save: bool,
    ) -> Result<(Tensor<Self>, Option<Tensor<Self>>)>
    where
        Self: Backend;
    /// Gradient of [`VisionOps::attention`]; sizes are constants.
    fn attention_backward(
        shape: Heads,
        qkv: &Tensor<Self>,
        probabilities: &Tensor<Self>,
        dy: &Tensor<Self>,
        dqkv: &mut Slot<Self>,
    ) -> Result<()>
    where
        Self: Backend;
    /// Patches of `[batch, channels, rows, columns]`, row by row: `[batch * patches, channels * side * side]`. No gradient.
    fn patches(x: &Tensor<Self>, side: usize) -> Result<Tensor<Self>>
    where
        Self: Backend;
    /// Class token in front of `x [batch, tokens, dim]`, and positions added.
    fn embed(x: &Tensor<Self>, class: Option<&Tensor<Self>>, position: Option<&Tensor<Self>>) -> Result<Tensor<Self>>
    where
        Self: Backend;
    /// Gradients of [`VisionOps::embed`]: input, class token (`w`), positions (`b`).
    fn embed_backward(
        x: &Tensor<Self>,
        class: Option<&Tensor<Self>>,
        position: Option<&Tensor<Self>>,
        dy: &Tensor<Self>,
        grads: LayerGrads<'_, Self>,
    ) -> Result<()>
    where
        Self: Backend;
    /// Mean of the tokens `[batch, tokens, dim] -> [batch, dim]`, weighted by `sizes [batch, tokens]`.
    fn mean_tokens(x: &Tensor<Self>, sizes: Option<&Tensor<Self>>) -> Result<Tensor<Self>>
    where
        Self: Backend;
    /// Gradient of [`VisionOps::mean_tokens`].
    fn mean_tokens_backward(
        x: &Tensor<Self>,
        sizes: Option<&Tensor<Self>>,
        dy: &Tensor<Self>,
        dx: &mut Slot<Self>,
    ) -> Result<()>
    where
        Self: Backend;
    /// Token `index` of every image: `[batch, tokens, dim] -> [batch, dim]`.
    fn take_token(x: &Tensor<Self>, index: usize) -> Result<Tensor<Self>>
    where
        Self: Backend;
    /// Gradient of [`VisionOps::take_token`].
    fn take_token_backward(x: &Tensor<Self>, index: usize, dy: &Tensor<Self>, dx: &mut Slot<Self>) -> Result<()>
    where
        Self: Backend;
    /// Elements dropped with probability `p`, the others scaled by `1 / (1 - p)`; also its own backward pass.
    fn dropout(x: &Tensor<Self>, p: f32, seed: u64) -> Result<Tensor<Self>>
    where
        Self: Backend;
    /// Bipartite soft matching (Bolya et al. 2022) by the cosine of `metric [batch, tokens, dim]`.
    fn match_tokens(metric: &Tensor<Self>, r: usize, protected: usize) -> Result<Merge<Self>>
    where
        Self: Backend;
    /// Size-weighted means of the tokens that go together, and their sizes.
    fn merge_tokens(
        merge: &Merge<Self>,
        x: &Tensor<Self>,
        sizes: &Tensor<Self>,
    ) -> Result<(Tensor<Self>, Tensor<Self>)>
    where
        Self: Backend;
    /// Gradient of [`VisionOps::merge_tokens`] with respect to the tokens.
    fn merge_tokens_backward(
        merge: &Merge<Self>,
        x: &Tensor<Self>,
        dy: &Tensor<Self>,
        sizes: &Tensor<Self>,
        kept: &Tensor<Self>,
        dx: &mut Slot<Self>,
    ) -> Result<()>
    where
        Self: Backend;
}
