//! What the page's script reads.

use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;
use serde_json::{Map, Value, json};

use super::super::keys::{self, Flat};
use super::super::metric::{Metric, Unit};
use super::super::text::metrics;
use super::super::{Cells, Comparison};
use super::columns::{Columns, number};
use crate::experiments::statistics::Sample;
use crate::output::{Curves, rounded};

/// What occurs many times, each told once.
struct Once<T>(BTreeMap<T, usize>);

impl<T: Ord> Once<T> {
    fn number(&mut self, entry: T) -> usize {
        let next = self.0.len();
        *self.0.entry(entry).or_insert(next)
    }

    fn list(self) -> Vec<T> {
        let mut all: Vec<(T, usize)> = self.0.into_iter().collect();
        all.sort_by_key(|(_, number)| *number);
        all.into_iter().map(|(entry, _)| entry).collect()
    }
}

/// Groups, runs with their curves, and what is drawn of them. `curves` reads those of a run, by its number among the cells.
///
/// Runs stand in columns, and numbers with the digits that are seen: a page of thousands of runs is sent and opened like one of
/// ten.
pub fn of(comparison: &Comparison, cells: &Cells, panels: &Value, curves: impl Fn(usize) -> Curves + Sync) -> Value {
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
    let read = |(_, cell): &(usize, usize)| {
        let config = cells.config(*cell);
        (curves(*cell), differences_from(&reference, &config), keys::value(&config, "seed").to_owned())
    };
    let runs: Vec<(Curves, Vec<[String; 3]>, String)> = all.par_iter().map(read).collect();
    let (mut words, mut rows, mut columns, mut errors) =
        (Once(BTreeMap::new()), Once(BTreeMap::new()), Columns::default(), Map::new());
    let (mut drawn, mut seeds, mut differs) = (Vec::new(), Vec::new(), Vec::new());
    for (place, (curves, differences, seed)) in runs.into_iter().enumerate() {
        let Curves { axis, of, split, end, train, held_out, prunes, pruned } = curves;
        let about = [axis.to_owned(), of.to_owned(), split].map(|text| words.number(text));
        let numbers: Vec<usize> =
            train.into_iter().chain(held_out).chain(prunes).map(|column| columns.number(column)).collect();
        drawn.push((about, end, numbers, pruned));
        seeds.push(words.number(seed));
        let differences = differences.into_iter().map(|row| rows.number(row.map(|text| words.number(text))));
        differs.push(differences.collect::<Vec<_>>());
        let record = &cells.records[all[place].1];
        if let Some(error) = record.error.as_deref().filter(|_| record.status == "failed") {
            errors.insert(place.to_string(), error.into());
        }
    }
    let told = columns.told();
    let curves = |(about, end, numbers, pruned): (_, f64, Vec<usize>, u64)| {
        let columns: Vec<&Value> = numbers.into_iter().map(|column| &told.columns[column]).collect();
        json!([about, number(end), columns, pruned])
    };
    let drawn: Vec<Value> = drawn.into_iter().map(curves).collect();
    let records = || all.iter().map(|(_, cell)| &cells.records[*cell]);
    let column = |metric: &Metric| -> Vec<Value> {
        records()
            .map(|record| metric.of(&record.summary).map_or(Value::Null, |value| seen_of(metric, value, 5)))
            .collect()
    };
    let runs = json!({
        "folder": records().map(|record| record.folder.file_name().map(|name| name.to_string_lossy())).collect::<Vec<_>>(),
        "group": all.iter().map(|(group, _)| *group).collect::<Vec<_>>(), "seed": seeds, "error": errors, "differs": differs,
        "metrics": metrics.iter().map(column).collect::<Vec<_>>(), "curves": drawn,
    });
    let heads: Vec<Value> = (metrics.iter())
        .map(|metric| json!({ "key": metric.key, "label": metric.label, "about": metric.about, "unit": metric.unit.name() }))
        .collect();
    let fronts: Vec<Value> =
        comparison.fronts.iter().map(|front| json!({ "key": front.cost.key, "groups": front.groups })).collect();
    let sample = |metric: &Metric, sample: &Sample| {
        let interval = sample.interval.map(|i| [i.low, i.high]);
        let values = [sample.mean].into_iter().chain(interval.into_iter().flatten());
        let values = values.map(|value| seen_of(metric, value, 7));
        Value::Array([sample.n.into()].into_iter().chain(values).collect())
    };
    let groups: Vec<Value> = (comparison.groups.iter())
        .map(|group| {
            let of = |metric: &Metric| group.metrics.get(&*metric.key).map(|found| sample(metric, found));
            json!([group.label, group.control, metrics.iter().map(of).collect::<Vec<_>>()])
        })
        .collect();
    json!({
        "metric": comparison.metric.key, "metrics": heads, "groups": groups, "fronts": fronts, "panels": panels, "runs": runs,
        "columns": told.shared, "rows": rows.list(), "words": words.list(),
    })
}

