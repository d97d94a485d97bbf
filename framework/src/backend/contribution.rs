//! How much each unit of a layer contributes to the units it feeds.

use crate::error::{Error, Result};
use crate::tensor::{Device, Tensor};

/// What each of N units contributed to the units it feeds, over one batch.
#[derive(Debug, Clone)]
pub struct Contribution<B: Device> {
    /// Sum of its shares over samples and fed units, `[N]`.
    pub sum: Tensor<B>,
    /// Its largest share, `[N]`, where asked for.
    pub max: Option<Tensor<B>>,
    /// Shares behind each entry: samples times fed units.
    pub count: u64,
}

/// Contributions on a device.
pub trait ContributionOps: Device {
    /// What each of N units contributed to the M units it feeds, over one batch: `activation [F, N]`, `weight [M, N]`
    /// (USC report, "Neural importance-based train-time pruning"). Magnitudes, or signed values with denominators kept
    /// `signed_eps` away from zero; the maximum only `with_max`, because it costs as much again.
    ///
    /// # Errors
    /// If memory runs out, or the shapes do not fit; so for every operation.
    fn contribution(
        activation: &Tensor<Self>,
        weight: &Tensor<Self>,
        signed_eps: Option<f32>,
        with_max: bool,
    ) -> Result<Contribution<Self>>;
}

/// Samples, units and fed units.
pub(super) fn check_contribution<B: Device>(
    activation: &Tensor<B>,
    weight: &Tensor<B>,
) -> Result<(usize, usize, usize)> {
    let (&[samples, units], &[fed, inputs]) = (&*activation.shape(), &*weight.shape()) else {
        let message = format!("activation {} and weight {} must have two axes", activation.shape(), weight.shape());
        return Err(Error::shape("contribution", message));
    };
    if units != inputs {
        let message = format!("activation {} does not fit weight {}", activation.shape(), weight.shape());
        return Err(Error::shape("contribution", message));
    }
    Ok((samples, units, fed))
}
