//! Masks of parameters.

use crate::backend::Backend;
use crate::error::Result;
use crate::network::layout::ParamSpec;
use crate::tensor::Tensor;
use std::sync::OnceLock;

/// Which elements of a parameter are kept.
#[derive(Debug, Clone)]
pub struct Mask<B: Backend> {
    pub(super) tensor: Tensor<B>,
    /// Made of the tensor when first asked for, where the mask came as a tensor.
    pub(super) keep: OnceLock<Vec<bool>>,
    pub(super) kept: usize,
}

impl<B: Backend> Mask<B> {
    pub(super) fn new(device: &B, keep: Vec<bool>, spec: &ParamSpec) -> Result<Self> {
        let values = keep.iter().map(|&k| f32::from(u8::from(k))).collect();
        let kept = keep.iter().filter(|&&k| k).count();
        Ok(Self { tensor: Tensor::from_vec(device, values, spec.shape)?, keep: keep.into(), kept })
    }

    /// Of a tensor of zeros and ones.
    pub(super) fn of(tensor: Tensor<B>) -> Result<Self> {
        // The sum of the squares of ones is their number.
        let kept = B::norm_squared(&tensor)? as usize;
        Ok(Self { tensor, keep: OnceLock::new(), kept })
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
