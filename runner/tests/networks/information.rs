//! What masks tell of their data, from the folders of runs and of the toy.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::scene::Scene;

/// Half of the weights are masked.
const WEIGHTS: [&str; 3] = ["--set=prune.granularity=weight", "--set=prune.apply=mask", "--set=model.hidden=[12]"];

/// Copies a run into `runs/NAME/`, as one that drew its data from the seed `data` and held the others.
fn as_if(scene: &Scene, run: &str, name: &str, data: u64) -> PathBuf {
    let folder = scene.path().join(format!("runs/{name}/{data}"));
    fs::create_dir_all(&folder).unwrap();
    let held = format!("[seeds]\ninit = 0\norder = 0\npruner = 0\nsplit = 0\ndata = {data}\n");
    fs::write(folder.join("config.toml"), scene.read(&format!("{run}/config.toml")) + &held).unwrap();
    let mut summary = scene.summary(run);
    // Its seals are those of the config as it was.
    ["sha256", "config_sha256", "events_sha256"]
        .iter()
        .for_each(|seal| _ = summary.as_object_mut().unwrap().remove(*seal));
    fs::write(folder.join("summary.json"), summary.to_string()).unwrap();
    ["model.safetensors", "events.jsonl"]
        .iter()
        .for_each(|file| _ = fs::copy(scene.path().join(run).join(file), folder.join(file)).unwrap());
    folder
}

/// Everything below a folder.
fn files(folder: &Path) -> BTreeSet<PathBuf> {
    let all = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    all.flat_map(|path| if path.is_dir() { files(&path) } else { BTreeSet::from([path]) }).collect()
}

fn json(scene: &Scene, arguments: &[&str]) -> Value {
    let text = scene.done(&[&["information"], arguments, &["--json", "-"]].concat());
    serde_json::from_str(&text).unwrap()
}

#[test]
fn masks_of_runs_tell_what_they_can() {
    let scene = Scene::new();
    let run = |criterion: &str, seed: u64| {
        let sets = [format!("--set=criterion.name={criterion}"), format!("--set=seed={seed}")];
        scene.run(&[&WEIGHTS[..], &sets.each_ref().map(String::as_str)].concat())
    };
    let magnitude: Vec<String> = (0..3).map(|seed| run("magnitude", seed)).collect();
    // Runs as they are differ in everything that is drawn.
    let (code, why) = scene.refused(&["information", "runs"]);
    assert!(code == 2 && why.contains("differ in seeds.init, seeds.order, seeds.pruner"), "{why}");
    assert!(why.contains("fix: hold the initialisation and draw the data again: secateur sweep CONFIG seeds.init=0"));
    magnitude.iter().enumerate().for_each(|(data, run)| _ = as_if(&scene, run, "m", data as u64));
    // At a fixed pruner seed, random draws the same mask whatever the data is.
    let random = run("random", 0);
    (0..3).for_each(|data| _ = as_if(&scene, &random, "r", data));
    let before = files(scene.path());
    let found = json(&scene, &["runs/m", "runs/r"]);
    assert_eq!(files(scene.path()), before, "nothing is written");
    let nnz = scene.summary(&random)["nnz"].as_f64().unwrap();
    let [m, r] = [0, 1].map(|i| &found["groups"][i]);
    assert_eq!((&m["settings"]["criterion.name"], m["runs"].as_array().unwrap().len()), (&"magnitude".into(), 3));
    assert_eq!(m["label"], "criterion magnitude");
    let three = 3.0_f64.log2();
    let near = |value: &Value, expected: f64| (value.as_f64().unwrap() - expected).abs() < 1e-9;
    let of = &m["estimate"];
    assert!(near(&of["plug_in"], three) && near(&of["ceiling"], three) && of["data_sets"] == 3, "{of}");
    assert!(near(&of["identified"]["bits"], three) && of["identified"]["procedure"] == "known", "{of}");
    assert!(near(&of["p_eff"]["at_least"], nnz + three), "{of}");
    assert!(of["p_eff"]["at_most"].as_f64().unwrap() > nnz + three, "{of}");
    let of = &r["estimate"];
    assert!(of["distinct"] == 1 && near(&of["plug_in"], 0.0) && near(&of["at_most"]["sum_of_weights"], 0.0), "{of}");
    assert!(near(&of["p_eff"]["at_least"], nnz) && near(&of["p_eff"]["at_most"], nnz), "{of}");
    assert!(near(&of["overlap"]["jaccard"], 1.0), "{of}");
    // How steep the networks may be, and must be for as many effective parameters.
    let of = &m["lipschitz"];
    let [least, mean, most] = ["least", "mean", "most"].map(|key| of[key].as_f64().unwrap());
    assert!(0.0 < least && least < mean && mean < most, "{of}");
    let start: Value = serde_json::from_str(scene.read("runs/m/0/events.jsonl").lines().next().unwrap()).unwrap();
    assert_eq!(of["examples"], start["examples"]);
    let points = start["examples"].as_f64().unwrap() * of["features"].as_f64().unwrap();
    let p_eff = ["at_most", "at_least"].map(|key| m["estimate"]["p_eff"][key].as_f64().unwrap());
    let needed = [0, 1].map(|i| (points / p_eff[i]).sqrt());
    assert!(near(&of["needed"][0], needed[0]) && near(&of["needed"][1], needed[1]), "{of}");
    let text = scene.done(&["information", "runs/m", "runs/r"]);
    for expected in [
        "criterion magnitude",
        "criterion random",
        "Lipschitz at most",
        "effective parameters = nnz + information: bits are added to a count of weights",
        "nearly every data set has a mask of its own, so that 3 data sets cannot show more than log2 3 = 1.58 bits",
    ] {
        assert!(text.contains(expected), "{expected} is not in {text}");
    }
    // What is not what its summary says is left out, and so is what has another shape.
    fs::copy(
        scene.path().join(&magnitude[0]).join("model.safetensors"),
        scene.path().join("runs/r/1/model.safetensors"),
    )
    .unwrap();
    let mut summary: Value = serde_json::from_str(&scene.read("runs/r/2/summary.json")).unwrap();
    summary["nnz"] = 1.into();
    fs::write(scene.path().join("runs/r/2/summary.json"), summary.to_string()).unwrap();
    let found = json(&scene, &["runs/r"]);
    assert_eq!(found["groups"][0]["runs"].as_array().unwrap().len(), 2);
    assert!(found["notes"][0].as_str().unwrap().contains("and its summary says 1"), "{}", found["notes"]);
    fs::remove_file(scene.path().join("runs/r/1/model.safetensors")).unwrap();
    let (code, why) = scene.refused(&["information", "runs/r"]);
    assert!(code == 2 && why.contains("no masks of two data sets"), "{why}");
}

