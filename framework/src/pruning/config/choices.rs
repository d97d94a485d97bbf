//! The words of the `[prune]` section.

use serde::{Deserialize, Serialize};

/// How a sparsity is shared among layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// One ranking over all layers.
    Global,
    /// The same fraction in every layer.
    Layer,
    /// Erdős–Rényi kernel densities (Evci et al. 2020, RigL): dense where layers are small.
    Erk,
    /// The fractions in `prune.table`.
    Table,
    /// The numbers in `prune.counts`.
    Counts,
}

/// What happens to what is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Apply {
    /// It is held at zero; shapes stay.
    Mask,
    /// Units are cut out of every weight, bias, consumer and optimizer state: the network gets smaller and faster.
    Shrink,
}

/// What happens where a pruning step leaves nothing of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnEmptyLayer {
    /// The run goes on and says so.
    Warn,
    /// The run ends before the layer is emptied.
    Stop,
    /// The layer keeps its best weight.
    KeepOne,
}

/// What becomes of weights on no path from an input to an output when the run ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Disconnected {
    /// They stay.
    Keep,
    /// Those that lead to no output are pruned: no output changes.
    Unread,
    /// Those that no input reaches are pruned too: what a unit makes of its bias alone is no longer passed on.
    All,
}

/// Where what was pruned starts from when it returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RegrowFrom {
    /// From what it learned in the meantime, from the gradient of the dense network.
    Learned,
    /// From zero, at which it was held in the meantime.
    Zero,
}

/// How the scores of different layers are made comparable before they are ranked together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Normalizer {
    /// They are ranked as they are.
    None,
    /// Each layer's are divided by their mean magnitude.
    Mean,
    /// Each layer's are divided by their number.
    Size,
    /// Each layer's are divided by their L2 norm (Molchanov et al. 2017).
    L2,
    /// Each layer's mean is taken off, and the rest divided by their standard deviation.
    ZScore,
}

/// What a schedule's sparsity is a fraction of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Quantity {
    /// The weights, units or blocks that may be pruned.
    Sparsity,
    /// Parameters of the dense network, biases and norms among them.
    Params,
    /// Multiply-accumulate operations of the dense network for one example.
    Macs,
    /// Bytes of the values that the saved model holds: parameters and running statistics.
    Bytes,
    /// Milliseconds of the dense network's forward pass of a batch, by a table of what its widths take.
    Milliseconds,
}

/// What a pruning step counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Counted {
    /// Weights that may be pruned.
    Weights,
    /// Units that may be pruned.
    Units,
    /// Blocks that may be pruned.
    Blocks,
    /// Parameters of the dense network.
    Params,
    /// Multiply-accumulate operations of the dense network.
    Macs,
    /// Bytes of the dense network.
    Bytes,
    /// Milliseconds of the dense network's forward pass, counted in nanoseconds.
    Milliseconds,
}

impl Counted {
    /// The word for people.
    pub fn words(self) -> &'static str {
        match self {
            Self::Weights => "weights",
            Self::Units => "units",
            Self::Blocks => "blocks",
            Self::Params => "parameters",
            Self::Macs => "multiply-accumulates",
            Self::Bytes => "bytes",
            Self::Milliseconds => "milliseconds",
        }
    }

    /// So many of them, for people.
    pub fn number(self, n: usize) -> String {
        if self == Self::Milliseconds { format!("{:.6}", n as f64 / 1e6) } else { n.to_string() }
    }

    /// What a fraction of them is taken of.
    pub fn of_what(self) -> &'static str {
        match self {
            Self::Weights => "weights that may be pruned",
            Self::Units => "units that may be pruned",
            Self::Blocks => "blocks that may be pruned",
            Self::Params => "parameters of the dense network",
            Self::Macs => "multiply-accumulates of the dense network",
            Self::Bytes => "bytes of the dense network",
            Self::Milliseconds => "milliseconds of the dense network's forward pass",
        }
    }
}
