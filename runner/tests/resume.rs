//! Runs that are interrupted, killed and resumed through the command line.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "common/program.rs"]
mod program;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use program::{ended, outcome, secateur, signal, text, wait_until};
use serde_json::Value;

/// A few seconds long, so that it can be caught on its way; prunes early and late.
const LONG: [&str; 8] = [
    "run",
    "experiment/quickstart",
    "--quiet",
    "--set=data.glyphs={train=600,test=100}",
    "--set=train.epochs=250",
    "--set=train.batch_size=60",
    "--set=schedule.first=20",
    "--set=schedule.every=30",
];

fn long(folder: &Path, more: &[&str]) -> Command {
    secateur(folder, &[&LONG[..], more].concat())
}

fn run_in(folder: &Path) -> Option<PathBuf> {
    Some(fs::read_dir(folder.join("runs")).ok()?.next()?.unwrap().path())
}

/// Kinds and steps of a run's events; those of `start` depend on how often it was resumed.
fn events(run: &Path) -> Vec<(String, u64)> {
    let of = |line: &str| {
        let event: Value = serde_json::from_str(line).unwrap();
        (event["event"].as_str().unwrap().to_owned(), event["step"].as_u64().unwrap())
    };
    text(run.join("events.jsonl")).lines().map(of).filter(|(kind, _)| kind != "start").collect()
}

#[test]
fn an_interrupted_and_then_killed_run_ends_like_one_that_was_left_alone() {
    let (alone, broken) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    assert_eq!(ended(long(alone.path(), &[]).output().unwrap()).0, Some(0));
    let expected = run_in(alone.path()).unwrap();

    let mut child = long(broken.path(), &["--set=output.checkpoint_every=5"]).spawn().unwrap();
    wait_until("epoch 40", &mut child, || {
        run_in(broken.path()).is_some_and(|run| text(run.join("events.jsonl")).contains("\"epoch\":40"))
    });
    signal(&child, "-INT");
    let (code, message) = ended(child.wait_with_output().unwrap());
    assert_eq!(code, Some(130), "{message}");
    let run = run_in(broken.path()).unwrap();
    assert!(message.contains("go on with: secateur run --resume runs/quickstart-"), "{message}");
    assert!(text(run.join("summary.json")).contains("\"interrupted\""));

    // The same command again destroys nothing.
    let (code, message) = ended(long(broken.path(), &[]).output().unwrap());
    assert_eq!(code, Some(2), "{message}");
    assert!(message.contains("go on with it: secateur run --resume") && message.contains("--force"), "{message}");

    let resume = ["run", "--quiet", "--set=output.checkpoint_every=5", "--resume", run.to_str().unwrap()];
    let mut child = secateur(broken.path(), &resume).spawn().unwrap();
    wait_until("epoch 120", &mut child, || text(run.join("events.jsonl")).contains("\"epoch\":120"));
    signal(&child, "-KILL");
    child.wait().unwrap();

    let (code, message) = ended(secateur(broken.path(), &resume).output().unwrap());
    assert_eq!(code, Some(0), "{message}");
    let model = |run: &Path| fs::read(run.join("model.safetensors")).unwrap();
    assert!(model(&run) == model(&expected), "the weights differ");
    assert_eq!(events(&run), events(&expected));
    assert!(!run.join("checkpoint").exists(), "a finished run needs none");

    // As a process leaves it that is killed between its summary and that.
    fs::create_dir(run.join("checkpoint")).unwrap();
    fs::write(run.join("checkpoint/state.safetensors"), "left").unwrap();
    let (code, message) = outcome(broken.path(), &["run", "--resume", run.to_str().unwrap()]);
    assert!(code == Some(0) && message.contains("finished before"), "{message}");
    assert!(!run.join("checkpoint").exists() && model(&run) == model(&expected));
}

