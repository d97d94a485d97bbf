//! Runs that differ in their data alone.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use secateur::information::Estimate;
use serde::Serialize;

use super::steep::Lipschitz;
use crate::experiments::compare::{Flat, flat, telling, value};
use crate::experiments::record::Record;

/// The section of seeds; each is `seed` where it is not set.
const SEEDS: &str = "seeds.";
/// Seeds that say how a network is made of its data: the same within a group.
const HELD: [&str; 3] = ["seeds.init", "seeds.order", "seeds.pruner"];
/// Seeds that say which data it is.
const OF_DATA: [&str; 2] = ["seeds.data", "seeds.split"];

/// Runs with one initialisation, order and pruner seed, and one setting.
#[derive(Debug)]
pub struct Group {
    /// What tells it apart from the other groups; empty for the only one.
    pub label: String,
    /// The keys of the label.
    pub settings: Flat,
    /// The records' places, each with the data set that made it, counted from 0.
    pub runs: Vec<(usize, usize)>,
}

/// What is said of a group.
#[derive(Debug, Serialize)]
pub struct Found {
    /// What tells it apart.
    pub label: String,
    /// The keys of the label.
    pub settings: Flat,
    /// Folders of its runs.
    pub runs: Vec<PathBuf>,
    /// What its masks tell.
    pub estimate: Estimate,
    /// How steep its networks may be, where they are fully connected.
    pub lipschitz: Option<Lipschitz>,
}

/// Groups, and what was left out of them.
#[derive(Debug, Default)]
pub struct Grouped {
    /// Groups of at least two data sets.
    pub groups: Vec<Group>,
    /// What a reader should know.
    pub notes: Vec<String>,
}

/// Whether a key is a seed of the run, or the section of its seeds, which may be there and empty.
fn of_seeds(key: &str) -> bool {
    key == "seed" || key == "seeds" || key.starts_with(SEEDS)
}

/// Whether a key says which data a run has.
fn of_data(key: &str) -> bool {
    OF_DATA.contains(&key) || (key.starts_with("data.") && key.ends_with("seed"))
}

/// A config apart from its seeds, and those seeds as they act.
struct Told {
    /// Everything but seeds and what is repeated.
    setting: Flat,
    held: Flat,
    data: Flat,
    /// The values of what is repeated.
    repeated: Flat,
}

impl Told {
    /// Seeds that draw nothing in this run are no data: runs that differ in them alone have one data set.
    fn of(config: &Flat, idle: &[&str], repeats: &[String]) -> Self {
        let run = value(config, "seed").to_owned();
        let seed = |key: &&str| ((*key).to_owned(), config.get(*key).cloned().unwrap_or_else(|| run.clone()));
        let held: Flat = HELD.iter().map(seed).collect();
        let mut data: Flat = OF_DATA.iter().map(seed).collect();
        data.extend(config.iter().filter(|(key, _)| of_data(key)).map(|(key, value)| (key.clone(), value.clone())));
        data.retain(|key, _| !idle.contains(&key.as_str()));
        let (repeated, held) = held.into_iter().partition(|(key, _)| repeats.contains(key));
        let mut told = Self { setting: Flat::new(), held, data, repeated };
        for (key, value) in config.iter().filter(|(key, _)| !of_seeds(key) && !of_data(key)) {
            let to = if repeats.contains(key) { &mut told.repeated } else { &mut told.setting };
            to.insert(key.clone(), value.clone());
        }
        told
    }
}

/// Seeds of the data that draw nothing in a run, as the run itself noted.
fn idle(record: &Record) -> Vec<&'static str> {
    let notes = record.summary.get("notes").and_then(|notes| notes.as_array());
    let notes: Vec<&str> = notes.into_iter().flatten().filter_map(|note| note.as_str()).collect();
    let said = |key: &&str| notes.iter().any(|note| note.starts_with(*key) && note.contains(" does nothing here"));
    OF_DATA.into_iter().filter(said).collect()
}

