//! Whether a table is whole, and of the network that asks for it.

use super::{LatencyTable, TimedNetwork, Together};
use crate::error::OptionError;
use std::collections::BTreeSet;
use std::fmt::Display;
use std::path::Path;

/// What helps against a table that is of no use.
const FIX: &str = "give the latency.json of a run of this network, or leave the key out to measure here";

impl LatencyTable {
    /// The table in a file, for the network whose groups `names` may be pruned; `examples` are there to make a batch of.
    ///
    /// # Errors
    /// Under `latency_table`: a file that cannot be read, that is damaged or no table, or of another network.
    pub fn read(path: &Path, network: &TimedNetwork, names: &[String], examples: usize) -> Result<Self, OptionError> {
        let refuse =
            |problem: &dyn Display| OptionError::new("latency_table", path.display(), format!("{problem}: {FIX}"));
        let text = std::fs::read(path).map_err(|error| refuse(&format!("cannot be read ({error})")))?;
        let table: Self = serde_json::from_slice(&text)
            .map_err(|error| refuse(&format!("is damaged, or no table of times ({error})")))?;
        table.fits(network, names, examples).map_err(|problem| refuse(&problem))?;
        Ok(table)
    }

    /// Says what keeps the table from being that of a network.
    fn fits(&self, network: &TimedNetwork, names: &[String], examples: usize) -> Result<(), String> {
        self.same(network)?;
        self.whole()?;
        let missing = names.iter().find(|name| !self.alone.contains_key(*name));
        if let Some(name) = missing {
            return Err(format!("has no times of the unit group {name} (`alone`), which may be pruned here"));
        }
        if self.batch > examples {
            let asked = self.batch;
            return Err(format!("is of batches of {asked} examples, and there are {examples} training examples"));
        }
        Ok(())
    }

    fn same(&self, network: &TimedNetwork) -> Result<(), String> {
        let other = |what: &str, there: &dyn Display, here: &dyn Display| {
            Err(format!("is of another network ({what}: {there} there, {here} here)"))
        };
        let there = &self.network;
        let groups: BTreeSet<&String> = there.units.keys().chain(network.units.keys()).collect();
        for group in groups {
            let [there, here] = [there, network].map(|n| n.units.get(group).copied().unwrap_or(0));
            if there != here {
                return other(&format!("units of {group}"), &there, &here);
            }
        }
        if there.input != network.input {
            return other("input", &format!("{:?}", there.input), &format!("{:?}", network.input));
        }
        if there.parameters != network.parameters {
            return other("parameters", &there.parameters, &network.parameters);
        }
        if there.macs != network.macs {
            return other("multiply-accumulates", &there.macs, &network.macs);
        }
        Ok(())
    }

