//! Activation functions.

use crate::error::Result;
use crate::tensor::{Device, Tensor};

/// An activation function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Act {
    /// The identity.
    #[default]
    None,
    /// max(x, 0); the slope at 0 is 0.
    Relu,
    /// min(max(x, 0), 6) (Krizhevsky 2010); the slope at 0 and at 6 is 0.
    Relu6,
    /// x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))).
    Gelu,
    /// x/2 (1 + erf(x / sqrt 2)).
    GeluExact,
    /// Hyperbolic tangent.
    Tanh,
    /// 1 / (1 + e^-x).
    Sigmoid,
}

impl Act {
    /// Whether it is straight but for kinks.
    pub fn has_kinks(self) -> bool {
        matches!(self, Act::Relu | Act::Relu6)
    }

    /// Whether the backward pass needs the value before the activation; otherwise the value after it is enough.
    ///
    /// With a residual added behind it, the output is no longer the activation's value.
    pub fn needs_pre(self, residual: bool) -> bool {
        match self {
            Act::None => false,
            Act::Gelu | Act::GeluExact => true,
            Act::Relu | Act::Relu6 | Act::Tanh | Act::Sigmoid => residual,
        }
    }
}

/// Activation functions on a device.
pub trait ActivationOps: Device {
    /// An activation on its own.
    ///
    /// # Errors
    /// If memory runs out, or the shapes do not fit; so for every operation.
    fn activation(act: Act, x: &Tensor<Self>) -> Result<Tensor<Self>>;
    /// Gradient of [`ActivationOps::activation`] at `x`.
    fn activation_backward(act: Act, x: &Tensor<Self>, dy: &Tensor<Self>) -> Result<Tensor<Self>>;
}
