//! What is measured of runs: what the tables show, and any other number of a summary.

use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::experiments::index;

/// One thing that is measured of runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Its name in summaries and files: dotted, where it stands within a table of the summary.
    pub key: Cow<'static, str>,
    /// Its name for people.
    pub label: Cow<'static, str>,
    /// What it means, for those who ask.
    pub about: &'static str,
    /// How its values are written.
    pub unit: Unit,
    /// Whether more is better; `None` where neither is.
    pub more_is_better: Option<bool>,
}

/// How a metric is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// A fraction; 0.921 is written as 92.1 %, differences in points.
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

impl Unit {
    /// Its name in a page's data.
    pub fn name(self) -> &'static str {
        match self {
            Self::Percent => "percent",
            Self::Plain => "plain",
            Self::Count => "count",
            Self::Seconds => "seconds",
            Self::Bytes => "bytes",
        }
    }
}

const fn metric(
    key: &'static str,
    label: &'static str,
    unit: Unit,
    more_is_better: Option<bool>,
    about: &'static str,
) -> Metric {
    Metric { key: Cow::Borrowed(key), label: Cow::Borrowed(label), about, unit, more_is_better }
}

/// What every table shows, in its order.
pub const METRICS: [Metric; 11] = [
    metric("test_accuracy", "test accuracy", Unit::Percent, Some(true), "Accuracy on the test split, at the end."),
    metric("test_loss", "test loss", Unit::Plain, Some(false), "Mean loss on the test split, at the end."),
    metric(
        "sparsity",
        "sparsity, all weights",
        Unit::Percent,
        None,
        "Fraction of the weights of all layers, exempt ones too.",
    ),
    metric("unit_sparsity", "sparsity, all units", Unit::Percent, None, "Fraction of the units of all groups."),
    metric("params_kept", "parameters", Unit::Count, Some(false), "Parameters remaining, biases and norms among them."),
    metric(
        "idle_weights",
        "idle weights",
        Unit::Count,
        Some(false),
        "Prunable weights remaining that are on no path from an input to an output.",
    ),
    metric("macs_kept", "MACs", Unit::Count, Some(false), "Multiply-accumulate operations remaining, for one example."),
    metric("seconds", "time", Unit::Seconds, Some(false), "Training, pruning and evaluation together."),
    metric(
        "peak_memory_bytes",
        "peak memory",
        Unit::Bytes,
        Some(false),
        "Largest resident memory of the process so far.",
    ),
    metric("churn", "churn", Unit::Count, None, "Weights or units pruned and regrown, every time counted."),
    metric(
        "burden",
        "burden",
        Unit::Plain,
        Some(false),
        "Norm of the gradient for each weight remaining, the mean over layers (arXiv 2407.16716).",
    ),
];

/// The metric of that name, or of that label: one of the tables, or any other number of a summary.
pub fn named(name: &str) -> Metric {
    let name = match name {
        "accuracy" | "loss" => format!("test_{name}"),
        name => name.to_owned(),
    };
    let known = METRICS.into_iter().find(|metric| metric.key == name || metric.label == name);
    known.unwrap_or_else(|| {
        let last = name.rsplit('.').next().unwrap_or(&name);
        let (unit, more_is_better) = match last {
            // Correlations, whatever they are of.
            _ if name.starts_with("drop_foretold.") => (Unit::Plain, None),
            last if last.ends_with("accuracy") => (Unit::Percent, Some(true)),
            last if last.contains("loss") => (Unit::Plain, Some(false)),
            "test_r2" => (Unit::Plain, Some(true)),
            last if last.ends_with("sparsity") => (Unit::Percent, None),
            last if last.starts_with("seconds") => (Unit::Seconds, Some(false)),
            last if last.ends_with("bytes") => (Unit::Bytes, Some(false)),
            _ => (Unit::Plain, None),
        };
        let label = if last == name { name.replace('_', " ") } else { name.clone() };
        Metric { key: name.into(), label: label.into(), about: "", unit, more_is_better }
    })
}

/// The keys of a summary's numbers.
pub fn numbers(summary: &Map<String, Value>) -> Vec<String> {
    let mut keys = Vec::new();
    for (key, value) in summary {
        match value {
            Value::Number(_) => keys.push(key.clone()),
            Value::Object(inner) => keys.extend(numbers(inner).into_iter().map(|rest| format!("{key}.{rest}"))),
            _ => {}
        }
    }
    keys
}

impl Metric {
    /// The value of one run, by its summary.
    pub fn of(&self, summary: &Map<String, Value>) -> Option<f64> {
        match self.key.as_ref() {
            "seconds" => index::seconds(summary),
            "idle_weights" => {
                let number = |key: &str| summary.get(key).and_then(Value::as_f64);
                Some(number("nnz")? - number("nnz_effective")?)
            }
            "churn" => Some(either(summary, "pruned", "left")? + either(summary, "regrown", "returned")?),
            "burden" => {
                let layers = summary.get("burden")?.as_array()?;
                let all: Option<Vec<f64>> = layers.iter().map(|layer| layer.get("gradient")?.as_f64()).collect();
                all.filter(|all| !all.is_empty()).map(|all| all.iter().sum::<f64>() / all.len() as f64)
            }
            key => at(summary, key)?.as_f64(),
        }
    }

    /// The bounds of what its values, and so their mean, can be. A loss has none: a model of one's own may have a negative one.
    pub fn bounds(&self) -> (f64, f64) {
        match (self.unit, self.key.as_ref()) {
            (Unit::Percent, _) => (0.0, 1.0),
            (Unit::Count | Unit::Seconds | Unit::Bytes, _) | (Unit::Plain, "burden") => (0.0, f64::INFINITY),
            (Unit::Plain, "test_r2") => (f64::NEG_INFINITY, 1.0),
            (Unit::Plain, _) => (f64::NEG_INFINITY, f64::INFINITY),
        }
    }

