//! `--status`

use super::*;

#[test]
fn every_state_is_told_and_the_command_that_submits_what_is_missing() {
    let here = here();
    let sets = ["--set", "sweep.controls=[]", "--set", "sweep.axes.train.lr=[0.1, 1e9]", "--set", "train.epochs=400"];
    let sweep = |more: &[&'static str]| [&["sweep", "s.toml"][..], &sets, more].concat();
    let status = || works(here.path(), &sweep(&["--status"]));
    let none = status();
    assert!(none.starts_with("runs/s: 12 cells\n  12 waiting\n"), "{none}");
    assert!(none.contains("submit the 12 cells that are missing: secateur sweep s.toml --set"), "{none}");
    assert!(!here.path().join("runs").exists(), "looking writes nothing");
    // Without a Slurm nothing can be submitted.
    let mut plain = secateur(here.path(), &sweep(&["--status"]));
    let (code, text) = ended(plain.env("PATH", here.path()).output().unwrap());
    assert!(
        code == Some(0) && text.contains("run the 12 cells that are missing: secateur sweep s.toml --set"),
        "{text}"
    );
    assert!(!text.contains("--slurm") && !text.contains("--status"), "{text}");
    // A cell and one that fails for certain, and one that is stopped on its way.
    let (code, text) = outcome(here.path(), &sweep(&["--task", "1/6"]));
    assert!(code == Some(1) && text.contains("1 cell failed"), "{text}");
    let known = runs(here.path()).len();
    let mut child = secateur(here.path(), &sweep(&["--task", "2/6", "--jobs", "1"])).spawn().unwrap();
    wait_until("a cell under way", &mut child, || {
        runs(here.path()).iter().any(|run| summary(run).is_null() && under_way(run))
    });
    let running = status();
    assert!(
        running.contains("1 running") && running.contains("process ") && running.contains("heard from"),
        "{running}"
    );
    signal(&child, "-TERM");
    let (code, text) = ended(child.wait_with_output().unwrap());
    assert_eq!(code, Some(143), "{text}");
    assert!(runs(here.path()).len() > known);
    let found = status();
    assert!(found.contains("stopped\n  criterion=") && found.contains("at step "), "{found}");
    assert!(found.contains("failed\n") && found.contains("it would fail again"), "{found}");
    assert!(found.contains("secateur sweep s.toml --set 'sweep.controls=[]'"), "{found}");
    let missing = found.lines().last().unwrap();
    assert!(missing.contains("submit the 10 cells") && missing.ends_with("--slurm"), "{missing}");
}

#[test]
fn controls_are_told_once_their_cells_are_done() {
    let here = here();
    works(here.path(), &["sweep", "s.toml"]);
    let done = works(here.path(), &["sweep", "s.toml", "--status"]);
    let all = "runs/s: 6 cells, and 10 controls so far\n  16 done\nsecateur compare runs/s\n";
    assert_eq!(done, all);
    let control = runs(here.path()).into_iter().find(|run| summary(run)["control"] == "unpruned").unwrap();
    fs::remove_dir_all(control).unwrap();
    let one = works(here.path(), &["sweep", "s.toml", "--status"]);
    assert!(one.contains("15 done, 1 waiting") && one.contains("control unpruned of criterion="), "{one}");
    assert!(one.contains("submit the cell that is missing: secateur sweep s.toml --slurm"), "{one}");
}
