//! Update rules of optimizers.

use crate::error::Result;
use crate::tensor::{Device, Tensor};

/// One parameter in an optimizer step.
#[derive(Debug)]
pub struct Updated<'a, B: Device> {
    /// The rule, at this parameter's update count.
    pub rule: Update,
    /// The weight, updated in place.
    pub weight: &'a mut Tensor<B>,
    /// [`Update::slots`] tensors like the weight.
    pub state: &'a mut [Tensor<B>],
    /// The weight's gradient.
    pub grad: &'a Tensor<B>,
    /// The mask that holds pruned weights at zero.
    pub mask: Option<&'a Tensor<B>>,
}

/// Update rule of an optimizer; formulas as in PyTorch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Update {
    /// v <- momentum v + g + wd w; w <- w - lr v (Nesterov: w - lr (g + momentum v)).
    Sgd {
        /// Learning rate.
        lr: f32,
        /// Momentum; 0 needs no state.
        momentum: f32,
        /// Strength of the L2 penalty, which is added to the gradient.
        weight_decay: f32,
        /// Whether Nesterov's form is used.
        nesterov: bool,
    },
    /// Adam (Kingma & Ba 2015); AdamW (Loshchilov & Hutter 2019) where `decoupled`.
    Adam {
        /// Learning rate.
        lr: f32,
        /// Decay of the first moment.
        beta1: f32,
        /// Decay of the second moment.
        beta2: f32,
        /// The number that is added to the root of the second moment.
        eps: f32,
        /// Strength of the weight decay.
        weight_decay: f32,
        /// Whether the decay is applied to the weight instead of the gradient.
        decoupled: bool,
        /// Updates of this parameter so far, this one included; for bias correction.
        t: u64,
    },
}

impl Update {
    /// The same rule for one parameter: with weight decay or without, at its own update count.
    pub fn for_param(self, decay: bool, updates: u64) -> Self {
        match self {
            Self::Sgd { lr, momentum, weight_decay, nesterov } => {
                Self::Sgd { lr, momentum, weight_decay: if decay { weight_decay } else { 0.0 }, nesterov }
            }
            Self::Adam { lr, beta1, beta2, eps, weight_decay, decoupled, .. } => {
                let weight_decay = if decay { weight_decay } else { 0.0 };
                Self::Adam { lr, beta1, beta2, eps, weight_decay, decoupled, t: updates }
            }
        }
    }

    /// State tensors it keeps for every parameter.
    pub fn slots(&self) -> usize {
        match self {
            Self::Sgd { momentum, .. } => usize::from(*momentum != 0.0),
            Self::Adam { .. } => 2,
        }
    }
}

/// Optimizer steps on a device.
pub trait OptimizerOps: Device {
    /// What gradients are multiplied by so that their common norm does not exceed `limit`, and that norm: `[2]`.
    ///
    /// # Errors
    /// If memory runs out, or the shapes do not fit; so for every operation.
    fn clip_scale(grads: &[&Tensor<Self>], limit: f64) -> Result<Tensor<Self>>;

    /// One optimizer step over all parameters, in place; the first value of `scale` multiplies every gradient
    /// (clipping).
    fn update(params: &mut [Updated<'_, Self>], scale: Option<&Tensor<Self>>) -> Result<()>;
}
