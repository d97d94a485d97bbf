//! A schedule's sparsity as a share of the time that inference takes, by tables of fixed times: no test goes by how fast
//! the machine is.

use crate::scene::{Fixed, config, data, steps};
use secateur::data::Dataset;
use secateur::plugins::conformance::Trial;
use secateur::prelude::*;
use secateur::pruning::{Apply, Counted, Granularity, LatencyTable, PruneConfig, Quantity, Scope};
use secateur::training::event::Event;
use secateur::training::{Checkpoint, Observer, Outcome, TrainConfig};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Keeps the events of a run, and its checkpoints.
#[derive(Default)]
struct Recorder {
    events: Vec<Event>,
    checkpoints: Vec<Vec<u8>>,
}

impl Observer for Recorder {
    fn event(&mut self, event: &Event) -> Result<()> {
        self.events.push(event.clone());
        Ok(())
    }
    fn boundary<'a>(&mut self, _: bool, take: &dyn Fn(&str) -> Result<Checkpoint<'a>>) -> Result<()> {
        self.checkpoints.push(take("this run")?.to_bytes());
        Ok(())
    }
}

/// Times of the network 784-12-7-10: alone, a unit takes 50 µs, and the two groups change more than their sum beyond.
fn table() -> Value {
    json!({
        "measured": "by hand", "device": "cpu", "threads": 1, "batch": 10,
        "network": {"input": [1, 28, 28], "parameters": 9591, "macs": 9562, "units": {"fc1": 12, "fc2": 7}},
        "dense": 1_000_000,
        "alone": {"fc1": [[1, 450_000], [6, 700_000]], "fc2": [[1, 700_000], [3, 800_000]]},
        "together": [{
            "groups": ["fc1", "fc2"],
            "times": [[1, 1, 300_000], [1, 3, 350_000], [6, 1, 520_000], [6, 3, 580_000]],
        }],
    })
}

/// The same, told by hand: between the widths that were timed, times lie on planes with a product term.
fn by_hand(fc1: usize, fc2: usize) -> f64 {
    let (x, y) = (12.0 - fc1 as f64, 7.0 - fc2 as f64);
    // What the four networks take beyond 1000 - 50 x - 50 y, in µs: at 12 or 7 units nothing.
    let corners = [[150.0, 100.0, 0.0], [120.0, 80.0, 0.0], [0.0; 3]];
    let side = |n: usize, half: f64, dense: f64| {
        let n = n as f64;
        if n <= half { (0, (n - 1.0) / (half - 1.0)) } else { (1, (n - half) / (dense - half)) }
    };
    let ((i, p), (j, q)) = (side(fc1, 6.0, 12.0), side(fc2, 3.0, 7.0));
    let [low, high] = [i, i + 1].map(|i: usize| corners[i][j] * (1.0 - q) + corners[i][j + 1] * q);
    (1000.0 - 50.0 * x - 50.0 * y + low * (1.0 - p) + high * p) / 1000.0
}

struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }
    fn write(&self, table: &impl secateur::serde::Serialize) -> PathBuf {
        let path = self.0.path().join("latency.json");
        std::fs::write(&path, serde_json::to_string(table).unwrap()).unwrap();
        path
    }
}

fn by_table(path: &Path, scope: Scope, rounds: u32, apply: Apply, regrow: bool) -> PruneConfig {
    let latency_table = Some(path.to_owned());
    let plain = config(Granularity::Unit, scope, rounds, apply, regrow);
    PruneConfig { target: Quantity::Milliseconds, latency_table, ..plain }
}

/// A run of 30 steps, from a checkpoint on where one is given.
fn run(
    prune: &PruneConfig,
    schedule: (&'static str, &'static str),
    criterion: Option<Fixed>,
    data: &Dataset,
    from: Option<&[u8]>,
) -> Result<(Outcome<Cpu>, Recorder)> {
    let train = TrainConfig { epochs: 6, batch_size: 10, lr: 0.05, eval_prunes: 0, ..TrainConfig::default() };
    let trial = Trial { prune: prune.clone(), train, schedule, model: ("mlp", "hidden = [12, 7]"), ..Trial::default() };
    let mut recorder = Recorder::default();
    let outcome = trial.with(&secateur_bundle::registry()?, Cpu::default(), data, |mut run| {
        if let Some(criterion) = criterion {
            run.criterion = Box::new(criterion);
        }
        match from {
            None => run.execute(&mut recorder),
            Some(checkpoint) => run.resume(checkpoint, "this run", &mut recorder),
        }
    })?;
    Ok((outcome, recorder))
}

/// Every parameter's name and values, to the last bit.
fn bits(outcome: &Outcome<Cpu>) -> Vec<(String, Vec<u32>)> {
    let of = |t: &Tensor<Cpu>| t.host().iter().map(|v| v.to_bits()).collect();
    outcome.params.iter().map(|p| (p.spec().name.clone(), of(p.value()))).collect()
}

