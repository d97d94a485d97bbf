//! Which config keys tell runs apart.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::config::SEEDS;
use crate::config::fork::FORK;
use crate::config::key::dotted;
use crate::printable::in_one_line;

/// A config by dotted key, each value as text.
pub type Flat = BTreeMap<String, String>;

/// What a run was told until it left another one.
const BEFORE: &str = "fork.before";

/// The run's seed.
const SEED: &str = "seed";

/// The seeds of the section, that of what a network begins with first.
const OWN: [&str; 5] = ["seeds.init", "seeds.data", "seeds.split", "seeds.order", "seeds.pruner"];

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
        !["name", "threads", "device", "data.dir", FORK, "fork.from", SEEDS].contains(&key.as_str())
            && !key.starts_with("output.")
            && !key.starts_with(BEFORE)
    });
    if let Some(before) = config.get(FORK).and_then(|fork| fork.get("before")) {
        let digits = Sha256::digest(before.to_string()).iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        found.insert(BEFORE.to_owned(), digits);
    }
    found
}

/// Whether a key is one of the section `seeds`.
pub fn is_of_seeds(key: &str) -> bool {
    OWN.contains(&key)
}

/// Makes one key, `seed`, of all that makes repetitions: `3`, or `0, data 3` where `seed` is held and the data's is not.
///
/// Repetitions must be independent, so one seed alone makes them. Where `seed` varies, it is that one; a seed of the section
/// `seeds` that goes along with it, as in a sweep that zips the two, is part of it, and one that is crossed with it is a
/// setting like any other, over which each repetition is a mean. Where `seed` is held, as an initialisation is while data is
/// drawn again, the first seed of the section that varies takes its place.
pub fn fold_seeds(configs: &mut [Flat]) {
    let varying: Vec<&str> = OWN.into_iter().filter(|key| varies(configs, key)).collect();
    if varying.is_empty() {
        return;
    }
    let first = if varies(configs, SEED) { SEED } else { varying[0] };
    let part: Vec<&str> = varying.into_iter().filter(|key| follows(configs, key, first)).collect();
    for config in configs {
        let value = seed(config, first).to_owned();
        part.iter().for_each(|key| _ = config.remove(*key));
        if let Some(name) = first.strip_prefix("seeds.") {
            let run = seed(config, SEED).to_owned();
            config.insert(SEED.to_owned(), format!("{run}, {name} {value}"));
        }
    }
}

/// A seed, which is the run's where it is not set.
fn seed<'a>(config: &'a Flat, key: &str) -> &'a str {
    config.get(key).or_else(|| config.get(SEED)).map_or("0", String::as_str)
}

fn varies(configs: &[Flat], key: &str) -> bool {
    configs.windows(2).any(|pair| seed(&pair[0], key) != seed(&pair[1], key))
}

/// Whether runs of one value of `first` all have one value of `key`.
fn follows(configs: &[Flat], key: &str, first: &str) -> bool {
    let mut found: BTreeMap<&str, &str> = BTreeMap::new();
    configs.iter().all(|config| *found.entry(seed(config, first)).or_insert(seed(config, key)) == seed(config, key))
}

/// The value of a key, or what stands for none.
pub fn value<'a>(config: &'a Flat, key: &str) -> &'a str {
    config.get(key).map_or(ABSENT, String::as_str)
}

