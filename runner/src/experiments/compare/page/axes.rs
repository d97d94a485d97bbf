//! What a picture of a comparison varies: a key, or the name of a plugin with those of its options that not every name
//! has. Apart these would be panels and cells that no run can fill: no ratio belongs to the compressor `none`.

use std::cmp::Ordering;

use super::super::group::parts;
use super::super::keys::ABSENT;
use crate::experiments::compare::{Comparison, Group};

/// Keys that vary together, by their numbers in [`Comparison::by`]: the name first.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis(pub Vec<usize>);

/// These keys as axes, in the order of their first keys.
pub fn folded(comparison: &Comparison, own: &[usize], keys: &[usize]) -> Vec<Axis> {
    let name_of = |key: usize| {
        let some_lack_it = own.iter().any(|group| comparison.groups[*group].values[key] == ABSENT);
        let belongs = |name: &&usize| {
            let plugin = comparison.by[**name].strip_suffix("name").filter(|plugin| plugin.ends_with('.'));
            **name != key && plugin.is_some_and(|plugin| comparison.by[key].starts_with(plugin))
        };
        // An option may belong to a plugin within a plugin: the nearest name.
        let nearest = keys.iter().filter(belongs).max_by_key(|name| comparison.by[**name].len());
        nearest.copied().filter(|_| some_lack_it)
    };
    let whole = |key: &usize| match name_of(*key) {
        Some(_) => None,
        None => Some(Axis(with_options(*key, keys, &name_of))),
    };
    keys.iter().filter_map(whole).collect()
}

/// A key, and after it those that belong to it.
fn with_options(key: usize, keys: &[usize], name_of: &dyn Fn(usize) -> Option<usize>) -> Vec<usize> {
    let options = keys.iter().filter(|option| name_of(**option) == Some(key));
    let below = options.flat_map(|option| with_options(*option, keys, name_of));
    std::iter::once(key).chain(below).collect()
}

impl Axis {
    /// The keys in words.
    pub fn label(&self, comparison: &Comparison) -> String {
        self.0.iter().map(|key| comparison.by[*key].as_str()).collect::<Vec<_>>().join(", ")
    }

    /// Where a group stands on it.
    pub fn values(&self, group: &Group) -> Vec<String> {
        self.0.iter().map(|key| group.values[*key].clone()).collect()
    }

    /// What stands at a place of the axis.
    pub fn words(&self, comparison: &Comparison, values: &[String]) -> String {
        match values {
            [value] => value.clone(),
            _ => {
                let keys: Vec<&str> = self.0.iter().map(|key| comparison.by[*key].as_str()).collect();
                parts(&keys, values, &comparison.by).join(", ")
            }
        }
    }

    /// A place with the names of its keys.
    pub fn setting(&self, comparison: &Comparison, values: &[String]) -> String {
        let stated = |(nth, (key, value)): (usize, (&usize, &String))| {
            (nth == 0 || value != ABSENT).then(|| format!("{} = {value}", comparison.by[*key]))
        };
        self.0.iter().zip(values).enumerate().filter_map(stated).collect::<Vec<_>>().join(", ")
    }
}

/// Places in order: numbers by size.
pub fn in_order(a: &[String], b: &[String]) -> Ordering {
    let one = |(a, b): (&String, &String)| match (a.parse::<f64>(), b.parse::<f64>()) {
        (Ok(a), Ok(b)) => a.total_cmp(&b),
        _ => a.cmp(b),
    };
    a.iter().zip(b).map(one).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
}