/// A value with so many digits at least, and more where it would be written otherwise without them; memory in megabytes.
fn seen_of(metric: &Metric, value: f64, least: i32) -> Value {
    let unit = if metric.unit == Unit::Bytes { 1e6 } else { 1.0 };
    let written = metric.written(value);
    let found = (least..=9).map(|digits| rounded(value / unit, digits));
    number(found.into_iter().find(|short| metric.written(short * unit) == written).unwrap_or(value / unit))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiments::compare::Question;
    use crate::experiments::index::Record;

    /// Numbers from a counter.
    fn drawn(seed: u64) -> f64 {
        let mixed = (seed + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        ((mixed ^ (mixed >> 31)).wrapping_mul(0x94D0_49BB_1331_11EB) >> 11) as f64 / (1u64 << 53) as f64
    }

    fn run(group: usize, seed: usize) -> Record {
        let number = |i: u64| drawn((group * 1000 + seed) as u64 * 64 + i);
        let summary = json!({
            "status": "finished", "test_accuracy": 0.9 + 0.05 * number(0), "test_loss": number(1), "sparsity": number(2),
            "unit_sparsity": number(3), "params_kept": 20_000 + group, "macs_kept": 60_000 + group, "nnz": 9000, "nnz_effective": 8990,
            "seconds_train": 20.0 + number(4), "seconds_prune": number(5), "seconds_eval": number(6),
            "peak_memory_bytes": 412_000_000 + group, "pruned": 30_000, "regrown": 12,
            "burden": [{ "name": "fc1", "gradient": number(7) }],
        });
        let config = json!({
            "seed": seed, "criterion": { "name": format!("criterion-{}", group % 10) }, "data": { "name": "mnist" },
            "train": { "lr": 0.01 * (1 + group / 10 % 10) as f64, "weight_decay": 1e-4 * (group / 100) as f64, "epochs": 200 },
        });
        Record {
            folder: format!("runs/mnist-criteria/mnist-criteria-{:012x}", group * 10 + seed).into(),
            status: "finished".to_owned(),
            summary: summary.as_object().unwrap().clone(),
            config: config.as_object().unwrap().clone(),
            ..Record::default()
        }
    }

    /// The curves of a run of 200 epochs and 20 pruning steps, each measured three times: no two runs have a value in common.
    fn long(cell: usize) -> Curves {
        let values = |from: usize, count: usize| -> Vec<f64> {
            (0..count).map(|i| rounded(drawn((cell * 4096 + from + i) as u64), 4)).collect()
        };
        let places = |count: usize| (0..count).map(|i| i as f64).collect::<Vec<_>>();
        Curves {
            axis: "epoch",
            of: "weights that may be pruned",
            split: "validation".to_owned(),
            end: 200.0,
            train: [places(101), values(0, 101), values(200, 101)],
            held_out: [places(121), values(400, 121), values(600, 121)],
            prunes: [places(20), places(20), places(20), places(20), values(800, 20), values(900, 20)],
            pruned: 20,
        }
    }

    #[test]
    fn a_page_of_five_hundred_groups_with_long_curves_stays_small() {
        let cells = Cells::new((0..500).flat_map(|group| (0..10).map(move |seed| run(group, seed))).collect());
        let comparison = cells.compare(&Question::default()).unwrap();
        assert_eq!(comparison.groups.len(), 500);
        let data = of(&comparison, &cells, &json!({}), long);
        let (columns, size) = (&data["runs"], data.to_string().len());
        println!("{size} bytes");
        // The tables beside it are less than one.
        assert!(size < 4_000_000, "{size}");
        assert_eq!(columns["folder"].as_array().unwrap().len(), 5000);
        let curves = columns["curves"][0][2].as_array().unwrap();
        assert!(curves[1].as_array().unwrap().len() >= 8, "a curve is a curve: {}", curves[1]);
        assert!(curves[10].as_array().unwrap().len() >= 8, "and pruning steps are there: {}", curves[10]);
        assert_eq!(columns["curves"][0][3], 20, "their number is told");
    }

    #[test]
    fn values_have_the_digits_that_are_written() {
        let of = |name: &str, value: f64| {
            let metric = super::super::super::metric::named(name);
            let found = seen_of(&metric, value, 5).as_f64().unwrap();
            let unit = if metric.unit == Unit::Bytes { 1e6 } else { 1.0 };
            assert_eq!(metric.written(found * unit), metric.written(value), "{name} {value}");
            found
        };
        assert_eq!(of("accuracy", 0.936_200_000_000_1), 0.9362);
        // Rounded to five digits it would read 92.12 %, and not 92.13 %.
        assert_eq!(of("accuracy", 0.921_250_4), 0.921_250_4);
        assert_eq!(of("peak_memory_bytes", 412_450_939.0), 412.45);
        for i in 0..2000 {
            let value = drawn(i) * 10f64.powi(i32::try_from(i % 9).unwrap() - 3);
            for name in ["accuracy", "loss", "params_kept", "seconds", "peak_memory_bytes"] {
                of(name, if name == "accuracy" { value % 1.0 } else { value });
            }
        }
    }
}
