//! From run folders to groups and pairs.

use std::collections::{BTreeMap, BTreeSet};

use super::choice::chosen;
use super::controls::Controls;
use super::copies::{self, Once};
use super::group::{Group, Maker};
use super::keys::{self, Flat};
use super::metric::{self, METRICS, Metric};
use super::{Comparison, pair, pareto};
use crate::experiments::index::Record;
use crate::printable::printable;

/// Keys of summaries that are the same for all runs, or no measurement.
const NO_METRICS: [&str; 5] = ["seed", "threads", "jobs", "steps", "epochs"];

/// What is to be compared.
#[derive(Clone, Debug, Default)]
pub struct Question {
    /// Keys that tell groups apart; all that differ where empty.
    pub by: Vec<String>,
    /// The metric to compare; accuracy, or loss where there is none.
    pub metric: Option<String>,
    /// The value of the first key that others are compared with.
    pub baseline: Option<String>,
    /// Differences of less than this do not matter; points, where the metric is a percentage.
    pub margin: Option<f64>,
    /// Whether intervals and probabilities are to be from resampling, and not Student's.
    pub bootstrap: bool,
    /// A key of which each group keeps the value that is best on validation data.
    pub choose: Option<String>,
}

/// Runs that finished, and those that failed.
#[derive(Debug)]
pub struct Cells {
    /// The runs as their folders describe them, each once.
    pub records: Vec<Record>,
    pub(super) configs: Vec<Flat>,
    /// The keys that vary among them.
    pub(super) varying: Vec<String>,
    pub(super) controls: Controls,
    notes: Vec<String>,
}

impl Cells {
    /// Takes the finished and the failed ones, and notes what is left out.
    pub fn new(records: Vec<Record>) -> Self {
        let ended = |record: &Record| ["finished", "failed"].contains(&record.status.as_str());
        let (records, others): (Vec<Record>, Vec<Record>) = records.into_iter().partition(ended);
        let Once { records, mut configs, copies, notes: copied } = copies::once(records);
        let notes = [left_out(&others), copied, of_other_versions(&records)].concat();
        keys::fold_seeds(&mut configs);
        let varying = keys::varying(&configs);
        let controls = Controls::of(&records, &configs, &copies);
        Self { records, configs, varying, controls, notes }
    }

