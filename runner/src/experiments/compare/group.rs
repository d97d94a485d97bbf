//! Runs that differ in their seeds alone, or in what was not asked about.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::experiments::index;
use crate::experiments::statistics::Sample;

/// One thing that is measured of runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Its name in summaries and files.
    pub key: &'static str,
    /// Its name for people.
    pub label: &'static str,
    /// How its values are written.
    pub unit: Unit,
    /// Whether more is better; `None` where neither is.
    pub more_is_better: Option<bool>,
}

/// How a metric is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// 0.921 is written as 92.1 %; differences in points.
    Percent,
    /// A number as it is.
    Plain,
    /// A count: 12 k, 1.3 M.
    Count,
    /// A time in seconds.
    Seconds,
    /// Memory in megabytes.
    Bytes,
}

const fn metric(key: &'static str, label: &'static str, unit: Unit, more_is_better: Option<bool>) -> Metric {
    Metric { key, label, unit, more_is_better }
}

/// Everything that is measured, in the order in which it is shown.
pub const METRICS: [Metric; 10] = [
    metric("test_accuracy", "accuracy", Unit::Percent, Some(true)),
    metric("test_loss", "loss", Unit::Plain, Some(false)),
    metric("sparsity", "weights removed", Unit::Percent, None),
    metric("unit_sparsity", "units removed", Unit::Percent, None),
    metric("params_kept", "parameters", Unit::Count, Some(false)),
    metric("macs_kept", "MACs", Unit::Count, Some(false)),
    metric("seconds", "time", Unit::Seconds, Some(false)),
    metric("peak_memory_bytes", "peak memory", Unit::Bytes, Some(false)),
    // Weights or units that were pruned, and those that were regrown, every time counted.
    metric("churn", "churn", Unit::Count, None),
    // Norm of the gradient for each weight remaining, the mean over layers (arXiv 2407.16716).
    metric("burden", "burden", Unit::Plain, Some(false)),
];

/// The metric of that name, or of that label.
pub fn known(name: &str) -> Option<Metric> {
    let name = if name == "accuracy" || name == "loss" { format!("test_{name}") } else { name.to_owned() };
    METRICS.into_iter().find(|metric| metric.key == name || metric.label == name)
}

impl Metric {
    /// The value of one run, by its summary.
    pub fn of(&self, summary: &Map<String, Value>) -> Option<f64> {
        match self.key {
            "seconds" => index::seconds(summary),
            "churn" => Some(either(summary, "pruned", "left")? + either(summary, "regrown", "returned")?),
            "burden" => {
                let layers = summary.get("burden")?.as_array()?;
                let all: Option<Vec<f64>> = layers.iter().map(|layer| layer.get("gradient")?.as_f64()).collect();
                all.filter(|all| !all.is_empty()).map(|all| all.iter().sum::<f64>() / all.len() as f64)
            }
            key => summary.get(key).and_then(Value::as_f64),
        }
    }

    /// A value as people read it.
    pub fn written(&self, value: f64) -> String {
        match self.unit {
            Unit::Percent => format!("{:.2} %", value * 100.0),
            Unit::Plain => format!("{value:.4}"),
            Unit::Count if value >= 1e9 => format!("{:.2} G", value / 1e9),
            Unit::Count if value >= 1e6 => format!("{:.2} M", value / 1e6),
            Unit::Count if value >= 1e4 => format!("{:.1} k", value / 1e3),
            Unit::Count => format!("{value:.0}"),
            Unit::Seconds if value >= 600.0 => format!("{:.1} min", value / 60.0),
            Unit::Seconds => format!("{value:.2} s"),
            Unit::Bytes => format!("{:.0} MB", value / 1e6),
        }
    }

    /// A difference without its sign: 1.3 points.
    pub fn difference(&self, value: f64) -> String {
        match self.unit {
            Unit::Percent => format!("{:.2} points", value * 100.0),
            _ => self.written(value),
        }
    }

    /// A number of an interval of differences: no unit.
    pub fn bare(&self, value: f64) -> String {
        match self.unit {
            Unit::Percent => format!("{:.2}", value * 100.0),
            Unit::Plain => format!("{value:.4}"),
            _ => self.written(value),
        }
    }
}

/// A number of a summary, by its name or by the one that earlier versions gave it.
fn either(summary: &Map<String, Value>, name: &str, earlier: &str) -> Option<f64> {
    summary.get(name).or_else(|| summary.get(earlier))?.as_f64()
}

/// Runs under one setting.
#[derive(Clone, Debug)]
pub struct Group {
    /// The setting for people: `magnitude`, `magnitude, train.lr 0.1`, `random control`.
    pub label: String,
    /// The values of the keys that tell groups apart.
    pub values: Vec<String>,
    /// Which control it is, where it is one.
    pub control: Option<String>,
    /// The indices of its cells.
    pub cells: Vec<usize>,
    /// Mean and spread of every metric that its runs have.
    pub metrics: BTreeMap<&'static str, Sample>,
}

impl Group {
    /// The mean of a metric.
    pub fn mean(&self, key: &str) -> Option<f64> {
        self.metrics.get(key).map(|sample| sample.mean)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_that_a_summary_spells_out_are_put_together() {
        let summary = serde_json::json!({
            "seconds_train": 2.0, "seconds_eval": 0.5, "left": 30, "returned": 12,
            "burden": [{ "name": "fc1", "gradient": 0.1 }, { "name": "fc2", "gradient": 0.3 }],
        });
        let summary = summary.as_object().unwrap();
        let of = |name| known(name).unwrap().of(summary);
        let now = serde_json::json!({ "pruned": 30, "regrown": 12 });
        assert_eq!(known("churn").unwrap().of(now.as_object().unwrap()), Some(42.0));
        assert_eq!((of("seconds"), of("churn"), of("loss")), (Some(2.5), Some(42.0), None));
        assert!((of("burden").unwrap() - 0.2).abs() < 1e-12);
        assert_eq!(of("burden").map(|_| known("burden").unwrap().of(&Map::new())), Some(None), "absent, not zero");
    }

    #[test]
    fn values_are_written_for_people() {
        let written = |name, value| known(name).unwrap().written(value);
        assert_eq!(written("accuracy", 0.9213), "92.13 %");
        assert_eq!(written("macs_kept", 41_250.0), "41.2 k");
        assert_eq!(written("seconds", 1234.0), "20.6 min");
        assert_eq!(known("accuracy").unwrap().difference(0.0131), "1.31 points");
    }
}
