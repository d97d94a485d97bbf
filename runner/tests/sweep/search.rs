//! Searches: what is proposed, what is stopped early, and how a setting is named.

use std::fs;
use std::path::Path;
use std::process::{Command as Process, Stdio};

use serde_json::Value;

use super::{folders, here, secateur};

/// Nine trials in waves of three, each by what those before came to.
const CONFIG: &str = r#"
extends = ["experiment/quickstart"]
data = { validation = 60, glyphs = { train = 240, test = 60 } }
train = { epochs = 4, batch_size = 30 }
schedule.first = 2
output.pictures = 0

[sweep.search]
trials = 9
wave = 3
startup = 3
replicate = { top = 2, seeds = 2 }

[sweep.search.space]
train.lr = { low = 1e-4, high = 0.3, log = true }
train.batch_size = { low = 20, high = 60, integer = true, step = 20 }
criterion.name = ["magnitude", "contribution-rank"]

[[sweep.search.when]]
if = { criterion.name = "magnitude" }
space = { criterion.norm = ["l1", "l2"] }
"#;

const HALVING: &str = r#"
extends = ["experiment/quickstart"]
data = { validation = 60, glyphs = { train = 240, test = 60 } }
train = { epochs = 4, batch_size = 30 }
schedule.first = 2
output.pictures = 0

[sweep]
controls = ["unpruned"]

[sweep.search]
method = "random"
trials = 4
wave = 4
halving = { min_epochs = 1, eta = 2 }
replicate = { top = 1, seeds = 2 }
space.train.lr = { low = 1e-4, high = 0.3, log = true }
"#;

/// What a search came to, without the times that it took.
fn found(here: &Path) -> Value {
    let mut all: Value = serde_json::from_slice(&fs::read(here.join("runs/s/search.json")).unwrap()).unwrap();
    for trial in all["trials"].as_array_mut().unwrap() {
        trial["spent"]["seconds"] = Value::Null;
    }
    all
}

