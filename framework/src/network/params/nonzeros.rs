//! Which layers are multiplied over the nonzeros of their weights alone.

use super::{Mask, Masking, Param, ParamStore};
use crate::backend::{Backend, Nonzeros};
use crate::error::Result;
use crate::network::layout::ParamSpec;
use crate::tensor::Tensor;
use std::sync::Arc;

/// The largest share of a weight's elements that are kept at which products over them alone were faster for every shape
/// that was measured (`framework/benches/linear.rs`), given enough rows.
const DENSEST: f64 = 0.35;
/// Weights with fewer elements take a few microseconds either way.
const SMALLEST: usize = 1000;

crate::choices! {
    /// Where products run over the nonzeros of a weight alone.
    pub enum Sparse {
        /// Where it takes less time: few are left, at most 35 % of at least 1,000 weights, and the processor has AVX2.
        Auto = "auto",
        /// Nowhere.
        Off = "off",
        /// Wherever masks hold weights at zero.
        Always = "always",
    }
}

impl Sparse {
    /// Whether a weight goes over its nonzeros alone: by its mask, its size and the processor's vector instructions, and
    /// by nothing else, so that a run that goes on from a checkpoint does so with the same bits.
    fn takes<B: Backend>(self, kept: usize, count: usize) -> bool {
        match self {
            Self::Auto => B::sparse_pays() && count >= SMALLEST && kept as f64 <= DENSEST * count as f64,
            Self::Off => false,
            Self::Always => count > 0,
        }
    }
}

impl Sparse {
    /// A parameter's mask, where the layer goes over its nonzeros alone.
    pub(super) fn mask<'m, B: Backend>(
        self,
        masking: Masking,
        spec: &ParamSpec,
        mask: Option<&'m Mask<B>>,
    ) -> Option<&'m Mask<B>> {
        let held = mask.filter(|_| B::SPARSE && masking.zeroes() && spec.shape.len() == 2);
        held.filter(|mask| self.takes::<B>(mask.kept, spec.shape.count()))
    }
}

/// A weight with zeros that have no sign where the pattern has none of its nonzeros, as a checkpoint of these alone
/// gives it back.
pub(super) fn alone<B: Backend>(weight: &Tensor<B>, pattern: &B::Pattern) -> Result<Tensor<B>> {
    Ok(B::spread(&B::gather(weight, pattern)?, pattern, weight.shape())?.tracked(true))
}

impl<B: Backend> ParamStore<B> {
    /// The same parameters; fully connected layers with held masks go over their nonzeros alone where `sparse` says so
    /// and the device can.
    #[must_use]
    pub fn with_sparse(self, sparse: Sparse) -> Self {
        Self { sparse, ..self }
    }

    /// Weights whose layers go over their nonzeros alone, in the model's order.
    pub fn sparse_layers(&self) -> Vec<String> {
        let all = self.params.iter().filter(|p| p.spec.prunable);
        let sparse = all.filter(|p| self.sparse.mask(self.masking, &p.spec, p.mask.as_ref()).is_some());
        sparse.map(|p| p.spec.name.clone()).collect()
    }

    /// The part of a parameter's gradient that moves it: not that of weights held at zero.
    ///
    /// # Errors
    /// If the device is out of memory.
    pub(crate) fn moving(&self, p: &Param<B>, grad: &Tensor<B>) -> Result<Tensor<B>> {
        if let Some(pattern) = self.sparse.mask(self.masking, &p.spec, p.mask.as_ref()).and_then(Mask::pattern) {
            return B::gather(grad, pattern);
        }
        let held = p.mask.as_ref().filter(|_| self.masking.zeroes());
        held.map_or_else(|| Ok(grad.clone()), |mask| grad.mul(&mask.tensor))
    }

    /// The nonzeros of a weight, where products run over them alone.
    pub(crate) fn nonzeros(&self, name: &str, dense_gradient: bool) -> Option<Nonzeros<B>> {
        let p = self.find(name)?;
        let mask = self.sparse.mask(self.masking, &p.spec, p.mask.as_ref())?;
        Some(Nonzeros { pattern: Arc::clone(mask.pattern()?), dense_gradient, always: self.sparse == Sparse::Always })
    }
}