/// The fewest keys that tell all settings apart, seeds aside: names of plugins first, then what still differs beside
/// them.
pub fn telling(configs: &[&Flat], given: &[String]) -> Vec<String> {
    let all: BTreeSet<&String> = configs.iter().flat_map(|config| config.keys()).collect();
    let mut order: Vec<&String> = all.into_iter().filter(|key| *key != SEED && !given.contains(key)).collect();
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

/// Keys that not all configs have one value of, in order.
pub fn varying(configs: &[Flat]) -> Vec<String> {
    let all: BTreeSet<&String> = configs.iter().flat_map(Flat::keys).collect();
    let varies = |key: &&String| configs.windows(2).any(|pair| value(&pair[0], key) != value(&pair[1], key));
    all.into_iter().filter(varies).cloned().collect()
}

/// Those of `among`, keys that vary at all, in which some configs differ from others, seeds, the given keys and the options of
/// their plugins aside.
pub fn beside<'a>(ours: &[&Flat], theirs: &[&Flat], given: &[String], among: &'a [String]) -> Vec<&'a str> {
    let all = among.iter().map(String::as_str);
    let open = |key: &&str| *key != SEED && !given.iter().any(|given| given == key) && !owned(given, key);
    let differs = |key: &&str| values(ours.iter().copied(), key) != values(theirs.iter().copied(), key);
    all.filter(open).filter(differs).collect()
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
        let among = varying(&[a.clone(), b.clone(), c.clone()]);
        assert_eq!(beside(&[&a], &[&c], &["criterion.name".to_owned()], &among), ["train.lr"]);
        assert_eq!(beside(&[&a], &[&b], &["train.lr".to_owned()], &among), ["criterion.name", "criterion.norm"]);
        assert!(owned(&["criterion.name".to_owned()], "criterion.norm") && !owned(&["name".to_owned()], "train.lr"));
    }

    /// Runs of these seeds: the run's, that of the data and that of the initialisation; nothing where one follows.
    fn folded(runs: &[(u64, Option<u64>, Option<u64>)]) -> Vec<Vec<(String, String)>> {
        let config = |(seed, data, init): &(u64, Option<u64>, Option<u64>)| {
            let own = [("seeds.data", data), ("seeds.init", init)];
            let own = own.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value.as_ref()?.to_string())));
            own.chain([(SEED.to_owned(), seed.to_string())]).collect()
        };
        let mut configs: Vec<Flat> = runs.iter().map(config).collect();
        fold_seeds(&mut configs);
        configs.into_iter().map(|config| config.into_iter().collect()).collect()
    }

    fn pairs(all: &[(&str, &str)]) -> Vec<(String, String)> {
        all.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn data_that_is_drawn_again_at_one_initialisation_makes_repetitions() {
        let found = folded(&[(0, Some(0), None), (0, Some(1), None), (0, None, None)]);
        let expected = ["0, data 0", "0, data 1", "0, data 0"].map(|seed| pairs(&[("seed", seed)]));
        assert_eq!(found, expected);
        let zipped = folded(&[(0, Some(4), Some(1)), (0, Some(5), Some(2))]);
        assert_eq!(zipped, ["0, init 1", "0, init 2"].map(|seed| pairs(&[("seed", seed)])));
    }

    #[test]
    fn a_seed_that_is_crossed_with_that_of_the_run_is_a_setting() {
        let found = folded(&[(0, Some(0), None), (0, Some(1), None), (1, Some(0), None), (1, Some(1), None)]);
        let at = |seed, data| pairs(&[("seed", seed), ("seeds.data", data)]);
        assert_eq!(found, [at("0", "0"), at("0", "1"), at("1", "0"), at("1", "1")]);
        // One held and one that follows are two settings too.
        let found = folded(&[(0, Some(7), None), (1, Some(7), None), (0, None, None), (1, None, None)]);
        assert_eq!(found, [at("0", "7"), at("1", "7"), pairs(&[("seed", "0")]), pairs(&[("seed", "1")])]);
    }

    #[test]
    fn a_seed_that_is_held_or_goes_along_with_that_of_the_run_tells_nothing_apart() {
        let held = folded(&[(0, Some(7), None), (1, Some(7), None)]);
        assert_eq!(held[1], pairs(&[("seed", "1"), ("seeds.data", "7")]));
        let along = folded(&[(0, Some(7), None), (1, Some(8), None)]);
        assert_eq!(along, ["0", "1"].map(|seed| pairs(&[("seed", seed)])));
        assert_eq!(folded(&[(3, None, None), (4, None, None)]), ["3", "4"].map(|seed| pairs(&[("seed", seed)])));
    }
}
