//! A fully connected layer on slices: shape, parameters, activation.

use crate::backend::Act;
use crate::backend::cpu::common::sparse::Nonzeros;
use crate::backend::cpu::common::{Grad, elementwise, scratch};

/// The layer: shape, parameters, activation.
#[derive(Clone, Copy, Debug)]
pub struct Linear<'a> {
    /// Rows of x and y: batch, or batch times tokens.
    pub rows: usize,
    /// Width of x.
    pub inputs: usize,
    /// Width of y.
    pub outputs: usize,
    /// `[outputs, inputs]`; nothing where `nonzeros` have it.
    pub weight: &'a [f32],
    /// 0 or 1 for each weight.
    pub mask: Option<&'a [f32]>,
    /// `[outputs]`
    pub bias: Option<&'a [f32]>,
    /// Applied after the bias and before the residual.
    pub act: Act,
    /// Where the nonzeros of the weight are, if it has so few that products run over them alone; there is no mask then.
    pub nonzeros: Option<Nonzeros<'a>>,
}

/// The gradients a backward pass produces; `None` where one is not wanted.
#[derive(Debug, Default)]
pub struct LinearGrads<'a> {
    /// `[rows, inputs]`
    pub dx: Option<Grad<'a>>,
    /// `[outputs, inputs]`; of a weight with few nonzeros, `[nonzeros]` in rising order unless `dense_dw`.
    pub dw: Option<Grad<'a>>,
    /// Whether `dw` is the gradient of the masked weight w * mask, pruned entries included (for regrowth), or of w; of
    /// a weight with few nonzeros, whether it is wanted where the weight is zero as well.
    pub dense_dw: bool,
    /// `[outputs]`
    pub db: Option<Grad<'a>>,
    /// `[rows, outputs]`
    pub dresidual: Option<Grad<'a>>,
}

/// Rows that stay in a core's cache while everything is done to them.
pub(super) const CHUNK: usize = 64;
/// Rows from which a small weight is cut into panels once, for all of them.
const MANY_ROWS: usize = 1024;
/// Largest weight for which partial gradients are kept.
const SMALL_WEIGHT: usize = 1 << 18;

impl Linear<'_> {
    /// Whether there are so many rows that a small weight pays for being cut into panels once.
    pub(super) fn many_rows(&self) -> bool {
        self.rows >= MANY_ROWS && self.inputs * self.outputs <= SMALL_WEIGHT
    }

    /// Makes sure that all slices are as long as the shape says.
    pub(super) fn check(&self, x: &[f32]) {
        let (weights, inputs, outputs) = (self.inputs * self.outputs, self.inputs, self.outputs);
        assert_eq!(x.len(), self.rows * inputs, "x of a linear layer with {inputs} inputs");
        let held = self.nonzeros.is_some_and(|nonzeros| nonzeros.pattern.weights() == weights);
        assert!(held || self.weight.len() == weights, "weight of a linear layer [{outputs}, {inputs}]");
        assert!(self.mask.is_none_or(|m| m.len() == weights), "mask of a linear layer [{outputs}, {inputs}]");
        assert!(self.bias.is_none_or(|b| b.len() == outputs), "bias of a linear layer [{outputs}, {inputs}]");
    }
}

/// Lends `f` all of w * mask.
pub(super) fn with_effective_weight<R>(layer: &Linear<'_>, f: impl FnOnce(&[f32]) -> R) -> R {
    match (layer.mask, layer.nonzeros) {
        (None, Some(nonzeros)) => nonzeros.with_whole(f),
        (None, None) => f(layer.weight),
        (Some(mask), _) => scratch::with(mask.len(), |weight| {
            elementwise::mul(weight, layer.weight, mask);
            f(weight)
        }),
    }
}
