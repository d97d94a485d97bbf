//! Seeds until sure: after every few seeds each comparison is settled or goes on, and the probability that any of them is
//! settled wrongly, at any look, stays below one error.
//!
//! Two claims can be made of a comparison: that its two groups differ, by the paired t-test, two-sided; and that they are the
//! same within a margin, by two one-sided t-tests (Schuirmann 1987). Of the two at most one can be wrong, whatever the truth is,
//! and each is made at the levels of [`levels`] for the error of the comparison: its share of the whole among all comparisons of
//! the sweep, those with controls too (Bonferroni). Without a margin a comparison that differs leaves its share to the others, as
//! Holm (1979) does; Maurer & Bretz (2013) show that this holds for repeated looks. With a margin it does not: what differs
//! could still be called the same, wrongly.
//!
//! Paired t-tests, because the comparison that people read afterwards has them, and because they can settle what differs by
//! much after five seeds, where no permutation of five signs has a probability below 1/16. A claim ends a comparison, so that
//! ends for another reason, such as the other claim, only lower the error.

mod levels;
mod room;

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

pub use levels::{Sides, levels};
pub use room::room;

use crate::experiments::statistics::{t_above, t_two_sided};

/// What was seen of a comparison at a look.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Look {
    /// Pairs so far.
    pub n: usize,
    /// Their mean difference.
    pub mean: f64,
    /// The deviation of the differences; 0 where they do not vary, which shows nothing.
    pub std: f64,
}

/// What a comparison came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Claim {
    /// The first group's mean is above the second's.
    Above,
    /// It is below.
    Below,
    /// They are the same within the margin.
    Same,
}

/// How comparisons are settled.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// Differences of less than this do not matter, where that is said.
    pub margin: Option<f64>,
    /// The probability of any wrong claim.
    pub error: f64,
    /// The most pairs of a comparison.
    pub most: usize,
}

/// The levels of looks that were asked for, each computed once.
#[derive(Debug, Default)]
pub struct Levels(HashMap<(Vec<usize>, u64, Sides), Vec<f64>>);

impl Levels {
    fn of(&mut self, looks: &[usize], most: usize, error: f64, sides: Sides) -> &[f64] {
        let key = (looks.to_vec(), error.to_bits(), sides);
        self.0.entry(key).or_insert_with(|| levels(looks, most, error, sides))
    }
}

impl Rule {
    /// Settles comparisons by everything that was seen of each, look by look; what was claimed before stays. A look without new
    /// pairs is none.
    pub fn settle(&self, seen: &[Vec<Look>], claims: &mut [Option<Claim>], known: &mut Levels) {
        loop {
            let differ = claims.iter().filter(|claim| matches!(claim, Some(Claim::Above | Claim::Below))).count();
            let shares = if self.margin.is_some() { seen.len() } else { seen.len() - differ };
            let mut changed = false;
            for (looks, claim) in seen.iter().zip(claims.iter_mut()).filter(|(_, claim)| claim.is_none()) {
                *claim = self.claim(looks, self.error / shares.max(1) as f64, known);
                changed |= claim.is_some();
            }
            if !changed || self.margin.is_some() {
                return;
            }
        }
    }

    fn claim(&self, looks: &[Look], error: f64, known: &mut Levels) -> Option<Claim> {
        let looks: Vec<&Look> = looks.iter().filter(|look| look.n > 1).collect();
        let counts: Vec<usize> = looks.iter().map(|look| look.n).collect();
        let two = known.of(&counts, self.most, error, Sides::Two).to_vec();
        for (look, level) in looks.iter().zip(two) {
            if look.t(look.mean).is_some_and(|t| t_two_sided(t, look.n - 1) < level) {
                return Some(if look.mean > 0.0 { Claim::Above } else { Claim::Below });
            }
        }
        let margin = self.margin?;
        let one = known.of(&counts, self.most, error, Sides::One);
        // Each of the two tests may reject at a look of its own.
        let inside = |sign: f64| {
            looks
                .iter()
                .zip(one)
                .any(|(look, level)| look.t(margin + sign * look.mean).is_some_and(|t| t_above(t, look.n - 1) < *level))
        };
        (inside(1.0) && inside(-1.0)).then_some(Claim::Same)
    }
}

impl Look {
    fn t(&self, mean: f64) -> Option<f64> {
        (self.std > 0.0).then(|| mean / (self.std / (self.n as f64).sqrt()))
    }
}

#[cfg(test)]
mod tests;
