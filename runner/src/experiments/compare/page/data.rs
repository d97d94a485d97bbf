//! What the page's script reads.

use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;
use serde_json::{Value, json};

use super::super::keys::{self, Flat};
use super::super::metric::Unit;
use super::super::text::metrics;
use super::super::{Cells, Comparison};
use crate::experiments::statistics::Sample;
use crate::output::{Curves, rounded};
use crate::run::event_lines;

/// Points of a curve at most: more would be finer than the page's pixels.
const POINTS: usize = 120;
/// Points of the curves of all runs together: a page of many runs stays small enough to be opened and sent.
const ALL_POINTS: usize = 40_000;
/// Points of a curve at least.
const FEWEST: usize = 8;

/// Texts that occur many times, each told once.
#[derive(Default)]
struct Words(BTreeMap<String, usize>);

impl Words {
    fn number(&mut self, text: &str) -> usize {
        let next = self.0.len();
        *self.0.entry(text.to_owned()).or_insert(next)
    }

    fn list(self) -> Vec<String> {
        let mut all: Vec<(String, usize)> = self.0.into_iter().collect();
        all.sort_by_key(|(_, number)| *number);
        all.into_iter().map(|(text, _)| text).collect()
    }
}

/// Groups, runs with their curves, and what is drawn of them.
pub fn of(comparison: &Comparison, cells: &Cells, panels: &Value) -> Value {
    let baseline = comparison.pairs.first().map_or(0, |pair| pair.baseline);
    let reference: Option<usize> = comparison.groups.get(baseline).and_then(|group| group.cells.first().copied());
    let reference: Flat = reference.map(|cell| cells.config(cell)).unwrap_or_default();
    let metrics = metrics(comparison);
    // A control may belong to several groups: its run stands there once.
    let mut seen = BTreeSet::new();
    let all: Vec<(usize, usize)> = (comparison.groups.iter().enumerate())
        .flat_map(|(number, group)| group.cells.iter().chain(&group.failed).map(move |cell| (number, *cell)))
        .filter(|(_, cell)| seen.insert(*cell))
        .collect();
    let points = (ALL_POINTS / all.len().max(1)).clamp(FEWEST, POINTS);
    let run = |(number, cell): (usize, usize)| {
        let record = &cells.records[cell];
        let config = cells.config(cell);
        let curves = event_lines(&record.folder).map(|lines| Curves::of(lines, points)).unwrap_or_default();
        let values: Vec<Value> = (metrics.iter())
            .map(|metric| {
                metric
                    .of(&record.summary)
                    .map_or(Value::Null, |value| json!([rounded(value, 7), metric.written(value)]))
            })
            .collect();
        let run = json!({
            "folder": record.folder.file_name().map(|name| name.to_string_lossy()), "group": number, "seed": keys::value(&config, "seed"),
            "error": record.error.as_deref().filter(|_| record.status == "failed"), "metrics": values, "curves": curves,
        });
        (run, differences_from(&reference, &config))
    };
    let runs: Vec<(Value, Vec<[String; 3]>)> = all.into_par_iter().map(run).collect();
    let mut words = Words::default();
    let told = |(mut run, differs): (Value, Vec<[String; 3]>)| {
        for key in ["axis", "of", "held_out_name"] {
            let text = run["curves"][key].as_str().unwrap_or_default().to_owned();
            run["curves"][key] = words.number(&text).into();
        }
        run["differs"] = differs.iter().map(|row| json!(row.each_ref().map(|text| words.number(text)))).collect();
        run
    };
    let runs: Vec<Value> = runs.into_iter().map(told).collect();
    let percent = |unit| unit == Unit::Percent;
    let heads: Vec<Value> = (metrics.iter())
        .map(|metric| json!({ "key": metric.key, "label": metric.label, "about": metric.about, "percent": percent(metric.unit), "seconds": metric.unit == Unit::Seconds }))
        .collect();
    let fronts: Vec<Value> =
        comparison.fronts.iter().map(|front| json!({ "key": front.cost.key, "groups": front.groups })).collect();
    let sample = |(key, sample): (&String, &Sample)| {
        let interval = sample.interval.map(|i| json!({ "low": rounded(i.low, 7), "high": rounded(i.high, 7) }));
        (key.clone(), json!({ "n": sample.n, "mean": sample.mean, "interval": interval }))
    };
    let groups: Vec<Value> = (comparison.groups.iter())
        .map(|group| {
            let metrics: serde_json::Map<String, Value> = group.metrics.iter().map(sample).collect();
            json!({ "label": group.label, "control": group.control, "metrics": metrics })
        })
        .collect();
    json!({
        "metric": comparison.metric.key, "metrics": heads, "groups": groups, "fronts": fronts, "panels": panels, "runs": runs,
        "words": words.list(),
    })
}

/// Keys on which a config is not the reference, with both values.
fn differences_from(reference: &Flat, config: &Flat) -> Vec<[String; 3]> {
    let mut all: Vec<&String> = config.keys().chain(reference.keys()).collect();
    all.sort();
    all.dedup();
    (all.into_iter())
        .map(|key| [key.as_str(), keys::value(config, key), keys::value(reference, key)])
        .filter(|[_, own, other]| own != other)
        .map(|row| row.map(str::to_owned))
        .collect()
}
