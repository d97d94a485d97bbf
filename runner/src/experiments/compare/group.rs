//! Runs that differ in their seeds alone, or in what was not asked about.

use std::collections::BTreeMap;

use super::controls::Controls;
use super::keys::{self, ABSENT, Flat};
use super::metric::Metric;
use crate::experiments::index::Record;
use crate::experiments::statistics::{Bootstrap, LEVEL, Sample, mean};
use crate::printable::counted;

/// More keys than this are not named in a label.
const MOST_NAMED: usize = 4;

/// Runs under one setting.
#[derive(Clone, Debug)]
pub struct Group {
    /// The setting for people: `magnitude`, `magnitude, lr 0.1`, `control: random (magnitude)`.
    pub label: String,
    /// The values of the keys that tell groups apart; of a control, those that its owners have in common.
    pub values: Vec<String>,
    /// Which control it is, where it is one.
    pub control: Option<String>,
    /// The groups that it is a control of.
    pub owners: Vec<usize>,
    /// The indices of its finished runs.
    pub cells: Vec<usize>,
    /// Those of the runs that failed.
    pub failed: Vec<usize>,
    /// Mean and spread of every metric that its runs have; the interval is that of the means over its settings, seed by seed.
    pub metrics: BTreeMap<String, Sample>,
}

impl Group {
    /// The mean of a metric.
    pub fn mean(&self, key: &str) -> Option<f64> {
        self.metrics.get(key).map(|sample| sample.mean)
    }

    /// Whether a metric varies over at least three runs and has no interval all the same.
    pub fn is_uneven(&self, key: &str) -> bool {
        let varies = |sample: &Sample| sample.n > 2 && sample.std.is_some_and(|std| std > 0.0);
        self.metrics.get(key).is_some_and(|sample| varies(sample) && sample.interval.is_none())
    }
}

/// What groups are made from.
pub struct Maker<'a> {
    /// All runs.
    pub records: &'a [Record],
    /// Their configs.
    pub configs: &'a [Flat],
    /// The keys that vary among all of them.
    pub varying: &'a [String],
    /// Whose control each is.
    pub controls: &'a Controls,
    /// Keys that tell groups apart.
    pub by: &'a [String],
    /// Keys that tell the settings within a group apart, the seed not among them.
    pub within: &'a [String],
    /// What is measured.
    pub metrics: &'a [Metric],
    /// Whether intervals are from resampling.
    pub bootstrap: bool,
}

