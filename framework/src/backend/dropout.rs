//! Dropout (Srivastava et al. 2014) whose mask is computed from a seed and the element's index, so that it needs no
//! memory and the backward pass makes the same one again.

use crate::error::Result;
use crate::tensor::{Device, Tensor};

/// Which elements are dropped: a probability and a seed, which must differ for each layer and step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dropout {
    /// Probability of being dropped, in [0, 1].
    pub p: f32,
    /// Selects the mask.
    pub seed: u64,
}

impl Dropout {
    /// What an element's 24 random bits must reach for it to be kept, and what it is multiplied by then.
    pub fn threshold_and_scale(self) -> (u32, f32) {
        let threshold = (f64::from(self.p.min(1.0)) * f64::from(1 << 24)) as u32;
        (threshold, if self.p < 1.0 { 1.0 / (1.0 - self.p) } else { 0.0 })
    }

    /// Where the generator starts.
    pub fn start(self) -> u64 {
        mix(self.seed.wrapping_add(0x9E37_79B9_7F4A_7C15))
    }
}

/// Dropout on a device.
pub trait DropoutOps: Device {
    /// Elements dropped with probability `p`, the others scaled by `1 / (1 - p)`; also its own backward pass.
    ///
    /// # Errors
    /// If memory runs out, or the shapes do not fit; so for every operation.
    fn dropout(x: &Tensor<Self>, p: f32, seed: u64) -> Result<Tensor<Self>>;
}

/// SplitMix64 (Steele et al. 2014): output `index` of the generator that starts there.
#[inline(always)]
pub(super) fn hash(start: u64, index: u64) -> u64 {
    mix(start.wrapping_add(index.wrapping_mul(0x9E37_79B9_7F4A_7C15)))
}

#[inline(always)]
fn mix(z: u64) -> u64 {
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
