//! Fewer tokens in front of the network, or inside it.

use crate::autograd::Tape;
use crate::backend::Backend;
use crate::error::Result;
use crate::tensor::Tensor;

/// Where in the network tokens are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// After the patch embedding and before the first block.
    BeforeEncoder,
    /// Inside a block, between attention and MLP.
    Block {
        /// From 0.
        index: usize,
        /// Number of blocks.
        of: usize,
    },
}

/// Tokens of a batch, with what compression must carry along.
#[derive(Debug, Clone)]
pub struct Tokens<B: Backend> {
    /// `[batch, tokens, dim]`
    pub x: Tensor<B>,
    /// What the model offers to measure similarity on, `[batch, tokens, any]`, without gradient: in a block the keys,
    /// before the encoder the tokens without their positions. Only where the compressor needs it.
    pub metric: Option<Tensor<B>>,
    /// How many original tokens each one stands for, `[batch, tokens]`; one each where absent.
    pub sizes: Option<Tensor<B>>,
    /// For every original token, the token that now holds it: `batch * original tokens` indices; only where asked for.
    pub source: Option<Vec<u32>>,
    /// Leading tokens that are never merged (the class token).
    pub protected: usize,
}

/// Makes fewer tokens of many; differentiable, through the tape.
pub trait Compressor<B: Backend>: Send {
    /// Tokens in, fewer tokens out; sizes and protected tokens carried along.
    ///
    /// # Errors
    /// If the tokens do not have the shape it needs.
    fn compress(&self, tape: &mut Tape<B>, tokens: Tokens<B>, at: Stage) -> Result<Tokens<B>>;

    /// Whether it may change anything at this stage; where not, it is not asked, and a model saves the work of a
    /// metric.
    fn is_active(&self, _at: Stage) -> bool {
        true
    }

    /// Whether it looks at the metric that a model has to offer at this stage; where not, a model saves the work.
    fn needs_metric(&self, at: Stage) -> bool {
        matches!(at, Stage::Block { .. })
    }
}

crate::options! {
    /// Leaves tokens as they are.
    pub struct NoCompression {}
}

impl<B: Backend> Compressor<B> for NoCompression {
    fn compress(&self, _: &mut Tape<B>, tokens: Tokens<B>, _: Stage) -> Result<Tokens<B>> {
        Ok(tokens)
    }

    fn is_active(&self, _: Stage) -> bool {
        false
    }
}