#[test]
fn a_search_ends_alike_however_often_it_was_stopped_and_whoever_ran_it() {
    let whole = here(CONFIG);
    let (code, out, errors) = secateur(whole.path(), &["sweep", "s.toml", "--jobs", "2"]);
    assert_eq!(code, 0, "{errors}");
    let expected = found(whole.path());
    let trials = expected["trials"].as_array().unwrap().clone();
    assert_eq!(trials.len(), 9);
    assert!(trials.iter().all(|trial| trial["end"]["finished"].is_f64()), "{expected:#}");
    let points: Vec<&Value> = trials.iter().map(|trial| &trial["point"]).collect();
    assert!((1..9).all(|at| !points[..at].contains(&points[at])), "nothing is tried twice");
    let finalists = &expected["finalists"];
    assert!(finalists["winner"].is_u64() && finalists["seeds"] == serde_json::json!([1, 2]), "{finalists}");
    assert!(out.contains("winner: ") && out.contains("9 of 9 trials: 9 finished"), "{out}");
    // A norm is there where the criterion has one.
    for trial in &trials {
        let (criterion, norm) = (&trial["point"][0], &trial["point"][1]);
        let label = trial["label"].as_str().unwrap();
        assert_eq!(label.contains("norm="), label.contains("criterion.name=magnitude"), "{label} {criterion} {norm}");
    }

    // As a process leaves it that is killed while the second wave goes on.
    let mut cut = expected.clone();
    let (kept, gone) = trials.split_at(6);
    cut["trials"] = kept.to_vec().into();
    (3..6).for_each(|at| cut["trials"][at]["end"] = Value::Null);
    (0..6).for_each(|at| cut["trials"][at]["spent"]["seconds"] = 0.0.into());
    cut["finalists"] = Value::Null;
    fs::write(whole.path().join("runs/s/search.json"), cut.to_string()).unwrap();
    let run = |trial: &Value| whole.path().join("runs/s").join(trial["run"].as_str().unwrap());
    gone.iter().chain([&trials[4]]).for_each(|trial| fs::remove_dir_all(run(trial)).unwrap());
    let (code, _, errors) = secateur(whole.path(), &["sweep", "s.toml", "--jobs", "1"]);
    assert_eq!(code, 0, "{errors}");
    assert_eq!(found(whole.path()), expected);

    // Three processes, each with a share.
    let shared = here(CONFIG);
    let share = |number: usize| {
        let mut process = Process::new(env!("CARGO_BIN_EXE_secateur"));
        process.current_dir(shared.path()).args(["sweep", "s.toml", "--jobs", "1", "--task", &format!("{number}/3")]);
        process.env_remove("SECATEUR_DATA").env("HOME", shared.path()).stdout(Stdio::null()).stderr(Stdio::piped());
        process.spawn().unwrap()
    };
    let all: Vec<_> = (1..=3).map(share).collect();
    for process in all {
        let ended = process.wait_with_output().unwrap();
        assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    }
    assert_eq!(found(shared.path()), expected);

    // The same command again runs nothing; another rule is another search.
    let (code, out, _) = secateur(whole.path(), &["sweep", "s.toml"]);
    assert!(code == 0 && out.contains("0 cells finished now"), "{out}");
    let (code, _, errors) = secateur(whole.path(), &["sweep", "s.toml", "--set", "sweep.search.seed=1"]);
    assert!(code == 2 && errors.contains("begun by another rule") && errors.contains("seed 0"), "{errors}");
    let (code, _, errors) = secateur(whole.path(), &["sweep", "s.toml", "--set", "train.epochs=5"]);
    assert!(code == 2 && errors.contains("begun with another config"), "{errors}");

    // New runs alone are compared, and test data seen of the winner alone.
    let (code, text, errors) = secateur(whole.path(), &["compare", "runs/s", "--json", "found.json"]);
    assert_eq!(code, 0, "{errors}");
    assert!(
        text.contains("Run again") && text.contains("(winner)") && text.contains("with seeds that no trial had"),
        "{text}"
    );
    let json: Value = serde_json::from_slice(&fs::read(whole.path().join("found.json")).unwrap()).unwrap();
    let groups = json["groups"].as_array().unwrap();
    assert_eq!(json["metric"], "validation_accuracy");
    let runs: Vec<usize> = groups.iter().map(|group| group["runs"].as_array().unwrap().len()).collect();
    assert_eq!(runs, [2, 2], "two settings on two seeds, and no trial");
    let winner = finalists["winner"].as_u64().unwrap() as usize;
    for group in groups {
        let folder = group["runs"][0].as_str().unwrap();
        let of_winner = finalists["settings"].as_array().unwrap().iter().find(|one| one["trial"] == winner).unwrap();
        let own = of_winner["runs"].as_array().unwrap().iter().any(|run| folder.ends_with(run.as_str().unwrap()));
        assert_eq!(group["metrics"].get("test_accuracy").is_some(), own, "{group}");
    }
    assert_eq!(json["searches"][0]["trials"].as_array().unwrap().len(), 9);
}

