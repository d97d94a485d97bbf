//! Masks of parameters.

use super::{Masking, Param};
use crate::backend::Backend;
use crate::error::Result;
use crate::network::layout::ParamSpec;
use crate::tensor::Tensor;
use std::sync::{Arc, OnceLock};

/// Which elements of a parameter are kept.
#[derive(Debug)]
pub struct Mask<B: Backend> {
    pub(super) tensor: Tensor<B>,
    /// Made of the tensor when first asked for, where the mask came as a tensor.
    pub(super) keep: OnceLock<Vec<bool>>,
    pub(super) kept: usize,
    /// Made when first asked for, for the masks that are there when a network is run alone.
    pub(super) pattern: OnceLock<Option<Arc<B::Pattern>>>,
}

impl<B: Backend> Clone for Mask<B> {
    fn clone(&self) -> Self {
        let (tensor, keep, pattern) = (self.tensor.clone(), self.keep.clone(), self.pattern.clone());
        Self { tensor, keep, kept: self.kept, pattern }
    }
}

impl<B: Backend> Mask<B> {
    pub(super) fn new(device: &B, keep: Vec<bool>, spec: &ParamSpec) -> Result<Self> {
        let values = keep.iter().map(|&k| f32::from(u8::from(k))).collect();
        let kept = keep.iter().filter(|&&k| k).count();
        let (tensor, keep) = (Tensor::from_vec(device, values, spec.shape)?, keep.into());
        Ok(Self { tensor, keep, kept, pattern: OnceLock::new() })
    }

    /// Of a tensor of zeros and ones.
    pub(super) fn of(tensor: Tensor<B>) -> Result<Self> {
        // The sum of the squares of ones is their number.
        let kept = B::norm_squared(&tensor)? as usize;
        Ok(Self::shown(tensor, kept))
    }

    /// Of a tensor of so many ones, and zeros else.
    pub(super) fn shown(tensor: Tensor<B>, kept: usize) -> Self {
        Self { tensor, keep: OnceLock::new(), kept, pattern: OnceLock::new() }
    }

    /// Where the ones are, for products over them alone; nothing where the device has none, or the mask is that of no
    /// matrix and no kernel.
    pub(super) fn pattern(&self) -> Option<&Arc<B::Pattern>> {
        let make = || match *self.tensor.shape() {
            // A convolution's filters are rows.
            [rows, _] | [rows, _, _, _] if self.tensor.count() > 0 => {
                B::pattern(self.keep(), rows, self.tensor.count() / rows).map(Arc::new)
            }
            _ => None,
        };
        self.pattern.get_or_init(make).as_ref()
    }

    /// 0 or 1 for every element, in the parameter's shape.
    pub fn tensor(&self) -> &Tensor<B> {
        &self.tensor
    }

    /// Whether each element is kept, in row-major order.
    pub fn keep(&self) -> &[bool] {
        self.keep.get_or_init(|| self.tensor.host().iter().map(|&v| v != 0.0).collect())
    }

    /// Number of elements kept.
    pub fn kept(&self) -> usize {
        self.kept
    }
}

impl<B: Backend> Param<B> {
    /// Values as the forward pass sees them: masked elements are zero.
    ///
    /// # Errors
    /// If the device is out of memory.
    pub fn effective(&self) -> Result<Tensor<B>> {
        self.mask.as_ref().map_or_else(|| Ok(self.value.whole().clone()), |m| self.value.whole().mul(&m.tensor))
    }

    pub(super) fn zero_masked(&mut self) -> Result<()> {
        if let Some(pattern) = self.state.packed() {
            return self.value.clear_others(pattern);
        }
        if let Some(mask) = &self.mask {
            self.value.set(self.value.whole().mul(&mask.tensor)?.tracked(!self.spec.buffer));
            for state in self.state.unpack(self.spec.shape)? {
                *state = state.mul(&mask.tensor)?;
            }
        }
        Ok(())
    }
}

impl Masking {
    /// Whether the values of pruned weights are zero themselves, so that no mask is needed in the forward pass.
    pub fn zeroes(self) -> bool {
        self != Self::Dynamic
    }
}
