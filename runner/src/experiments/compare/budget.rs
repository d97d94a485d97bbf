//! What two groups spend, taken from the runs that are paired: the groups may hold others.

use serde_json::{Map, Value};

use super::blocks::Blocks;
use crate::experiments::index;
use crate::experiments::statistics::{Paired, mean, same};
use crate::output::percent;

/// Sparsities that differ by no more than this are called equal.
pub const EQUAL: f64 = 0.005;

/// Parameters that differ by no more than this fraction are called equally many.
const EQUAL_PARAMS: f64 = 0.02;

/// Shares of the weights remaining that differ by more than this are told.
const EQUAL_IDLE: f64 = 0.01;

/// What paired runs spend, place by place: theirs second.
#[derive(Clone, Debug, Default)]
pub struct Budget {
    sparsity: Vec<(f64, f64)>,
    params: Vec<(f64, f64)>,
    /// Shares of the weights remaining that are on no path from an input to an output.
    idle: Option<(f64, f64)>,
    /// Means of seconds, and their differences, seed by seed.
    seconds: Option<(f64, f64, Paired)>,
}

impl Budget {
    /// Reads it off the summaries of paired runs.
    pub fn of<'a>(blocks: &Blocks<'_>, summary: impl Fn(usize) -> &'a Map<String, Value>) -> Self {
        let number = |run: usize, key: &str| summary(run).get(key).and_then(Value::as_f64);
        let idle = |run: usize| {
            let (kept, effective) = (number(run, "nnz")?, number(run, "nnz_effective")?);
            Some(if kept > 0.0 { 1.0 - effective / kept } else { 0.0 })
        };
        let seconds = blocks.by_seed(|run| index::seconds(summary(run)));
        let paired = Paired::of(&seconds);
        let means = means(&seconds);
        Self {
            sparsity: blocks.by_place(|run| number(run, "sparsity")),
            params: blocks.by_place(|run| number(run, "params_kept")),
            idle: self::means(&blocks.by_place(idle)),
            seconds: means.zip(paired).map(|((ours, theirs), paired)| (ours, theirs, paired)),
        }
    }

    /// `at equal sparsity (90.0 % of all weights)`; nothing where runs do not say it.
    pub fn sparsity(&self) -> String {
        let equal = |(a, b): &&(f64, f64)| (a - b).abs() <= EQUAL;
        let alike = |(a, b): &(f64, f64)| same(*a, *b) || (a / b - 1.0).abs() <= EQUAL_PARAMS;
        let pairs = self.sparsity.len();
        let Some((a, b)) = means(&self.sparsity) else {
            let params = !self.params.is_empty() && self.params.iter().all(alike);
            return if params { " with as many parameters".to_owned() } else { String::new() };
        };
        let all = |first: bool| range(self.sparsity.iter().map(|(a, b)| if first { *a } else { *b }));
        match self.sparsity.iter().filter(equal).count() {
            equal if equal == pairs => {
                let idle = match self.idle {
                    Some((a, b)) if (a - b).abs() > EQUAL_IDLE => format!(
                        "; of the weights left {} against {} are on no path from an input to an output",
                        percent(a),
                        percent(b)
                    ),
                    _ => String::new(),
                };
                format!(" at equal sparsity ({} of all weights{idle})", all(true))
            }
            _ if !self.params.is_empty() && self.params.iter().all(alike) => " with as many parameters".to_owned(),
            0 => format!(" at unequal sparsity ({} of all weights against {})", all(true), all(false)),
            equal => format!(
                " at unequal sparsity ({} of all weights against {} in the mean; equal in {equal} of {pairs} pairs of runs)",
                percent(a),
                percent(b)
            ),
        }
    }

    /// What the difference costs in time; said with care where it is within the spread of the pairs.
    pub fn time(&self) -> String {
        let Some((ours, theirs, found)) = &self.seconds else { return String::new() };
        let percent = (ours / theirs - 1.0) * 100.0;
        let unsure = match (found.interval, found.std) {
            (Some(interval), _) if interval.holds(0.0) => ", within the spread of the runs",
            (None, None) => ", in one pair",
            _ => "",
        };
        match percent {
            p if !p.is_finite() => String::new(),
            p if p.abs() < 1.0 => "; it takes as long".to_owned(),
            p if p > 0.0 => format!("; it costs {p:.0} % more time{unsure}"),
            p => format!("; it takes {:.0} % less time{unsure}", -p),
        }
    }
}

fn means(pairs: &[(f64, f64)]) -> Option<(f64, f64)> {
    let (ours, theirs): (Vec<f64>, Vec<f64>) = pairs.iter().copied().unzip();
    mean(&ours).zip(mean(&theirs))
}

/// `90.0 %`, or `60.0 % to 90.0 %` where that is not one sparsity.
fn range(values: impl Iterator<Item = f64>) -> String {
    let values: Vec<f64> = values.collect();
    let (low, high) = values.iter().fold((f64::INFINITY, 0.0f64), |(low, high), v| (low.min(*v), high.max(*v)));
    if high - low > EQUAL {
        return format!("{} to {}", percent(low), percent(high));
    }
    percent(mean(&values).unwrap_or(0.0))
}
