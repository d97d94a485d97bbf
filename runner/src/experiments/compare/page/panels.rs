//! What a comparison looks like: lines over sparsity, one for each criterion, and maps of two axes, a panel for each
//! combination of the other keys.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::axes::{Axis, folded, in_order};
use crate::experiments::compare::metric::{Metric, Unit, named};
use crate::experiments::compare::{Comparison, Group};

/// More panels than this show nothing.
const MOST_PANELS: usize = 12;

/// More rows or columns than this cannot be read.
const MOST_STEPS: usize = 30;

/// Lines over a metric that differs from group to group.
#[derive(Clone, Debug)]
pub struct Over {
    /// What stands below.
    pub x: Metric,
    /// What tells lines apart, a key or several; empty where there is one line.
    pub by: String,
    /// The names of all lines: a line looks alike in every panel.
    pub names: Vec<String>,
    /// The panels, in the order of their values.
    pub panels: Vec<Panel>,
}

/// Lines of one setting of the other keys.
#[derive(Clone, Debug, Default)]
pub struct Panel {
    /// The setting in words; empty where there is one panel.
    pub title: String,
    /// For each name, the groups of the line by the metric below, from left to right; none where it has none here.
    pub lines: Vec<Vec<usize>>,
    /// The control that was never pruned, where this setting has exactly one.
    pub dense: Option<usize>,
}

/// A mean for every combination of two axes.
#[derive(Clone, Debug)]
pub struct Maps {
    /// The keys of rows and of columns.
    pub keys: [String; 2],
    /// What they stand for, in order: numbers by size.
    pub values: [Vec<String>; 2],
    /// The maps, one for each setting of the other keys: its words, and the group of each row and column.
    pub maps: Vec<(String, Vec<Vec<Option<usize>>>)>,
}

/// Lines over sparsity: where a key of the schedule changes it, with the criterion, or else the first other key, telling
/// lines apart. `None` where no line would have two points.
pub fn over_sparsity(comparison: &Comparison) -> Option<Over> {
    let own = own(comparison);
    let keys = varying(comparison, &own);
    let x = ["sparsity", "unit_sparsity"].into_iter().map(named).find(|x| {
        let means: Vec<f64> = own.iter().filter_map(|group| comparison.groups[*group].mean(&x.key)).collect();
        let (low, high) = means.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(*v), b.max(*v)));
        high - low > 0.005
    })?;
    let of_schedule = |key: &&usize| {
        let name = &comparison.by[**key];
        name.starts_with("schedule.") && name != "schedule.name" || name.ends_with("sparsity")
    };
    let steps = *keys.iter().find(of_schedule)?;
    let rest: Vec<usize> = keys.iter().copied().filter(|key| *key != steps).collect();
    let mut facets = folded(comparison, &own, &rest);
    let of_criteria = |axis: &Axis| axis.0.iter().any(|key| comparison.by[*key] == "criterion.name");
    let line = (!facets.is_empty()).then(|| facets.remove(facets.iter().position(of_criteria).unwrap_or(0)));
    let mut lines: Vec<Vec<String>> = Vec::new();
    let mut panels: BTreeMap<Vec<Vec<String>>, Panel> = BTreeMap::new();
    for group in &own {
        let at = &comparison.groups[*group];
        if at.mean(&x.key).is_none() {
            continue;
        }
        let values = line.as_ref().map_or_else(Vec::new, |line| line.values(at));
        let number = lines.iter().position(|known| *known == values).unwrap_or_else(|| {
            lines.push(values);
            lines.len() - 1
        });
        let panel = panels.entry(facets.iter().map(|axis| axis.values(at)).collect()).or_default();
        panel.lines.resize(lines.len().max(panel.lines.len()), Vec::new());
        panel.lines[number].push(*group);
    }
    if panels.len() > MOST_PANELS || !panels.values().flat_map(|panel| &panel.lines).any(|line| line.len() > 1) {
        return None;
    }
    let mean = |group: usize| comparison.groups[group].mean(&x.key).unwrap_or(0.0);
    let finished = |(values, mut panel): (Vec<Vec<String>>, Panel)| {
        panel.lines.resize(lines.len(), Vec::new());
        panel.lines.iter_mut().for_each(|line| line.sort_by(|a, b| mean(*a).total_cmp(&mean(*b))));
        panel.title = titled(comparison, &facets, &values);
        let dense: Vec<usize> = (0..comparison.groups.len())
            .filter(|group| {
                let control = &comparison.groups[*group];
                control.control.as_deref() == Some("unpruned")
                    && control.mean(&comparison.metric.key).is_some()
                    && facets.iter().zip(&values).all(|(axis, values)| axis.values(control) == *values)
            })
            .collect();
        panel.dense = if let [dense] = dense[..] { Some(dense) } else { None };
        panel
    };
    let panels = panels.into_iter().map(finished).collect();
    let words = |values: &Vec<String>| line.as_ref().map_or_else(String::new, |line| line.words(comparison, values));
    let names = lines.iter().map(words).collect();
    let by = line.as_ref().map_or_else(String::new, |line| line.label(comparison));
    Some(Over { x, by, names, panels })
}

