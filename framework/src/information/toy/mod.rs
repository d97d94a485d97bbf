//! The exact toy of "No Free Prune": six points of {-1, +1}^3 with labels of +-1, learnt by a network 3-4-1 with ReLU
//! and biases, by gradient descent on all of them at once under the mean squared error. All 21 parameters are prunable.
//!
//! Training is a function of the initialisation and the data, and so is the mask. What it tells of the data at a given
//! initialisation is then its entropy, `I(mask; data | init) = H(mask | init)`; and there are few enough data sets to
//! train on every one. [`Problems`] counts them, the kernel trains the networks of many at once, [`Pruner`] makes the
//! masks, and [`Exact`] is what they tell.

mod network;
mod problems;
mod scores;
#[cfg(test)]
mod tests;

pub use network::{INPUTS, PARAMETERS, WEIGHTS};
pub use problems::{Draw, Problems};
pub use scores::Pruner;

use crate::error::{Error, Result};
use crate::information::{EntropyBounds, Estimate, Mask, Masks, entropy, fano};
use crate::seed::Seed;
use network::{Points, initial};
use rand::seq::SliceRandom as _;
use serde::Serialize;
use std::collections::HashMap;

/// How the toy's networks are trained and pruned.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Training {
    /// Steps of gradient descent, before every pruning.
    pub steps: u64,
    /// Learning rate.
    pub lr: f64,
    /// Parameters that are kept, of 21.
    pub nnz: usize,
    /// Fraction of the remaining parameters that goes in a round of iterative magnitude pruning, rounded down, but at
    /// least one parameter.
    pub rate: f64,
    /// Of the pruner `random`.
    pub pruner_seed: u64,
}

impl Default for Training {
    fn default() -> Self {
        Self { steps: 1000, lr: 0.05, nnz: 7, rate: 0.2, pruner_seed: 0 }
    }
}

impl Training {
    /// # Errors
    /// Nothing to keep, or no number of a rate.
    fn check(&self) -> Result<()> {
        let wrong = |key: &str, found: &dyn std::fmt::Display, allowed: &str| {
            Err(Error::Config(format!("{key} is {found}\n  allowed: {allowed}")))
        };
        if self.nnz == 0 || self.nnz > WEIGHTS {
            return wrong("nnz", &self.nnz, "1 to 21, the network's parameters");
        }
        if !(self.lr.is_finite() && self.lr > 0.0) {
            return wrong("lr", &self.lr, "a number above 0, such as 0.05");
        }
        if !(self.rate > 0.0 && self.rate < 1.0) {
            return wrong("rate", &self.rate, "a fraction between 0 and 1, such as 0.2");
        }
        if self.steps == 0 {
            return wrong("steps", &self.steps, "at least 1");
        }
        Ok(())
    }
}

/// What the masks of a pruner tell of all data sets, at one initialisation. In bits, and without an estimate.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Exact {
    /// How the masks were made.
    pub pruner: Pruner,
    /// Seed of the initialisation.
    pub init: u64,
    /// Parameters kept.
    pub nnz: usize,
    /// `H(mask | init)`, which is the information.
    pub information: f64,
    /// `nnz` and the information together, by the paper's convention.
    pub p_eff: f64,
    /// Masks that differ.
    pub distinct: usize,
    /// Upper bounds, of the exact fractions.
    pub at_most: EntropyBounds,
    /// Probability that the best guess at the training problem, from the mask, is wrong.
    pub error: f64,
    /// Fano's lower bound, of that probability.
    pub at_least: f64,
    /// What an experiment would find that has a sample of the data sets; none where none was asked for.
    pub sample: Option<Estimate>,
}

/// The masks that a pruner makes at one initialisation, one for every training problem.
///
/// # Errors
/// Settings out of range; a network whose weights became infinite.
pub fn masks(problems: &Problems, pruner: Pruner, init: u64, training: &Training) -> Result<Masks> {
    from(problems, pruner, &initial(init), training)
}

fn from(problems: &Problems, pruner: Pruner, start: &[f64; WEIGHTS], training: &Training) -> Result<Masks> {
    training.check()?;
    let kept = scores::masks(&Points::all(problems), pruner, start, training)?;
    let mut masks = Masks::new(PARAMETERS.to_vec());
    for (data, (bits, times)) in kept.into_iter().zip(problems.times()).enumerate() {
        masks.add(data, Mask::new((0..WEIGHTS).map(|i| bits >> i & 1 == 1)), times)?;
    }
    Ok(masks)
}

impl Exact {
    /// What these masks tell, made by [`masks`] of every problem. `sample` data sets are drawn beside it, as an
    /// experiment would.
    ///
    /// # Errors
    /// If there is no mask.
    pub fn of(masks: &Masks, pruner: Pruner, init: u64, nnz: usize, sample: usize) -> Result<Self> {
        let by_mask = masks.by_mask();
        let information = entropy(by_mask.values().copied());
        let mut best: HashMap<&Mask, u64> = HashMap::new();
        for made in masks.all() {
            let most = best.entry(&made.mask).or_default();
            *most = made.times.max(*most);
        }
        let error = 1.0 - best.values().sum::<u64>() as f64 / masks.total().max(1) as f64;
        let data = entropy(masks.all().iter().map(|made| made.times));
        Ok(Self {
            pruner,
            init,
            nnz,
            information,
            p_eff: nnz as f64 + information,
            distinct: by_mask.len(),
            at_most: EntropyBounds::of(masks),
            error,
            at_least: fano(data, masks.len(), error),
            sample: (sample > 0).then(|| sampled(masks, init, sample)).transpose()?,
        })
    }
}

/// What is told by so many data sets, drawn as they come: one that is drawn twice is one of two.
fn sampled(masks: &Masks, init: u64, sample: usize) -> Result<Estimate> {
    let mut rng = Seed(init).stream("information toy sample", &[]);
    let ends: Vec<u64> = masks
        .all()
        .iter()
        .scan(0, |end, made| {
            *end += made.times;
            Some(*end)
        })
        .collect();
    let mut drawn = Masks::new(masks.parameters().to_vec());
    for data in 0..sample {
        let at = rand::RngExt::random_range(&mut rng, 0..masks.total());
        let made = &masks.all()[ends.partition_point(|end| *end <= at)];
        drawn.add(data, made.mask.clone(), 1)?;
    }
    Estimate::of(&drawn)
}

/// The mask of `nnz` parameters that are drawn at random, as bits.
fn random(nnz: usize, seed: u64) -> u32 {
    let mut order: Vec<usize> = (0..WEIGHTS).collect();
    order.shuffle(&mut Seed(seed).stream("information toy pruner", &[]));
    order.into_iter().take(nnz).fold(0, |bits, i| bits | 1 << i)
}
