//! What stays of a parameter or a unit group, and who decided it.

mod best;
mod blocks;
pub(super) mod pattern;

pub(super) use best::{Layer, best};
pub(super) use blocks::Blocks;
pub(crate) use blocks::weights_by_blocks;

use super::scores::LayerScores;
use crate::backend::Backend;
use crate::error::{Error, Result};
use crate::tensor::Tensor;

/// Which elements stay.
#[derive(Debug, Clone)]
pub enum KeepMask<B: Backend> {
    /// One or zero for every weight.
    Weights(Tensor<B>),
    /// Whether each unit stays.
    Units(Vec<bool>),
    /// Whether each block stays.
    Blocks(Vec<bool>),
}

impl<B: Backend> KeepMask<B> {
    /// How many stay.
    ///
    /// # Errors
    /// If the device is out of memory.
    pub fn count(&self) -> Result<usize> {
        match self {
            // The sum of the squares of ones is their number.
            Self::Weights(marks) => Ok(B::norm_squared(marks)? as usize),
            Self::Units(keep) | Self::Blocks(keep) => Ok(count(keep)),
        }
    }

    /// Whether each element stays.
    pub(super) fn flags(&self) -> Vec<bool> {
        match self {
            Self::Weights(marks) => marks.host().iter().map(|mark| *mark != 0.0).collect(),
            Self::Units(keep) | Self::Blocks(keep) => keep.clone(),
        }
    }

    /// How many of this choice's elements are in `other` too.
    pub(super) fn common(&self, other: &Self) -> Result<usize> {
        match (self, other) {
            (Self::Weights(a), Self::Weights(b)) => Ok(B::norm_squared(&a.reshape(b.shape())?.mul(b)?)? as usize),
            (Self::Units(a), Self::Units(b)) | (Self::Blocks(a), Self::Blocks(b)) => {
                Ok(a.iter().zip(b).filter(|(a, b)| **a && **b).count())
            }
            _ => Err(Error::Other("weights cannot be compared with units".into())),
        }
    }
}

/// The criterion decided itself; `before` marks what of each was kept so
/// far, where what is pruned never returns.
pub(super) fn own_rule<B: Backend>(
    device: &B,
    scored: Vec<LayerScores<B>>,
    before: Vec<Option<KeepMask<B>>>,
) -> Result<Vec<KeepMask<B>>> {
    let one = |(scores, before)| {
        let LayerScores::Keep(own) = scores else {
            let message = "the criterion decided some parameters itself but returned scores for others";
            return Err(Error::Other(message.into()));
        };
        let n = own.len();
        let marks = Tensor::from_vec(device, own.into_iter().map(|k| f32::from(u8::from(k))).collect(), [n])?;
        Ok(KeepMask::Weights(match before {
            Some(KeepMask::Weights(before)) => marks.mul(&before.reshape([n])?)?,
            _ => marks,
        }))
    };
    scored.into_iter().zip(before).map(one).collect()
}

/// Index of the largest score, the last of equals as everywhere.
fn best_of(scores: &[f32]) -> Option<usize> {
    (0..scores.len()).max_by(|&a, &b| scores[a].total_cmp(&scores[b]))
}

/// Gives a choice that leaves nothing the element of the largest score.
pub(super) fn never_empty<B: Backend>(keep: &mut KeepMask<B>, scores: &Tensor<B>) -> Result<()> {
    let KeepMask::Weights(marks) = keep else { return Ok(()) };
    if B::norm_squared(marks)? == 0.0
        && let Some(best) = best_of(&scores.host())
    {
        let mut values = marks.to_vec();
        values[best] = 1.0;
        *marks = Tensor::from_vec(marks.device(), values, marks.shape())?;
    }
    Ok(())
}

fn count(keep: &[bool]) -> usize {
    keep.iter().filter(|&&k| k).count()
}
