//! What a forward pass can record, and what else a criterion may ask the training loop for.

/// Signals, combined with `|`.
///
/// A layer's values have the same names whatever kind of layer it is, in the order in which they come about, and are
/// found under the layer's own name (`conv1`, not that of its batch normalisation):
///
/// | | linear | convolution | transposed convolution |
/// |---|---|---|---|
/// | [`INPUTS`](Needs::INPUTS) | x | x | x |
/// | [`PRODUCTS`](Needs::PRODUCTS) | x w^T + b | conv(x, w) + b | the same, transposed |
/// | [`PREACTIVATIONS`](Needs::PREACTIVATIONS) | the same | after its batch normalisation, if any | the same |
/// | [`OUTPUTS`](Needs::OUTPUTS) | after the activation | after the activation | after the activation |
/// | not shown | residual added | pooled | |
///
/// Layers compute all of this at once; what is asked for is computed apart, which is slower. On the CPU every value has
/// the same bits either way; a convolution's bias may get a gradient that is summed up in another order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Needs(u32);

impl Needs {
    /// Weights and masks: always there.
    pub const WEIGHTS: Self = Self(0);
    /// Gradients of the loss with respect to the parameters, of the last observed step.
    pub const GRADIENTS: Self = Self(1);
    /// Inputs of every layer: `[rows, in]`, or `[batch, channels, rows, columns]` of a convolution.
    pub const INPUTS: Self = Self(1 << 1);
    /// Outputs of every layer: after its batch normalisation and its activation, before pooling, and before a residual
    /// is added.
    pub const OUTPUTS: Self = Self(1 << 2);
    /// Gradients of the loss with respect to the outputs; implies [`Needs::OUTPUTS`].
    pub const OUTPUT_GRADIENTS: Self = Self(1 << 3 | 1 << 2);
    /// What enters the activation of every layer: its product, after batch normalisation where there is one.
    pub const PREACTIVATIONS: Self = Self(1 << 4);
    /// Every operation in order, so that something else than gradients can be sent backwards (relevance).
    pub const TRACE: Self = Self(1 << 5);
    /// Gradients at other weights, inputs or objectives, through `Criterion::prepare`.
    pub const PROBE: Self = Self(1 << 6);
    /// A term added to the training loss, through `Criterion::penalty`.
    pub const PENALTY: Self = Self(1 << 7);
    /// The product of every layer with its input, plus its bias, before batch normalisation.
    pub const PRODUCTS: Self = Self(1 << 8);

    const NAMES: [(Self, &str); 9] = [
        (Self::GRADIENTS, "GRADIENTS"),
        (Self::INPUTS, "INPUTS"),
        (Self::OUTPUTS, "OUTPUTS"),
        (Self(1 << 3), "OUTPUT_GRADIENTS"),
        (Self::PREACTIVATIONS, "PREACTIVATIONS"),
        (Self::TRACE, "TRACE"),
        (Self::PROBE, "PROBE"),
        (Self::PENALTY, "PENALTY"),
        (Self::PRODUCTS, "PRODUCTS"),
    ];

    /// Whether every signal of `other` is among these.
    pub fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// As a number, for a plugin boundary.
    pub fn bits(self) -> u32 {
        self.0
    }

    /// From a number.
    pub fn from_bits(bits: u32) -> Self {
        Self(bits)
    }
}

impl std::ops::BitOr for Needs {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl std::fmt::Display for Needs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&str> = Self::NAMES.iter().filter(|(n, _)| self.has(*n)).map(|(_, s)| *s).collect();
        f.write_str(if names.is_empty() { "WEIGHTS".into() } else { names.join(" | ") }.as_str())
    }
}
