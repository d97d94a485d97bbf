//! Upper bounds on the entropy of a mask, and with it on what it tells of anything.

use super::entropy::{entropy, miller_madow};
use super::masks::Masks;
use serde::Serialize;
use std::collections::BTreeMap;
use std::f64::consts::{LN_2, PI};

/// `-q log2 q - (1 - q) log2 (1 - q)` in bits: what one answer tells that is yes with probability `q`.
pub fn binary_entropy(q: f64) -> f64 {
    let term = |q: f64| if q > 0.0 { -q * q.log2() } else { 0.0 };
    term(q) + term(1.0 - q)
}

/// `ln n!`, to the last digits of a double: products of few factors, Stirling's series for more.
pub fn ln_factorial(n: u64) -> f64 {
    if n < 20 {
        return (2..=n).map(|i| i as f64).product::<f64>().ln();
    }
    let n = n as f64;
    let (inverse, square) = (1.0 / n, 1.0 / (n * n));
    let series = inverse * (1.0 / 12.0 - square * (1.0 / 360.0 - square * (1.0 / 1260.0 - square / 1680.0)));
    n * n.ln() - n + 0.5 * (2.0 * PI * n).ln() + series
}

/// `log2 C(n, k)` in bits: what it takes to say which `k` of `n` weights are kept.
pub fn log2_choose(n: u64, k: u64) -> f64 {
    if k == 0 || k >= n {
        return 0.0;
    }
    (ln_factorial(n) - ln_factorial(k) - ln_factorial(n - k)) / LN_2
}

/// Bits that a mask can tell at most.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct EntropyBounds {
    /// Sum over weights of [`binary_entropy`] of the fraction of outcomes in which the weight is kept. With the
    /// fractions of all outcomes it is a bound; where they are estimated from few, it is an estimate, and too
    /// low on average.
    pub sum_of_weights: f64,
    /// The same with Miller and Madow's correction for every weight that was seen both kept and pruned, at most one bit
    /// a weight. What weights tell that were by chance seen in one way alone is still missing.
    pub sum_of_weights_corrected: f64,
    /// `log2 C(p, nnz)`, in which nothing is estimated. Where masks differ in `nnz`, the mean of it over the masks, and
    /// the entropy of `nnz` with Miller and Madow's correction: who knows the mask knows its count.
    pub choices: f64,
}

impl EntropyBounds {
    /// Of these masks.
    pub fn of(masks: &Masks) -> Self {
        let total = masks.total();
        let each = miller_madow(2, total);
        let (mut sum_of_weights, mut sum_of_weights_corrected) = (0.0, 0.0);
        for kept in masks.kept().into_iter().filter(|kept| *kept > 0 && *kept < total) {
            let bits = binary_entropy(kept as f64 / total as f64);
            sum_of_weights += bits;
            sum_of_weights_corrected += (bits + each).min(1.0);
        }
        let mut by_count: BTreeMap<usize, u64> = BTreeMap::new();
        masks.all().iter().for_each(|made| *by_count.entry(made.mask.kept()).or_default() += made.times);
        let weights = masks.weights() as u64;
        let mean = |(nnz, times): (&usize, &u64)| log2_choose(weights, *nnz as u64) * *times as f64 / total as f64;
        let counts = entropy(by_count.values().copied()) + miller_madow(by_count.len(), total);
        let choices = counts.min(((weights + 1) as f64).log2()) + by_count.iter().map(mean).sum::<f64>();
        Self { sum_of_weights, sum_of_weights_corrected, choices }
    }

    /// The lower of the two, with corrected fractions: a bound on average over all data sets, an estimate of it over few.
    pub fn least(&self) -> f64 {
        self.sum_of_weights_corrected.min(self.choices)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::information::Mask;

    #[test]
    fn small_numbers_of_choices_are_counted() {
        for (n, k, choices) in
            [(4_u64, 2_u64, 6.0_f64), (21, 7, 116_280.0), (5, 0, 1.0), (5, 5, 1.0), (50, 3, 19_600.0)]
        {
            assert!((log2_choose(n, k) - choices.log2()).abs() < 1e-12, "{n} {k}");
        }
        // Factor by factor.
        let slow: f64 = (1..=3000_u32).map(|i| (f64::from(10_000 - 3000 + i) / f64::from(i)).log2()).sum();
        assert!((log2_choose(10_000, 3000) - slow).abs() < 1e-8);
        for n in [19, 20, 21, 170] {
            let slow: f64 = (2..=n).map(|i| (i as f64).ln()).sum();
            assert!((ln_factorial(n) - slow).abs() < 1e-12 * slow.max(1.0), "{n}");
        }
    }

    #[test]
    fn an_answer_tells_at_most_a_bit() {
        assert_eq!([0.0, 0.5, 1.0].map(binary_entropy), [0.0, 1.0, 0.0]);
        assert!((binary_entropy(0.25) - (2.0 - 0.75 * 3.0_f64.log2())).abs() < 1e-15);
    }

    #[test]
    fn counts_that_differ_are_told_too() {
        let mut masks = Masks::new(vec![2]);
        masks.add(0, Mask::new([true, false]), 1).unwrap();
        masks.add(1, Mask::new([true, true]), 1).unwrap();
        // One bit says how many, corrected by 1 / (4 ln 2); of one weight of two, another bit half of the time.
        let bounds = EntropyBounds::of(&masks);
        assert!((bounds.choices - (1.5 + 0.25 / LN_2)).abs() < 1e-12, "{bounds:?}");
        assert_eq!((bounds.sum_of_weights, bounds.sum_of_weights_corrected), (1.0, 1.0));
    }
}
