//! A convolution on slices: shape, parameters, and what follows them.

use crate::backend::cpu::common::matrix::flops;
use crate::backend::cpu::common::{Grad, elementwise};
use crate::backend::{Act, Patches, Precision};

/// The layer: shape, parameters, and what follows them.
#[derive(Clone, Copy, Debug)]
pub struct Conv<'a> {
    /// Images.
    pub batch: usize,
    /// Image and windows; stride at least 1.
    pub patches: Patches,
    /// Output channels.
    pub filters: usize,
    /// Runs of channels, each with a run of filters of its own; a divisor of both counts.
    pub groups: usize,
    /// `[filters, channels / groups, kernel rows, kernel columns]`
    pub weight: &'a [f32],
    /// 0 or 1 for each weight.
    pub mask: Option<&'a [f32]>,
    /// `[filters]`
    pub bias: Option<&'a [f32]>,
    /// Applied after the bias; not one that needs its input in the backward pass (see [`Act::needs_pre`]).
    pub act: Act,
    /// Whether 2x2 windows of the output are replaced by their maximum (stride 2, floor).
    pub pool: bool,
    /// What its products are computed in, but for forms of fewer products, which are f32.
    pub precision: Precision,
}

/// The gradients a backward pass produces; `None` where one is not wanted.
#[derive(Debug, Default)]
pub struct ConvGrads<'a> {
    /// Of the layer's input, in its shape.
    pub dx: Option<Grad<'a>>,
    /// Of the weight, in its shape.
    pub dw: Option<Grad<'a>>,
    /// Whether `dw` is the gradient of the masked weight w * mask, pruned entries included (for regrowth), or of w.
    pub dense_dw: bool,
    /// `[bias length]`
    pub db: Option<Grad<'a>>,
}

impl Conv<'_> {
    /// Shape [filters, rows, columns] of an output image.
    pub fn output(&self) -> (usize, usize, usize) {
        let (down, across) = self.patches.windows();
        if self.pool { (self.filters, down / 2, across / 2) } else { (self.filters, down, across) }
    }

    /// Elements of a filter.
    pub(super) fn depth(&self) -> usize {
        self.patches.depth() / self.groups
    }

    /// Windows over an image.
    pub(super) fn windows(&self) -> usize {
        let (down, across) = self.patches.windows();
        down * across
    }

    /// Elements of an output image.
    pub(super) fn output_len(&self) -> usize {
        let (filters, rows, cols) = self.output();
        filters * rows * cols
    }

    /// Floating-point operations of the forward pass.
    pub fn flops(&self) -> usize {
        let (down, across) = self.patches.windows();
        flops(down * across, self.filters, self.depth()).saturating_mul(self.batch)
    }

    /// Makes sure that all slices are as long as the shape says.
    pub(super) fn check(&self, x: &[f32]) {
        self.check_weight(self.weight.len());
        self.check_rest(x);
    }

    /// Makes sure that a weight has so many elements.
    pub(super) fn check_weight(&self, weights: usize) {
        assert_eq!(self.filters * self.depth(), weights, "weight of a convolution {:?}", self.patches);
    }

    /// The same of all slices but the weight.
    pub(super) fn check_rest(&self, x: &[f32]) {
        let weights = self.filters * self.depth();
        let divided = [self.patches.channels, self.filters].iter().all(|n| n.is_multiple_of(self.groups));
        assert!(divided, "{} groups of a convolution {:?}", self.groups, self.patches);
        assert!(self.patches.stride > 0 && !self.act.needs_pre(false), "stride or activation of {:?}", self.patches);
        assert_eq!(x.len(), self.batch * self.patches.image(), "x of a convolution {:?}", self.patches);
        assert!(self.mask.is_none_or(|m| m.len() == weights), "mask of a convolution {:?}", self.patches);
        assert!(self.bias.is_none_or(|b| b.len() == self.filters), "bias of a convolution {:?}", self.patches);
    }
}

/// w * mask.
pub(super) fn effective<'a>(weight: &'a [f32], mask: Option<&[f32]>) -> std::borrow::Cow<'a, [f32]> {
    match mask {
        None => weight.into(),
        Some(mask) => {
            let mut masked = vec![0.0; weight.len()];
            elementwise::mul(&mut masked, weight, mask);
            masked.into()
        }
    }
}
