//! What a schedule sees that goes by what is measured.

use super::values::{RunLength, Str};

c_structs! {
    /// The burden of one parameter, over its active weights.
    Indicators = "secateur_indicators" {
        /// Its name.
        name: Str,
        /// Root of the mean square of the gradient.
        gradient: f64,
        /// Mean magnitude of the gradient.
        gradient_mean: f64,
        /// Root of the mean square of the weights.
        weight: f64,
        /// Active weights.
        kept: usize,
    }
    /// What was measured when a pruning step is due.
    Measured = "secateur_measured" {
        /// The step after which something is to be pruned.
        step: u64,
        /// How long the run is.
        run: RunLength,
        /// Fraction of what may be pruned that is gone.
        sparsity: f64,
        /// Loss on the validation split; NaN where it was not measured.
        validation_loss: f64,
        /// Prunable parameters.
        burden: *const Indicators,
        /// Number of them.
        burden_count: usize,
    }
}
