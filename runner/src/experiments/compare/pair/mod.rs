//! Two groups, seed by seed.

mod common;
mod versus;

use std::collections::{BTreeMap, BTreeSet};

use super::blocks::{Blocks, Both, Place};
use super::budget::Budget;
use super::controls::Controls;
use super::group::Group;
use super::keys::{self, Flat};
use super::metric::Metric;
use super::sentence;
use crate::experiments::index::Record;
use crate::experiments::statistics::{Bootstrap, Equivalence, Family, LEVEL, Paired};
use common::Common;

pub use versus::{Sides, Versus, Wanted};

/// What pairs are made from.
pub struct View<'a> {
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
    /// These, and those whose values were chosen for each group.
    pub settled: &'a [String],
    /// Keys that tell the settings within a group apart, the seed not among them.
    pub within: &'a [String],
    /// What is compared.
    pub metric: &'a Metric,
    /// Differences within this do not matter, where that was asked.
    pub margin: Option<f64>,
    /// Whether intervals and probabilities are from resampling.
    pub bootstrap: bool,
    /// What stands in for the other side's figures, where that is a number and no runs.
    pub value: Option<f64>,
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
    /// How many settings each seed is the mean over.
    pub settings: usize,
    /// What resampling says, where that was asked.
    pub resampled: Option<Bootstrap>,
    /// What holds for all comparisons of the table at once; absent where there is no test.
    pub family: Option<Family>,
    /// What is known where differences within a margin do not matter.
    pub margin: Option<Equivalence>,
    /// Sparsities and times of the runs that are paired.
    pub budget: Budget,
    /// What makes the two unlike, so that they are not compared: data, length of training.
    pub unlike: Vec<String>,
    /// What else makes them unlike, and was asked about.
    pub asked: Vec<String>,
    /// Keys besides those that tell groups apart in which the paired runs differ, with both values.
    pub beside: Vec<String>,
    /// Settings and seeds that count for nothing, and why.
    pub missing: Vec<String>,
    /// Where the runs of every pair left one and the same run, and what of the spread that took away.
    pub common: Option<Common>,
    /// All of it in words.
    pub sentence: String,
}

/// Every group against the baseline of its stratum, and against its controls.
pub fn all(view: &View<'_>, groups: &[Group], baseline: Option<&str>) -> (Vec<Pair>, Vec<Pair>) {
    let (mut main, mut controls) = (Vec::new(), Vec::new());
    for (index, group) in groups.iter().enumerate().filter(|(_, group)| group.control.is_none()) {
        if let Some(other) = baseline.and_then(|baseline| beside(view, groups, group, baseline))
            && other != index
            && !(group.cells.is_empty() && groups[other].cells.is_empty())
        {
            main.push(compare(view, groups, (index, other), main_places(view, group, &groups[other])));
        }
        for (other, control) in groups.iter().enumerate().filter(|(_, other)| other.owners.contains(&index)) {
            let kind = control.control.as_deref().unwrap_or_default();
            controls.push(compare(view, groups, (index, other), control_places(view, group, kind)));
        }
    }
    let bounds = view.metric.difference_bounds();
    for family in [&mut main, &mut controls] {
        let tested = family.iter().filter(|pair| pair.found.is_some_and(|found| found.p_t.is_some())).count();
        for pair in family.iter_mut() {
            pair.family = match &pair.resampled {
                Some(resampled) => Some(Family::resampled(resampled, tested)),
                None => pair.found.and_then(|found| found.among(tested)),
            }
            .map(|family| family.within(bounds));
            let margin = view.margin.zip(pair.found);
            pair.margin = margin.map(|(margin, found)| Equivalence::of(&found, margin, tested.max(1)));
            pair.sentence = sentence::of(pair, &groups[pair.group], &groups[pair.baseline], view.metric);
        }
    }
    (main, controls)
}

/// One group against another, whatever they differ in; against its own controls, where the other is one.
pub fn one(view: &View<'_>, groups: &[Group], (group, other): (usize, usize)) -> Pair {
    let places = match &groups[other].control {
        Some(kind) => control_places(view, &groups[group], kind),
        None => main_places(view, &groups[group], &groups[other]),
    };
    compare(view, groups, (group, other), places)
}

