//! The operations of a pass as what they are, for whoever computes the same with other means: what a network is exported
//! by. Operations of the tape write themselves down; what a model computes past it, it says with [`Tape::write_down`].

use crate::autograd::Tape;
use crate::backend::{Act, Backend, Pool};
use crate::tensor::Tensor;
use std::borrow::Cow;

/// What an operation computes, beside its operands. `[batch]` may be a multiple of the examples wherever it stands.
#[derive(Debug, Clone, PartialEq)]
pub enum Operation {
    /// `x w^T + b` of `x [batch, in]`, `w [out, in]`, and where there is one `b [out]`.
    Linear,
    /// The convolution of `x [batch, in, rows, columns]`, `w [out, in / groups, rows, columns]`, and where there is one
    /// `b [out]`; strides and paddings in pixels.
    Conv2d {
        /// Distance of two windows.
        stride: usize,
        /// Zeros on every side of the image.
        padding: usize,
        /// Equal runs of channels, each of which a run of filters sees alone.
        groups: usize,
    },
    /// The transpose of a convolution, of `x`, `w [in, out, rows, columns]`, and where there is one `b [out]`.
    ConvTranspose2d {
        /// Distance of two windows.
        stride: usize,
        /// Zeros that are cut off on every side of the output.
        padding: usize,
    },
    /// `(x - mean) / sqrt(variance + eps) gamma + beta` of each channel: `x`, gamma, beta, mean, variance.
    BatchNorm {
        /// Added to the variance.
        eps: f32,
    },
    /// The same of each row, by its own mean and variance: `x`, gamma, beta.
    LayerNorm {
        /// Added to the variance.
        eps: f32,
    },
    /// An activation function of `x`.
    Act(Act),
    /// Pooling of `x [batch, channels, rows, columns]`.
    Pool(Pool),
    /// The sum of two values of one shape.
    Add,
    /// Their product.
    Mul,
    /// `softmax(scale q k^T + log sizes) v` of `[q, k, v] [batch * tokens, 3 * heads * head_dim]`, and where there are any
    /// sizes `[batch, tokens]`.
    Attention {
        /// Tokens of an example.
        tokens: usize,
        /// Number of heads.
        heads: usize,
        /// Width of a head.
        head_dim: usize,
        /// Factor of the logits.
        scale: f32,
    },
    /// Square patches of `x [batch, channels, rows, columns]`, row by row: `[batch * patches, channels * side * side]`.
    Patches {
        /// Their side.
        side: usize,
    },
    /// `x [batch, tokens, dim]`, where there is one a class token in front, and where there are any positions added: `x`,
    /// class token, positions.
    Embed {
        /// Whether there is a class token.
        class: bool,
        /// Whether there are positions.
        position: bool,
    },
    /// The mean of the tokens `x [batch, tokens, dim]`, weighted by sizes `[batch, tokens]` where there are any.
    MeanTokens,
    /// Token `index` of `x [batch, tokens, dim]`.
    TakeToken {
        /// Which one.
        index: usize,
    },
    /// The keys of `[q, k, v] [batch * tokens, 3 * heads * head_dim]`, as a mean over the heads.
    MeanKeys {
        /// Number of heads.
        heads: usize,
        /// Width of a head.
        head_dim: usize,
    },
    /// [`Tape::merge_tokens`] by a matching ([`match_tokens`](crate::backend::TokenOps::match_tokens)) of what the tokens
    /// are compared by, `[batch, tokens, any]`: that, `x [batch, tokens, dim]` and sizes `[batch, tokens]`. The results
    /// are the means and their sizes.
    MergeTokens {
        /// Tokens that are merged into others.
        r: usize,
        /// Leading tokens that take no part.
        protected: usize,
    },
    /// An operation that only this program has, by its name.
    Other(Cow<'static, str>),
}

/// One operation of a pass.
#[derive(Debug, Clone)]
pub struct Written<B: Backend> {
    /// What it computes.
    pub operation: Operation,
    /// What went in.
    pub inputs: Vec<Tensor<B>>,
    /// What came out.
    pub outputs: Vec<Tensor<B>>,
}

impl<B: Backend> Tape<B> {
    /// Writes every operation down, see [`Tape::write_down`]; each is computed on its own.
    #[must_use]
    pub(crate) fn writing(mut self) -> Self {
        self.written = Some(vec![]);
        self
    }

    /// Says what was computed, where that is asked for: how a value that was made past the tape's own operations, or
    /// that they made of their parts, comes from its inputs. The last word on an output holds.
    ///
    /// A model that computes something of its own and has it written down can be exported; without this word the export
    /// is refused, by the name of the operation that reads the value.
    pub fn write_down(&mut self, operation: Operation, inputs: &[&Tensor<B>], outputs: &[&Tensor<B>]) {
        let Some(written) = &mut self.written else { return };
        let owned = |all: &[&Tensor<B>]| all.iter().map(|&one| one.clone()).collect::<Vec<_>>();
        let same = |step: &Written<B>| step.outputs.iter().any(|a| outputs.iter().any(|b| a.id() == b.id()));
        written.retain(|step| !same(step));
        written.push(Written { operation, inputs: owned(inputs), outputs: owned(outputs) });
    }

    /// The operations that were written down so far, in order.
    pub(crate) fn take_written(&mut self) -> Vec<Written<B>> {
        self.written.replace(vec![]).unwrap_or_default()
    }
}
