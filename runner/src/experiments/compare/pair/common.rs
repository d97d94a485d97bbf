//! Pairs of runs that were one run until they left it: what they had in common by then is in no difference.

use serde::Serialize;
use serde_json::Value;

use super::super::blocks::Blocks;
use super::View;
use crate::config::At;
use crate::experiments::statistics::Sample;

/// What the runs of every pair have in common.
#[derive(Clone, Debug, Serialize)]
pub struct Common {
    /// Where they left it: `prune:3`.
    pub at: String,
    /// The fraction that pairing takes away of the variance that a difference would have if the two groups' runs had nothing to
    /// do with each other: 1 - s²(a - b) / (s²(a) + s²(b)), seed by seed. Below 0 where it adds some; absent for fewer than
    /// three seeds, and where nothing varies.
    pub variance_removed: Option<f64>,
}

impl Common {
    /// Looks at the runs that are paired; `values` are those of both groups, seed by seed.
    pub fn of(blocks: &Blocks<'_>, view: &View<'_>, values: &[(f64, f64)]) -> Option<Self> {
        let fork = |run: &usize| view.records[*run].summary.get("fork");
        let state = |run: &usize| fork(run)?.get("state")?.as_str();
        let mut at = None;
        for both in blocks.paired.values() {
            let mut runs = both.ours.iter().chain(&both.theirs);
            let first = state(runs.clone().next()?)?;
            if !runs.all(|run| state(run) == Some(first)) {
                return None;
            }
            at = at.or_else(|| fork(both.ours.first()?)?.get("at").and_then(Value::as_str).map(str::to_owned));
        }
        let (ours, theirs): (Vec<f64>, Vec<f64>) = values.iter().copied().unzip();
        let differences: Vec<f64> = values.iter().map(|(a, b)| a - b).collect();
        let variance = |values: &[f64]| Sample::of(values)?.std.map(|std| std * std);
        let removed = || {
            let (alone, paired) = (variance(&ours)? + variance(&theirs)?, variance(&differences)?);
            (values.len() > 2 && alone > 0.0).then(|| 1.0 - paired / alone)
        };
        Some(Self { at: at?, variance_removed: removed() })
    }

    /// The same in words.
    pub fn sentence(&self) -> String {
        let place = self.at.parse::<At>().map_or_else(|_| self.at.clone(), |at| at.to_string());
        let removed = match self.variance_removed {
            None => String::new(),
            Some(removed) if removed < 0.005 => ", which takes nothing off the variance of their difference".to_owned(),
            Some(removed) if removed > 0.99 => {
                ", which takes more than 99 % off the variance of their difference".to_owned()
            }
            Some(removed) => format!(", which takes {:.0} % off the variance of their difference", removed * 100.0),
        };
        format!(" The two of a pair were one run up to {place}{removed}.")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_removed_is_said_and_nothing_that_was_not() {
        let of = |removed| Common { at: "prune:3".to_owned(), variance_removed: removed }.sentence();
        let all = " The two of a pair were one run up to pruning step 3";
        assert_eq!(of(None), format!("{all}."));
        assert_eq!(of(Some(0.834)), format!("{all}, which takes 83 % off the variance of their difference."));
        assert_eq!(of(Some(-0.2)), format!("{all}, which takes nothing off the variance of their difference."));
    }
}
