//! The search for the sparsest network, and the gap of runs to it, through the command line.

use std::fs;

use serde_json::Value;

use super::scene::Scene;

/// A spiral of one bend, which a unit or two can follow.
const SEARCH: [&str; 12] = [
    "sparsest",
    "search",
    "--quiet",
    "data/cubist-spiral",
    "model/mlp",
    "data.cubist-spiral.per_class=100",
    "data.cubist-spiral.vertices=3",
    "data.train_limit=60",
    "data.validation=0",
    "model.hidden=[2]",
    "train.loss=binary",
    "--accuracy=0.95",
];
const QUICK: [&str; 4] = ["--steps=200", "--seeds=16", "--batch=10", "--lr=0.05"];

fn with(more: &[&'static str]) -> Vec<&'static str> {
    [&SEARCH[..], &QUICK, more].concat()
}

fn json(scene: &Scene, file: &str) -> Value {
    serde_json::from_str(&scene.read(file)).unwrap()
}

#[test]
fn the_sparsest_network_is_found_kept_and_used() {
    let scene = Scene::new();
    let text = scene.done(&with(&["--network=found.safetensors"]));
    let found = json(&scene, "sparsest.json");
    let minimum = found["minimum"].as_u64().unwrap();
    assert!(
        text.contains(&format!("minimum: {minimum} weights separate 0.9500 of 60 examples of cubist-spiral")),
        "{text}"
    );
    assert!(text.contains(&format!("the sparsest network: {minimum} weights")) && text.contains("= relu("), "{text}");
    assert!(text.contains("one that separates the classes from no seed that was tried is missed"), "{text}");

    // The file that was written is that network.
    let data = ["data.name=cubist-spiral", SEARCH[5], SEARCH[6], SEARCH[7], SEARCH[8]];
    let data = data.map(|word| format!("--set={word}"));
    let sets: Vec<&str> = data.iter().map(String::as_str).collect();
    let said = scene.done(&[&["predict", "found.safetensors", "--split", "train"][..], &sets].concat());
    let accuracy: f64 = said.lines().find_map(|line| line.trim().strip_suffix("  accuracy")).unwrap().parse().unwrap();
    assert!(said.contains("60 train examples") && accuracy > 0.93, "{said}");
    // A run begins with it, and keeps its mask.
    let run = ["run", "--quiet", "schedule/never", "init.from=found.safetensors", "train.epochs=1", "train.lr=0.0001"];
    scene.done(&[&run[..], &SEARCH[3..11]].concat());
    let runs = fs::read_dir(scene.path().join("runs")).unwrap();
    let run = runs.map(|run| run.unwrap().path()).find(|run| run.join("summary.json").exists()).unwrap();
    let summary: Value = serde_json::from_str(&fs::read_to_string(run.join("summary.json")).unwrap()).unwrap();
    assert_eq!((&summary["nnz"], &summary["nnz_effective"]), (&minimum.into(), &minimum.into()), "{summary}");

    // The same again does nothing but say it; another search does not go on from it.
    assert_eq!(scene.done(&with(&[])), text.split("\nfound.safetensors").next().unwrap());
    assert_eq!(json(&scene, "sparsest.json"), found);
    let (code, why) = scene.refused(&with(&["--beam=2"]));
    assert!(code == 2 && why.contains("this is the state of another search: other networks are tried"), "{why}");
    let text = scene.done(&with(&["--beam=2", "--state=beam.json"]));
    assert!(text.contains("at most: ") && text.contains("an upper bound of the minimum"), "{text}");

    // The gap of that run, which has no accuracy on its training examples, to the minimum.
    let (code, why) = scene.refused(&["sparsest", "gap", "runs", "--minimum=sparsest.json"]);
    assert!(code == 2 && why.contains("no finished run has train_accuracy and nnz_effective"), "{why}");
    let gap = ["sparsest", "gap", "runs", "--minimum=sparsest.json", "--metric=test_accuracy", "--accuracy=0.5"];
    let text = scene.done(&gap);
    assert!(text.contains("+0") && text.contains(&format!("the search's minimum is {minimum}")), "{text}");
    let all: Value = serde_json::from_str(&scene.done(&[&gap[..], &["--json=-"]].concat())).unwrap();
    assert_eq!(all["groups"][0]["inits"][0]["nnz_effective"], minimum, "{all}");
}

#[test]
fn what_cannot_be_searched_is_refused() {
    let scene = Scene::new();
    for (arguments, code, expected) in [
        (with(&["model.activation=tanh"]), 2, "model.activation = \"tanh\": networks of the search have \"relu\""),
        (with(&["model.bias=false"]), 2, "model.bias = false: networks of the search have biases"),
        (with(&["train.loss=cross-entropy"]), 2, "train.loss: networks of the search have one output"),
        (with(&["model.hidden=[9]"]), 2, "a hidden layer has 9 units\n  allowed: 1 to 8"),
        (with(&["--most=1"]), 2, "more than 1 wirings with 2 weights, which is too many to train"),
        (vec!["sparsest", "search"], 2, "no CONFIG was given"),
        (vec!["sparsest", "gap", "nowhere", "--minimum=no.json"], 2, "no.json: no state of a search"),
    ] {
        let (found, why) = scene.refused(&arguments);
        assert!(found == code && why.contains(expected), "{arguments:?}: {found} {why}");
    }
    let text = scene.done(&with(&["--dry-run", "model.hidden=[3, 3]"]));
    assert!(
        text.contains("weights  networks\n      3         2\n      4         1\n") && text.contains("\n485 "),
        "{text}"
    );
    let text = scene.done(&with(&["--dry-run", "model.hidden=[3, 3]", "--most=50"]));
    assert!(text.contains("     10        54  more than --most 50: the search ends there"), "{text}");
}
