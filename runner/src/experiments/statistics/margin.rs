//! Whether a difference matters: two one-sided tests against a margin (Schuirmann 1987), and how many more pairs would
//! settle it.

use super::paired::{LEVEL, Paired};
use super::sample::{t_above, t_quantile};

/// More pairs than this are not looked for.
const MOST: usize = 1_000_000;

/// What a comparison says about a margin within which a difference does not matter.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Equivalence {
    /// Differences of less than this do not matter.
    pub margin: f64,
    /// The larger probability of the two one-sided tests, times the number of comparisons; absent where there is no test.
    pub p: Option<f64>,
    /// What that comes to.
    pub verdict: Settled,
}

/// What is known of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case", tag = "is", content = "more_pairs")]
pub enum Settled {
    /// The difference is within the margin.
    Same,
    /// It is not zero, and above.
    Above,
    /// It is not zero, and below.
    Below,
    /// Neither is shown. So many more pairs would show one of them if mean and spread stayed as they are; `None` where
    /// that cannot be told from these.
    Undecided(Option<usize>),
}

impl Equivalence {
    /// Tests a comparison, which is one of so many, at 5 % for all of them together.
    ///
    /// A pair that is within the margin and differs from zero too is the same: the difference is there and does not
    /// matter. At most one of the two claims can be wrong of a pair, so that each is made at the whole level.
    pub fn of(found: &Paired, margin: f64, comparisons: usize) -> Self {
        let p = found.std.filter(|std| *std > 0.0).map(|std| {
            let error = std / (found.n as f64).sqrt();
            let beyond = t_above((margin - found.mean.abs()) / error, found.n - 1);
            (beyond * comparisons as f64).min(1.0)
        });
        let different = found.among(comparisons).is_some_and(|family| family.p < LEVEL);
        let verdict = match p {
            Some(p) if p < LEVEL => Settled::Same,
            _ if different && found.mean > 0.0 => Settled::Above,
            _ if different => Settled::Below,
            _ => Settled::Undecided(more(found, margin, LEVEL / comparisons as f64)),
        };
        Self { margin, p, verdict }
    }
}

/// The fewest further pairs with which one of the two tests would reach its level, mean and spread as they are.
fn more(found: &Paired, margin: f64, level: f64) -> Option<usize> {
    let std = found.std.filter(|std| *std > 0.0)?;
    let (from_zero, inside) = (found.mean.abs() / std, (margin - found.mean.abs()) / std);
    let settled = |n: usize| {
        let root = (n as f64).sqrt();
        from_zero * root > t_quantile(1.0 - level / 2.0, n - 1) || inside * root > t_quantile(1.0 - level, n - 1)
    };
    // Both grow with the number of pairs: halve the distance to the first that suffices.
    let (mut low, mut high) = (found.n, MOST);
    if !settled(high) {
        return None;
    }
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if settled(middle) { high = middle } else { low = middle }
    }
    Some(high - found.n)
}