#[test]
fn the_units_that_go_are_those_that_a_plan_by_hand_takes() {
    // The lowest scores go in turns, from fc1 first. In µs, with 12 - x and 7 - y units:
    // 1000 - 50 x - 50 y + 10/3 x y leaves 616.67 after nine (x = 5, y = 4). The tenth leaves fc2 two units, half way
    // between one (120 beyond) and three (80) with six in fc1: 500 + 100 * 5/6 = 583.33, the first that is at most 600.
    let scores = |from: f32, n: u8| (0..n).map(|i| from + 2.0 * f32::from(i)).collect::<Vec<_>>();
    let (files, data) = (Files::new(), data());
    let path = files.write(&table());
    for apply in [Apply::Mask, Apply::Shrink] {
        let fixed = Fixed([("fc1".to_owned(), scores(1.0, 12)), ("fc2".to_owned(), scores(2.0, 7))].into());
        let prune = by_table(&path, Scope::Global, 1, apply, false);
        let (outcome, seen) = run(&prune, ("one-shot", "sparsity = 0.4\nat = 0.3"), Some(fixed), &data, None).unwrap();
        let (kept, target, achieved) = steps(&seen.events).pop().unwrap();
        assert_eq!(kept, [("fc1".to_owned(), 7), ("fc2".to_owned(), 2)].into());
        assert!((target - 0.4).abs() < 1e-12 && (achieved - 0.416_667).abs() < 1e-9, "{target} {achieved}");
        let of = seen.events.iter().find_map(|e| if let Event::Prune { of, .. } = e { *of } else { None });
        assert_eq!(of, Some(Counted::Milliseconds));
        let inference = outcome.summary.inference.unwrap();
        assert_eq!((inference.asked, inference.batch, inference.shrunk), (Some(target), 10, apply == Apply::Shrink));
        assert!((inference.predicted - achieved).abs() < 1e-12);
        let times = [inference.dense, inference.pruned];
        assert!(times.iter().all(|t| t.is_finite() && *t > 0.0) && inference.measured < 1.0, "{inference:?}");
    }
}

#[test]
fn a_share_of_the_time_is_met_to_the_last_unit() {
    let (files, data) = (Files::new(), data());
    let path = files.write(&table());
    for schedule in [
        ("one-shot", "sparsity = 0.5\nat = 0.0"),
        ("cubic", "sparsity = 0.6\nevery = 4"),
        ("periodic", "first = 1\nevery = 1\nfraction = 0.1"),
    ] {
        for scope in [Scope::Global, Scope::Layer, Scope::Erk] {
            for (apply, regrow) in [(Apply::Shrink, false), (Apply::Mask, false), (Apply::Mask, true)] {
                for rounds in [1, 3] {
                    let prune = by_table(&path, scope, rounds, apply, regrow);
                    let (_, seen) = run(&prune, schedule, Some(Fixed::default()), &data, None).unwrap();
                    let what = format!("{schedule:?} {scope:?} {apply:?} regrow {regrow} rounds {rounds}");
                    for (kept, target, achieved) in steps(&seen.events) {
                        let (fc1, fc2) = (kept["fc1"], kept["fc2"]);
                        assert!((achieved - (1.0 - by_hand(fc1, fc2))).abs() < 1e-6, "{what}: {achieved} {kept:?}");
                        assert!(achieved >= target - 1e-6, "{what}: {achieved} of {target}");
                        // One unit more would be too many; the same fraction of both may be one unit of both.
                        let both = scope == Scope::Layer;
                        let more = [
                            by_hand((fc1 + 1).min(12), fc2),
                            by_hand(fc1, (fc2 + 1).min(7)),
                            by_hand((fc1 + 1).min(12), if both { (fc2 + 1).min(7) } else { fc2 }),
                        ];
                        let more = 1.0 - more.into_iter().fold(0.0, f64::max);
                        assert!(more <= target + 1e-6, "{what}: {more} would do for {target}, {kept:?}");
                    }
                }
            }
        }
    }
}

#[test]
fn more_than_can_go_is_refused_before_the_run() {
    let (files, data) = (Files::new(), data());
    let prune = by_table(&files.write(&table()), Scope::Global, 1, Apply::Shrink, false);
    let refused = |schedule| run(&prune, schedule, None, &data, None).err().unwrap().to_string();
    let error = refused(("one-shot", "sparsity = 0.8"));
    assert!(error.contains("prune.target` = milliseconds") && error.contains("at most 0.7000"), "{error}");
    // Without a pruning step no table is wanted, and none is read.
    let nowhere = PruneConfig { latency_table: Some("nowhere.json".into()), ..prune.clone() };
    let (outcome, seen) = run(&nowhere, ("never", ""), None, &data, None).unwrap();
    assert!(outcome.summary.inference.is_none());
    assert!(seen.events.iter().all(|event| !matches!(event, Event::Latency { .. })));
    let error = run(&nowhere, ("one-shot", "sparsity = 0.5"), None, &data, None).err().unwrap().to_string();
    assert!(error.contains("prune.latency_table` = nowhere.json: cannot be read"), "{error}");
}

