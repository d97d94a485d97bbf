//! Token merging.

use super::super::Cuda;
use super::missing;
use crate::backend::Slot;
use crate::backend::tensor::Tensor;
use crate::backend::vision::Merge;
use crate::error::Result;

type T = Tensor<Cuda>;

pub(in crate::backend::cuda) fn matching(metric: &T, r: usize, protected: usize) -> Result<Merge<Cuda>> {
    let _ = (metric, r, protected);
    missing("merge::matching")
}

pub(in crate::backend::cuda) fn forward(merge: &Merge<Cuda>, x: &T, sizes: &T) -> Result<(T, T)> {
    let _ = (merge, x, sizes);
    missing("merge::forward")
}

pub(in crate::backend::cuda) fn backward(
    merge: &Merge<Cuda>,
    x: &T,
    dy: &T,
    sizes: &T,
    kept: &T,
    dx: &mut Slot<Cuda>,
) -> Result<()> {
    let _ = (merge, x, dy, sizes, kept, dx);
    missing("merge::backward")
}
