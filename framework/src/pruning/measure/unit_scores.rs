//! What the scores of units look like, layer by layer: where a criterion sees what the network does.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The scores of a group's units that were there, as the criterion gave them, before `prune.normalize`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct UnitScores {
    /// Units.
    pub units: usize,
    /// Part of the sum of all groups that theirs has, by absolute values; what flows back through layers that all conserve it
    /// (relevance), or is shared out in each of them (contributions), has the same part in each. 0 where all scores are 0.
    pub share: f64,
    /// The mean score.
    pub mean: f64,
    /// Half of the units have less; between two of them, their mean.
    pub median: f64,
    /// The largest score.
    pub max: f64,
    /// The median over the mean: 1 where all are alike, near 0 where a few have nearly everything; absent where the mean is not
    /// above 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub median_over_mean: Option<f64>,
}

impl UnitScores {
    /// Of all groups that have units with scores, by their names.
    pub fn of(groups: impl IntoIterator<Item = (String, Vec<f64>)>) -> BTreeMap<String, Self> {
        let size = |scores: &[f64]| scores.iter().map(|score| score.abs()).sum::<f64>();
        let groups: Vec<_> = groups.into_iter().filter(|(_, scores)| !scores.is_empty()).collect();
        let total: f64 = groups.iter().map(|(_, scores)| size(scores)).sum();
        let of = |mut scores: Vec<f64>| {
            let share = if total > 0.0 { size(&scores) / total } else { 0.0 };
            scores.sort_by(f64::total_cmp);
            let (units, last) = (scores.len(), scores.len() - 1);
            let mean = scores.iter().sum::<f64>() / units as f64;
            let median = f64::midpoint(scores[last / 2], scores[units / 2]);
            let median_over_mean = (mean > 0.0).then(|| median / mean);
            Self { units, share, mean, median, max: scores[last], median_over_mean }
        };
        groups.into_iter().map(|(name, scores)| (name, of(scores))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_have_their_part_of_the_whole_and_a_middle() {
        let found = UnitScores::of([
            ("fc1".to_owned(), vec![3.0, 0.0, 1.0, 2.0]),
            ("fc2".to_owned(), vec![1.0, -4.0, 1.0]),
            ("gone".to_owned(), vec![]),
        ]);
        assert_eq!(found.len(), 2);
        let first = UnitScores { units: 4, share: 0.5, mean: 1.5, median: 1.5, max: 3.0, median_over_mean: Some(1.0) };
        assert_eq!(found["fc1"], first);
        assert_eq!((found["fc2"].share, found["fc2"].median, found["fc2"].median_over_mean), (0.5, 1.0, None));
        let nothing = UnitScores::of([("fc1".to_owned(), vec![0.0; 3])]);
        assert_eq!((nothing["fc1"].share, nothing["fc1"].median_over_mean), (0.0, None));
    }
}
