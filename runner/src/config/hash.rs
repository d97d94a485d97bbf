//! The hash that names a run's folder.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};
use toml::{Table, Value};

use super::key;

/// Keys that cannot change a result: what the run is called, where it is written, how many threads compute it.
const WITHOUT_EFFECT: [&str; 3] = ["name", "output", "threads"];

/// SHA-256 of the config's canonical TOML (keys sorted), in hexadecimal, without the keys that cannot change a result.
pub fn of(config: &Table) -> String {
    let digest = Sha256::digest(effective(config).to_string());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Keys on which two configs differ, without those that cannot change a result: `train.lr: 0.1 there, 0.2 here`.
pub fn differences(there: &Table, here: &Table) -> Vec<String> {
    let (there, here) = (leaves(&effective(there)), leaves(&effective(here)));
    let value =
        |leaves: &BTreeMap<String, String>, key: &String| leaves.get(key).map_or("not set".to_owned(), String::clone);
    let mut keys: Vec<&String> =
        there.keys().chain(here.keys()).filter(|key| there.get(*key) != here.get(*key)).collect();
    keys.sort();
    keys.dedup();
    keys.into_iter().map(|key| format!("{key}: {} there, {} here", value(&there, key), value(&here, key))).collect()
}

fn effective(config: &Table) -> Table {
    let mut effective = config.clone();
    effective.retain(|key, _| !WITHOUT_EFFECT.contains(&key));
    effective
}

fn leaves(table: &Table) -> BTreeMap<String, String> {
    fn visit<'a>(table: &'a Table, path: &mut Vec<&'a str>, leaves: &mut BTreeMap<String, String>) {
        for (name, value) in table {
            path.push(name);
            match value {
                Value::Table(inner) => visit(inner, path, leaves),
                other => _ = leaves.insert(key::dotted(path), other.to_string()),
            }
            path.pop();
        }
    }
    let mut leaves = BTreeMap::new();
    visit(table, &mut Vec::new(), &mut leaves);
    leaves
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn hash(text: &str) -> String {
        of(&text.parse().unwrap())
    }

    #[test]
    fn differences_name_keys_and_both_values() {
        let (there, here) =
            ("seed = 1\n[train]\nlr = 0.1\nepochs = 3", "seed = 1\nname = 'b'\n[train]\nlr = 0.2\nmomentum = 0.9");
        let found = differences(&there.parse().unwrap(), &here.parse().unwrap());
        let expected = [
            "train.epochs: 3 there, not set here",
            "train.lr: 0.1 there, 0.2 here",
            "train.momentum: not set there, 0.9 here",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn order_name_output_and_threads_do_not_count() {
        let one = hash("name = 'a'\nseed = 1\nthreads = 4\n[train]\nlr = 0.1\nepochs = 3\n[output]\nreport = true");
        assert_eq!(one, hash("seed = 1\n[train]\nepochs = 3\nlr = 0.1"));
        assert_ne!(one, hash("seed = 2\n[train]\nepochs = 3\nlr = 0.1"));
    }
}