/// The group that a group stands beside: that with the baseline's first value and, in all other keys, its own values.
/// Options of the plugin that the first key names are no part of that: magnitude has a norm, and random has none.
fn beside(view: &View<'_>, groups: &[Group], group: &Group, baseline: &str) -> Option<usize> {
    let (first, rest) = view.by.split_first()?;
    let owned: Vec<bool> = rest.iter().map(|key| keys::owned(std::slice::from_ref(first), key)).collect();
    let equal = |other: &Group, all: bool| {
        let values = other.values[1..].iter().zip(&group.values[1..]).zip(&owned);
        values.into_iter().all(|((other, own), owned)| other == own || (*owned && !all))
    };
    let candidates = || {
        groups
            .iter()
            .enumerate()
            .filter(|(_, other)| other.control.is_none() && other.values.first().map(String::as_str) == Some(baseline))
    };
    let exact = candidates().find(|(_, other)| equal(other, true) && other.values != group.values);
    exact.or_else(|| candidates().find(|(_, other)| equal(other, false))).map(|(index, _)| index)
}

/// The runs of two groups by setting and seed, and the keys of a setting.
type Places<'a> = (Vec<&'a str>, BTreeMap<Place<'a>, Both>);

/// Options of a plugin in which the two groups differ by its name are no setting.
fn main_places<'a>(view: &View<'a>, ours: &Group, theirs: &Group) -> Places<'a> {
    let named: Vec<String> = (view.by.iter().zip(ours.values.iter().zip(&theirs.values)))
        .filter(|(_, (own, other))| own != other)
        .map(|(key, _)| key.clone())
        .collect();
    let keys: Vec<&str> = view.within.iter().map(String::as_str).filter(|key| !keys::owned(&named, key)).collect();
    let mut places: BTreeMap<Place<'a>, Both> = BTreeMap::new();
    for (group, first) in [(ours, true), (theirs, false)] {
        for cell in measured(view, &group.cells) {
            let both = places.entry(place(view, &keys, cell)).or_default();
            if first { both.ours.push(cell) } else { both.theirs.push(cell) }
        }
    }
    (keys, places)
}

/// The runs of a group and each one's own control.
fn control_places<'a>(view: &View<'a>, group: &Group, kind: &str) -> Places<'a> {
    let keys: Vec<&str> = view.within.iter().map(String::as_str).collect();
    let mut places: BTreeMap<Place<'a>, Both> = BTreeMap::new();
    for cell in measured(view, &group.cells) {
        let both = places.entry(place(view, &keys, cell)).or_default();
        both.ours.push(cell);
        let control = view.controls.get(cell, kind).filter(|run| view.records[*run].status == "finished");
        both.theirs.extend(control.into_iter().flat_map(|control| measured(view, &[control])));
    }
    (keys, places)
}

fn measured(view: &View<'_>, cells: &[usize]) -> Vec<usize> {
    cells.iter().copied().filter(|cell| view.metric.of(&view.records[*cell].summary).is_some()).collect()
}

fn place<'a>(view: &View<'a>, keys: &[&str], cell: usize) -> Place<'a> {
    let config = &view.configs[cell];
    (keys.iter().map(|key| keys::value(config, key)).collect(), keys::value(config, "seed"))
}

