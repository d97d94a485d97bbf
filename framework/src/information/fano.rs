//! A lower bound on what masks tell of their data, by telling from a mask which data set made it (Fano's inequality).

use super::bounds::{binary_entropy, ln_factorial};
use super::entropy::entropy;
use super::masks::Masks;
use rayon::prelude::*;
use serde::Serialize;
use std::collections::HashMap;

/// Fano's inequality: whoever names one of `choices` data sets from the mask and is wrong with probability `error` has
/// learnt at least `H(data) - h2(error) - error log2(choices - 1)` bits; never below 0. `data` is the entropy of the
/// data sets, `log2 choices` where all are equally likely.
pub fn fano(data: f64, choices: usize, error: f64) -> f64 {
    // More errors than guessing makes say nothing: there the bound would rise again.
    let error = error.clamp(0.0, 1.0 - 1.0 / choices.max(1) as f64);
    let others = choices.saturating_sub(1).max(1) as f64;
    (data - binary_entropy(error) - error * others.log2()).max(0.0)
}

/// The error probability that is exceeded in 95 % of all samples with at most this many errors (Clopper & Pearson 1934,
/// one-sided).
pub fn upper_limit(errors: u64, trials: u64) -> f64 {
    if errors >= trials {
        return 1.0;
    }
    let at_most = |q: f64| -> f64 {
        let term = |i: u64| {
            let choices = ln_factorial(trials) - ln_factorial(i) - ln_factorial(trials - i);
            (choices + i as f64 * q.ln() + (trials - i) as f64 * (-q).ln_1p()).exp()
        };
        (0..=errors).map(term).sum()
    };
    let (mut low, mut high) = (0.0, 1.0);
    // Each halving gives a digit of the double's 53.
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if at_most(middle) > 0.05 { low = middle } else { high = middle }
    }
    high
}

/// How the data set was told from the mask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Procedure {
    /// Every data set made one mask. What training did with each is known, so the best guess at a mask is the likeliest
    /// data set that made it, and how often that is wrong is counted, not estimated.
    Known,
    /// There are several masks of a data set. Each mask in turn is held out, and goes to the data set whose other masks
    /// are nearest to it, by the mean Hamming distance; of data sets at the same distance each is guessed as often. A
    /// mask that is the only one of its data set cannot be told, and counts as an error.
    LeaveOneOut,
}

/// How well the masks tell their data sets apart, and how much they must know for that.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Identified {
    /// How they were told apart.
    pub procedure: Procedure,
    /// Probability of a wrong guess.
    pub error: f64,
    /// The same, at the end of its 95 % confidence interval; equal to it where nothing is estimated. Masks that were
    /// held out in turn are taken for independent.
    pub error_at_most: f64,
    /// [`fano`] of `error`, in bits.
    pub bits: f64,
    /// [`fano`] of `error_at_most`, in bits.
    pub bits_at_least: f64,
}

impl Identified {
    /// Of these masks.
    pub fn of(masks: &Masks) -> Self {
        let by_data = masks.by_data();
        let known = by_data.iter().all(|(members, _)| members.len() == 1);
        let data = entropy(by_data.iter().map(|(_, times)| *times));
        let (error, error_at_most) = match known {
            true => {
                let mut best: HashMap<_, u64> = HashMap::new();
                for made in masks.all() {
                    let most = best.entry(&made.mask).or_default();
                    *most = made.times.max(*most);
                }
                let error = 1.0 - best.values().sum::<u64>() as f64 / masks.total().max(1) as f64;
                (error, error)
            }
            false => {
                let trials = masks.len() as u64;
                // In order, so that the sum does not depend on the number of threads.
                let told: Vec<f64> = (0..masks.len()).into_par_iter().map(|i| told(masks, &by_data, i)).collect();
                let right: f64 = told.iter().sum();
                let wrong = trials as f64 - right;
                // Half an error, of a tie, is a whole one here.
                (wrong / trials as f64, upper_limit((wrong - 1e-9).ceil().max(0.0) as u64, trials))
            }
        };
        let procedure = if known { Procedure::Known } else { Procedure::LeaveOneOut };
        let bits = |error| fano(data, by_data.len(), error);
        Self { procedure, error, error_at_most, bits: bits(error), bits_at_least: bits(error_at_most) }
    }
}

