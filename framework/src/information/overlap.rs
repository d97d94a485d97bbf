//! How alike masks are, beside masks drawn at random.

use super::bounds::ln_factorial;
use super::masks::{Mask, Masks};
use rayon::prelude::*;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// Jaccard indices `|a and b| / |a or b|` of pairs of masks, 1 where both keep nothing.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Overlap {
    /// Mean over pairs of masks of different data sets.
    pub jaccard: f64,
    /// Mean over the same pairs of what two masks have that keep as many weights, drawn from all weights: exact.
    pub chance: f64,
    /// The same for masks that keep as many weights of each parameter: the expected number in common over the expected
    /// number kept by either, which differs from the expected ratio by the order of one in the number of weights.
    pub chance_by_parameter: f64,
    /// Mean over pairs of masks of one data set, where there are several of one.
    pub within_data: Option<f64>,
}

impl Overlap {
    /// Of these masks, where there are two of different data sets. Each counts once.
    pub fn of(masks: &Masks) -> Option<Self> {
        let all = masks.all();
        let counts: Vec<Vec<usize>> = all.par_iter().map(|made| by_parameter(&made.mask, masks.parameters())).collect();
        let sizes: Vec<usize> = counts.iter().map(|counts| counts.iter().sum()).collect();
        let distinct: Vec<usize> = sizes.iter().copied().collect::<BTreeSet<_>>().into_iter().collect();
        let pairs = distinct.iter().flat_map(|a| distinct.iter().filter(move |b| *b >= a).map(move |b| (*a, *b)));
        let pairs: Vec<(usize, usize)> = pairs.collect();
        let expected: BTreeMap<(usize, usize), f64> =
            pairs.into_par_iter().map(|(a, b)| ((a, b), chance(masks.weights(), a, b))).collect();
        let row = |i: usize| {
            let mut sums = Sums::default();
            for j in 0..i {
                let (a, b) = (sizes[i], sizes[j]);
                let found = ratio(all[i].mask.common(&all[j].mask) as f64, a, b);
                if all[i].data == all[j].data {
                    sums.within += found;
                    sums.pairs_within += 1;
                    continue;
                }
                let in_layer = |((a, b), n): ((&usize, &usize), &usize)| *a as f64 * *b as f64 / (*n).max(1) as f64;
                let common = counts[i].iter().zip(&counts[j]).zip(masks.parameters()).map(in_layer).sum();
                sums.jaccard += found;
                sums.chance += expected.get(&(a.min(b), a.max(b))).copied().unwrap_or(f64::NAN);
                sums.by_parameter += ratio(common, a, b);
                sums.pairs += 1;
            }
            sums
        };
        // Row by row and in order, so that the sums do not depend on the number of threads.
        let rows: Vec<Sums> = (0..all.len()).into_par_iter().map(row).collect();
        let sums = rows.into_iter().fold(Sums::default(), Sums::and);
        let mean = |sum: f64| sum / sums.pairs as f64;
        (sums.pairs > 0).then(|| Self {
            jaccard: mean(sums.jaccard),
            chance: mean(sums.chance),
            chance_by_parameter: mean(sums.by_parameter),
            within_data: (sums.pairs_within > 0).then(|| sums.within / sums.pairs_within as f64),
        })
    }
}

#[derive(Default)]
struct Sums {
    jaccard: f64,
    chance: f64,
    by_parameter: f64,
    pairs: u64,
    within: f64,
    pairs_within: u64,
}

impl Sums {
    fn and(self, other: Self) -> Self {
        Self {
            jaccard: self.jaccard + other.jaccard,
            chance: self.chance + other.chance,
            by_parameter: self.by_parameter + other.by_parameter,
            pairs: self.pairs + other.pairs,
            within: self.within + other.within,
            pairs_within: self.pairs_within + other.pairs_within,
        }
    }
}

/// Of so many in common.
fn ratio(common: f64, a: usize, b: usize) -> f64 {
    let either = (a + b) as f64 - common;
    if either > 0.0 { common / either } else { 1.0 }
}

/// Weights kept of every parameter.
fn by_parameter(mask: &Mask, parameters: &[usize]) -> Vec<usize> {
    let mut start = 0;
    let mut count = |n: &usize| {
        let range = start..start + n;
        start = range.end;
        range.filter(|weight| mask.keeps(*weight)).count()
    };
    parameters.iter().map(&mut count).collect()
}

/// Expected Jaccard index of two sets of `a` and `b` of `weights` weights, drawn independently: the number in common is
/// hypergeometric.
pub fn chance(weights: usize, a: usize, b: usize) -> f64 {
    let (n, a, b) = (weights as u64, a as u64, b as u64);
    let choose = |n: u64, k: u64| ln_factorial(n) - ln_factorial(k) - ln_factorial(n - k);
    let (least, most) = ((a + b).saturating_sub(n), a.min(b));
    // Twenty standard deviations hold everything that a double can tell from nothing.
    let (mean, share) = (a as f64 * b as f64 / n.max(1) as f64, b as f64 / n.max(1) as f64);
    let far = 20.0 * (a as f64 * share * (1.0 - share)).max(1.0).sqrt() + 2.0;
    let range = least.max((mean - far).max(0.0) as u64)..=most.min((mean + far) as u64);
    let all = choose(n, b);
    let term = |common: u64| {
        let probability = (choose(a, common) + choose(n - a, b - common) - all).exp();
        probability * ratio(common as f64, a as usize, b as usize)
    };
    range.map(term).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chance_is_the_mean_over_all_pairs_of_sets() {
        // Two of four: in common 0, 1, 2 with probability 1/6, 4/6, 1/6, of 4, 3, 2 kept by either.
        assert!((chance(4, 2, 2) - (4.0 / 18.0 + 1.0 / 6.0)).abs() < 1e-12);
        assert_eq!((chance(5, 0, 0), chance(5, 0, 3)), (1.0, 0.0));
        assert!((chance(5, 5, 5) - 1.0).abs() < 1e-12 && (chance(5, 5, 2) - 0.4).abs() < 1e-12);
        // Large: the ratio of expectations is near.
        assert!((chance(100_000, 10_000, 10_000) - 1000.0 / 19_000.0).abs() < 1e-5);
    }

    #[test]
    fn pairs_of_different_data_are_compared() {
        let mut masks = Masks::new(vec![2, 2]);
        for (data, keep) in
            [(0, [true, true, false, false]), (1, [true, false, true, false]), (1, [true, true, false, false])]
        {
            masks.add(data, Mask::new(keep), 1).unwrap();
        }
        let found = Overlap::of(&masks).unwrap();
        // (0, 1): one of three; (0, 2): all.
        assert!((found.jaccard - 2.0 / 3.0).abs() < 1e-15 && (found.within_data.unwrap() - 1.0 / 3.0).abs() < 1e-15);
        assert!((found.chance - chance(4, 2, 2)).abs() < 1e-15);
        // In parameters of two: 2 and 0 kept against 1 and 1 have 1 in common on average; against 2 and 0, 2.
        assert!((found.chance_by_parameter - (1.0 / 3.0 + 1.0) / 2.0).abs() < 1e-15);
    }
}
