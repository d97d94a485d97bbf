//! Runs that leave another one, through the command line.
//!
//! Longer than 300 lines because all of them are compared with runs of the same few configs.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use serde_json::Value;

/// A run of a moment: eight epochs of nine steps each.
const SMALL: [&str; 5] = [
    "data.glyphs={train=300,test=60}",
    "train.epochs=8",
    "train.batch_size=30",
    "train.momentum=0.5",
    "output.pictures=0",
];

fn secateur(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    let mut command = Command::cargo_bin("secateur").unwrap();
    let output = command.current_dir(folder).args(arguments).env_remove("SECATEUR_DATA").env("HOME", folder).output();
    let output = output.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn folders(of: &Path) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> = fs::read_dir(of).unwrap().map(|entry| entry.unwrap().path()).collect();
    all.retain(|path| path.join("config.toml").is_file());
    all.sort();
    all
}

/// A run under a name of its own, and its folder.
fn run(here: &Path, name: &str, more: &[&str]) -> PathBuf {
    let sets: Vec<String> = SMALL.iter().chain(more).map(|set| format!("--set={set}")).collect();
    let own = [format!("--set=name={name}"), format!("--out={name}")];
    let all = ["run", "experiment/quickstart", "--quiet"].into_iter().map(str::to_owned).chain(own).chain(sets);
    let all: Vec<String> = all.collect();
    let (code, _, errors) = secateur(here, &all.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(code, 0, "{errors}");
    folders(&here.join(name)).remove(0)
}

/// The forks of a run, by the value that they have of a key.
fn forks(here: &Path, run: &Path, at: &str, sets: &[&str]) -> Vec<PathBuf> {
    let run = run.strip_prefix(here).unwrap().to_str().unwrap();
    let sets: Vec<String> = sets.iter().map(|set| format!("--set={set}")).collect();
    let arguments = ["fork", run, "--quiet", "--at", at].into_iter().chain(sets.iter().map(String::as_str));
    let (code, _, errors) = secateur(here, &arguments.collect::<Vec<_>>());
    assert_eq!(code, 0, "{at} {sets:?}: {errors}");
    let parent = Path::new(run).parent().unwrap();
    folders(&here.join(parent).join(format!("{}-at-{}", parent.display(), at.replace(':', "-"))))
}

fn model(run: &Path) -> Vec<u8> {
    fs::read(run.join("model.safetensors")).unwrap()
}

fn json(file: PathBuf) -> Value {
    serde_json::from_slice(&fs::read(file).unwrap()).unwrap()
}

/// What happened in a run, without times and without where it began.
fn events(run: &Path) -> Vec<String> {
    let lines = fs::read_to_string(run.join("events.jsonl")).unwrap();
    let plain = |line: &str| {
        let mut event: Value = serde_json::from_str(line).unwrap();
        let all = event.as_object_mut().unwrap();
        all.remove("seconds");
        all.get_mut("metrics").and_then(Value::as_object_mut).map(|metrics| metrics.remove("seconds_train"));
        // A note says who set what, and a fork's settings stand in a file.
        let counts = event["event"] != "start" && event["event"] != "note";
        counts.then(|| event.to_string())
    };
    lines.lines().filter_map(plain).collect()
}

fn criterion(run: &Path) -> String {
    let config: toml::Table = fs::read_to_string(run.join("config.toml")).unwrap().parse().unwrap();
    config["criterion"]["name"].as_str().unwrap().to_owned()
}

/// Five pruning steps, after the epochs 2 to 6.
const FIVE: &str = "schedule={first=2,every=1,count=5}";

const UNITS: &[&str] = &["criterion.name=contribution-rank", FIVE];
const MASKED: &[&str] = &["criterion.name=contribution-rank", "prune.apply=\"mask\"", FIVE];
const WEIGHTS: &[&str] = &["criterion.name=movement", "prune={granularity=\"weight\",apply=\"mask\"}", FIVE];
const TICKETS: &[&str] = &[
    "criterion.name=magnitude",
    "prune={granularity=\"weight\",apply=\"mask\",scope=\"layer\"}",
    "schedule={name=\"lottery\"}",
];
const GROWING: &[&str] = &[
    "criterion.name=magnitude",
    "prune={granularity=\"weight\",apply=\"mask\"}",
    "schedule={name=\"constant\",every=10,to=0.75}",
    "grow={fraction=0.3,criterion={name=\"gradient\"}}",
    "train.optimizer=adam",
    "train.lr=0.01",
];

#[test]
fn a_fork_with_nothing_changed_ends_with_the_bits_of_the_run_that_never_stopped() {
    for (name, sets, places) in [
        ("units", UNITS, &["prune:1", "prune:3", "prune:5", "step:0", "step:37", "epoch:5"][..]),
        ("weights", WEIGHTS, &["prune:2", "step:41"]),
        ("tickets", TICKETS, &["prune:2"]),
        ("growing", GROWING, &["prune:4", "step:33"]),
    ] {
        let here = tempfile::tempdir().unwrap();
        let expected = run(here.path(), name, sets);
        for at in places {
            let found = forks(here.path(), &expected, at, &[]).remove(0);
            assert!(model(&found) == model(&expected), "{name} at {at}: the weights differ");
            assert_eq!(events(&found), events(&expected), "{name} at {at}");
            let fork = &json(found.join("summary.json"))["fork"];
            assert_eq!((&fork["at"], fork["step"].is_u64()), (&Value::from(*at), true), "{fork}");
        }
    }
}

#[test]
fn a_criterion_of_its_own_sees_what_it_would_have_seen_and_shares_what_came_before() {
    let here = tempfile::tempdir().unwrap();
    let left = run(here.path(), "left", &["criterion.name=magnitude", FIVE]);
    // Until the first pruning step a run knows no criterion: a fork there is the run with that criterion from the start.
    let criteria = ["contribution-rank", "movement", "random", "shuffled", "taylor"];
    let set = format!("criterion.name={}", criteria.join(","));
    for (found, name) in forks(here.path(), &left, "prune:1", &[&set]).iter().map(|run| (run, criterion(run))) {
        let expected = run(here.path(), &format!("whole-{name}"), &[&format!("criterion.name={name}"), FIVE]);
        assert!(model(found) == model(&expected), "{name}: the weights differ");
        assert_eq!(events(found), events(&expected), "{name}");
    }
    // Criteria that look at no training step begin right at the pruning step, those that look back on it earlier.
    let step = |run: &PathBuf| (criterion(run), json(run.join("summary.json"))["fork"]["step"].as_u64().unwrap());
    let found: Vec<(String, u64)> =
        forks(here.path(), &left, "prune:3", &["criterion.name=magnitude,contribution-rank,movement,random"])
            .iter()
            .map(step)
            .collect();
    let expected = [("contribution-rank", 27), ("magnitude", 35), ("movement", 27), ("random", 35)];
    let sorted: BTreeSet<(String, u64)> = found.into_iter().collect();
    assert_eq!(sorted, expected.map(|(name, step)| (name.to_owned(), step)).into());
    let states = fs::read_dir(here.path().join("left/left-at-prune-3/.states")).unwrap();
    let states: Vec<PathBuf> = states.map(|entry| entry.unwrap().path()).collect();
    assert_eq!(states.len(), 1, "one run was repeated, once");
    let group = folders(&here.path().join("left/left-at-prune-3"));
    let before = |run: &Path| -> Vec<String> {
        let at = |event: &String| serde_json::from_str::<Value>(event).unwrap()["step"].as_u64().unwrap();
        events(run).into_iter().filter(|event| at(event) < 35).collect()
    };
    assert!(group.iter().all(|run| before(run) == before(&left)), "the log has all of it");
    let kept = group.iter().find(|run| criterion(run) == "magnitude").unwrap();
    assert!(model(kept) == model(&left), "the criterion that the run had");
    assert!(group.iter().filter(|run| model(run) != model(&left)).count() == 3);
}

#[test]
fn a_forks_config_alone_makes_it_again_and_a_fork_can_be_forked() {
    let here = tempfile::tempdir().unwrap();
    let left = run(here.path(), "left", UNITS);
    let first = forks(here.path(), &left, "prune:2", &["criterion.name=random", "train.lr=0.02"]).remove(0);
    let config = first.join("config.toml");
    let again = |folder: &Path| {
        let (code, _, errors) =
            secateur(folder, &["run", config.to_str().unwrap(), "--quiet", "--out", "again", "--set", "name=again"]);
        assert_eq!(code, 0, "{errors}");
        folders(&folder.join("again")).remove(0)
    };
    // Where the run that was left is not at hand.
    let elsewhere = tempfile::tempdir().unwrap();
    assert!(model(&again(elsewhere.path())) == model(&first));
    let name = first.parent().unwrap().file_name().unwrap().to_str().unwrap().to_owned();
    let folder = here.path().join("second");
    fs::create_dir(&folder).unwrap();
    fs::rename(&first, folder.join("second")).unwrap();
    let (code, _, errors) =
        secateur(here.path(), &["fork", "second/second", "--at", "prune:4", "--out", "third", "--quiet"]);
    assert_eq!(code, 0, "{errors}");
    let third = folders(&here.path().join(format!("third/{name}-at-prune-4"))).remove(0);
    assert!(model(&third) == model(&folder.join("second")), "nothing was changed the second time");
    let (code, _, errors) = secateur(here.path(), &["fork", "second/second", "--at", "prune:1", "--out", "fourth"]);
    assert!(code != 0 && errors.contains("fork the run that it left"), "{errors}");
}

#[test]
fn what_shaped_the_state_is_refused_by_name_with_what_is_allowed() {
    let here = tempfile::tempdir().unwrap();
    let left = run(here.path(), "left", UNITS);
    let run = left.strip_prefix(here.path()).unwrap().to_str().unwrap();
    let refused = |at: &str, set: &str| {
        let (code, out, errors) = secateur(here.path(), &["fork", run, "--at", at, "--set", set]);
        assert!(code != 0, "{at} {set}: {out}{errors}");
        errors
    };
    for (set, key) in [
        ("seed=1,2", "seed"),
        ("model.hidden=[20, 10]", "model.hidden"),
        ("data.glyphs={train=200,test=60}", "data.glyphs.train"),
        ("train.epochs=9", "train.epochs"),
        ("train.batch_size=10", "train.batch_size"),
        ("train.optimizer=adam", "train.optimizer"),
        ("prune.apply=mask", "prune.apply"),
    ] {
        let errors = refused("prune:2", set);
        assert!(errors.contains(&format!("{key}: not a value it can have")), "{set}: {errors}");
        assert!(errors.contains("which it was before the fork: a fork may change criterion, schedule"), "{errors}");
    }
    for (at, expected) in [
        ("prune:6", "allowed: \"prune:1\" to \"prune:5\", since that run prunes 5 times"),
        ("step:80", "a place within the 72 steps and 8 epochs of that run"),
        ("prunes:1", "--at prunes:1: not a place in a run\n  fix: it must be \"prune:N\""),
    ] {
        let errors = refused(at, "criterion.name=random");
        assert!(errors.contains(expected), "{at}: {errors}");
    }
    let errors = refused("prune:4", "schedule={name=\"one-shot\",at=0.9,sparsity=0.8}");
    assert!(
        errors.contains("schedule: not a value it can have") && errors.contains("prunes 3 times before step"),
        "{errors}"
    );
    let (code, _, errors) = secateur(here.path(), &["fork", "left", "--at", "prune:1"]);
    assert!(code == 2 && errors.contains("left: this is not the folder of a run\n  fix: give one"), "{errors}");
    let (code, _, errors) = secateur(here.path(), &["run", "experiment/quickstart", "--set", "fork.at=prune:2"]);
    assert!(code == 2 && errors.contains("fork.before beside it"), "{errors}");
    // Made by another build: what would be repeated is another run.
    let provenance = fs::read_to_string(left.join("provenance.toml")).unwrap();
    fs::write(left.join("provenance.toml"), provenance.replace("\nbuild = \"", "\nbuild = \"0")).unwrap();
    let errors = refused("prune:2", "criterion.name=random");
    assert!(errors.contains("the program's build: ") && errors.contains("--accept-changed"), "{errors}");
    let accepted = ["fork", run, "--at", "prune:2", "--set", "criterion.name=random", "--accept-changed"];
    let (code, _, errors) = secateur(here.path(), &accepted);
    assert_eq!(code, 0, "{errors}");
    let fork = folders(&here.path().join("left/left-at-prune-2")).remove(0);
    let noted = fs::read_to_string(fork.join("provenance.toml")).unwrap();
    assert!(noted.contains("[[accepted]]") && noted.contains("the run that was left"), "{noted}");
}

#[test]
fn a_sweep_forks_its_own_runs_and_the_comparison_knows_it() {
    let here = tempfile::tempdir().unwrap();
    let sets: String = SMALL.iter().chain(&[FIVE]).map(|set| format!("{}\n", set.replacen('=', " = ", 1))).collect();
    let config = format!(
        "extends = [\"experiment/quickstart\"]\n{sets}[sweep]\nseeds = 3\ncontrols = [\"random\", \"unpruned\"]\nfork = {{ at = \"prune:3\" }}\n\
         axes.criterion.name = [\"contribution-rank\", \"magnitude\", \"random\"]\n"
    );
    fs::write(here.path().join("s.toml"), config).unwrap();
    let (code, out, errors) = secateur(here.path(), &["sweep", "s.toml", "--jobs", "2"]);
    assert_eq!(code, 0, "{errors}");
    let all = folders(&here.path().join("runs/s"));
    let states = fs::read_dir(here.path().join("runs/s/.states")).unwrap().count();
    assert_eq!(states, 3, "one for each seed: {out}");
    let summaries: Vec<Value> = all.iter().map(|run| json(run.join("summary.json"))).collect();
    let of = |kind: &str| summaries.iter().filter(|summary| summary["control"] == kind).collect::<Vec<_>>();
    assert!(of("unpruned").iter().all(|summary| summary["fork"].is_null()), "whole runs");
    let random = of("random");
    assert!(random.len() >= 3 && random.iter().all(|summary| summary["fork"]["at"] == "prune:3"));
    for control in random {
        let cell = json(here.path().join("runs/s").join(control["control_of"].as_str().unwrap()).join("summary.json"));
        assert_eq!(control["units"], cell["units"], "the cell's own counts");
    }
    let (code, text, errors) = secateur(here.path(), &["compare", "runs/s", "--json", "-"]);
    assert_eq!(code, 0, "{errors}");
    let found: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(found["by"], serde_json::json!(["criterion.name"]), "{text}");
    for pair in found["pairs"].as_array().unwrap() {
        // 1 - s²(a - b) / (s²(a) + s²(b)), from the runs themselves.
        let values = |label: &Value| -> Vec<f64> {
            let group = found["groups"].as_array().unwrap().iter().find(|group| group["label"] == *label).unwrap();
            let mut runs: Vec<(u64, f64)> = (group["runs"].as_array().unwrap().iter())
                .map(|run| json(Path::new(run.as_str().unwrap()).join("summary.json")))
                .map(|summary| (summary["seed"].as_u64().unwrap(), summary["test_accuracy"].as_f64().unwrap()))
                .collect();
            runs.sort_by_key(|(seed, _)| *seed);
            runs.into_iter().map(|(_, accuracy)| accuracy).collect()
        };
        let (a, b) = (values(&pair["group"]), values(&pair["baseline"]));
        let variance = |all: &[f64]| {
            let mean = all.iter().sum::<f64>() / all.len() as f64;
            all.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (all.len() - 1) as f64
        };
        let differences: Vec<f64> = a.iter().zip(&b).map(|(a, b)| a - b).collect();
        let expected = 1.0 - variance(&differences) / (variance(&a) + variance(&b));
        let removed = pair["common"]["variance_removed"].as_f64().unwrap();
        assert!((removed - expected).abs() < 1e-9, "{removed} {expected}");
        assert!(
            pair["sentence"].as_str().unwrap().contains("were one run up to pruning step 3, which takes"),
            "{pair}"
        );
    }
    let unpruned =
        found["control_pairs"].as_array().unwrap().iter().filter(|pair| pair["baseline"] == "control: unpruned");
    assert!(unpruned.into_iter().all(|pair| pair["common"].is_null()), "{text}");
    let (code, out, _) = secateur(here.path(), &["sweep", "s.toml"]);
    assert!(code == 0 && out.contains("0 cells finished now"), "{out}");
}

/// A run that begins with given weights: prunes nothing, and hardly trains.
fn begun(here: &Path, name: &str, more: &[&str]) -> PathBuf {
    let still = ["schedule={name=\"never\"}", "train.lr=1e-12", "train.epochs=1", "train.weight_decay=0"];
    run(here, name, &[&still[..], more].concat())
}

fn summary(run: &Path) -> Value {
    json(run.join("summary.json"))
}

#[test]
fn a_run_begins_with_the_network_that_another_one_left() {
    let here = tempfile::tempdir().unwrap();
    for (name, sets, drops) in [("units", UNITS, false), ("masked-units", MASKED, true), ("weights", WEIGHTS, true)] {
        let left = run(here.path(), name, sets);
        let from = format!("init.from=\"{}\"", left.display());
        // Without its schedule.
        let sets = &sets[..sets.len() - 1];
        let kept = begun(here.path(), &format!("kept-{name}"), &[sets, &[from.as_str()]].concat());
        let (there, found) = (summary(&left), summary(&kept));
        for key in ["test_accuracy", "params_kept", "params_dense", "sparsity", "units"] {
            assert_eq!(found.get(key), there.get(key), "{name}: {key}");
        }
        let dropped = begun(here.path(), &format!("dropped-{name}"), &[sets, &[&from, "init.masks=\"drop\""]].concat());
        let found = summary(&dropped);
        assert_eq!(found["test_accuracy"], there["test_accuracy"], "{name}: what was pruned is zero at first");
        let whole = found["params_kept"] == found["params_dense"];
        assert!(whole, "{name}: nothing counts as pruned {found}");
        assert_eq!(found["params_kept"] != there["params_kept"], drops, "{name}");
        // Pruning goes on from there, with the units or masks that are left.
        let on = "schedule={name=\"one-shot\",at=0.5,sparsity=0.9}";
        let on = run(here.path(), &format!("on-{name}"), &[sets, &[&from, on]].concat());
        assert!(summary(&on)["params_kept"].as_u64() < there["params_kept"].as_u64(), "{name}");
    }
}

#[test]
fn the_content_of_given_weights_makes_the_run_and_not_their_place() {
    let here = tempfile::tempdir().unwrap();
    let left = run(here.path(), "left", &["seed=5", FIVE]);
    let (one, other) = (here.path().join("one.safetensors"), here.path().join("other.safetensors"));
    fs::copy(left.join("model.safetensors"), &one).unwrap();
    fs::copy(&one, &other).unwrap();
    let from = |path: &Path| format!("init.from=\"{}\"", path.display());
    let first = begun(here.path(), "it", &[&from(&one)]);
    let found = forks(here.path(), &first, "step:4", &[]).remove(0);
    assert!(model(&found) == model(&first), "a fork begins with them too");
    begun(here.path(), "it", &[&from(&other)]);
    assert_eq!(folders(&here.path().join("it")).len(), 1, "the same run");
    fs::copy(run(here.path(), "another", &["seed=6", FIVE]).join("model.safetensors"), &one).unwrap();
    begun(here.path(), "it", &[&from(&one)]);
    assert_eq!(folders(&here.path().join("it")).len(), 2, "another file under the same path");
    let provenance = fs::read_to_string(first.join("provenance.toml")).unwrap();
    assert!(provenance.contains("\ninit = \""), "{provenance}");
}

#[test]
fn weights_that_do_not_fit_are_refused_with_what_is_left_on_both_sides() {
    let here = tempfile::tempdir().unwrap();
    let left = run(here.path(), "left", &["model.hidden=[20,10]", "schedule={name=\"never\"}"]);
    let file = left.join("model.safetensors");
    let from = format!("init.from=\"{}\"", file.display());
    fs::write(here.path().join("cut.pt"), &fs::read(&file).unwrap()[..1000]).unwrap();
    for (sets, expected) in [
        (&["init.from=\"none.pt\""][..], &["init.from: ", "none.pt: No such file"][..]),
        (&["init.from=\"cut.pt\""], &["neither a whole safetensors file"]),
        (&["init.from=\"left\""], &["left/model.safetensors: No such file"]),
        (&[&from, "model.hidden=[20]"], &["it is not this network: in the file and not used: fc3.weight [10, 10]\n"]),
        (
            &[&from, "init.names={\"fc9.*\"=\"fc1.*\"}"],
            &["init.names.\"fc9.*\": ", "no tensor of the file has such a name"],
        ),
        (&[&from, "init.names={\"fc1.weight\"=\"fc1.wait\"}"], &["unknown parameter; did you mean `fc1.weight`?"]),
        (&[&from, "init.names={\"fc2.weight\"=\"fc1.weight\"}"], &["would both be `fc1.weight`"]),
        (&[&from, "init.names={\"fc1.*\"=\"fc1\"}"], &["must have 1 `*`"]),
        (&["init.from=\"\""], &["must name a file"]),
    ] {
        let sets: Vec<String> = sets.iter().map(|set| format!("--set={set}")).collect();
        let all = ["run", "experiment/quickstart", "--quiet", "--set=model.hidden=[20,10]"].into_iter();
        let (code, _, errors) = secateur(here.path(), &all.chain(sets.iter().map(String::as_str)).collect::<Vec<_>>());
        let told = expected.iter().all(|text| errors.contains(text));
        assert!(
            code == 2 && told && errors.contains("fix: ") | errors.contains("allowed: "),
            "{sets:?}: {code} {errors}"
        );
    }
    let loose = begun(here.path(), "loose", &[&from, "model.hidden=[20,12]", "init.strict=false"]);
    let notes = summary(&loose)["notes"].to_string();
    assert!(notes.contains("init.strict = false: of another shape: fc2.weight is [12, 20] here"), "{notes}");
}
