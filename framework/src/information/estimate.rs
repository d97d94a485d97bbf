//! Everything that masks tell of the data that made them.

use super::bounds::EntropyBounds;
use super::entropy::{entropy, miller_madow};
use super::fano::{Identified, Procedure};
use super::masks::Masks;
use super::overlap::Overlap;
use crate::error::{Error, Result};
use serde::Serialize;
use std::collections::HashMap;

/// What masks of `data_sets` data sets tell of the data, in bits.
///
/// The data sets are a sample. What the masks tell of *which of these* made them is, on average over samples, at most
/// what a mask tells of its data at all, and never above `ceiling`: a lower bound near the ceiling says that more data
/// sets are needed, not that the information is that much.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Estimate {
    /// Masks.
    pub masks: usize,
    /// Data sets that made them, `K`.
    pub data_sets: usize,
    /// Weights that could be pruned, `p`.
    pub weights: usize,
    /// Weights kept: least, mean, most.
    pub nnz: (usize, f64, usize),
    /// Masks that differ.
    pub distinct: usize,
    /// What a mask can tell at most.
    pub at_most: EntropyBounds,
    /// Plug-in entropy of the masks.
    pub masks_entropy: f64,
    /// Mean plug-in entropy of the masks of one data set; 0 where there is one of each.
    pub entropy_given_data: f64,
    /// Plug-in information, the difference of the two.
    pub plug_in: f64,
    /// The same with Miller and Madow's correction of both; it may lie above the ceiling, where it says that nearly
    /// every mask is of its own.
    pub miller_madow: f64,
    /// `log2 K`: no plug-in estimate of one mask a data set can be larger.
    pub ceiling: f64,
    /// What they must tell at least, by naming their data sets.
    pub identified: Identified,
    /// How alike they are; none for a single data set.
    pub overlap: Option<Overlap>,
    /// The effective parameter count.
    pub p_eff: PEff,
}

/// The effective parameter count `nnz + I`, by the paper's convention bits added to a count of weights.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct PEff {
    /// With the least that the masks tell.
    pub at_least: f64,
    /// With the most, the lower of the two bounds, of which the sum over weights is an estimate where it is of few data sets.
    pub at_most: f64,
}

impl Estimate {
    /// Of these masks.
    ///
    /// # Errors
    /// If there is none.
    pub fn of(masks: &Masks) -> Result<Self> {
        if masks.is_empty() {
            return Err(Error::Other("no masks: nothing can be estimated".into()));
        }
        let (total, by_mask, by_data) = (masks.total(), masks.by_mask(), masks.by_data());
        let masks_entropy = entropy(by_mask.values().copied());
        let given = |(members, times): &(Vec<usize>, u64)| {
            let mut counts: HashMap<_, u64> = HashMap::new();
            members.iter().map(|i| &masks.all()[*i]).for_each(|m| *counts.entry(&m.mask).or_default() += m.times);
            let share = *times as f64 / total as f64;
            (share * entropy(counts.values().copied()), share * miller_madow(counts.len(), *times))
        };
        let (entropy_given_data, correction) =
            by_data.iter().map(given).fold((0.0, 0.0), |sum, of| (sum.0 + of.0, sum.1 + of.1));
        let plug_in = (masks_entropy - entropy_given_data).max(0.0);
        let nnz = masks.all().iter().map(|made| (made.mask.kept(), made.times));
        let least = nnz.clone().map(|(kept, _)| kept).min().unwrap_or(0);
        let most = nnz.clone().map(|(kept, _)| kept).max().unwrap_or(0);
        let mean = nnz.map(|(kept, times)| kept as f64 * times as f64).sum::<f64>() / total as f64;
        let (at_most, identified) = (EntropyBounds::of(masks), Identified::of(masks));
        // Where each data set made one mask, the plug-in information of which of them it was is no estimate.
        let at_least = if identified.procedure == Procedure::Known { plug_in } else { identified.bits_at_least };
        Ok(Self {
            masks: masks.len(),
            data_sets: by_data.len(),
            weights: masks.weights(),
            nnz: (least, mean, most),
            distinct: by_mask.len(),
            masks_entropy,
            entropy_given_data,
            plug_in,
            miller_madow: (plug_in + miller_madow(by_mask.len(), total) - correction).max(0.0),
            ceiling: entropy(by_data.iter().map(|(_, times)| *times)),
            identified,
            overlap: Overlap::of(masks),
            p_eff: PEff { at_least: mean + at_least, at_most: mean + at_most.least().max(at_least) },
            at_most,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::information::Mask;

    fn masks(made: &[(usize, u32)]) -> Masks {
        let mut masks = Masks::new(vec![4]);
        let mask = |bits: u32| Mask::new((0..4).map(|i| bits >> i & 1 == 1));
        made.iter().for_each(|(data, bits)| masks.add(*data, mask(*bits), 1).unwrap());
        masks
    }

    #[test]
    fn equal_masks_tell_nothing() {
        // What random and SynFlow give at a fixed initialisation and pruner seed.
        let found = Estimate::of(&masks(&[(0, 0b0110), (1, 0b0110), (2, 0b0110)])).unwrap();
        assert_eq!((found.masks_entropy, found.plug_in, found.miller_madow), (0.0, 0.0, 0.0));
        assert_eq!((found.at_most.sum_of_weights, found.at_most.sum_of_weights_corrected), (0.0, 0.0));
        assert!(found.identified.bits < 1e-12 && found.distinct == 1);
        assert_eq!(found.p_eff, PEff { at_least: 2.0, at_most: 2.0 });
        assert_eq!(found.overlap.unwrap().jaccard, 1.0);
    }

    #[test]
    fn four_masks_of_four_data_sets_tell_which() {
        let found = Estimate::of(&masks(&[(0, 0b0011), (1, 0b0101), (2, 0b1001), (3, 0b0110)])).unwrap();
        assert_eq!((found.plug_in, found.ceiling, found.identified.bits), (2.0, 2.0, 2.0));
        // Bits 0 to 3 are kept in 3, 2, 2 and 1 of four outcomes.
        let sum = 2.0 + 2.0 * crate::information::binary_entropy(0.25);
        assert!((found.at_most.sum_of_weights - sum).abs() < 1e-12);
        assert!((found.at_most.choices - 6.0_f64.log2()).abs() < 1e-12, "the lower of the two");
        assert!(
            (found.p_eff.at_least - 4.0).abs() < 1e-12 && (found.p_eff.at_most - 2.0 - 6.0_f64.log2()).abs() < 1e-12
        );
    }

    #[test]
    fn what_differs_within_a_data_set_tells_nothing_of_it() {
        let found = Estimate::of(&masks(&[(0, 0b0011), (0, 0b0101), (1, 0b0011), (1, 0b0101)])).unwrap();
        assert_eq!((found.masks_entropy, found.entropy_given_data, found.plug_in), (1.0, 1.0, 0.0));
        // One half and one of two kinds, minus the same of each data set: 1/8 - 1/4 of 1 / ln 2, below nothing.
        assert_eq!(found.miller_madow, 0.0);
        let told = Estimate::of(&masks(&[(0, 0b0011), (0, 0b0011), (1, 0b0101), (1, 0b0101)])).unwrap();
        assert_eq!((told.plug_in, told.identified.bits), (1.0, 1.0));
        assert_eq!(told.p_eff.at_least, 2.0 + told.identified.bits_at_least);
    }
}
