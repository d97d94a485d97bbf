//! From run folders to groups and pairs.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::group::{self, Group, METRICS, Metric};
use super::keys::{self, ABSENT, Flat};
use super::{Comparison, pair, pareto};
use crate::experiments::index::Record;
use crate::experiments::statistics::Sample;

/// Sections that a control changes: their values say what it is a control of.
const CHANGED_BY_CONTROLS: [&str; 3] = ["criterion.", "prune.", "schedule."];

/// What is to be compared.
#[derive(Clone, Debug, Default)]
pub struct Question {
    /// Keys that tell groups apart; all that differ where empty.
    pub by: Vec<String>,
    /// The metric to compare; accuracy, or loss where there is none.
    pub metric: Option<String>,
    /// The value of the first key that others are compared with.
    pub baseline: Option<String>,
}

/// Finished runs.
#[derive(Debug)]
pub struct Cells {
    /// The runs as their folders describe them.
    pub records: Vec<Record>,
    /// Their configs; a control's is that of the run it belongs to, with what makes it a control in `origin`.
    configs: Vec<Flat>,
    notes: Vec<String>,
}

impl Cells {
    /// Takes the finished ones, and notes what is left out.
    pub fn new(records: Vec<Record>) -> Self {
        let (records, others): (Vec<Record>, Vec<Record>) =
            records.into_iter().partition(|record| record.status == "finished");
        let notes = [left_out(&others), of_other_versions(&records)].concat();
        let own: Vec<Flat> = records.iter().map(|record| keys::flat(&record.config)).collect();
        let by_folder: HashMap<&str, usize> =
            records.iter().enumerate().filter_map(|(i, r)| Some((r.folder.file_name()?.to_str()?, i))).collect();
        let configs = (records.iter().enumerate())
            .map(|(i, record)| {
                let of = record.control.as_ref().and(record.summary.get("control_of")?.as_str());
                of.and_then(|of| by_folder.get(of)).map(|of| own[*of].clone()).or_else(|| Some(own[i].clone()))
            })
            .zip(&own)
            .map(|(config, own)| config.unwrap_or_else(|| own.clone()))
            .collect();
        Self { records, configs, notes }
    }

    /// Makes groups, tests their differences, and says what was found.
    ///
    /// # Errors
    /// What was asked about is not in these runs.
    pub fn compare(&self, question: &Question) -> Result<Comparison, String> {
        let mains: Vec<usize> = (0..self.records.len()).filter(|i| self.records[*i].control.is_none()).collect();
        if mains.is_empty() {
            let notes = self.notes.join("\n  ");
            return Err(format!(
                "there is no finished run to compare\n  {notes}\n  fix: name folders that hold run folders"
            ));
        }
        let configs: Vec<&Flat> = mains.iter().map(|i| &self.configs[*i]).collect();
        self.check_keys(&question.by, &configs)?;
        let by = if question.by.is_empty() { keys::telling(&configs, &[]) } else { question.by.clone() };
        let mut within = keys::telling(&configs, &by);
        within.push("seed".to_owned());
        let metric = self.metric(question.metric.as_deref())?;
        let groups = self.groups(&by);
        let mut notes = self.notes.clone();
        if by.is_empty() {
            notes.push("all runs have one setting: there is nothing to compare it with".to_owned());
        }
        let alone: Vec<&str> =
            groups.iter().filter(|group| group.cells.len() == 1).map(|group| group.label.as_str()).collect();
        if !alone.is_empty() {
            notes.push(format!("one run only, so no interval and no test: {}", alone.join("; ")));
        }
        if self
            .records
            .iter()
            .any(|record| record.summary.get("jobs").and_then(serde_json::Value::as_u64).unwrap_or(1) > 1)
        {
            notes.push(
                "several runs went on at once: time is that of a busy machine, peak memory that of the whole process"
                    .to_owned(),
            );
        }
        let baseline = self.baseline(&groups, question.baseline.as_deref(), by.first())?;
        let view = pair::View { records: &self.records, configs: &self.configs, by: &by, within: &within, metric };
        let (pairs, control_pairs) = pair::all(&view, &groups, baseline.as_deref());
        let alone = without_baseline(&groups, &pairs, baseline.as_deref());
        if let (false, Some(key), Some(value)) = (alone.is_empty(), by.first(), &baseline) {
            notes.push(format!("the baseline {key} = {value} was not run beside {}", alone.join("; ")));
        }
        let fronts = pareto::fronts(&groups, metric);
        Ok(Comparison { by, metric, groups, pairs, control_pairs, fronts, notes })
    }

    /// The config of a cell.
    pub fn config(&self, cell: usize) -> Flat {
        keys::flat(&self.records[cell].config)
    }

    fn check_keys(&self, by: &[String], configs: &[&Flat]) -> Result<(), String> {
        let known: BTreeSet<&str> = configs.iter().flat_map(|config| config.keys().map(String::as_str)).collect();
        let Some(key) = by.iter().find(|key| !known.contains(key.as_str())) else { return Ok(()) };
        let fix = match crate::config::nearest(key, known.iter().copied()) {
            Some(near) => format!("did you mean {near}?"),
            None => format!("what differs here: {}", keys::telling(configs, &[]).join(", ")),
        };
        Err(format!("--by {key}: no run has that key\n  fix: {fix}"))
    }

