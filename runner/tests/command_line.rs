//! The program as people meet it: arguments in; text, files and exit codes out.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use serde_json::Value;
use tempfile::TempDir;

/// A run of a second: few examples, few epochs, two pruning steps.
const SMALL: [&str; 5] = [
    "--set=data.glyphs={train=600,test=200}",
    "--set=train.epochs=6",
    "--set=schedule.first=2",
    "--set=schedule.fraction=0.1",
    "--set=train.batch_size=60",
];

fn secateur(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    let mut command = Command::cargo_bin("secateur").unwrap();
    command.current_dir(folder).args(arguments).env_remove("SECATEUR_DATA").env("HOME", folder);
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn run_small(folder: &Path, more: &[&str]) -> (i32, String, String) {
    secateur(folder, &[&["run", "experiment/quickstart"], &SMALL[..], more].concat())
}

fn only_run(folder: &Path) -> PathBuf {
    let mut runs: Vec<PathBuf> =
        fs::read_dir(folder.join("runs")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(runs.len(), 1, "{runs:?}");
    runs.remove(0)
}

fn summary(run: &Path) -> Value {
    serde_json::from_slice(&fs::read(run.join("summary.json")).unwrap()).unwrap()
}

fn here() -> TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn a_run_leaves_a_complete_folder() {
    let here = here();
    let (code, out, log) = run_small(here.path(), &[]);
    assert_eq!(code, 0, "{log}");
    let run = only_run(here.path());
    assert!(run.file_name().unwrap().to_str().unwrap().starts_with("quickstart-"));
    let summary = summary(&run);
    assert_eq!(summary["status"], "finished");
    for metric in [
        "test_accuracy",
        "sparsity",
        "unit_sparsity",
        "params_dense",
        "params_kept",
        "macs_dense",
        "macs_kept",
        "seconds_train",
        "seconds_prune",
        "seconds_eval",
        "peak_memory_bytes",
        "seed",
    ] {
        assert!(summary[metric].is_number(), "{metric}: {summary}");
    }
    let events = fs::read_to_string(run.join("events.jsonl")).unwrap();
    let prunes: Vec<Value> = events
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .filter(|event: &Value| event["event"] == "prune")
        .collect();
    let units: Vec<_> =
        prunes.iter().map(|event| (event["units"]["fc1"].as_u64(), event["units"]["fc2"].as_u64())).collect();
    assert_eq!(units, [(Some(45), Some(27)), (Some(40), Some(24))], "keep floor(0.9 n)");
    let report = fs::read_to_string(run.join("report.html")).unwrap();
    assert!(report.contains("<svg") && report.contains("Units per layer"));
    assert!(run.join("model.safetensors").exists());
    let provenance: toml::Table = fs::read_to_string(run.join("provenance.toml")).unwrap().parse().unwrap();
    assert_eq!(provenance["origins"]["train.epochs"].as_str(), Some("--set"));
    assert!(out.contains("test accuracy") && out.contains("report.html"), "{out}");
    assert!(log.contains("pruned after epoch 2"), "plain lines without a terminal: {log}");
    assert!(!log.contains('\u{1b}'), "no colours without a terminal");
}

#[test]
fn every_figure_says_its_split_and_epochs_count_from_one() {
    let here = here();
    let (code, out, log) = run_small(here.path(), &["--set=data.validation=60"]);
    assert_eq!(code, 0, "{log}");
    let run = only_run(here.path());
    let events = fs::read_to_string(run.join("events.jsonl")).unwrap();
    let events: Vec<Value> = events.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |name: &str| events.iter().filter(|event| event["event"] == name).collect::<Vec<_>>();
    assert_eq!(
        of("epoch").iter().map(|event| event["epoch"].as_u64().unwrap()).collect::<Vec<_>>(),
        [1, 2, 3, 4, 5, 6]
    );
    assert!(of("epoch").iter().chain(&of("step")).all(|event| event["split"] == "train"));
    // As the console says it: pruned after epoch 2, and after epoch 5.
    let prunes: Vec<_> = of("prune").iter().map(|event| (event["epoch"].as_u64(), event["of"].as_str())).collect();
    assert_eq!(prunes, [(Some(2), Some("units")), (Some(5), Some("units"))]);
    assert!(of("eval").iter().all(|event| ["validation", "test"].contains(&event["split"].as_str().unwrap())));
    assert!(log.contains("pruned after epoch 2 (step 17): 10.0 % of the units that may be pruned"), "{log}");
    for line in log.lines().filter(|line| line.starts_with("epoch ")) {
        assert!(line.contains("training loss ") && line.contains("validation accuracy "), "{line}");
    }
    for words in ["test accuracy", "test loss", "of all units removed", "of all weights removed"] {
        assert!(out.contains(words), "{words}: {out}");
    }
    let report = fs::read_to_string(run.join("report.html")).unwrap();
    assert!(report.contains("epoch 2, step 17") && report.contains("of the units that may be pruned"));
}

#[test]
fn the_same_run_again_is_left_alone_unless_forced() {
    let here = here();
    run_small(here.path(), &[]);
    let model = || fs::read(only_run(here.path()).join("model.safetensors")).unwrap();
    let first = model();
    fs::write(only_run(here.path()).join("model.safetensors"), "touched").unwrap();
    let (code, out, _) = run_small(here.path(), &[]);
    assert_eq!((code, out.contains("--force")), (0, true), "{out}");
    assert_eq!(model(), b"touched");
    let (code, _, _) = run_small(here.path(), &["--force", "--quiet"]);
    assert_eq!(code, 0);
    assert_eq!(model(), first, "the same config and seed gives the same bytes");
}

#[test]
fn threads_and_the_folder_change_nothing_and_the_seed_does() {
    let here = here();
    let model = |more: &[&str], out: &str| {
        let (code, _, log) = run_small(here.path(), &[more, &["--quiet", "--out", out]].concat());
        assert_eq!(code, 0, "{log}");
        let run = fs::read_dir(here.path().join(out)).unwrap().next().unwrap().unwrap();
        (run.file_name(), fs::read(run.path().join("model.safetensors")).unwrap())
    };
    let one = model(&["--set=threads=1"], "one");
    assert_eq!(one, model(&["--set=threads=2"], "two"));
    assert_ne!(one, model(&["--set=seed=1"], "three"));
}

#[test]
fn the_config_of_a_run_gives_the_same_run() {
    let here = here();
    run_small(here.path(), &["--quiet"]);
    let run = only_run(here.path());
    let config = run.join("config.toml");
    let (code, out, _) = secateur(here.path(), &["run", config.to_str().unwrap()]);
    assert_eq!(code, 0);
    assert!(out.contains("finished before"), "{out}");
}

#[test]
fn every_embedded_config_resolves() {
    let here = here();
    for entry in ["experiment", "data", "model", "criterion", "schedule"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs").join(entry);
        for file in fs::read_dir(folder).unwrap() {
            let name = format!("{entry}/{}", file.unwrap().path().file_stem().unwrap().to_str().unwrap());
            let (code, out, errors) = secateur(here.path(), &["config", &name, "--plain"]);
            assert_eq!(code, 0, "{name}: {errors}");
            assert!(out.parse::<toml::Table>().is_ok(), "{name}");
        }
    }
}

#[test]
fn wrong_configs_are_reported_together_with_exit_code_2() {
    let here = here();
    fs::write(here.path().join("mine.toml"), "[train]\nlr = -1\n\n[prune]\nscop = \"layer\"\n").unwrap();
    let (code, out, errors) =
        secateur(here.path(), &["run", "mine.toml", "--set", "criterion.name=magnitud", "--set", "seed=no"]);
    assert_eq!((code, out.as_str()), (2, ""));
    for expected in [
        "4 problems",
        "train.lr: not a value it can have\n  set by: mine.toml line 2\n  found: -1",
        "prune.scop: unknown key\n  set by: mine.toml line 5",
        "did you mean prune.scope?",
        "criterion.name = \"magnitud\": unknown criterion\n  set by: --set",
        "did you mean magnitude?",
        "seed: not a value it can have\n  set by: --set\n  found: \"no\"\n  allowed: whole number, at least 0",
    ] {
        assert!(errors.contains(expected), "missing {expected:?} in:\n{errors}");
    }
    assert!(!here.path().join("runs").exists(), "nothing is written for a wrong config");
    if cfg!(target_os = "linux") {
        let (code, _, errors) = run_small(here.path(), &["--set=model.hidden=[16777216,16777216]"]);
        assert!(code == 1 && errors.contains("parameters, which take 1125953 GB, and this machine has"), "{errors}");
    }
    let (_, _, errors) = run_small(here.path(), &["--set=train.epochs=1e9"]);
    assert!(errors.contains("whole number, at least 0, written without a point or an exponent"), "{errors}");
}

#[test]
fn ranges_of_plugin_options_and_nested_plugins_are_checked_before_anything_runs() {
    let here = here();
    let wrong = ["--set=schedule.fraction=3", "--set=criterion={name=\"worst\", of={name=\"magnitude\", norms=1}}"];
    let (code, _, errors) = run_small(here.path(), &wrong);
    assert_eq!(code, 2, "{errors}");
    assert!(errors.contains("schedule.fraction: not a value it can have"), "{errors}");
    assert!(errors.contains("criterion.of.norms: unknown key for criterion magnitude"), "{errors}");
}

#[test]
fn missing_data_fails_with_exit_code_1_before_anything_is_written() {
    let here = here();
    let (code, _, errors) = secateur(here.path(), &["run", "experiment/mnist-rank", "--set", "data.dir=nowhere"]);
    assert_eq!(code, 1, "{errors}");
    assert!(errors.contains("nowhere") && errors.contains("data.dir"), "{errors}");
    // What the run would be called depends on the data: there is no folder that could look like one of a run.
    assert_eq!(fs::read_dir(here.path()).unwrap().count(), 0);
}

#[test]
fn a_file_where_the_folder_should_be_is_one_clear_message() {
    let here = here();
    fs::write(here.path().join("runs"), "").unwrap();
    let (code, _, errors) = run_small(here.path(), &[]);
    assert_eq!(code, 1);
    assert!(errors.contains("a file stands where a folder should be") && errors.contains("--out DIR"), "{errors}");
}

#[test]
fn usage_errors_have_exit_code_2() {
    let here = here();
    assert_eq!(secateur(here.path(), &["run"]).0, 2);
    assert_eq!(secateur(here.path(), &["prune"]).0, 2);
    assert_eq!(secateur(here.path(), &["plugins", "show", "magnitud"]).0, 2);
    assert_eq!(secateur(here.path(), &["data", "check", "mnits"]).0, 2);
}

#[test]
fn origins_of_environment_and_flags_are_shown() {
    let here = here();
    let mut command = Command::cargo_bin("secateur").unwrap();
    command.current_dir(here.path()).env("SECATEUR_TRAIN__LR", "0.05").env("SECATEUR_DATA", "/data");
    let output = command.args(["config", "experiment/quickstart", "--out", "elsewhere"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let line = |key: &str| text.lines().find(|line| line.starts_with(key)).unwrap_or_default().to_owned();
    assert!(line("lr = 0.05").ends_with("# env SECATEUR_TRAIN__LR"), "{text}");
    assert!(line("dir = \"elsewhere\"").ends_with("# --out"), "{text}");
    assert!(line("hidden").ends_with("# configs/model/mlp.toml line 4 (built in)"), "{text}");
}

#[test]
fn plugins_and_data_sets_are_listed_and_described() {
    let here = here();
    let (_, plugins, _) = secateur(here.path(), &["plugins", "list"]);
    assert!(plugins.contains("contribution-rank") && plugins.contains("periodic"), "{plugins}");
    let (_, shown, _) = secateur(here.path(), &["plugins", "show", "contribution-rank"]);
    assert!(shown.contains("[criterion]\nname = \"contribution-rank\"") && shown.contains("lambda1 = 1.0"), "{shown}");
    let (_, data, _) = secateur(here.path(), &["data", "list"]);
    assert!(data.contains("glyphs") && data.contains("mnist"), "{data}");
    let (code, checked, errors) = secateur(here.path(), &["data", "check", "glyphs", "--set", "data.validation=100"]);
    assert_eq!(code, 0, "{errors}");
    assert!(checked.contains("100 examples"), "{checked}");
}

#[test]
#[cfg(unix)]
fn a_folder_that_cannot_be_written_is_one_clear_message() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    use std::os::unix::process::CommandExt;
    let here = here();
    fs::set_permissions(here.path(), fs::Permissions::from_mode(0o555)).unwrap();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_secateur"));
    command.args(["run", "experiment/quickstart"]).current_dir(here.path());
    // Root may write everywhere, so there the program runs as the user that owns nothing.
    if fs::metadata(here.path()).unwrap().uid() == 0 {
        command.uid(65_534).gid(65_534);
    }
    let Ok(output) = command.output() else {
        return eprintln!("skipped: the program is where only root can run it");
    };
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(errors.contains("cannot create it: permission denied\n  fix: choose a folder"), "{errors}");
}