#[test]
fn what_goes_on_after_a_rung_is_the_run_that_never_stopped() {
    let here = here(HALVING);
    let (code, out, errors) = secateur(here.path(), &["sweep", "s.toml", "--dry-run"]);
    assert!(code == 0, "{errors}");
    for told in [
        "a search of 4 trials",
        "4 to epoch 1, 2 to epoch 2, 1 to epoch 4",
        "at most 8 of 16 epochs",
        "train.lr: 0.0001 to 0.3, log",
    ] {
        assert!(out.contains(told), "{told}: {out}");
    }
    let (_, out, _) = secateur(here.path(), &["sweep", "s.toml", "--status"]);
    assert!(out.contains("wave 1 of 1, rung 1 of 3: to epoch 1, 4 trials") && out.contains("4 waiting"), "{out}");
    // What is asked for here is proposed, and the same that is then run.
    let proposed = found(here.path())["trials"].clone();
    let (code, out, errors) = secateur(here.path(), &["sweep", "s.toml", "--jobs", "2"]);
    assert_eq!(code, 0, "{errors}");
    assert!(out.contains("1 finished, 3 stopped early: 8 of 16 epochs were trained"), "{out}");
    assert!(!errors.contains("test accuracy") && errors.contains("validation accuracy"), "{errors}");
    let all = found(here.path());
    let trials = all["trials"].as_array().unwrap();
    assert!(trials.iter().zip(proposed.as_array().unwrap()).all(|(now, then)| now["point"] == then["point"]));
    let stopped = |after: u64| trials.iter().filter(|trial| trial["end"]["stopped"] == after).count();
    assert_eq!((stopped(1), stopped(2)), (2, 1), "{all:#}");
    let rung = |at: usize| trials.iter().map(move |trial| trial["rungs"][at]["value"].as_f64());
    let least_kept = trials.iter().filter(|trial| trial["rungs"].as_array().unwrap().len() > 1);
    let least_kept = least_kept.filter_map(|trial| trial["rungs"][0]["value"].as_f64()).fold(1.0, f64::min);
    let stopped_first = trials.iter().filter(|trial| trial["end"]["stopped"] == 1);
    assert!(stopped_first.filter_map(|trial| trial["rungs"][0]["value"].as_f64()).all(|value| value <= least_kept));
    assert_eq!(rung(0).flatten().count(), 4);

    // The one that went on twice has the bits of the run that never stopped.
    let best = trials.iter().find(|trial| trial["end"]["finished"].is_f64()).unwrap()["run"].as_str().unwrap();
    let config = format!("runs/s/{best}/config.toml");
    let (code, _, errors) = secateur(here.path(), &["run", &config, "--out", "alone"]);
    assert_eq!(code, 0, "{errors}");
    let model = |folder: String| fs::read(here.path().join(folder).join("model.safetensors")).unwrap();
    assert!(model(format!("runs/s/{best}")) == model(format!("alone/{best}")));

    // What was stopped is no failure.
    let (code, out, errors) = secateur(here.path(), &["compare", "runs/s"]);
    assert_eq!(code, 0, "{errors}");
    assert!(
        out.contains("stopped after 1 of 4 epochs") && !out.contains("failed") && !out.contains("unfinished"),
        "{out}"
    );
    assert!(out.contains("unpruned"), "controls are of what was run again: {out}");
    let summaries = folders(here.path()).into_iter().map(|run| fs::read_to_string(run.join("summary.json")).unwrap());
    let status =
        |wanted: &str| summaries.clone().filter(|text| text.contains(&format!("\"status\": \"{wanted}\""))).count();
    assert_eq!((status("stopped"), status("finished")), (3, 1 + 2 + 2));
    let (_, out, _) = secateur(here.path(), &["sweep", "s.toml", "--status"]);
    assert!(out.contains("the search is over") && out.contains("winner: "), "{out}");
}

#[test]
fn a_part_of_a_search_can_be_frozen_and_run_elsewhere() {
    let here = here(HALVING);
    let (code, out, errors) = secateur(here.path(), &["sweep", "s.toml", "--freeze", "plan.toml"]);
    assert!(code == 0 && out.contains("4 cells") && out.contains("rung 1 of 3"), "{out}{errors}");
    let task = ["sweep", "--plan", "plan.toml", "--jobs", "1", "--task"];
    for share in ["1/2", "2/2"] {
        let (code, _, errors) = secateur(here.path(), &[&task[..], &[share]].concat());
        assert_eq!(code, 0, "{errors}");
    }
    let (_, out, _) = secateur(here.path(), &["sweep", "s.toml", "--status"]);
    assert!(out.contains("rung 2 of 3: to epoch 2, 2 trials"), "{out}");
    let (code, out, errors) = secateur(here.path(), &["compare", "runs/s"]);
    assert!(code == 0 && out.contains("the search is not over"), "{out}{errors}");
    let (code, _, errors) = secateur(here.path(), &["sweep", "s.toml"]);
    assert_eq!(code, 0, "{errors}");
    assert!(found(here.path())["finalists"]["winner"].is_u64());
}