/// Probability that the mask `i` is given to its own data set when it is held out.
fn told(masks: &Masks, by_data: &[(Vec<usize>, u64)], i: usize) -> f64 {
    let held = &masks.all()[i];
    let distance = |(members, _): &(Vec<usize>, u64)| {
        let others = members.iter().filter(|other| **other != i);
        let sum: usize = others.clone().map(|other| held.mask.distance(&masks.all()[*other].mask)).sum();
        // As a fraction, so that equal means are equal.
        (others.count(), sum)
    };
    let nearer = |a: (usize, usize), b: (usize, usize)| (a.1 as u128 * b.0 as u128).cmp(&(b.1 as u128 * a.0 as u128));
    let candidates = by_data.iter().map(|class| (class.0.contains(&i), distance(class)));
    let candidates: Vec<_> = candidates.filter(|(_, (others, _))| *others > 0).collect();
    let Some(best) = candidates.iter().map(|(_, distance)| *distance).min_by(|a, b| nearer(*a, *b)) else { return 0.0 };
    let tied: Vec<bool> =
        candidates.iter().filter(|(_, distance)| nearer(*distance, best).is_eq()).map(|(own, _)| *own).collect();
    tied.iter().filter(|own| **own).count() as f64 / tied.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::information::Mask;

    /// Masks of two weights, each with its data set.
    fn masks(made: &[(usize, [bool; 2])]) -> Masks {
        let mut masks = Masks::new(vec![2]);
        made.iter().for_each(|(data, keep)| masks.add(*data, Mask::new(*keep), 1).unwrap());
        masks
    }

    const A: [bool; 2] = [true, false];
    const B: [bool; 2] = [false, true];

    #[test]
    fn the_bound_is_all_without_errors_and_nothing_at_chance() {
        assert_eq!(fano(3.0, 8, 0.0), 3.0);
        assert!(fano(3.0, 8, 7.0 / 8.0) < 1e-12 && fano(3.0, 8, 1.0) < 1e-12);
        // 1 - h2(1/4), a binary symmetric channel: log2(2 - 1) is nothing.
        assert!((fano(1.0, 2, 0.25) - 0.188_721_875_540_867).abs() < 1e-12);
        assert_eq!(fano(0.0, 1, 0.0), 0.0);
    }

    #[test]
    fn the_limit_is_that_of_the_binomial_distribution() {
        // No error in n trials: 1 - 0.05^(1/n).
        assert!((upper_limit(0, 10) - (1.0 - 0.05_f64.powf(0.1))).abs() < 1e-12);
        // One in two: q with (1 - q)^2 + 2 q (1 - q) = 0.05, so 1 - q^2 = 0.05.
        assert!((upper_limit(1, 2) - 0.95_f64.sqrt()).abs() < 1e-12);
        assert_eq!(upper_limit(3, 3), 1.0);
    }

    #[test]
    fn one_mask_a_data_set_is_counted() {
        // Three data sets, two masks: a third of the guesses is wrong.
        let found = Identified::of(&masks(&[(0, A), (1, B), (2, B)]));
        assert_eq!(found.procedure, Procedure::Known);
        assert!((found.error - 1.0 / 3.0).abs() < 1e-15 && found.error == found.error_at_most);
        assert!((found.bits - (3.0_f64.log2() - binary_entropy(1.0 / 3.0) - 1.0 / 3.0)).abs() < 1e-12);
        // The masks' own entropy is log2 3 - 2/3, and Fano's bound is below.
        assert!(found.bits <= 3.0_f64.log2() - 2.0 / 3.0);
    }

    #[test]
    fn held_out_masks_go_to_the_nearest() {
        let twice = |a, b, c, d| Identified::of(&masks(&[(0, a), (0, b), (1, c), (1, d)]));
        let apart = twice(A, A, B, B);
        assert_eq!((apart.procedure, apart.error, apart.bits), (Procedure::LeaveOneOut, 0.0, 1.0));
        assert!((apart.error_at_most - (1.0 - 0.05_f64.powf(0.25))).abs() < 1e-12 && apart.bits_at_least < 0.1);
        // All alike: every guess is one of two.
        let alike = twice(A, A, A, A);
        assert_eq!((alike.error, alike.bits, alike.bits_at_least), (0.5, 0.0, 0.0));
        // Mixed: the other of its own is always the farther one.
        assert_eq!(twice(A, B, A, B).error, 1.0);
        // A mask that has no other of its data set cannot be told.
        assert_eq!(Identified::of(&masks(&[(0, A), (0, A), (1, B)])).error, 1.0 / 3.0);
    }
}