#[test]
fn tables_of_other_networks_are_refused_by_file_and_key() {
    let (files, data) = (Files::new(), data());
    for (pointer, value, expected) in [
        ("/network/units/fc2", json!(8), "units of fc2: 8 there, 7 here"),
        ("/network/macs", json!(9563), "multiply-accumulates: 9563 there, 9562 here"),
        ("/batch", json!(51), "batches of 51 examples, and there are 50"),
        ("/alone", json!({"fc1": []}), "must name two groups of `alone`"),
    ] {
        let mut other = table();
        *other.pointer_mut(pointer).unwrap() = value;
        let prune = by_table(&files.write(&other), Scope::Global, 1, Apply::Mask, false);
        let error = run(&prune, ("one-shot", "sparsity = 0.5"), None, &data, None).err().unwrap().to_string();
        for part in ["prune.latency_table", "latency.json: ", expected, "leave the key out to measure here"] {
            assert!(error.contains(part), "{error}");
        }
    }
}

/// What is told of a run, without times and without where the process began.
fn facts(events: &[Event]) -> Vec<String> {
    let timed = ["seconds", "metrics", "table"];
    let fact = |event: &Event| {
        let mut json = serde_json::to_value(event).unwrap();
        json.as_object_mut().unwrap().retain(|key, _| !timed.contains(&key.as_str()));
        json.to_string()
    };
    events.iter().filter(|e| !matches!(e, Event::Start { .. })).map(fact).collect()
}

#[test]
fn a_resumed_run_goes_by_the_table_that_it_began_with() {
    let (files, data) = (Files::new(), data());
    for apply in [Apply::Shrink, Apply::Mask] {
        let path = files.write(&table());
        let prune = by_table(&path, Scope::Global, 1, apply, false);
        let schedule = ("cubic", "sparsity = 0.6\nevery = 4");
        let (whole, seen) = run(&prune, schedule, None, &data, None).unwrap();
        let told = facts(&seen.events);
        // The file is of use to nobody any more: another one stands in its place, and then none.
        let mut other = table();
        other["alone"]["fc1"] = json!([[1, 900_000], [6, 950_000]]);
        files.write(&other);
        assert_eq!(seen.checkpoints.len(), 5);
        for (nth, checkpoint) in seen.checkpoints.iter().enumerate() {
            if nth == 2 {
                std::fs::remove_file(&path).unwrap();
            }
            let (resumed, after) = run(&prune, schedule, None, &data, Some(checkpoint)).unwrap();
            assert_eq!(bits(&resumed), bits(&whole), "{apply:?} {nth}");
            assert!(told.ends_with(&facts(&after.events)), "{apply:?} {nth}");
            let [a, b] = [&whole, &resumed].map(|o| o.summary.inference.unwrap());
            assert_eq!((a.asked, a.predicted, a.batch), (b.asked, b.predicted, b.batch));
        }
    }
}

#[test]
fn what_is_measured_covers_every_group_and_repeats_the_run_from_its_file_and_from_its_checkpoint() {
    let (files, data) = (Files::new(), data());
    let prune = PruneConfig {
        target: Quantity::Milliseconds,
        latency_batch: Some(20),
        ..config(Granularity::Unit, Scope::Global, 1, Apply::Shrink, false)
    };
    // One nanosecond less: as much as any machine gains.
    let schedule = ("one-shot", "sparsity = 0.000001\nat = 0.3");
    let (measured, seen) = run(&prune, schedule, None, &data, None).unwrap();
    let table = seen.events.iter().find_map(|e| if let Event::Latency { table, .. } = e { Some(table) } else { None });
    let table: LatencyTable = table.unwrap().clone();
    assert_eq!(table.alone.keys().collect::<Vec<_>>(), ["fc1", "fc2"]);
    let widths = |name: &str| table.alone[name].iter().map(|t| t.0).collect::<Vec<_>>();
    assert_eq!((widths("fc1"), widths("fc2"), table.batch), (vec![1, 3, 6, 9], vec![1, 3, 5], 20));
    assert_eq!(table.together.len(), 1);
    let times = table.alone.values().flatten().map(|t| t.1).chain(table.together[0].times.iter().map(|t| t.2));
    assert!(times.into_iter().all(|time| 0 < time && time <= table.dense), "{table:?}");
    let given = PruneConfig { latency_table: Some(files.write(&table)), latency_batch: None, ..prune.clone() };
    let (again, other) = run(&given, schedule, None, &data, None).unwrap();
    assert_eq!(bits(&again), bits(&measured));
    assert_eq!(facts(&other.events), facts(&seen.events));
    let (resumed, _) = run(&prune, schedule, None, &data, Some(&seen.checkpoints[0])).unwrap();
    assert_eq!(bits(&resumed), bits(&measured));
}
