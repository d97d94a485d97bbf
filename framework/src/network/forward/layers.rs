//! The layers of a pass in the order of their calls, for whoever must compute the same elsewhere.

use super::Forward;
use crate::backend::{Act, Backend};
use serde::{Deserialize, Serialize};

/// One call of a layer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LayerRecord {
    /// The layer: its parameters are `<name>.weight`, `<name>.bias` and the like.
    pub name: String,
    /// What it computes.
    pub operation: LayerOperation,
}

/// What a layer computes, beside its parameters; strides, paddings and kernels in pixels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LayerOperation {
    /// `act(x w^T + b)`, `w [out, in]`, plus a residual where the model adds one.
    Linear {
        /// The activation.
        act: Act,
        /// Whether a residual is added after the activation.
        residual: bool,
    },
    /// `act(conv(x, w) + b)`, `w [out, in / groups, kernel rows, kernel columns]`, without flipping the kernel.
    Conv2d {
        /// Distance of two windows.
        stride: usize,
        /// Zeros on every side of the image.
        padding: usize,
        /// Equal runs of channels, each of which a run of filters sees alone.
        #[serde(default = "one", skip_serializing_if = "is_one")]
        groups: usize,
        /// The activation.
        act: Act,
        /// Whether the maximum of every 2x2 window, two pixels apart, replaces the output.
        pool: bool,
    },
    /// The transpose of a convolution, `w [in, out, kernel rows, kernel columns]`.
    ConvTranspose2d {
        /// Distance of two windows.
        stride: usize,
        /// Zeros that are cut off on every side of the output.
        padding: usize,
        /// The activation.
        act: Act,
    },
    /// Batch normalisation of each channel by the running statistics.
    BatchNorm {
        /// Added to the variance.
        eps: f32,
    },
    /// Layer normalisation over the last axis.
    LayerNorm {
        /// Added to the variance.
        eps: f32,
    },
    /// Multi-head attention over `[queries, keys, values]` of the layer before.
    Attention {
        /// Number of heads.
        heads: usize,
        /// Width of a head.
        head_dim: usize,
        /// Factor of the logits.
        scale: f32,
    },
    /// An activation of its own.
    Activation {
        /// The activation.
        act: Act,
    },
    /// The maximum of every window.
    MaxPool {
        /// Side of a window.
        kernel: usize,
        /// Distance of two windows.
        stride: usize,
        /// Pixels on every side of the image that never are the maximum.
        #[serde(default, skip_serializing_if = "is_none")]
        padding: usize,
    },
}

fn one() -> usize {
    1
}

fn is_one(groups: &usize) -> bool {
    *groups == 1
}

fn is_none(padding: &usize) -> bool {
    *padding == 0
}

impl<B: Backend> Forward<'_, B> {
    /// Writes the layers down, see [`Forward::layers`].
    #[must_use]
    pub fn listing_layers(self) -> Self {
        Self { layers: Some(vec![]), ..self }
    }

    /// The layers called so far, in order; none unless [`Forward::listing_layers`] was asked for. What a model does on
    /// the tape itself (adding positions, choosing the class token), and what a plugin from a dynamic library does, is
    /// not among them.
    pub fn layers(&self) -> &[LayerRecord] {
        self.layers.as_deref().unwrap_or_default()
    }

    pub(super) fn list(&mut self, name: &str, operation: LayerOperation) {
        if let Some(layers) = &mut self.layers {
            layers.push(LayerRecord { name: name.into(), operation });
        }
    }
}