#[test]
fn what_cannot_be_searched_is_refused_by_name() {
    let here = here(CONFIG);
    for (set, expected) in [
        ("sweep.search.method=bayes", "sweep.search: method: found \"bayes\""),
        ("sweep.search.trials=0", "sweep.search: trials: found 0"),
        ("sweep.search.trails=3", "did you mean `trials`?"),
        ("sweep.search.metric=status", "status is no figure of a run"),
        ("sweep.search.metric=test_accuracy", "test data, which must choose nothing"),
        (
            "sweep.search.space.train.lr={low=0.3,high=0.1}",
            "sweep.search.space.train.lr: the range from low = 0.3 to high = 0.1 is empty",
        ),
        ("sweep.search.space.train.lr.low=-1.0", "log = true asks for low above 0, found -1"),
        ("sweep.search.space.train.lr=0.1", "neither a range nor a choice"),
        ("sweep.search.space.train.lrr={low=0.1,high=0.5}", "did you mean train.lr?"),
        ("sweep.search.space.train.momentum={low=0.5,high=2.0}", "train.momentum"),
        ("sweep.search.space.criterion.name=[\"magnitude\"]", "a choice needs two values or more"),
        ("sweep.search.space.seed=[1,2]", "a seed that chance likes is no setting"),
        ("sweep.axes.train.lr=[0.1]", "it is a key of sweep.search.space too"),
        ("sweep.axes.train.momentum=[0.1]", "does not go with sweep.search: a search proposes its cells itself"),
        ("sweep.seeds=3", "trials have the config's one seed"),
        ("train.lr=0.1", "--set sets it, and it is an axis of the sweep"),
        ("sweep.search.halving={min_epochs=9}", "min_epochs = 9 leaves no trial to stop, since runs have 4 epochs"),
        ("sweep.search.halving={eta=1}", "halving.eta: found 1"),
        ("sweep.search.replicate={seeds=1}", "replicate.seeds: found 1"),
        ("data.validation=0", "no validation split, and a search must not see test data"),
    ] {
        let (code, _, errors) = secateur(here.path(), &["sweep", "s.toml", "--dry-run", "--set", set]);
        assert!(code == 2 && errors.contains(expected) && errors.contains("fix: "), "{set}: {errors}");
    }
    // What is wrong with the config alone is no fault of the space.
    for (set, expected) in [
        ("train.momentum=7", "error: train.momentum: not a value it can have\n  set by: --set\n  found: 7\n"),
        ("train.momentm=0.5", "error: train.momentm: unknown key\n  set by: --set\n"),
        ("data.name=mnst", "error: data.name = \"mnst\": unknown data\n  set by: --set\n"),
    ] {
        let (code, _, errors) = secateur(here.path(), &["sweep", "s.toml", "--dry-run", "--set", set]);
        assert!(code == 2 && errors.starts_with(expected) && !errors.contains("search.space"), "{set}: {errors}");
    }
    let wrong = "sweep.search.space.train.momentum={low=0.5,high=2.0}";
    let (_, _, errors) = secateur(here.path(), &["sweep", "s.toml", "--dry-run", "--set", wrong]);
    assert!(
        errors.starts_with("error: train.momentum: not a value it can have") && errors.contains("found: 2"),
        "{errors}"
    );
    assert!(errors.contains("in a trial with: ") && errors.contains("give train.momentum other values in"), "{errors}");
    let more = ["--set", "sweep.search.halving={min_epochs=1}", "--set", "train.eval_every=2"];
    let (code, _, errors) = secateur(here.path(), &[&["sweep", "s.toml", "--dry-run"], &more[..]].concat());
    assert!(code == 2 && errors.contains("compared after epoch 1, and train.eval_every = 2"), "{errors}");
    let (code, out, errors) = secateur(here.path(), &["config", "s.toml"]);
    assert!(
        code == 0
            && out.contains("# train.lr: 0.0001 to 0.3, log")
            && out.contains("where criterion.name is magnitude"),
        "{out}{errors}"
    );
}
