//! `secateur sparsest gap`

use std::collections::{BTreeMap, BTreeSet};
use std::io::{IsTerminal as _, stdout};
use std::path::PathBuf;

use serde::Serialize;
use serde_json::{Value, json};

use super::file::File;
use crate::cli::GapArgs;
use crate::experiments::compare::{Flat, Table, flat};
use crate::experiments::index::{Record, read, run_folders};
use crate::failure::Failure;
use crate::run::write_asked;

/// Keys that say how far a run prunes, and no more: runs that differ in them alone are one criterion's.
const HOW_FAR: [&str; 9] = [
    "schedule.sparsity",
    "schedule.fraction",
    "schedule.rounds",
    "schedule.initial",
    "schedule.params",
    "prune.start",
    "prune.start_params",
    "prune.target",
    "train.epochs",
];

/// What a criterion needs from one initialisation.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Needed {
    /// Seed of the initialisation.
    init: String,
    /// Runs of it.
    runs: usize,
    /// The fewest weights on a path with which a run separated the classes, and those that it kept.
    nnz_effective: Option<u64>,
    nnz: Option<u64>,
}

/// Runs of one setting apart from how far they prune.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Group {
    settings: Flat,
    inits: Vec<Needed>,
}

pub fn execute(arguments: &GapArgs) -> Result<(), Failure> {
    let file = File::read(&arguments.minimum)?;
    let Some(minimum) = file.minimum else {
        let fix = "let the search go on, with more seeds or steps";
        return Err(Failure::Usage(format!("{}: it has found no minimum\n  fix: {fix}", arguments.minimum.display())));
    };
    let accuracy = arguments.accuracy.unwrap_or(file.about.training.accuracy);
    let mut folders: Vec<PathBuf> = Vec::new();
    for folder in &arguments.folders {
        if !folder.is_dir() {
            let fix = "name folders of runs or sweeps, such as runs/sparsest-small";
            return Err(Failure::Usage(format!("{}: there is no such folder\n  fix: {fix}", folder.display())));
        }
        folders.extend(run_folders(folder));
    }
    folders.sort();
    folders.dedup();
    let records: Vec<Record> = folders.iter().map(|folder| read(folder)).collect();
    let groups = grouped(&records, &arguments.metric, accuracy);
    if groups.is_empty() {
        let fix = "run them to the end, with train.eval_train = true for train_accuracy, or name another --metric";
        let metric = &arguments.metric;
        return Err(Failure::Usage(format!("no finished run has {metric} and nnz_effective\n  fix: {fix}")));
    }
    let all = json!({
        "minimum": minimum, "about": file.about, "metric": arguments.metric, "accuracy": accuracy, "groups": groups,
    });
    if let Some(path) = &arguments.json {
        let all = format!("{all:#}\n");
        if path.as_os_str() == "-" {
            crate::commands::print_exactly(&all);
            return Ok(());
        }
        write_asked(path, all.as_bytes())?;
    }
    let colour = stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let bold = |text: &str| if colour { format!("\x1b[1m{text}\x1b[0m") } else { text.to_owned() };
    let mut text = table(&groups, minimum as u64).aligned(&bold);
    text += &format!(
        "\nnote: the fewest weights on a path from an input to the output at which {} is at least {accuracy}, of the \
         runs that there are; the search's minimum is {minimum}\nnote: {}\n",
        arguments.metric, file.about.note
    );
    // Labels of configs were made printable when they were read.
    crate::commands::print_exactly(&text);
    Ok(())
}

/// Finished runs by their settings and initialisation.
fn grouped(records: &[Record], metric: &str, accuracy: f64) -> Vec<Group> {
    let configs: Vec<(&Record, Flat)> = records
        .iter()
        .filter(|record| record.status == "finished" && record.control.is_none())
        .map(|record| (record, flat(&record.config)))
        .collect();
    let keys: BTreeSet<&String> = configs.iter().flat_map(|(_, config)| config.keys()).collect();
    let aside = |key: &str| HOW_FAR.contains(&key) || key == "seed" || key.starts_with("seeds.");
    let differs =
        |key: &&&String| configs.iter().map(|(_, config)| config.get(**key)).collect::<BTreeSet<_>>().len() > 1;
    let telling: Vec<&String> = keys.iter().filter(|key| !aside(key)).filter(differs).copied().collect();
    let mut groups: BTreeMap<Flat, BTreeMap<String, Needed>> = BTreeMap::new();
    for (record, config) in &configs {
        let number = |key: &str| record.summary.get(key).and_then(Value::as_u64);
        let reached = record.summary.get(metric).and_then(Value::as_f64);
        let (Some(reached), Some(effective)) = (reached, number("nnz_effective")) else { continue };
        let settings = telling.iter().filter_map(|key| Some(((*key).clone(), config.get(*key)?.clone()))).collect();
        let init = config.get("seeds.init").or_else(|| config.get("seed")).cloned().unwrap_or_else(|| "0".to_owned());
        let needed = groups.entry(settings).or_default().entry(init.clone()).or_insert_with(|| Needed {
            init,
            runs: 0,
            nnz_effective: None,
            nnz: None,
        });
        needed.runs += 1;
        if reached >= accuracy && needed.nnz_effective.is_none_or(|fewest| effective < fewest) {
            (needed.nnz_effective, needed.nnz) = (Some(effective), number("nnz"));
        }
    }
    groups.into_iter().map(|(settings, inits)| Group { settings, inits: inits.into_values().collect() }).collect()
}

