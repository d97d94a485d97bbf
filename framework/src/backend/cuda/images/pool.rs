//! Pooling.

use super::super::{Cuda, Ints};
use super::missing;
use crate::backend::Slot;
use crate::backend::images::Pool;
use crate::backend::tensor::Tensor;
use crate::error::Result;

type T = Tensor<Cuda>;

pub(in crate::backend::cuda) fn forward(x: &T, pool: Pool) -> Result<(T, Option<Ints>)> {
    let _ = (x, pool);
    missing("pool::forward")
}

pub(in crate::backend::cuda) fn backward(
    x: &T,
    pool: Pool,
    argmax: Option<&Ints>,
    dy: &T,
    dx: &mut Slot<Cuda>,
) -> Result<()> {
    let _ = (x, pool, argmax, dy, dx);
    missing("pool::backward")
}
