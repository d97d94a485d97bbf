//! Two groups, seed by seed.

use std::collections::{BTreeMap, BTreeSet};

use super::group::{Group, Metric};
use super::keys::{self, ABSENT, Flat};
use super::sentence;
use crate::experiments::index::Record;
use crate::experiments::statistics::{Paired, holm};

/// Sparsities and budgets that differ by no more than this fraction are called equal.
pub const EQUAL: f64 = 0.005;

/// What pairs are made from.
pub struct View<'a> {
    /// All runs.
    pub records: &'a [Record],
    /// Their configs.
    pub configs: &'a [Flat],
    /// Keys that tell groups apart.
    pub by: &'a [String],
    /// Keys, the seed among them, that must agree for two runs to be a pair.
    pub within: &'a [String],
    /// What is compared.
    pub metric: Metric,
}

/// A group against another.
#[derive(Clone, Debug)]
pub struct Pair {
    /// Index of the group.
    pub group: usize,
    /// Index of what it is compared with.
    pub baseline: usize,
    /// Differences, group minus baseline; `None` where nothing pairs or the two are unlike.
    pub found: Option<Paired>,
    /// The t-test's probability after Holm's correction over all comparisons of the table.
    pub p_holm: Option<f64>,
    /// What makes the two unlike, so that they are not compared: data, length of training.
    pub unlike: Vec<String>,
    /// What else makes them unlike, and was asked about.
    pub asked: Vec<String>,
    /// Settings and seeds that only one of the two has.
    pub missing: Vec<String>,
    /// All of it in words.
    pub sentence: String,
}

/// Every group against the baseline of its stratum, and against its controls.
pub fn all(view: &View<'_>, groups: &[Group], baseline: Option<&str>) -> (Vec<Pair>, Vec<Pair>) {
    let (mut main, mut controls) = (Vec::new(), Vec::new());
    for (index, group) in groups.iter().enumerate().filter(|(_, group)| group.control.is_none()) {
        let same_stratum = |other: &&(usize, &Group)| {
            other.1.control.is_none()
                && other.1.values.first().map(String::as_str) == baseline
                && other.1.values[1..] == group.values[1..]
        };
        if !group.values.is_empty()
            && let Some((other, _)) = groups.iter().enumerate().collect::<Vec<_>>().iter().find(same_stratum)
            && *other != index
        {
            main.push(compare(view, groups, index, *other));
        }
        for (other, control) in groups.iter().enumerate().filter(|(_, other)| other.control.is_some()) {
            let same = |(control, own): (&String, &String)| control == ABSENT || control == own;
            // A random order at the counts of a random order is the same run.
            let itself = control.control.as_deref() == Some("random") && random(view, group);
            if control.values.iter().zip(&group.values).all(same) && !itself {
                controls.push(compare(view, groups, index, other));
            }
        }
    }
    for family in [&mut main, &mut controls] {
        let tested: Vec<usize> = (0..family.len()).filter(|i| probability(&family[*i]).is_some()).collect();
        let corrected = holm(&tested.iter().filter_map(|i| probability(&family[*i])).collect::<Vec<_>>());
        for (i, p) in tested.into_iter().zip(corrected) {
            family[i].p_holm = Some(p);
        }
        let several = family.len() > 1;
        for pair in family.iter_mut() {
            pair.sentence = sentence::of(pair, &groups[pair.group], &groups[pair.baseline], view.metric, several);
        }
    }
    (main, controls)
}

fn random(view: &View<'_>, group: &Group) -> bool {
    group.cells.iter().all(|cell| keys::value(&view.configs[*cell], "criterion.name") == "random")
}

fn probability(pair: &Pair) -> Option<f64> {
    pair.found.and_then(|found| found.p_t)
}

fn compare(view: &View<'_>, groups: &[Group], group: usize, baseline: usize) -> Pair {
    let (a, b) = (&groups[group], &groups[baseline]);
    // The unpruned network knows nothing of schedules: it stands beside every setting of its seed.
    let coarse = [a, b].iter().any(|group| group.control.as_deref() == Some("unpruned"));
    let keys: Vec<&String> = view.within.iter().filter(|key| !coarse || !pruning(key)).collect();
    let means = |group: &Group| {
        let mut all: BTreeMap<Vec<&str>, Vec<f64>> = BTreeMap::new();
        for cell in &group.cells {
            if let Some(value) = view.metric.of(&view.records[*cell].summary) {
                let setting = keys.iter().map(|key| keys::value(&view.configs[*cell], key)).collect();
                all.entry(setting).or_default().push(value);
            }
        }
        all.into_iter()
            .map(|(setting, all)| (setting, all.iter().sum::<f64>() / all.len() as f64))
            .collect::<BTreeMap<_, _>>()
    };
    let (ours, theirs) = (means(a), means(b));
    let differences: Vec<f64> = ours.iter().filter_map(|(setting, value)| Some(value - theirs.get(setting)?)).collect();
    let described = |setting: &Vec<&str>| {
        let parts: Vec<String> = keys.iter().zip(setting).map(|(key, value)| format!("{key} {value}")).collect();
        parts.join(", ")
    };
    let only = |one: &BTreeMap<Vec<&str>, f64>, other: &BTreeMap<Vec<&str>, f64>, label: &str| {
        one.keys()
            .filter(|setting| !other.contains_key(*setting))
            .map(|setting| format!("{} (only {label})", described(setting)))
            .collect::<Vec<_>>()
    };
    let missing = [only(&ours, &theirs, &a.label), only(&theirs, &ours, &b.label)].concat();
    let (asked, unlike) = unlike(view, a, b);
    let found = if unlike.is_empty() { Paired::of(&differences) } else { None };
    Pair { group, baseline, found, p_holm: None, unlike, asked, missing, sentence: String::new() }
}

/// Data and length of training must agree, or accuracies mean different things: what was asked about, and the rest.
/// Accuracies on different data cannot be asked about.
fn unlike(view: &View<'_>, a: &Group, b: &Group) -> (Vec<String>, Vec<String>) {
    let keys: BTreeSet<&String> = (a.cells.iter().chain(&b.cells))
        .flat_map(|cell| view.configs[*cell].keys())
        .filter(|key| key.starts_with("data.") || *key == "train.epochs" || *key == "train.loss")
        .collect();
    let values = |group: &Group, key: &str| {
        group.cells.iter().map(|cell| keys::value(&view.configs[*cell], key)).collect::<BTreeSet<_>>()
    };
    let shown = |values: BTreeSet<&str>| values.into_iter().collect::<Vec<_>>().join(" and ");
    let differing = keys.into_iter().filter(|key| values(a, key) != values(b, key));
    let (asked, rest): (Vec<&String>, Vec<&String>) =
        differing.partition(|key| view.by.contains(key) && *key == "train.epochs");
    let named = |keys: Vec<&String>| {
        let name = |key: &String| format!("{key} is {} against {}", shown(values(a, key)), shown(values(b, key)));
        keys.into_iter().map(name).collect()
    };
    (named(asked), named(rest))
}

fn pruning(key: &str) -> bool {
    ["criterion.", "prune.", "schedule."].iter().any(|section| key.starts_with(section))
}