/// Maps of the two axes with the most places, numbers before names. `None` where fewer than two axes vary.
pub fn maps(comparison: &Comparison) -> Option<Maps> {
    let own = own(comparison);
    let places = |axis: &Axis| {
        let mut all: Vec<Vec<String>> = own.iter().map(|group| axis.values(&comparison.groups[*group])).collect();
        all.sort_by(|a, b| in_order(a, b));
        all.dedup();
        all
    };
    let mut axes = folded(comparison, &own, &varying(comparison, &own));
    axes.sort_by_key(|axis| {
        let all = places(axis);
        (!all.iter().flatten().all(|value| value.parse::<f64>().is_ok()), std::cmp::Reverse(all.len()))
    });
    let longest = |axis: &Axis| {
        let words = places(axis).iter().map(|values| axis.words(comparison, values).chars().count()).max();
        words.unwrap_or(0)
    };
    // Words have more room beside a map than below its columns.
    if let [rows, columns, ..] = &mut axes[..]
        && longest(rows) < longest(columns)
    {
        std::mem::swap(rows, columns);
    }
    let [rows, columns, facets @ ..] = &axes[..] else { return None };
    let [row_places, column_places] = [rows, columns].map(places);
    if row_places.len().max(column_places.len()) > MOST_STEPS {
        return None;
    }
    let mut found: BTreeMap<Vec<Vec<String>>, Vec<Vec<Option<usize>>>> = BTreeMap::new();
    for group in own {
        let at = &comparison.groups[group];
        let map = found
            .entry(facets.iter().map(|axis| axis.values(at)).collect())
            .or_insert_with(|| vec![vec![None; column_places.len()]; row_places.len()]);
        let place = |all: &[Vec<String>], axis: &Axis| all.iter().position(|values| *values == axis.values(at));
        if let (Some(row), Some(column)) = (place(&row_places, rows), place(&column_places, columns)) {
            map[row][column] = Some(group);
        }
    }
    if found.len() > MOST_PANELS {
        return None;
    }
    let maps = found.into_iter().map(|(values, map)| (titled(comparison, facets, &values), map)).collect();
    let keys = [rows, columns].map(|axis| axis.label(comparison));
    let values = [(rows, row_places), (columns, column_places)]
        .map(|(axis, places)| places.iter().map(|values| axis.words(comparison, values)).collect());
    Some(Maps { keys, values, maps })
}

/// Both, for the page's script.
pub fn data(comparison: &Comparison) -> Value {
    let over = over_sparsity(comparison).map(|over| {
        let panels: Vec<Value> = (over.panels.iter())
            .map(|panel| json!({ "title": panel.title, "lines": panel.lines, "dense": panel.dense }))
            .collect();
        let x = json!({ "key": over.x.key, "label": over.x.label, "percent": over.x.unit == Unit::Percent });
        json!({ "x": x, "by": over.by, "names": over.names, "panels": panels })
    });
    let maps = maps(comparison).map(|maps| json!({ "keys": maps.keys, "values": maps.values, "maps": maps.maps }));
    json!({ "over": over, "maps": maps })
}

/// The groups that are compared and are no controls.
fn own(comparison: &Comparison) -> Vec<usize> {
    let of = |(number, group): (usize, &Group)| {
        (group.control.is_none() && group.metrics.contains_key(&*comparison.metric.key)).then_some(number)
    };
    comparison.groups.iter().enumerate().filter_map(of).collect()
}

/// The keys, by their numbers, that have several values among these groups.
fn varying(comparison: &Comparison, own: &[usize]) -> Vec<usize> {
    let several = |key: &usize| {
        own.windows(2).any(|pair| {
            let [a, b] = [pair[0], pair[1]].map(|group| comparison.groups[group].values.get(*key));
            a != b
        })
    };
    (0..comparison.by.len()).filter(several).collect()
}

fn titled(comparison: &Comparison, axes: &[Axis], values: &[Vec<String>]) -> String {
    let words = axes.iter().zip(values).map(|(axis, values)| axis.setting(comparison, values));
    words.collect::<Vec<_>>().join(", ")
}
