//! Runs that differ in their seeds alone, or in what was not asked about.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::index;
use crate::stats::Sample;

/// A figure of runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Figure {
    /// In summaries and files.
    pub key: &'static str,
    /// For people.
    pub label: &'static str,
    /// How it is written.
    pub unit: Unit,
    /// Whether more is better; `None` where neither is.
    pub more_is_better: Option<bool>,
}

/// How a figure is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// 0.921 as 92.1 %; differences in points.
    Percent,
    /// As it is.
    Plain,
    /// 12 k, 1.3 M.
    Count,
    /// Seconds.
    Seconds,
    /// Megabytes.
    Bytes,
}

const fn figure(key: &'static str, label: &'static str, unit: Unit, more_is_better: Option<bool>) -> Figure {
    Figure { key, label, unit, more_is_better }
}

/// Everything that is measured, in the order in which it is shown.
pub const FIGURES: [Figure; 10] = [
    figure("test_accuracy", "accuracy", Unit::Percent, Some(true)),
    figure("test_loss", "loss", Unit::Plain, Some(false)),
    figure("sparsity", "sparsity", Unit::Percent, None),
    figure("unit_sparsity", "units removed", Unit::Percent, None),
    figure("params_kept", "parameters", Unit::Count, Some(false)),
    figure("macs_kept", "MACs", Unit::Count, Some(false)),
    figure("seconds", "time", Unit::Seconds, Some(false)),
    figure("peak_memory_bytes", "peak memory", Unit::Bytes, Some(false)),
    // Weights or units that were pruned, and those that came back, every time counted.
    figure("churn", "churn", Unit::Count, None),
    // Norm of the gradient for each weight that is left, the mean over layers (arXiv 2407.16716).
    figure("burden", "burden", Unit::Plain, Some(false)),
];

/// The figure of that name, or of that label.
pub fn known(name: &str) -> Option<Figure> {
    let name = if name == "accuracy" || name == "loss" { format!("test_{name}") } else { name.to_owned() };
    FIGURES.into_iter().find(|figure| figure.key == name || figure.label == name)
}

impl Figure {
    /// Of one run.
    pub fn of(&self, summary: &Map<String, Value>) -> Option<f64> {
        match self.key {
            "seconds" => index::seconds(summary),
            "churn" => Some(summary.get("left")?.as_f64()? + summary.get("returned")?.as_f64()?),
            "burden" => {
                let layers = summary.get("burden")?.as_array()?;
                let all: Option<Vec<f64>> = layers.iter().map(|layer| layer.get("gradient")?.as_f64()).collect();
                all.filter(|all| !all.is_empty()).map(|all| all.iter().sum::<f64>() / all.len() as f64)
            }
            key => summary.get(key).and_then(Value::as_f64),
        }
    }

    /// A value for people.
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

/// Runs under one setting.
#[derive(Clone, Debug)]
pub struct Group {
    /// For people: `magnitude`, `magnitude, train.lr 0.1`, `random control`.
    pub label: String,
    /// The values of the keys that tell groups apart.
    pub values: Vec<String>,
    /// Which control, where it is one.
    pub control: Option<String>,
    /// Its cells, as indices.
    pub cells: Vec<usize>,
    /// Mean and spread of every figure that its runs have.
    pub figures: BTreeMap<&'static str, Sample>,
}

impl Group {
    /// Mean of a figure.
    pub fn mean(&self, key: &str) -> Option<f64> {
        self.figures.get(key).map(|sample| sample.mean)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn figures_that_a_summary_spells_out_are_put_together() {
        let summary = serde_json::json!({
            "seconds_train": 2.0, "seconds_eval": 0.5, "left": 30, "returned": 12,
            "burden": [{ "name": "fc1", "gradient": 0.1 }, { "name": "fc2", "gradient": 0.3 }],
        });
        let summary = summary.as_object().unwrap();
        let of = |name| known(name).unwrap().of(summary);
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
