//! How much each unit contributes to the units it feeds.

use super::Cuda;
use super::runtime::{Context, Gemm, extent};
use super::tensor::elementwise;
use crate::backend::contribution::check_contribution;
use crate::backend::{Contribution, ContributionOps, Unary};
use crate::error::{Error, Result};
use crate::tensor::Tensor;

type T = Tensor<Cuda>;

impl ContributionOps for Cuda {
    fn contribution(
        activation: &Tensor<Self>,
        weight: &Tensor<Self>,
        signed_eps: Option<f32>,
        with_max: bool,
    ) -> Result<Contribution<Self>> {
        observe(activation, weight, signed_eps, with_max)
    }
}

/// Samples that one block adds up.
const PIECE: usize = 256;
/// Samples and units of a block of the (max, times) product; as in `contribution.cu`.
const TILE: usize = 64;

fn observe(a: &T, w: &T, signed_eps: Option<f32>, with_max: bool) -> Result<Contribution<Cuda>> {
    let (samples, units, fed) = check_contribution(a, w)?;
    let cx = Context::get()?;
    let magnitudes = |t: &T| if signed_eps.is_none() { elementwise::unary(Unary::Abs, t) } else { Ok(t.clone()) };
    let (a, w) = (magnitudes(a)?, magnitudes(w)?);
    // What each fed unit received of each sample; then one over it.
    let received = cx.tensor([samples, fed])?;
    let (from, to) = ((a.ptr(), false), received.ptr());
    cx.gemm(Gemm { m: samples, n: fed, k: units, a: from, b: (w.ptr(), true), c: to, add: false })?;
    let n = samples * fed;
    cx.launch_over("contribution_invert", n, (extent(n)?, signed_eps.unwrap_or(0.0), received.ptr()))?;
    let weighted = cx.tensor([samples, units])?;
    let (from, to) = ((received.ptr(), false), weighted.ptr());
    cx.gemm(Gemm { m: samples, n: units, k: fed, a: from, b: (w.ptr(), false), c: to, add: false })?;

    let pieces = samples.div_ceil(PIECE);
    let parts = cx.tensor([pieces, units])?;
    let sizes = (extent(samples)?, extent(units)?, extent(fed)?);
    let args = (sizes.0, sizes.1, PIECE as u32, a.ptr(), weighted.ptr(), parts.ptr());
    let columns = extent(units.div_ceil(32))?;
    cx.launch("contribution_sums", (extent(pieces)?, columns), (32, 8), 0, args)?;
    let sum = cx.tensor([units])?;
    let blocks = extent(units.div_ceil(256))?;
    cx.launch("column_sums", blocks, 256, 0, (extent(pieces)?, sizes.1, parts.ptr(), sum.ptr(), 0_u32))?;

    let max = with_max.then(|| {
        let pieces = samples.div_ceil(TILE);
        let parts = cx.tensor([pieces, units])?;
        let is_signed = u32::from(signed_eps.is_some());
        let args = (sizes.0, sizes.1, sizes.2, is_signed, a.ptr(), w.ptr(), received.ptr(), parts.ptr());
        cx.launch("contribution_max", (extent(pieces)?, extent(units.div_ceil(TILE))?), (16, 16), 0, args)?;
        let max = cx.tensor([units])?;
        cx.launch("contribution_most", blocks, 256, 0, (extent(pieces)?, sizes.1, parts.ptr(), max.ptr()))?;
        Ok::<_, Error>(max)
    });
    Ok(Contribution { sum, max: max.transpose()?, count: (samples * fed) as u64 })
}
