//! Which config keys tell runs apart.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::config::fork::FORK;
use crate::config::key::dotted;
use crate::printable::in_one_line;

/// A config by dotted key, each value as text.
pub type Flat = BTreeMap<String, String>;

/// What a run was told until it left another one.
const BEFORE: &str = "fork.before";

/// What stands for a key that a config does not have.
pub const ABSENT: &str = "–";

/// The leaves of a config, without those that cannot change a result. What a run that leaves another was told until then
/// is one of them, as eight digits that stand for all of it.
pub fn flat(config: &Map<String, Value>) -> Flat {
    fn leaves(path: &mut Vec<String>, map: &Map<String, Value>, found: &mut Flat) {
        for (name, value) in map {
            path.push(name.clone());
            match value {
                Value::Object(inner) if !inner.is_empty() => leaves(path, inner, found),
                Value::String(text) => _ = found.insert(dotted(path), in_one_line(text)),
                other => _ = found.insert(dotted(path), other.to_string()),
            }
            path.pop();
        }
    }
    let mut found = Flat::new();
    leaves(&mut Vec::new(), config, &mut found);
    found.retain(|key, _| {
        !["name", "threads", "device", "data.dir", FORK, "fork.from"].contains(&key.as_str())
            && !key.starts_with("output.")
            && !key.starts_with(BEFORE)
    });
    if let Some(before) = config.get(FORK).and_then(|fork| fork.get("before")) {
        let digits = Sha256::digest(before.to_string()).iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        found.insert(BEFORE.to_owned(), digits);
    }
    found
}

/// The value of a key, or what stands for none.
pub fn value<'a>(config: &'a Flat, key: &str) -> &'a str {
    config.get(key).map_or(ABSENT, String::as_str)
}

/// The fewest keys that tell all settings apart, seeds aside: names of plugins first, then what still differs beside
/// them.
pub fn telling(configs: &[&Flat], given: &[String]) -> Vec<String> {
    let all: BTreeSet<&String> = configs.iter().flat_map(|config| config.keys()).collect();
    let mut order: Vec<&String> = all.into_iter().filter(|key| *key != "seed" && !given.contains(key)).collect();
    order.sort_by_key(|key| (!key.ends_with(".name"), key.split('.').count(), key.as_str()));
    // The criterion is what people compare.
    order.sort_by_key(|key| *key != "criterion.name");
    let mut class: Vec<usize> = vec![0; configs.len()];
    let mut refine = |key: &str| {
        let mut classes: HashMap<(usize, &str), usize> = HashMap::new();
        let before = class.iter().max().map_or(0, |most| most + 1);
        let refined: Vec<usize> = (configs.iter().zip(&class))
            .map(|(config, old)| {
                let next = classes.len();
                *classes.entry((*old, value(config, key))).or_insert(next)
            })
            .collect();
        let more = classes.len() > before;
        if more {
            class = refined;
        }
        more
    };
    given.iter().for_each(|key| _ = refine(key));
    order.into_iter().filter(|key| refine(key)).cloned().collect()
}

/// Whether a key is an option of a plugin whose name is among the given keys, or the library that it comes from: it is part
/// of what that name stands for.
pub fn owned(given: &[String], key: &str) -> bool {
    let sections = given.iter().filter_map(|given| given.strip_suffix("name")).filter(|section| section.ends_with('.'));
    sections.into_iter().any(|section| key.starts_with(section) || key == "plugins")
}

/// The values of a key among some configs.
pub fn values<'a>(configs: impl Iterator<Item = &'a Flat>, key: &str) -> BTreeSet<&'a str> {
    configs.map(|config| value(config, key)).collect()
}

/// Keys in which some configs differ from others, seeds, the given keys and the options of their plugins aside.
pub fn beside<'a>(ours: &[&'a Flat], theirs: &[&'a Flat], given: &[String]) -> Vec<&'a str> {
    let all: BTreeSet<&str> = ours.iter().chain(theirs).flat_map(|config| config.keys().map(String::as_str)).collect();
    let open = |key: &&str| *key != "seed" && !given.iter().any(|given| given == key) && !owned(given, key);
    let differs = |key: &&str| values(ours.iter().copied(), key) != values(theirs.iter().copied(), key);
    all.into_iter().filter(open).filter(differs).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &[(&str, &str)]) -> Flat {
        text.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn options_of_a_plugin_follow_from_its_name() {
        let a =
            config(&[("criterion.name", "magnitude"), ("criterion.norm", "l1"), ("seed", "0"), ("train.lr", "0.1")]);
        let b = config(&[("criterion.name", "random"), ("seed", "0"), ("train.lr", "0.1")]);
        let c = config(&[("criterion.name", "random"), ("seed", "1"), ("train.lr", "0.2")]);
        assert_eq!(telling(&[&a, &b], &[]), ["criterion.name"]);
        assert_eq!(telling(&[&a, &b, &c], &[]), ["criterion.name", "train.lr"]);
        assert_eq!(telling(&[&a, &b, &c], &["criterion.name".to_owned()]), ["train.lr"]);
        assert!(telling(&[&a], &[]).is_empty());
        assert_eq!(beside(&[&a], &[&c], &["criterion.name".to_owned()]), ["train.lr"]);
        assert_eq!(beside(&[&a], &[&b], &["train.lr".to_owned()]), ["criterion.name", "criterion.norm"]);
        assert!(owned(&["criterion.name".to_owned()], "criterion.norm") && !owned(&["name".to_owned()], "train.lr"));
    }
}
