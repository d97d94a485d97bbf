//! Groups that are best at something: every other is beaten by one of them, which is as good in both metrics and better
//! in one.

use super::budget::EQUAL;
use super::group::Group;
use super::metric::{Metric, named};
use crate::experiments::statistics::same;

/// Times that differ by less than this fraction are equal: sentences say that one takes as long as the other.
const EQUAL_TIME: f64 = 0.01;

/// The best groups in the metric and one cost.
#[derive(Clone, Debug)]
pub struct Front {
    /// What it costs: sparsity, MACs or seconds.
    pub cost: Metric,
    /// The indices of the groups, cheapest first.
    pub groups: Vec<usize>,
}

/// The fronts of the metric against sparsity, MACs and seconds, those that the groups have.
pub fn fronts(groups: &[Group], metric: &Metric) -> Vec<Front> {
    let costs = ["sparsity", "macs_kept", "seconds"].into_iter().map(named);
    costs.filter(|cost| cost.key != metric.key).filter_map(|cost| front(groups, metric, cost)).collect()
}

/// The best first; a group joins where none of those before it costs as little.
fn front(groups: &[Group], metric: &Metric, cost: Metric) -> Option<Front> {
    // More is better in both directions once signs are turned; sparsity saves.
    let sign = |key: &str, more: Option<bool>| if key == "sparsity" || more == Some(true) { 1.0 } else { -1.0 };
    let (up, saves) = (sign(&metric.key, metric.more_is_better), sign(&cost.key, cost.more_is_better));
    let mut points: Vec<(usize, f64, f64)> = (groups.iter().enumerate())
        .filter_map(|(i, group)| Some((i, rounded(group.mean(&metric.key)? * up), group.mean(&cost.key)? * saves)))
        .collect();
    let as_cheap = |a: f64, b: f64| match cost.key.as_ref() {
        "sparsity" => a >= b - EQUAL,
        "seconds" => a >= b - EQUAL_TIME * b.abs(),
        _ => a >= b || same(a, b),
    };
    points.sort_by(|(i, x, y), (j, a, b)| a.total_cmp(x).then(b.total_cmp(y)).then(i.cmp(j)));
    let count = points.len();
    let mut best: Vec<(usize, f64, f64)> = Vec::new();
    for (i, x, y) in points {
        // Equal in both: neither beats the other.
        let beaten = |(_, a, b): &(usize, f64, f64)| as_cheap(*b, y) && !(*a == x && as_cheap(y, *b));
        if !best.iter().any(beaten) {
            best.push((i, x, y));
        }
    }
    best.sort_by(|a, b| b.2.total_cmp(&a.2).then(a.0.cmp(&b.0)));
    (count > 1).then(|| Front { cost, groups: best.into_iter().map(|(i, ..)| i).collect() })
}

/// Without its last digits, in which means of equal values may differ.
fn rounded(value: f64) -> f64 {
    format!("{value:.11e}").parse().unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiments::statistics::Sample;

    fn group(accuracy: &[f64], sparsity: &[f64]) -> Group {
        let metrics = [("test_accuracy", accuracy), ("sparsity", sparsity)];
        Group {
            label: String::new(),
            values: Vec::new(),
            control: None,
            owners: Vec::new(),
            cells: Vec::new(),
            failed: Vec::new(),
            metrics: metrics.map(|(key, values)| (key.to_owned(), Sample::of(values).unwrap())).into(),
        }
    }

    #[test]
    fn a_group_that_another_beats_in_both_is_not_on_the_front() {
        let groups = [(0.9, 0.5), (0.8, 0.9), (0.85, 0.4), (0.9, 0.2)].map(|(a, s)| group(&[a], &[s]));
        let fronts = fronts(&groups, &named("accuracy"));
        assert_eq!(fronts.len(), 1);
        assert_eq!(fronts[0].groups, [1, 0], "the sparsest first");
    }

    #[test]
    fn rounding_puts_nobody_on_the_front() {
        // Three runs at 0.95 and three at what a sum divided by three makes of it, or at equal sparsity as sentences say.
        let (good, bad, close) = (
            group(&[0.8995; 3], &[0.95; 3]),
            group(&[0.813; 3], &[0.950_000_000_000_000_1; 3]),
            group(&[0.7], &[0.953]),
        );
        assert_eq!(fronts(&[good, bad, close], &named("accuracy"))[0].groups, [0]);
        let equal = [group(&[0.9], &[0.5]), group(&[0.9], &[0.5])];
        assert_eq!(fronts(&equal, &named("accuracy"))[0].groups, [0, 1], "neither beats the other");
    }
}