/// Sorts finished runs into groups that differ in their data alone; `repeats` are keys whose values are repetitions.
///
/// # Errors
/// No run is finished, or no group has two data sets; a key that no run has.
pub fn grouped(records: &[Record], repeats: &[String]) -> Result<Grouped, String> {
    let mut notes = Vec::new();
    let usable = |record: &Record| record.status == "finished" && record.control.is_none();
    let count = |status: &str, control: bool| {
        records.iter().filter(|record| record.status == status && record.control.is_some() == control).count()
    };
    for (one, several, count) in [
        ("run that failed", "runs that failed", count("failed", false) + count("failed", true)),
        ("run that is not finished", "runs that are not finished", count("unfinished", false)),
        ("control of a sweep", "controls of sweeps", count("finished", true)),
    ] {
        if count > 0 {
            notes.push(format!("left out: {count} {}", if count == 1 { one } else { several }));
        }
    }
    notes.extend(
        records
            .iter()
            .filter(|record| record.status == "damaged")
            .filter_map(|record| Some(format!("left out: {}", record.error.as_deref()?.lines().next()?))),
    );
    let configs: Vec<(usize, Flat)> = records
        .iter()
        .enumerate()
        .filter(|(_, record)| usable(record))
        .map(|(place, record)| (place, flat(&record.config)))
        .collect();
    if configs.is_empty() {
        let fix = "name folders that hold finished runs";
        return Err(format!("there is no finished run with a mask\n  {}\n  fix: {fix}", notes.join("\n  ")));
    }
    for key in repeats {
        if of_data(key) || key == "seed" || key == "seeds.init" {
            let fix = "repeat what neither draws the data nor the initialisation, such as seeds.order";
            return Err(format!("--repeats {key}: runs with other values of it are no repetitions\n  fix: {fix}"));
        }
        if !HELD.contains(&key.as_str()) && !configs.iter().any(|(_, config)| config.contains_key(key)) {
            return Err(format!("--repeats {key}: no run has that key\n  fix: name one, such as seeds.order"));
        }
    }
    let of = |(place, config): &(usize, Flat)| (*place, Told::of(config, &idle(&records[*place]), repeats));
    let told: Vec<(usize, Told)> = configs.iter().map(of).collect();
    let drawn_from: BTreeSet<&str> = configs.iter().flat_map(|(place, _)| idle(&records[*place])).collect();
    if !drawn_from.is_empty() {
        let keys = drawn_from.into_iter().collect::<Vec<_>>().join(" and ");
        notes.push(format!(
            "{keys} draws nothing in some of these runs, as their notes say: it makes no data sets there"
        ));
    }
    let mut all: BTreeMap<(&Flat, &Flat), Vec<&(usize, Told)>> = BTreeMap::new();
    told.iter().for_each(|run| all.entry((&run.1.setting, &run.1.held)).or_default().push(run));
    let settings: Vec<Flat> =
        all.keys().map(|(setting, held)| (*setting).clone().into_iter().chain((*held).clone()).collect()).collect();
    let keys = telling(&settings.iter().collect::<Vec<_>>(), &[]);
    let (mut groups, mut alone) = (Vec::new(), Vec::new());
    for (config, ((setting, _), runs)) in settings.iter().zip(&all) {
        let shown: Flat = keys.iter().map(|key| (key.clone(), value(config, key).to_owned())).collect();
        let label = keys.iter().map(|key| format!("{} {}", short(key), value(config, key))).collect::<Vec<_>>();
        let label = label.join(", ");
        let mut data: BTreeMap<&Flat, BTreeMap<&Flat, usize>> = BTreeMap::new();
        for (place, told) in runs {
            let same = data.entry(&told.data).or_default().insert(&told.repeated, *place);
            if let Some(other) = same {
                let (a, b) = (records[other].folder.display(), records[*place].folder.display());
                notes.push(format!("left out: {a}: {b} was told the same"));
            }
        }
        if data.len() < 2 {
            alone.push((*setting, label));
            continue;
        }
        let runs = data.values().enumerate().flat_map(|(set, runs)| runs.values().map(move |place| (*place, set)));
        groups.push(Group { label, settings: shown, runs: runs.collect() });
    }
    let varied = varied(&told);
    if groups.is_empty() {
        let fix = "hold the initialisation and draw the data again: secateur sweep CONFIG seeds.init=0 seeds.order=0 \
                   seeds.pruner=0 seeds.data=0,1,2,3";
        return Err(format!("no two runs differ in their data alone{varied}\n  fix: {fix}"));
    }
    if !alone.is_empty() {
        let labels: Vec<String> = alone.into_iter().map(|(_, label)| label).collect();
        notes.push(format!("one data set only, so nothing to tell: {}{varied}", labels.join("; ")));
    }
    Ok(Grouped { groups, notes })
}

/// In which of the seeds that must be held runs of one setting differ, as the end of a sentence.
fn varied(told: &[(usize, Told)]) -> String {
    let mut by_setting: BTreeMap<&Flat, BTreeMap<&str, BTreeSet<&str>>> = BTreeMap::new();
    for (_, told) in told {
        let seeds = by_setting.entry(&told.setting).or_default();
        told.held.iter().for_each(|(key, value)| _ = seeds.entry(key).or_default().insert(value));
    }
    let several = by_setting.values().flat_map(|seeds| seeds.iter()).filter(|(_, values)| values.len() > 1);
    let keys: BTreeSet<&str> = several.map(|(key, _)| *key).collect();
    if keys.is_empty() {
        return String::new();
    }
    let keys: Vec<&str> = keys.into_iter().collect();
    format!("; runs of one setting differ in {}, which is `seed` unless it is set", keys.join(", "))
}