#[test]
fn what_cannot_be_resumed_says_why() {
    let here = tempfile::tempdir().unwrap();
    let mut child = long(here.path(), &["--set=output.checkpoint_every=1"]).spawn().unwrap();
    wait_until("a checkpoint", &mut child, || {
        run_in(here.path()).is_some_and(|run| run.join("checkpoint/state.safetensors").exists())
    });
    signal(&child, "-KILL");
    child.wait().unwrap();
    let run = run_in(here.path()).unwrap();
    let refused = |arguments: &[&str]| outcome(here.path(), arguments);
    let dir = run.to_str().unwrap();

    let (code, message) = refused(&["run", "--resume", dir, "--set=train.lr=0.5"]);
    assert_eq!(code, Some(2), "{message}");
    assert!(
        message.contains("of another config") && message.contains("train.lr: ") && message.contains("0.5 here"),
        "{message}"
    );

    let (code, message) = refused(&["run", "--resume", "nowhere"]);
    assert_eq!(code, Some(1), "{message}");
    assert!(message.contains("nowhere: not the folder of a run") && message.contains("fix: "), "{message}");

    let state = run.join("checkpoint/state.safetensors");
    let whole = fs::read(&state).unwrap();
    fs::write(&state, &whole[..whole.len() / 2]).unwrap();
    let (code, message) = refused(&["run", "--resume", dir]);
    assert_eq!(code, Some(1), "{message}");
    assert!(message.contains("state.safetensors: the checkpoint is damaged or cut short"), "{message}");
    assert!(message.contains("--force"), "{message}");

    fs::remove_file(&state).unwrap();
    let (_, message) = refused(&["run", "--resume", dir]);
    assert!(message.contains("this run left no checkpoint"), "{message}");
}

#[test]
fn a_run_that_measured_times_leaves_them_and_is_repeated_by_them() {
    let here = tempfile::tempdir().unwrap();
    let small = ["data.glyphs={train=200,test=60}", "train.epochs=4", "schedule.first=2", "schedule.fraction=0.000001"];
    let timed = ["prune={target=\"milliseconds\",rounding=\"floor-pruned\"}", "criterion.name=magnitude"];
    let run = |name: &str, more: &str| {
        let name = format!("--set=name={name}");
        let mut arguments = vec!["run", "experiment/quickstart", name.as_str()];
        let sets: Vec<String> = small.iter().chain(&timed).chain([&more]).map(|set| format!("--set={set}")).collect();
        arguments.extend(sets.iter().map(String::as_str));
        let output = secateur(here.path(), &arguments).output().unwrap();
        let told = String::from_utf8(output.stdout.clone()).unwrap();
        let (code, errors) = ended(output);
        assert_eq!(code, Some(0), "{errors}");
        let folder = fs::read_dir(here.path().join("runs")).unwrap().map(|entry| entry.unwrap().path());
        let folder = folder.into_iter().find(|path| path.to_str().unwrap().contains(&name[11..])).unwrap();
        (folder, told, errors)
    };
    let (measured, told, errors) = run("first", "prune.latency_batch=20");
    assert!(errors.contains("networks timed: the dense one takes") && errors.contains("for a batch of 20"), "{errors}");
    assert!(told.contains("for a batch of 20, ") && told.contains("asked, "), "{told}");
    let table: Value = serde_json::from_str(&text(measured.join("latency.json"))).unwrap();
    assert_eq!((&table["batch"], &table["network"]["units"]["fc1"]), (&20.into(), &50.into()));
    let summary: Value = serde_json::from_str(&text(measured.join("summary.json"))).unwrap();
    for number in ["dense", "pruned", "asked", "predicted", "measured"] {
        assert!(summary["inference"][number].is_f64(), "{number}: {}", summary["inference"]);
    }
    assert!(text(measured.join("report.html")).contains("for a batch of 20, "));
    let file = format!("prune.latency_table={:?}", measured.join("latency.json").to_str().unwrap());
    let (again, ..) = run("second", &file);
    let model = |run: &Path| fs::read(run.join("model.safetensors")).unwrap();
    assert!(model(&again) == model(&measured), "the same table gives the same bits");
    assert_eq!(text(again.join("latency.json")), text(measured.join("latency.json")));
}