    fn metric(&self, asked: Option<&str>) -> Result<Metric, String> {
        let there = |metric: &Metric| self.records.iter().any(|record| metric.of(&record.summary).is_some());
        match asked {
            None => METRICS.into_iter().find(there).ok_or_else(|| "these runs have no metrics".to_owned()),
            Some(name) => group::known(name).filter(there).ok_or_else(|| {
                let known: Vec<&str> = METRICS.iter().filter(|metric| there(metric)).map(|metric| metric.key).collect();
                format!("--metric {name}: these runs have no such metric\n  known: {}", known.join(", "))
            }),
        }
    }

    fn groups(&self, by: &[String]) -> Vec<Group> {
        let mut members: BTreeMap<(Option<String>, Vec<String>), Vec<usize>> = BTreeMap::new();
        for (i, record) in self.records.iter().enumerate() {
            let value = |key: &String| match record.control.as_deref() {
                Some("unpruned") if CHANGED_BY_CONTROLS.iter().any(|section| key.starts_with(section)) => ABSENT,
                Some("random" | "small-dense") if key.starts_with("criterion.") => ABSENT,
                _ => keys::value(&self.configs[i], key),
            };
            let values = by.iter().map(|key| value(key).to_owned()).collect();
            members.entry((record.control.clone(), values)).or_default().push(i);
        }
        let group = |((control, values), cells): ((Option<String>, Vec<String>), Vec<usize>)| {
            let of = |metric: &Metric| {
                let all: Vec<f64> = cells.iter().filter_map(|i| metric.of(&self.records[*i].summary)).collect();
                Some((metric.key, Sample::of(&all)?))
            };
            let metrics = METRICS.iter().filter_map(of).collect();
            Group { label: label(by, &values, control.as_deref()), values, control, cells, metrics }
        };
        let mut groups: Vec<Group> = members.into_iter().map(group).collect();
        groups.sort_by(|a, b| {
            let numbers =
                |values: &[String]| values.iter().map(|v| v.parse::<f64>().unwrap_or(0.0)).collect::<Vec<_>>();
            let by_number = numbers(&a.values).partial_cmp(&numbers(&b.values)).unwrap_or(std::cmp::Ordering::Equal);
            a.control.cmp(&b.control).then(by_number).then(a.values.cmp(&b.values))
        });
        groups
    }

    /// The value of the first key that others are compared with.
    fn baseline(&self, groups: &[Group], asked: Option<&str>, key: Option<&String>) -> Result<Option<String>, String> {
        let Some(key) = key else { return Ok(None) };
        let values: Vec<&str> =
            groups.iter().filter(|group| group.control.is_none()).map(|group| group.values[0].as_str()).collect();
        match asked {
            Some(asked) if !values.contains(&asked) => {
                let mut known = values.clone();
                known.dedup();
                Err(format!("--baseline {asked}: {key} has no such value here\n  known: {}", known.join(", ")))
            }
            Some(asked) => Ok(Some(asked.to_owned())),
            None => Ok(values
                .iter()
                .find(|value| **value == "magnitude")
                .or(values.first())
                .map(|value| (*value).to_owned())),
        }
    }
}

/// What is wrong with runs that are not finished, and how many there are.
fn left_out(others: &[Record]) -> Vec<String> {
    let mut notes = Vec::new();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for record in others {
        let status = match record.status.as_str() {
            known @ ("failed" | "damaged") => known,
            _ => "unfinished",
        };
        *counts.entry(status).or_default() += 1;
        notes.extend(record.error.clone().filter(|_| status == "damaged"));
    }
    let counted = |(status, count): (&str, usize)| match count {
        1 => format!("1 {status} run is left out"),
        _ => format!("{count} {status} runs are left out"),
    };
    notes.extend(counts.into_iter().map(counted));
    notes
}

fn of_other_versions(records: &[Record]) -> Vec<String> {
    let here = env!("CARGO_PKG_VERSION");
    let mut versions: BTreeMap<&str, usize> = BTreeMap::new();
    records.iter().for_each(|record| *versions.entry(&record.version).or_default() += 1);
    let named = |(version, count): (&str, usize)| {
        let by = if version.is_empty() { "an unknown version" } else { version };
        let runs = if count == 1 { "1 run was".to_owned() } else { format!("{count} runs were") };
        format!("{runs} made by {by} of secateur, not {here}: the same config may give other results")
    };
    versions.into_iter().filter(|(version, _)| *version != here).map(named).collect()
}

/// Groups that are not the baseline, and have none.
fn without_baseline<'a>(groups: &'a [Group], pairs: &[pair::Pair], baseline: Option<&str>) -> Vec<&'a str> {
    let own = groups.iter().enumerate().filter(|(_, group)| group.control.is_none() && !group.values.is_empty());
    own.filter(|(index, group)| {
        group.values.first().map(String::as_str) != baseline && pairs.iter().all(|pair| pair.group != *index)
    })
    .map(|(_, group)| group.label.as_str())
    .collect()
}

fn label(by: &[String], values: &[String], control: Option<&str>) -> String {
    let part = |(key, value): (&String, &String)| match key.strip_suffix(".name") {
        _ if value == ABSENT => None,
        Some(_) => Some(value.clone()),
        None => Some(format!("{} {value}", key.rsplit('.').next().unwrap_or(key))),
    };
    let parts: Vec<String> = by.iter().zip(values).filter_map(part).collect();
    let setting = match (by, parts.is_empty()) {
        ([], _) => "all runs".to_owned(),
        (_, true) => format!("without {}", by.join(", ")),
        _ => parts.join(", "),
    };
    match control {
        None => setting,
        Some(control) if parts.is_empty() => format!("control: {control}"),
        Some(control) => format!("control: {control} ({setting})"),
    }
}
