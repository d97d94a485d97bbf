//! Which layers are multiplied over the nonzeros of their weights alone.

use super::{Mask, Masking, Param, ParamStore};
use crate::backend::{Backend, Nonzeros};
use crate::error::Result;
use crate::network::layout::ParamSpec;
use crate::tensor::{Device, Tensor};
use std::sync::Arc;

/// The largest share of a weight's elements that are kept at which products over them alone were faster for every shape
/// that was measured (`framework/benches/linear.rs`), given enough rows.
const DENSEST: f64 = 0.35;
/// Weights with fewer elements take a few microseconds either way.
const SMALLEST: usize = 1000;
/// The same of a convolution.
const DENSEST_KERNELS: f64 = 0.3;
/// Elements of a convolution's weight; each is multiplied at every window of an image.
const SMALLEST_KERNELS: usize = 250;

/// The pattern of a weight, its nonzeros, and their gradient.
type Alone<'g, B> = (Arc<<B as Device>::Pattern>, Tensor<B>, &'g Tensor<B>);

crate::choices! {
    /// Where products run over the nonzeros of a weight alone.
    pub enum Sparse {
        /// Where it takes less time: few are left, at most 35 % of at least 1,000 weights, or 30 % of
        /// a convolution's 250 in one group, and the processor has AVX2.
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
    fn takes<B: Backend>(self, spec: &ParamSpec, kept: usize) -> bool {
        let count = spec.shape.count();
        let (smallest, densest) =
            if spec.shape.len() == 4 { (SMALLEST_KERNELS, DENSEST_KERNELS) } else { (SMALLEST, DENSEST) };
        match self {
            Self::Auto => B::sparse_pays() && count >= smallest && kept as f64 <= densest * count as f64,
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
        let held = mask.filter(|_| B::SPARSE && masking.zeroes() && spec.multiplies_nonzeros());
        held.filter(|mask| self.takes::<B>(spec, mask.kept))
    }
}

impl<B: Backend> Param<B> {
    /// A tensor of the values' shape and identity, perhaps without their numbers: these are put together from the nonzeros
    /// where a layer goes over them alone, and [`Param::value`] alone asks for that.
    pub(crate) fn outline(&self) -> Tensor<B> {
        self.value.outline()
    }

    /// The gradient of the whole weight, in its shape. Where a pass went over the nonzeros of the weight alone, it is
    /// that of these, and zero elsewhere. `grad` gives a tensor's gradient.
    ///
    /// # Errors
    /// If the device is out of memory.
    pub fn gradient<'g>(&self, grad: impl Fn(&Tensor<B>) -> Option<&'g Tensor<B>>) -> Result<Option<Tensor<B>>> {
        let whole = grad(&self.value.outline());
        let Some((pattern, values)) = self.value.packed() else { return Ok(whole.cloned()) };
        let Some(alone) = grad(&values) else { return Ok(whole.cloned()) };
        let alone = B::spread(alone, &pattern, self.spec.shape);
        whole.map_or(Ok(alone.clone()), |whole| whole.add(&alone)).map(Some)
    }

    /// The nonzeros, where they are, and their gradient, where a pass went over these alone and found no other. `grad`
    /// gives a tensor's gradient.
    pub(crate) fn nonzeros<'g>(&self, grad: impl Fn(&Tensor<B>) -> Option<&'g Tensor<B>>) -> Option<Alone<'g, B>> {
        let (pattern, values) = self.value.packed()?;
        let alone = grad(&values).filter(|_| grad(&self.value.outline()).is_none())?;
        Some((pattern, values, alone))
    }

    /// What moves its values: the whole gradient, or that of its nonzeros alone.
    pub(super) fn moving<'g>(
        &self,
        pattern: Option<&Arc<B::Pattern>>,
        grad: impl Fn(&Tensor<B>) -> Option<&'g Tensor<B>>,
    ) -> Result<Option<Tensor<B>>> {
        let whole = grad(&self.value.outline());
        let Some(pattern) = pattern else { return Ok(whole.cloned()) };
        let alone = grad(&self.value.nonzeros(pattern)?);
        let Some(whole) = whole else { return Ok(alone.cloned()) };
        let whole = B::gather(whole, pattern)?;
        alone.map_or(Ok(whole.clone()), |alone| whole.add(alone)).map(Some)
    }
}

impl<B: Backend> ParamStore<B> {
    /// The same parameters; fully connected layers and convolutions with held masks go over their nonzeros alone where `sparse` says so
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

    /// The part of a parameter's gradient that moves it: not that of weights held at zero. `grad` gives a tensor's
    /// gradient; nothing where none reached the parameter.
    ///
    /// # Errors
    /// If the device is out of memory.
    pub(crate) fn moving<'g>(
        &self,
        p: &Param<B>,
        grad: impl Fn(&Tensor<B>) -> Option<&'g Tensor<B>>,
    ) -> Result<Option<Tensor<B>>> {
        let pattern = self.pattern(p);
        let found = p.moving(pattern, grad)?;
        let held = p.mask.as_ref().filter(|_| pattern.is_none() && self.masking.zeroes());
        found.map(|found| held.map_or_else(|| Ok(found.clone()), |mask| found.mul(mask.tensor()))).transpose()
    }

    /// Where the nonzeros of a parameter are, if products run over them alone.
    pub(super) fn pattern<'p>(&self, p: &'p Param<B>) -> Option<&'p Arc<B::Pattern>> {
        self.sparse.mask(self.masking, &p.spec, p.mask.as_ref()).and_then(Mask::pattern)
    }

    /// The nonzeros of a weight, where products run over them alone.
    ///
    /// # Errors
    /// If the device is out of memory.
    pub(crate) fn nonzeros(&self, name: &str, dense_gradient: bool) -> Result<Option<Nonzeros<B>>> {
        let Some(p) = self.find(name) else { return Ok(None) };
        let Some(pattern) = self.pattern(p) else { return Ok(None) };
        let (values, always) = (p.value.nonzeros(pattern)?, self.sparse == Sparse::Always);
        Ok(Some(Nonzeros { pattern: Arc::clone(pattern), values, dense_gradient, always }))
    }
}