    /// Makes groups, tests their differences, and says what was found.
    ///
    /// # Errors
    /// What was asked about is not in these runs.
    pub fn compare(&self, question: &Question) -> Result<Comparison, String> {
        let mut mains: Vec<usize> = (0..self.records.len()).filter(|i| self.records[*i].control.is_none()).collect();
        if !mains.iter().any(|i| self.records[*i].status == "finished") {
            let notes = self.notes.iter().cloned().chain(self.failed_alone());
            let notes: String = notes.map(|note| format!("\n  {note}")).collect();
            return Err(format!(
                "there is no finished run to compare{notes}\n  fix: name folders that hold run folders"
            ));
        }
        let configs: Vec<&Flat> = mains.iter().map(|i| &self.configs[*i]).collect();
        self.check_keys("--by", &question.by, &configs)?;
        self.check_keys("--choose", question.choose.as_slice(), &configs)?;
        let mut by = if question.by.is_empty() { keys::telling(&configs, &[]) } else { question.by.clone() };
        // Seeds that are crossed with the one that makes repetitions are settings, over which each repetition is a mean.
        by.retain(|key| Some(key) != question.choose.as_ref() && !(question.by.is_empty() && keys::is_of_seeds(key)));
        let choice = question.choose.as_ref().map(|key| chosen(&self.records, &self.configs, &mains, &by, key));
        let choice = choice.transpose()?.unwrap_or_default();
        mains.retain(|run| !choice.left.contains(run));
        let configs: Vec<&Flat> = mains.iter().map(|i| &self.configs[*i]).collect();
        // What was chosen is part of what a group is.
        let settled: Vec<String> = by.iter().chain(&question.choose).cloned().collect();
        let within = keys::telling(&configs, &settled);
        let metric = self.metric(question.metric.as_deref())?;
        let margin = question.margin.map(|margin| metric.margin(margin));
        let widest = metric.difference_bounds().1;
        if margin.is_some_and(|margin| margin >= widest) {
            let (label, widest) = (&metric.label, metric.difference(widest));
            let fix = "give what does not matter: 0.5 for half a point of accuracy";
            return Err(format!("--margin: no two values of {label} are further apart than {widest}\n  fix: {fix}"));
        }
        let bootstrap = question.bootstrap;
        let groups = self.groups(&mains, (&by, &within), &metric, bootstrap);
        let baseline = self.baseline(&groups, question.baseline.as_deref(), by.first())?;
        let (records, configs, controls) = (&self.records, &self.configs, &self.controls);
        let view = pair::View {
            records,
            configs,
            varying: &self.varying,
            controls,
            by: &by,
            settled: &settled,
            within: &within,
            metric: &metric,
            margin,
            bootstrap,
            value: None,
        };
        let (pairs, control_pairs) = pair::all(&view, &groups, baseline.as_deref());
        let notes = [
            self.notes.clone(),
            question.choose.iter().map(|_| choice.note.clone()).collect(),
            self.about(&by, &groups, &metric),
            about_baseline(&by, &groups, &pairs, baseline.as_deref()),
            about_keys(&by, &pairs),
        ];
        // They name folders, which may be called anything.
        let notes = notes.concat().iter().map(|note| printable(note).into_owned()).collect();
        let fronts = pareto::fronts(&groups, &metric);
        Ok(Comparison { by, metric, margin, bootstrap, groups, pairs, control_pairs, fronts, notes })
    }

    /// The config of a cell.
    pub fn config(&self, cell: usize) -> Flat {
        self.configs[cell].clone()
    }

    /// Notes on what these runs cannot say.
    fn about(&self, by: &[String], groups: &[Group], metric: &Metric) -> Vec<String> {
        let mut notes = Vec::new();
        if by.is_empty() {
            notes.push("all runs have one setting: there is nothing to compare it with".to_owned());
        }
        let failed = groups.iter().filter_map(|group| Some(format!("{}: {}", group.label, self.failure(group)?)));
        notes.extend(failed);
        let alone: Vec<&str> =
            groups.iter().filter(|group| group.cells.len() == 1).map(|group| group.label.as_str()).collect();
        if !alone.is_empty() {
            notes.push(format!("one run only, so no interval and no test: {}", alone.join("; ")));
        }
        // Settings are no repetitions.
        let seeds = |group: &Group| keys::values(group.cells.iter().map(|run| &self.configs[*run]), "seed").len();
        for (several, why) in [(false, "one seed only"), (true, "not every seed was run in every setting")] {
            let all = groups.iter().filter(|group| group.is_uneven(&metric.key) && (seeds(group) > 1) == several);
            let labels: Vec<&str> = all.map(|group| group.label.as_str()).collect();
            if !labels.is_empty() {
                notes.push(format!("{why}, so no interval: {}", labels.join("; ")));
            }
        }
        let jobs = |record: &Record| record.summary.get("jobs").and_then(serde_json::Value::as_u64).unwrap_or(1);
        if self.records.iter().any(|record| jobs(record) > 1) {
            notes.push(
                "several runs went on at once: time is that of a busy machine, peak memory that of the whole process"
                    .to_owned(),
            );
        }
        notes
    }

    fn check_keys(&self, flag: &str, by: &[String], configs: &[&Flat]) -> Result<(), String> {
        let known: BTreeSet<&str> = configs.iter().flat_map(|config| config.keys().map(String::as_str)).collect();
        let Some(key) = by.iter().find(|key| !known.contains(key.as_str())) else { return Ok(()) };
        let fix = match crate::config::nearest(key, known.iter().copied()) {
            Some(near) => format!("did you mean {near}?"),
            None => format!("what differs here: {}", keys::telling(configs, &[]).join(", ")),
        };
        Err(format!("{flag} {key}: no run has that key\n  fix: {fix}"))
    }