impl Maker<'_> {
    /// The groups of these runs, which are no controls, in the order of their values, and after them those of their controls:
    /// one for each set of runs that is the control of a group, shared where several groups have the same.
    pub fn groups(&self, mains: &[usize]) -> Vec<Group> {
        let mut members: BTreeMap<Vec<String>, Vec<usize>> = BTreeMap::new();
        for run in mains {
            let values = self.by.iter().map(|key| keys::value(&self.configs[*run], key).to_owned()).collect();
            members.entry(values).or_default().push(*run);
        }
        let mut groups: Vec<Group> =
            members.into_iter().map(|(values, cells)| self.group(values, None, Vec::new(), &cells)).collect();
        groups.sort_by(|a, b| {
            let numbers =
                |values: &[String]| values.iter().map(|v| v.parse::<f64>().unwrap_or(0.0)).collect::<Vec<_>>();
            let by_number = numbers(&a.values).partial_cmp(&numbers(&b.values)).unwrap_or(std::cmp::Ordering::Equal);
            by_number.then(a.values.cmp(&b.values))
        });
        let beside = self.beside(&groups);
        for group in &mut groups {
            group.label = self.label(group, &beside);
        }
        groups.extend(self.controls_of(&groups));
        groups
    }

    fn controls_of(&self, mains: &[Group]) -> Vec<Group> {
        let mut found = Vec::new();
        for kind in self.controls.kinds() {
            // By the runs, in the order of the first group that has them.
            let mut sets: Vec<(Vec<usize>, Vec<usize>)> = Vec::new();
            for (number, group) in mains.iter().enumerate() {
                let mut runs: Vec<usize> =
                    group.cells.iter().filter_map(|cell| self.controls.get(*cell, kind)).collect();
                runs.sort_unstable();
                runs.dedup();
                match sets.iter_mut().find(|(known, _)| *known == runs) {
                    Some((_, owners)) => owners.push(number),
                    None if runs.is_empty() => {}
                    None => sets.push((runs, vec![number])),
                }
            }
            let with_runs = mains.iter().filter(|group| !group.cells.is_empty()).count();
            for (runs, owners) in sets {
                let common = |place: usize| {
                    let mut values = owners.iter().map(|owner| mains[*owner].values[place].as_str());
                    let first = values.next().unwrap_or(ABSENT);
                    if values.all(|value| value == first) { first.to_owned() } else { ABSENT.to_owned() }
                };
                let values = (0..self.by.len()).map(common).collect();
                let mut names: Vec<&str> = owners.iter().map(|owner| mains[*owner].label.as_str()).collect();
                // The first one is enough to know it by: no two controls of a kind have an owner in common.
                let more = (names.len() > MOST_NAMED).then(|| counted(names.len() - 1, "more group"));
                if let Some(more) = &more {
                    names.truncate(1);
                    names.push(more);
                }
                let label = if owners.len() == with_runs {
                    format!("control: {kind}")
                } else {
                    format!("control: {kind} ({})", names.join("; "))
                };
                found.push(Group { label, ..self.group(values, Some(kind.to_owned()), owners, &runs) });
            }
        }
        found
    }

    fn group(&self, values: Vec<String>, control: Option<String>, owners: Vec<usize>, runs: &[usize]) -> Group {
        let (cells, failed): (Vec<usize>, Vec<usize>) =
            runs.iter().partition(|run| self.records[**run].status == "finished");
        let of = |metric: &Metric| {
            let measured: Vec<(usize, f64)> =
                cells.iter().filter_map(|i| Some((*i, metric.of(&self.records[*i].summary)?))).collect();
            let mut sample = Sample::of(&measured.iter().map(|(_, value)| *value).collect::<Vec<_>>())?;
            let repetitions = self.repetitions(&measured).unwrap_or_default();
            let interval = match self.bootstrap {
                true => {
                    let size = repetitions.iter().fold(0.0f64, |most, value| most.max(value.abs()));
                    Bootstrap::of(&repetitions, size).map(|found| found.interval_at(LEVEL))
                }
                false => Sample::of(&repetitions).and_then(|sample| sample.interval),
            };
            sample.interval = interval.map(|interval| interval.within(metric.bounds()));
            Some((metric.key.to_string(), sample))
        };
        let metrics = self.metrics.iter().filter_map(of).collect();
        Group { label: String::new(), values, control, owners, cells, failed, metrics }
    }

    /// What runs of a group measured, seed by seed: the mean over its settings where it holds several, since seeds alone are
    /// drawn again. `None` where not every seed was run in every setting, so that the settings would not weigh alike.
    fn repetitions(&self, measured: &[(usize, f64)]) -> Option<Vec<f64>> {
        let mut seeds: BTreeMap<&str, (Vec<Vec<&str>>, Vec<f64>)> = BTreeMap::new();
        for (run, value) in measured {
            let config = &self.configs[*run];
            let (settings, values) = seeds.entry(keys::value(config, "seed")).or_default();
            settings.push(self.within.iter().map(|key| keys::value(config, key)).collect());
            values.push(*value);
        }
        seeds.values_mut().for_each(|(settings, _)| settings.sort_unstable());
        let (first, _) = seeds.values().next()?;
        let even = seeds.values().all(|(settings, _)| settings == first);
        if even { seeds.values().map(|(_, values)| mean(values)).collect() } else { None }
    }

    /// Keys in which the groups differ although nobody asked about them: each group has one value, and not all the same.
    fn beside(&self, groups: &[Group]) -> Vec<String> {
        let all: Vec<Vec<&Flat>> = (groups.iter())
            .map(|group| group.cells.iter().chain(&group.failed).map(|cell| &self.configs[*cell]).collect())
            .collect();
        let Some((first, rest)) = all.split_first() else { return Vec::new() };
        let mut keys: Vec<&str> =
            rest.iter().flat_map(|other| keys::beside(first, other, self.by, self.varying)).collect();
        keys.sort_unstable();
        keys.dedup();
        let settled = |key: &&str| all.iter().all(|group| keys::values(group.iter().copied(), key).len() == 1);
        keys.into_iter().filter(settled).map(str::to_owned).collect()
    }

    fn label(&self, group: &Group, beside: &[String]) -> String {
        let all: Vec<&String> = self.by.iter().chain(beside).collect();
        let own = parts(self.by, &group.values, &all);
        let setting = match (self.by, own.is_empty()) {
            ([], _) => "all runs".to_owned(),
            (_, true) => format!("without {}", self.by.join(", ")),
            _ => own.join(", "),
        };
        let Some(first) = group.cells.iter().chain(&group.failed).next() else { return setting };
        let values: Vec<&str> = beside.iter().map(|key| keys::value(&self.configs[*first], key)).collect();
        let mut parts = parts(beside, &values, &all);
        if parts.len() > MOST_NAMED {
            let more = parts.len() - MOST_NAMED;
            parts.truncate(MOST_NAMED);
            parts.push(counted(more, "more key"));
        }
        if parts.is_empty() { setting } else { format!("{setting} (with {})", parts.join(", ")) }
    }
}

/// The values of keys in words, but for those that are absent: a plugin by its name, others after the last part of their
/// key. `all` are the keys that could be taken for another.
pub fn parts(keys: &[impl AsRef<str>], values: &[impl AsRef<str>], all: &[impl AsRef<str>]) -> Vec<String> {
    let part = |(key, value): (&str, &str)| match key.strip_suffix(".name") {
        _ if value == ABSENT => None,
        Some(_) => Some(value.to_owned()),
        None => Some(format!("{} {value}", short(key, all.iter().map(AsRef::as_ref)))),
    };
    keys.iter().map(AsRef::as_ref).zip(values.iter().map(AsRef::as_ref)).filter_map(part).collect()
}

/// The last part of a key, where no other key ends like it.
fn short<'a>(key: &'a str, all: impl Iterator<Item = &'a str>) -> &'a str {
    let last = |key: &'a str| key.rsplit('.').next().unwrap_or(key);
    if all.filter(|other| last(other) == last(key)).count() > 1 { key } else { last(key) }
}