/// The nearest first.
fn table(groups: &[Group], minimum: u64) -> Table {
    let mut head: Vec<String> = groups.iter().flat_map(|group| group.settings.keys().cloned()).collect();
    head.sort();
    head.dedup();
    let keys = head.clone();
    head.extend(["inits", "runs", "fewest", "median", "most", "gap", "times", "none"].map(str::to_owned));
    let mut rows: Vec<(u64, Vec<String>)> = groups
        .iter()
        .map(|group| {
            let mut found: Vec<u64> = group.inits.iter().filter_map(|needed| needed.nnz_effective).collect();
            found.sort_unstable();
            let none = group.inits.len() - found.len();
            let at = |place: usize| found.get(place).map_or_else(|| "–".to_owned(), u64::to_string);
            // The lower of the two in the middle; initialisations that never got there count as worst.
            let median = (group.inits.len() - 1) / 2;
            let gap = found.first().map(|fewest| *fewest as i64 - minimum as i64);
            let times = found.first().map(|fewest| *fewest as f64 / minimum.max(1) as f64);
            let mut row: Vec<String> =
                keys.iter().map(|key| group.settings.get(key).cloned().unwrap_or_else(|| "–".to_owned())).collect();
            row.extend([
                group.inits.len().to_string(),
                group.inits.iter().map(|needed| needed.runs).sum::<usize>().to_string(),
                at(0),
                at(median),
                if none > 0 { "–".to_owned() } else { at(group.inits.len() - 1) },
                gap.map_or_else(|| "–".to_owned(), |gap| format!("{gap:+}")),
                times.map_or_else(|| "–".to_owned(), |times| format!("{times:.2}")),
                none.to_string(),
            ]);
            (found.first().copied().unwrap_or(u64::MAX), row)
        })
        .collect();
    rows.sort();
    Table { head, rows: rows.into_iter().map(|(_, row)| row).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(criterion: &str, seed: u64, sparsity: f64, nnz: u64, accuracy: f64) -> Record {
        let config = json!({ "seed": seed, "criterion": { "name": criterion }, "schedule": { "sparsity": sparsity } });
        let summary = json!({ "train_accuracy": accuracy, "nnz_effective": nnz, "nnz": nnz + 2 });
        let map = |value: Value| value.as_object().cloned().unwrap();
        Record { status: "finished".to_owned(), config: map(config), summary: map(summary), ..Record::default() }
    }

    #[test]
    fn the_fewest_weights_of_each_initialisation_count() {
        let runs = [
            record("magnitude", 0, 0.5, 30, 1.0),
            record("magnitude", 0, 0.8, 20, 0.95),
            record("magnitude", 0, 0.9, 12, 0.7),
            record("magnitude", 1, 0.5, 28, 0.96),
            record("random", 0, 0.5, 30, 0.8),
        ];
        let groups = grouped(&runs, "train_accuracy", 0.95);
        let found: Vec<_> =
            groups.iter().map(|group| (group.settings["criterion.name"].as_str(), &group.inits)).collect();
        assert_eq!(found[0].0, "magnitude");
        assert_eq!(found[0].1.iter().map(|needed| needed.nnz_effective).collect::<Vec<_>>(), [Some(20), Some(28)]);
        assert_eq!((found[0].1[0].runs, found[0].1[0].nnz), (3, Some(22)));
        assert_eq!((found[1].0, found[1].1[0].nnz_effective), ("random", None));
        let table = table(&groups, 10);
        assert_eq!(table.rows[0], ["magnitude", "2", "4", "20", "20", "28", "+10", "2.00", "0"]);
        assert_eq!(table.rows[1], ["random", "1", "1", "–", "–", "–", "–", "–", "1"]);
    }
}