fn compare(view: &View<'_>, groups: &[Group], (group, baseline): (usize, usize), (keys, places): Places<'_>) -> Pair {
    let (a, b) = (&groups[group], &groups[baseline]);
    let blocks = Blocks::of(places);
    let (asked, unlike, beside) = differing(view, a, b, &blocks);
    let mut values = blocks.by_seed(|run| view.metric.of(&view.records[run].summary));
    if let Some(value) = view.value {
        values.iter_mut().for_each(|(_, other)| *other = value);
    }
    let mut found = if unlike.is_empty() { Paired::of(&values) } else { None };
    let differences: Vec<f64> = values.iter().map(|(a, b)| a - b).collect();
    let size = values.iter().fold(0.0f64, |most, (a, b)| most.max(a.abs()).max(b.abs()));
    let resampled = found.filter(|_| view.bootstrap).and_then(|_| Bootstrap::of(&differences, size));
    if let (Some(found), true) = (&mut found, view.bootstrap) {
        found.interval = resampled.as_ref().map(|resampled| resampled.interval_at(LEVEL));
    }
    if let Some(found) = &mut found {
        found.interval = found.interval.map(|interval| interval.within(view.metric.difference_bounds()));
    }
    let budget = Budget::of(&blocks, |run| &view.records[run].summary);
    let (settings, missing) = (blocks.settings(), missing(view, (a, b), &keys, &blocks));
    let common = if found.is_some() { Common::of(&blocks, view, &values) } else { None };
    let (family, margin, sentence) = (None, None, String::new());
    Pair {
        group,
        baseline,
        found,
        settings,
        resampled,
        family,
        margin,
        budget,
        unlike,
        asked,
        beside,
        missing,
        common,
        sentence,
    }
}

/// Which settings and seeds do not count, and why.
fn missing(view: &View<'_>, (a, b): (&Group, &Group), keys: &[&str], blocks: &Blocks<'_>) -> Vec<String> {
    let described = |(setting, seed): &Place<'_>| {
        let parts = keys.iter().zip(setting).map(|(key, value)| format!("{key} {value}"));
        parts.chain([format!("seed {seed}")]).collect::<Vec<_>>().join(", ")
    };
    let only = |places: &[Place<'_>], one: &Group, other: &Group| {
        let why = |at: &Place<'_>| match other.failed.iter().any(|run| place(view, keys, *run) == *at) {
            true => format!("{} (only {}; {} failed)", described(at), one.label, other.label),
            false => format!("{} (only {})", described(at), one.label),
        };
        places.iter().map(why).collect::<Vec<_>>()
    };
    let uneven = blocks.uneven.iter().map(|place| format!("{} (not every setting has it)", described(place)));
    [only(&blocks.ours_only, a, b), only(&blocks.theirs_only, b, a), uneven.collect()].concat()
}

/// What paired runs differ in beside what is compared: the budgets that were asked about; data and length of training,
/// which must agree, or metrics mean different things; and all the rest.
fn differing(view: &View<'_>, a: &Group, b: &Group, blocks: &Blocks<'_>) -> (Vec<String>, Vec<String>, Vec<String>) {
    if b.control.is_some() {
        return Default::default();
    }
    let (mut asked, mut unlike, mut beside) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    let mut by: Vec<String> = view.settled.to_vec();
    by.retain(|key| !decides(key));
    let mut all: Vec<(Vec<usize>, Vec<usize>)> =
        blocks.paired.values().map(|both| (both.ours.clone(), both.theirs.clone())).collect();
    if all.is_empty() {
        all.push((a.cells.clone(), b.cells.clone()));
    }
    for (ours, theirs) in &all {
        let configs = |runs: &[usize]| runs.iter().map(|run| &view.configs[*run]).collect::<Vec<_>>();
        let (ours, theirs) = (configs(ours), configs(theirs));
        for key in keys::beside(&ours, &theirs, &by, view.varying) {
            let kind = match key {
                "train.epochs" if view.by.iter().any(|by| by == key) => &mut asked,
                key if decides(key) => &mut unlike,
                _ => &mut beside,
            };
            kind.insert(key);
        }
    }
    let name = |key: &str| {
        let values = |first: bool| {
            let runs = all.iter().flat_map(|(ours, theirs)| if first { ours } else { theirs });
            let values = keys::values(runs.map(|run| &view.configs[*run]), key);
            values.into_iter().collect::<Vec<_>>().join(" and ")
        };
        format!("{key} is {} against {}", values(true), values(false))
    };
    // Where nothing pairs, settings that the two do not share are named as missing.
    let beside = if blocks.paired.is_empty() { BTreeSet::new() } else { beside };
    let named = |keys: BTreeSet<&str>| keys.into_iter().map(name).collect();
    (named(asked), named(unlike), named(beside))
}

/// Accuracies on different data, after different lengths of training or of different losses mean different things.
fn decides(key: &str) -> bool {
    key.starts_with("data.") || key == "train.epochs" || key == "train.loss"
}
