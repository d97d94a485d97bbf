//! How much each unit contributes to the units it feeds.

use super::Cuda;
use crate::backend::Contribution;
use crate::backend::tensor::Tensor;
use crate::error::{Error, Result};

type T = Tensor<Cuda>;

pub(super) fn observe(
    _activation: &T,
    _weight: &T,
    _signed_eps: Option<f32>,
    _with_max: bool,
) -> Result<Contribution<Cuda>> {
    Err(Error::Other("contribution is not on CUDA yet".into()))
}
