//! Groups that are best at something: no other is at least as good in both metrics and better in one.

use super::group::{Group, Metric, known};

/// The best groups in the metric and one cost.
#[derive(Clone, Debug)]
pub struct Front {
    /// What it costs: sparsity, MACs or seconds.
    pub cost: Metric,
    /// The indices of the groups, cheapest first.
    pub groups: Vec<usize>,
}

/// The fronts of the metric against sparsity, MACs and seconds, those that the groups have.
pub fn fronts(groups: &[Group], metric: Metric) -> Vec<Front> {
    let costs = ["sparsity", "macs_kept", "seconds"].into_iter().filter_map(known);
    costs.filter(|cost| cost.key != metric.key).filter_map(|cost| front(groups, metric, cost)).collect()
}

fn front(groups: &[Group], metric: Metric, cost: Metric) -> Option<Front> {
    // More is better in both directions once signs are turned; sparsity saves.
    let sign =
        |metric: Metric| if metric.key == "sparsity" || metric.more_is_better == Some(true) { 1.0 } else { -1.0 };
    let at = |group: &Group| Some((group.mean(metric.key)? * sign(metric), group.mean(cost.key)? * sign(cost)));
    let points: Vec<(usize, (f64, f64))> =
        groups.iter().enumerate().filter_map(|(i, group)| Some((i, at(group)?))).collect();
    let beaten = |(x, y): (f64, f64)| points.iter().any(|(_, (a, b))| *a >= x && *b >= y && (*a > x || *b > y));
    let mut best: Vec<(usize, (f64, f64))> = points.iter().copied().filter(|(_, point)| !beaten(*point)).collect();
    best.sort_by(|a, b| b.1.1.total_cmp(&a.1.1));
    (points.len() > 1).then(|| Front { cost, groups: best.into_iter().map(|(i, _)| i).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiments::compare::group::METRICS;
    use crate::experiments::statistics::Sample;

    #[test]
    fn a_group_that_another_beats_in_both_is_not_on_the_front() {
        let group = |accuracy: f64, sparsity: f64| Group {
            label: String::new(),
            values: Vec::new(),
            control: None,
            cells: Vec::new(),
            metrics: [("test_accuracy", accuracy), ("sparsity", sparsity)]
                .into_iter()
                .map(|(key, value)| (key, Sample::of(&[value]).unwrap()))
                .collect(),
        };
        let groups = [group(0.9, 0.5), group(0.8, 0.9), group(0.85, 0.4), group(0.9, 0.2)];
        let fronts = fronts(&groups, METRICS[0]);
        assert_eq!(fronts.len(), 1);
        assert_eq!(fronts[0].groups, [1, 0], "the sparsest first");
    }
}