/// A key as labels have it: the name of a plugin's section, or the last part.
fn short(key: &str) -> &str {
    match key.strip_suffix(".name") {
        Some(section) => section,
        None if key.starts_with(SEEDS) => key,
        None => key.rsplit('.').next().unwrap_or(key),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// A finished run with a criterion, a seed and seeds.
    fn run(criterion: &str, seed: u64, seeds: Value) -> Record {
        let config = json!({ "seed": seed, "seeds": seeds, "criterion": { "name": criterion } });
        let config = config.as_object().unwrap().clone();
        Record {
            status: "finished".to_owned(),
            config,
            folder: format!("{criterion}-{seed}").into(),
            ..Record::default()
        }
    }

    fn labels(found: &Grouped) -> Vec<(&str, Vec<(usize, usize)>)> {
        found.groups.iter().map(|group| (group.label.as_str(), group.runs.clone())).collect()
    }

    #[test]
    fn a_group_has_one_initialisation_and_several_data_sets() {
        let held = json!({ "init": 0, "order": 0, "pruner": 0 });
        let runs: Vec<Record> = ["magnitude", "random"]
            .into_iter()
            .flat_map(|criterion| (0..3).map(|seed| run(criterion, seed, held.clone())).collect::<Vec<_>>())
            .collect();
        let found = grouped(&runs, &[]).unwrap();
        let expected =
            [("criterion magnitude", vec![(0, 0), (1, 1), (2, 2)]), ("criterion random", vec![(3, 0), (4, 1), (5, 2)])];
        assert_eq!(labels(&found), expected);
        // `seeds.data` instead of `seed`, and two initialisations.
        let of = |init: u64, data: u64| run("snip", 0, json!({ "init": init, "data": data }));
        let found = grouped(&[of(1, 1), of(1, 2), of(2, 1), of(2, 2)], &[]).unwrap();
        assert_eq!(labels(&found), [("seeds.init 1", vec![(0, 0), (1, 1)]), ("seeds.init 2", vec![(2, 0), (3, 1)])]);
    }

    #[test]
    fn other_initialisations_are_told() {
        let runs: Vec<Record> = (0..3).map(|seed| run("magnitude", seed, json!({}))).collect();
        let why = grouped(&runs, &[]).unwrap_err();
        let expected = "no two runs differ in their data alone; runs of one setting differ in seeds.init, seeds.order, \
                        seeds.pruner, which is `seed` unless it is set\n  fix: hold the initialisation";
        assert!(why.starts_with(expected), "{why}");
        // One that is held, and another seed of the whole run.
        let mut more: Vec<Record> = (0..2)
            .map(|seed| run("magnitude", 0, json!({ "data": seed, "init": 0, "order": 0, "pruner": 0 })))
            .collect();
        more.push(run("magnitude", 7, json!({})));
        let found = grouped(&more, &[]).unwrap();
        assert_eq!(found.groups.len(), 1);
        assert!(found.notes[0].starts_with("one data set only, so nothing to tell: seeds.init 7"), "{:?}", found.notes);
    }

    #[test]
    fn a_seed_that_draws_nothing_makes_no_data_sets() {
        let of = |data: u64, note: &str| {
            let mut record = run("snip", 0, json!({ "data": data }));
            record.summary.insert("notes".to_owned(), json!([note]));
            record
        };
        let found = grouped(&[of(1, "x"), of(2, "x"), of(3, "x")], &[]).unwrap();
        assert_eq!(labels(&found), [("", vec![(0, 0), (1, 1), (2, 2)])]);
        let note = "seeds.data = 1 does nothing here: \"mnist\" is not generated from it.";
        let why = grouped(&[of(1, note), of(2, note), of(3, note)], &[]).unwrap_err();
        assert!(why.starts_with("no two runs differ in their data alone"), "{why}");
    }

    #[test]
    fn repetitions_have_the_data_set_of_their_own() {
        let of = |data: u64, order: u64| run("imp", 0, json!({ "data": data, "order": order }));
        let runs = [of(1, 1), of(1, 2), of(2, 1), of(2, 2), of(2, 2)];
        let found = grouped(&runs, &["seeds.order".to_owned()]).unwrap();
        assert_eq!(labels(&found), [("", vec![(0, 0), (1, 0), (2, 1), (4, 1)])]);
        assert!(found.notes[0].contains("was told the same"), "{:?}", found.notes);
        // Without it, each order is a setting.
        assert_eq!(grouped(&runs, &[]).unwrap().groups.len(), 2);
        for (key, why) in
            [("seeds.data", "no repetitions"), ("seeds.init", "no repetitions"), ("train.x", "no run has")]
        {
            assert!(grouped(&runs, &[key.to_owned()]).unwrap_err().contains(why), "{key}");
        }
    }

    #[test]
    fn the_seed_of_a_generator_is_one_of_data() {
        assert!(of_data("data.spiral.seed") && of_data("data.noise.seed") && of_data("seeds.split"));
        assert!(!of_data("data.noise.std") && !of_data("seeds.init") && !of_data("seed"));
    }
}