#[test]
fn networks_of_other_shapes_are_not_compared() {
    let scene = Scene::new();
    let runs = [0.5, 0.6].map(|sparsity| scene.run(&[&format!("--set=schedule.sparsity={sparsity}")]));
    // One setting, as if its units had been cut out by the data.
    let own = scene.read(&format!("{}/config.toml", runs[0]));
    fs::write(scene.path().join(&runs[1]).join("config.toml"), own).unwrap();
    runs.iter().enumerate().for_each(|(data, run)| _ = as_if(&scene, run, "s", data as u64));
    let (code, why) = scene.refused(&["information", "runs/s"]);
    assert!(code == 2 && why.contains("units were cut out of it, so that it has no mask of them"), "{why}");
}

#[test]
fn the_toy_is_told_exactly() {
    let scene = Scene::new();
    let toy = ["--toy", "--points", "2", "--steps", "20", "--inits", "0,4", "--sample", "16"];
    let found = json(&scene, &toy);
    assert_eq!((&found["data_sets"], &found["problems"]), (&256.into(), &136.into()));
    let exact = found["exact"].as_array().unwrap();
    assert_eq!(exact.len(), 12, "six pruners, two initialisations");
    for one in exact {
        let bits = one["information"].as_f64().unwrap();
        let sees = !["synflow", "random"].contains(&one["pruner"].as_str().unwrap());
        assert!(if sees { bits > 0.5 } else { bits == 0.0 }, "{one}");
        assert!((one["p_eff"].as_f64().unwrap() - 7.0 - bits).abs() < 1e-12 && one["sample"]["masks"] == 16, "{one}");
    }
    let text =
        scene.done(&["information", "--toy", "--draw", "distinct", "--points", "1", "--steps", "5", "--sample=0"]);
    assert!(text.contains("all 16 equally likely data sets, which pose 16 training problems"), "{text}");
    for (arguments, expected) in [
        (&["--toy", "--nnz", "22"][..], "nnz is 22\n  allowed: 1 to 21"),
        (&["--toy", "--points", "10"], "points is 10\n  allowed: at most 9"),
        (&["--toy", "--pruners", "worst"], "allowed: imp, magnitude, snip, grasp, synflow, random"),
        (&["runs", "--points", "3"], "cannot be used with"),
        (&["--points", "3"], "--toy"),
        (&["runs", "--toy"], "cannot be used with"),
        (&["nowhere"], "nowhere: there is no such folder"),
        (&[], "<DIR>"),
    ] {
        let (code, why) = scene.refused(&[&["information"], arguments].concat());
        assert!(code == 2 && why.contains(expected), "{arguments:?}: {why}");
    }
}