    /// The bounds of what a mean difference can be: no two accuracies are more than 100 points apart.
    pub fn difference_bounds(&self) -> (f64, f64) {
        let (low, high) = self.bounds();
        (low - high, high - low)
    }

    /// A margin as a person gives it, in the metric's own unit: points of a percentage are hundredths.
    pub fn margin(&self, given: f64) -> f64 {
        if self.unit == Unit::Percent { given / 100.0 } else { given }
    }

    /// A value as people read it.
    pub fn written(&self, value: f64) -> String {
        match self.unit {
            Unit::Percent => format!("{:.2} %", value * 100.0),
            Unit::Plain => format!("{value:.4}"),
            Unit::Count | Unit::Seconds | Unit::Bytes if value >= 1e18 => format!("{value:.1e}"),
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
            Unit::Percent => format!("{} points", self.bare(value)),
            Unit::Plain => self.bare(value),
            _ => self.written(value),
        }
    }

    /// A number of an interval of differences, or a deviation: no unit. One that is not zero never reads as zero.
    pub fn bare(&self, value: f64) -> String {
        match self.unit {
            Unit::Percent => shown(value * 100.0, 2),
            Unit::Plain => shown(value, 4),
            _ if value < 0.0 => format!("-{}", self.written(-value)),
            _ => self.written(value),
        }
    }
}

/// With so many decimals, and more where these are all zero and the value is not; by its power of ten where nobody
/// would count its digits.
fn shown(value: f64, decimals: usize) -> String {
    if value.abs() >= 1e15 {
        return format!("{value:.1e}");
    }
    let written = |decimals: usize| format!("{value:.decimals$}");
    let zero = |text: &String| text.chars().all(|c| matches!(c, '0' | '.' | '-'));
    if value == 0.0 {
        return format!("{:.decimals$}", 0.0);
    }
    (decimals..=8).map(written).find(|text| !zero(text)).unwrap_or_else(|| format!("{value:.1e}"))
}

/// A value of a summary by its dotted key; a key may hold dots itself.
fn at<'a>(summary: &'a Map<String, Value>, key: &str) -> Option<&'a Value> {
    let within = |(place, _): (usize, &str)| at(summary.get(&key[..place])?.as_object()?, &key[place + 1..]);
    summary.get(key).or_else(|| key.match_indices('.').find_map(within))
}

/// A number of a summary, by its name or by the one that earlier versions gave it.
fn either(summary: &Map<String, Value>, name: &str, earlier: &str) -> Option<f64> {
    summary.get(name).or_else(|| summary.get(earlier))?.as_f64()
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
        let of = |name| named(name).of(summary);
        let now = serde_json::json!({ "pruned": 30, "regrown": 12 });
        assert_eq!(named("churn").of(now.as_object().unwrap()), Some(42.0));
        assert_eq!((of("seconds"), of("churn"), of("loss")), (Some(2.5), Some(42.0), None));
        assert!((of("burden").unwrap() - 0.2).abs() < 1e-12);
        assert_eq!(of("burden").map(|_| named("burden").of(&Map::new())), Some(None), "absent, not zero");
    }

    #[test]
    fn any_number_of_a_summary_is_a_metric() {
        let summary =
            serde_json::json!({ "validation_accuracy": 0.5, "units": { "fc1": 7, "block.0": 8 }, "status": "x" });
        let summary = summary.as_object().unwrap();
        assert_eq!(numbers(summary), ["units.block.0", "units.fc1", "validation_accuracy"]);
        assert!(numbers(summary).iter().all(|key| named(key).of(summary).is_some()));
        let accuracy = named("validation_accuracy");
        assert_eq!((accuracy.unit, accuracy.more_is_better), (Unit::Percent, Some(true)));
        assert_eq!((accuracy.label.as_ref(), accuracy.margin(0.5)), ("validation accuracy", 0.005));
        assert_eq!(named("status").of(summary), None);
        assert_eq!(named("drop_foretold.burden_over_sparsity").unit, Unit::Plain, "a correlation is no share");
    }

    #[test]
    fn values_are_written_for_people() {
        let written = |name, value| named(name).written(value);
        assert_eq!(written("accuracy", 0.9213), "92.13 %");
        assert_eq!(written("macs_kept", 41_250.0), "41.2 k");
        assert_eq!(written("seconds", 1234.0), "20.6 min");
        let accuracy = named("accuracy");
        assert_eq!(accuracy.difference(0.0131), "1.31 points");
        assert_eq!([0.0, -0.0, 0.00004, -0.0131].map(|value| accuracy.bare(value)), ["0.00", "0.00", "0.004", "-1.31"]);
        assert_eq!(named("seconds").bare(-2.0), "-2.00 s");
    }

    #[test]
    fn what_has_bounds_has_differences_with_bounds() {
        let of = |name| (named(name).bounds(), named(name).difference_bounds());
        let (least, most) = (f64::NEG_INFINITY, f64::INFINITY);
        for share in ["accuracy", "train_accuracy", "sparsity", "unit_sparsity"] {
            assert_eq!(of(share), ((0.0, 1.0), (-1.0, 1.0)), "{share}");
        }
        assert_eq!(of("test_r2"), ((least, 1.0), (least, most)));
        for count in ["macs_kept", "seconds", "burden", "peak_memory_bytes"] {
            assert_eq!(of(count), ((0.0, most), (least, most)), "{count}");
        }
        assert_eq!(of("loss"), ((least, most), (least, most)));
    }
}