    fn whole(&self) -> Result<(), String> {
        let times = self.alone.values().flatten().map(|t| t.1);
        let times = times.chain(self.together.iter().flat_map(|t| &t.times).map(|t| t.2));
        if self.batch == 0 || self.dense == 0 || times.into_iter().any(|time| time == 0) {
            return Err("is damaged: `batch` and every time must be above 0".into());
        }
        for (group, times) in &self.alone {
            let units = self.network.units.get(group).copied().unwrap_or(0);
            let rising = times.is_sorted_by(|a, b| a.0 < b.0);
            if !rising || times.iter().any(|t| !(1..units).contains(&t.0)) {
                return Err(format!("is damaged: the units in `alone.{group}` must rise, from 1 to below {units}"));
            }
        }
        let mut seen = BTreeSet::new();
        for Together { groups, times } in &self.together {
            let [a, b] = groups;
            let here = format!("is damaged: `together` of {a} and {b}");
            if a == b || !self.alone.contains_key(a) || !self.alone.contains_key(b) {
                return Err(format!("{here} must name two groups of `alone`"));
            }
            if !seen.insert(BTreeSet::from([a, b])) {
                return Err(format!("{here} stands there twice"));
            }
            let units = groups.each_ref().map(|group| self.network.units.get(group).copied().unwrap_or(0));
            let first: BTreeSet<usize> = times.iter().map(|t| t.0).collect();
            let second: BTreeSet<usize> = times.iter().map(|t| t.1).collect();
            let grid: BTreeSet<(usize, usize)> = times.iter().map(|t| (t.0, t.1)).collect();
            let within = grid.iter().all(|(a, b)| (1..units[0]).contains(a) && (1..units[1]).contains(b));
            if !within || grid.len() != times.len() || grid.len() != first.len() * second.len() {
                let [a, b] = units;
                return Err(format!(
                    "{here} must have every width of the first with every one of the second once, from 1 to below {a} \
                     and {b}"
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn network() -> TimedNetwork {
        let units = [("a".to_owned(), 4), ("b".to_owned(), 6)].into();
        TimedNetwork { input: vec![20], parameters: 100, macs: 90, units }
    }

    fn table() -> Value {
        json!({
            "measured": "", "device": "cpu", "threads": 2, "batch": 32,
            "network": {"input": [20], "parameters": 100, "macs": 90, "units": {"a": 4, "b": 6}},
            "dense": 1000, "alone": {"a": [[1, 400], [2, 600]], "b": [[1, 500], [3, 700]]},
            "together": [{"groups": ["a", "b"], "times": [[2, 1, 300], [2, 3, 500]]}],
        })
    }

    fn told(text: &str) -> Result<LatencyTable, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("times.json");
        std::fs::write(&path, text).unwrap();
        let names = ["a".to_owned(), "b".to_owned()];
        let read = LatencyTable::read(&path, &network(), &names, 50);
        read.map_err(|error| {
            let text = error.to_string();
            assert!(error.key == "latency_table" && text.contains("times.json") && text.ends_with(FIX), "{text}");
            text
        })
    }

    #[test]
    fn a_table_of_this_network_is_taken() {
        assert_eq!(told(&table().to_string()).unwrap().networks(), 7);
    }

    #[test]
    fn what_is_wrong_with_a_file_is_named() {
        let whole = table().to_string();
        assert!(told(&whole[..whole.len() / 2]).unwrap_err().contains("is damaged, or no table of times (EOF"));
        let change = |pointer: &str, value: Value| {
            let mut table = table();
            *table.pointer_mut(pointer).unwrap() = value;
            told(&table.to_string()).unwrap_err()
        };
        for (pointer, value, expected) in [
            ("/network/units/a", json!(5), "is of another network (units of a: 5 there, 4 here)"),
            ("/network/units", json!({"a": 4}), "(units of b: 0 there, 6 here)"),
            ("/network/input", json!([4, 5]), "(input: [4, 5] there, [20] here)"),
            ("/network/parameters", json!(99), "(parameters: 99 there, 100 here)"),
            ("/network/macs", json!(91), "(multiply-accumulates: 91 there, 90 here)"),
            ("/batch", json!(64), "batches of 64 examples, and there are 50"),
            ("/dense", json!(0), "every time must be above 0"),
            ("/dense", json!(1.5), "is damaged, or no table of times (invalid type: floating point"),
            ("/alone/a", json!([[2, 600], [1, 400]]), "`alone.a` must rise, from 1 to below 4"),
            ("/alone/b/1/0", json!(6), "`alone.b` must rise, from 1 to below 6"),
            ("/alone", json!({"a": [[1, 400]]}), "`together` of a and b must name two groups of `alone`"),
            ("/together/0/times/1", json!([1, 3, 500]), "every width of the first with every one of the second"),
            ("/together/0/times/1/1", json!(6), "to below 4 and 6"),
        ] {
            let found = change(pointer, value);
            assert!(found.contains(expected), "{pointer}: {found}");
        }
        let mut less = table();
        (less["alone"], less["together"]) = (json!({"a": [[1, 400]]}), json!([]));
        assert!(told(&less.to_string()).unwrap_err().contains("has no times of the unit group b (`alone`)"));
        let mut more = table();
        more["celsius"] = json!(40);
        assert!(told(&more.to_string()).unwrap_err().contains("unknown field `celsius`"));
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let error = LatencyTable::read(Path::new("nowhere/times.json"), &network(), &[], 1).unwrap_err().to_string();
        assert!(error.contains("nowhere/times.json") && error.contains("cannot be read"), "{error}");
    }

    #[test]
    fn a_reader_bears_tables_that_nobody_wrote() {
        let names = ["a".to_owned(), "b".to_owned()];
        secateur_fuzz::bears("latency", &[table().to_string().into_bytes()], |bytes| {
            let Ok(table) = serde_json::from_slice::<LatencyTable>(bytes) else { return 0 };
            if table.fits(&network(), &names, 50).is_ok() {
                for (a, b) in [(0, 0), (1, 2), (3, 4), (4, 6), (usize::MAX, 1)] {
                    assert!(table.nanoseconds([("a", a), ("b", b)]) > 0);
                }
            }
            bytes.len()
        });
    }
}
