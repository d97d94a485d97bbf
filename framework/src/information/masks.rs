//! Masks as bits, each with the data set that made it.

use crate::error::{Error, Result};
use std::collections::HashMap;

/// Which weights of a network are kept, a bit for each.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Mask(Box<[u64]>);

impl Mask {
    /// Of one flag for every weight.
    pub fn new(keep: impl IntoIterator<Item = bool>) -> Self {
        let mut words = vec![];
        for (i, keep) in keep.into_iter().enumerate() {
            if i % 64 == 0 {
                words.push(0);
            }
            if let Some(word) = words.last_mut() {
                *word |= u64::from(keep) << (i % 64);
            }
        }
        Self(words.into())
    }

    /// Number of weights kept.
    pub fn kept(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Whether a weight is kept.
    pub fn keeps(&self, weight: usize) -> bool {
        self.0.get(weight / 64).is_some_and(|word| word >> (weight % 64) & 1 == 1)
    }

    /// Weights that both keep.
    pub fn common(&self, other: &Self) -> usize {
        self.0.iter().zip(&other.0).map(|(a, b)| (a & b).count_ones() as usize).sum()
    }

    /// Weights that one of the two keeps (the Hamming distance).
    pub fn distance(&self, other: &Self) -> usize {
        self.0.iter().zip(&other.0).map(|(a, b)| (a ^ b).count_ones() as usize).sum()
    }

    /// The positions of the weights that are kept.
    fn ones(&self) -> impl Iterator<Item = usize> {
        self.0.iter().enumerate().flat_map(|(at, word)| {
            let mut left = *word;
            std::iter::from_fn(move || {
                let bit = (left != 0).then(|| left.trailing_zeros() as usize)?;
                left &= left - 1;
                Some(64 * at + bit)
            })
        })
    }
}

/// One mask, what made it, and how often.
#[derive(Debug, Clone)]
pub(super) struct Made {
    pub mask: Mask,
    /// The data set.
    pub data: usize,
    /// How many equally likely outcomes it stands for.
    pub times: u64,
}

/// Masks of one network, each with the data set that made it.
///
/// ```
/// use secateur::information::{Estimate, Mask, Masks};
/// let mut masks = Masks::new(vec![4]);
/// for (data, keep) in [[true, true, false, false], [false, true, true, false]].into_iter().enumerate() {
///     masks.add(data, Mask::new(keep), 1)?;
/// }
/// assert_eq!(Estimate::of(&masks)?.masks_entropy, 1.0);
/// # Ok::<(), secateur::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Masks {
    /// Weights of every parameter.
    parameters: Vec<usize>,
    weights: usize,
    all: Vec<Made>,
}

impl Masks {
    /// None yet, of a network whose prunable parameters have so many weights, one after the other.
    pub fn new(parameters: Vec<usize>) -> Self {
        Self { weights: parameters.iter().sum(), parameters, all: vec![] }
    }

    /// Adds the mask that a data set made. `times` is 1 where every run is one outcome, and the number of equally
    /// likely data sets where one training problem stands for many.
    ///
    /// # Errors
    /// If it is a mask of another number of weights.
    pub fn add(&mut self, data: usize, mask: Mask, times: u64) -> Result<()> {
        let words = self.weights.div_ceil(64);
        let beyond = mask.0.len() == words && mask.ones().any(|weight| weight >= self.weights);
        if mask.0.len() != words || beyond {
            let text = format!("a mask of another network: the others have {} weights", self.weights);
            return Err(Error::Other(text));
        }
        self.all.push(Made { mask, data, times });
        Ok(())
    }

    /// Weights that could be pruned, `p`.
    pub fn weights(&self) -> usize {
        self.weights
    }

    /// Weights of every parameter, in the order of the bits.
    pub fn parameters(&self) -> &[usize] {
        &self.parameters
    }

    /// How many masks there are, each counted once.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub(super) fn all(&self) -> &[Made] {
        &self.all
    }

    /// Outcomes in all.
    pub fn total(&self) -> u64 {
        self.all.iter().map(|made| made.times).sum()
    }

    /// Outcomes of every mask that there is.
    pub(super) fn by_mask(&self) -> HashMap<&Mask, u64> {
        let mut counts = HashMap::new();
        self.all.iter().for_each(|made| *counts.entry(&made.mask).or_default() += made.times);
        counts
    }

    /// The masks of every data set, and its outcomes, in the order of the data sets' numbers.
    pub(super) fn by_data(&self) -> Vec<(Vec<usize>, u64)> {
        let mut found: std::collections::BTreeMap<usize, (Vec<usize>, u64)> = Default::default();
        for (i, made) in self.all.iter().enumerate() {
            let (members, times) = found.entry(made.data).or_default();
            members.push(i);
            *times += made.times;
        }
        found.into_values().collect()
    }

    /// Outcomes in which each weight is kept.
    pub fn kept(&self) -> Vec<u64> {
        let mut kept = vec![0; self.weights];
        for Made { mask, times, .. } in &self.all {
            mask.ones().for_each(|weight| kept[weight] += times);
        }
        kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_the_flags() {
        let flags: Vec<bool> = (0..130).map(|i| i % 3 == 0).collect();
        let mask = Mask::new(flags.iter().copied());
        assert_eq!(mask.kept(), 44);
        assert!((0..130).all(|i| mask.keeps(i) == flags[i]) && !mask.keeps(200));
        assert_eq!(mask.ones().collect::<Vec<_>>(), (0..130).filter(|i| i % 3 == 0).collect::<Vec<_>>());
        let other = Mask::new((0..130).map(|i| i % 2 == 0));
        // Multiples of six; 44 + 65 - 2 * 22 differ.
        assert_eq!((mask.common(&other), mask.distance(&other)), (22, 65));
    }

    #[test]
    fn masks_of_another_network_are_refused() {
        let mut masks = Masks::new(vec![3, 2]);
        masks.add(0, Mask::new([true, false, false, false, true]), 2).unwrap();
        for wrong in [Mask::new([true; 6]), Mask::new([true; 65]), Mask::new([])] {
            assert!(masks.add(0, wrong, 1).unwrap_err().to_string().contains("the others have 5 weights"));
        }
        assert_eq!((masks.weights(), masks.len(), masks.total()), (5, 1, 2));
        assert_eq!(masks.kept(), [2, 0, 0, 0, 2]);
    }
}
