//! What pruning steps cost, and whether what was known before them foretells it: the open question of "Neural Burden"
//! (arXiv 2407.16716). The paper names no measure; rank correlations within a run are ours.

use serde::{Deserialize, Serialize};

/// A pruning step around which the network was measured.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PruneCost {
    /// Mean over the prunable parameters of ‖g m‖₂ / √nnz, over the last looks before the step.
    pub burden: f64,
    /// Fraction of the weights or units that were there which goes at the step; below 0 where more come back.
    pub share: f64,
    /// Sparsity before the step.
    pub sparsity: f64,
    /// What the step costs: accuracy before less accuracy after, or loss after less loss before, where there is no
    /// accuracy.
    pub drop: f64,
}

/// Rank correlations (Spearman's, equal values sharing their mean rank) over the pruning steps of a run between what was
/// known before each and what it costs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Foretold {
    /// Pruning steps that it is known of.
    pub steps: usize,
    /// With the burden; none where all steps have the same, or cost the same. So the next two.
    pub by_burden: Option<f64>,
    /// With the share that goes at the step, which the schedule knows without looking.
    pub by_share: Option<f64>,
    /// With the sparsity before the step, likewise.
    pub by_sparsity: Option<f64>,
    /// How far the burden's is above the share's.
    pub burden_over_share: Option<f64>,
    /// How far the burden's is above the sparsity's.
    pub burden_over_sparsity: Option<f64>,
}

/// Fewer steps than this have no rank correlation worth a name.
const FEWEST: usize = 4;

impl Foretold {
    /// Of a run's pruning steps; none of fewer than four.
    pub fn of(steps: &[PruneCost]) -> Option<Self> {
        if steps.len() < FEWEST {
            return None;
        }
        let drops: Vec<f64> = steps.iter().map(|step| step.drop).collect();
        let by = |of: fn(&PruneCost) -> f64| spearman(&steps.iter().map(of).collect::<Vec<_>>(), &drops);
        let (by_burden, by_share, by_sparsity) = (by(|s| s.burden), by(|s| s.share), by(|s| s.sparsity));
        let over = |other: Option<f64>| Some(by_burden? - other?);
        Some(Self {
            steps: steps.len(),
            by_burden,
            by_share,
            by_sparsity,
            burden_over_share: over(by_share),
            burden_over_sparsity: over(by_sparsity),
        })
    }
}

/// Spearman's rank correlation: Pearson's of the ranks. None where one of the two does not vary.
fn spearman(a: &[f64], b: &[f64]) -> Option<f64> {
    let (a, b) = (ranks(a), ranks(b));
    // Ranks of n values have the mean (n + 1) / 2, ties or not.
    let middle = (a.len() as f64 + 1.0) / 2.0;
    let product = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| (x - middle) * (y - middle)).sum::<f64>();
    let size = (product(&a, &a) * product(&b, &b)).sqrt();
    (size > 0.0).then(|| (product(&a, &b) / size).clamp(-1.0, 1.0))
}

/// Ranks from 1; equal values have the mean of theirs.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    let mut done = 0;
    for equal in order.chunk_by(|&a, &b| values[a] == values[b]) {
        let rank = done as f64 + (equal.len() as f64 + 1.0) / 2.0;
        equal.iter().for_each(|&place| ranks[place] = rank);
        done += equal.len();
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Against SciPy's `spearmanr`, ties among them (`golden/spearman.py` beside this file).
    #[test]
    fn rank_correlations_are_those_of_scipy() {
        let cases: serde_json::Value = serde_json::from_str(include_str!("golden/spearman.json")).unwrap();
        let numbers = |value: &serde_json::Value| {
            value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect::<Vec<f64>>()
        };
        let cases = cases.as_array().unwrap();
        assert!(cases.len() >= 6);
        for case in cases {
            let found = spearman(&numbers(&case["a"]), &numbers(&case["b"]));
            match case["rho"].as_f64() {
                Some(expected) => assert!((found.unwrap() - expected).abs() < 1e-12, "{found:?} of {case}"),
                None => assert_eq!(found, None, "{case}"),
            }
        }
    }

    #[test]
    fn each_of_what_was_known_is_ranked_with_what_the_steps_cost() {
        let step = |burden: f64, share: f64, sparsity: f64, drop: f64| PruneCost { burden, share, sparsity, drop };
        // The burden orders the drops, the share the other way round, the sparsity is always the same.
        let steps =
            [step(0.1, 0.4, 0.5, 0.0), step(0.3, 0.2, 0.5, 0.2), step(0.2, 0.3, 0.5, 0.1), step(0.9, 0.1, 0.5, 0.3)];
        let found = Foretold::of(&steps).unwrap();
        assert_eq!((found.steps, found.by_burden, found.by_share, found.by_sparsity), (4, Some(1.0), Some(-1.0), None));
        assert_eq!((found.burden_over_share, found.burden_over_sparsity), (Some(2.0), None));
        assert_eq!(Foretold::of(&steps[..3]), None);
    }
}