    pub(super) fn metric(&self, asked: Option<&str>) -> Result<Metric, String> {
        let there = |metric: &Metric| self.records.iter().any(|record| metric.of(&record.summary).is_some());
        let Some(name) = asked else {
            return METRICS.into_iter().find(there).ok_or_else(|| "these runs have no metrics".to_owned());
        };
        let metric = metric::named(name);
        if there(&metric) {
            return Ok(metric);
        }
        let tables = METRICS.into_iter().filter(there).map(|metric| metric.key.to_string());
        let others: BTreeSet<String> =
            self.records.iter().flat_map(|record| metric::numbers(&record.summary)).collect();
        let mut known: Vec<String> = tables.collect();
        known.extend(others.into_iter().filter(|key| !NO_METRICS.contains(&key.as_str())));
        let mut seen = BTreeSet::new();
        known.retain(|key| seen.insert(key.clone()));
        let near = crate::config::nearest(name, known.iter().map(String::as_str));
        let fix = near.map_or_else(String::new, |near| format!("\n  did you mean {near}?"));
        Err(format!("--metric {name}: these runs have no such metric\n  known: {}{fix}", known.join(", ")))
    }

    pub(super) fn groups(
        &self,
        mains: &[usize],
        (by, within): (&[String], &[String]),
        metric: &Metric,
        bootstrap: bool,
    ) -> Vec<Group> {
        let mut metrics = METRICS.to_vec();
        if !metrics.contains(metric) {
            metrics.push(metric.clone());
        }
        let (records, configs, controls) = (&self.records, &self.configs, &self.controls);
        let varying = &self.varying;
        Maker { records, configs, varying, controls, by, within, metrics: &metrics, bootstrap }.groups(mains)
    }

    /// The value of the first key that others are compared with.
    fn baseline(&self, groups: &[Group], asked: Option<&str>, key: Option<&String>) -> Result<Option<String>, String> {
        let Some(key) = key else { return Ok(None) };
        let own = groups.iter().filter(|group| group.control.is_none());
        // What failed altogether is compared with nothing, unless somebody asks.
        let finished = |group: &&Group| asked.is_some() || !group.cells.is_empty();
        let values: Vec<&str> = own.filter(finished).map(|group| group.values[0].as_str()).collect();
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

/// What is wrong with runs that did not end, and how many there are.
fn left_out(others: &[Record]) -> Vec<String> {
    let mut notes = Vec::new();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for record in others {
        let status = if record.status == "damaged" { "damaged" } else { "unfinished" };
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
fn about_baseline(by: &[String], groups: &[Group], pairs: &[pair::Pair], baseline: Option<&str>) -> Vec<String> {
    let (Some(key), Some(value)) = (by.first(), baseline) else { return Vec::new() };
    let own = groups.iter().enumerate().filter(|(_, group)| group.control.is_none() && !group.cells.is_empty());
    let alone = own.filter(|(index, group)| group.values[0] != value && pairs.iter().all(|pair| pair.group != *index));
    let alone: Vec<&str> = alone.map(|(_, group)| group.label.as_str()).collect();
    if alone.is_empty() {
        return Vec::new();
    }
    vec![format!("the baseline {key} = {value} was not run beside {}", alone.join("; "))]
}

/// Keys beside those that were asked about in which paired runs differ.
fn about_keys(by: &[String], pairs: &[pair::Pair]) -> Vec<String> {
    let keys: BTreeSet<&str> =
        pairs.iter().flat_map(|pair| &pair.beside).filter_map(|text| text.split(' ').next()).collect();
    if keys.is_empty() {
        return Vec::new();
    }
    let (by, keys) = (by.join(", "), keys.into_iter().collect::<Vec<_>>().join(", "));
    vec![format!(
        "groups differ in more than {by}: {keys}; what is shown may be due to that: run them alike, or name it with --by"
    )]
}
