//! Groups and keys on the command line, as a person types them: `criterion=taylor train.lr=0.1`.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::Path;

use assert_cmd::Command;
use serde_json::Value;

/// A run of a second.
const SMALL: [&str; 5] = [
    "data.glyphs={train=300,test=100}",
    "train.epochs=3",
    "schedule.first=1",
    "train.batch_size=60",
    "schedule.every=1",
];

fn secateur(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    let mut command = Command::cargo_bin("secateur").unwrap();
    command.current_dir(folder).args(arguments).env_remove("SECATEUR_DATA").env("HOME", folder);
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn json(folder: &Path, arguments: &[&str]) -> Value {
    let (code, out, log) = secateur(folder, &[&["config"], arguments, &["--json"]].concat());
    assert_eq!(code, 0, "{log}");
    serde_json::from_str(&out).unwrap()
}

#[test]
fn a_run_takes_groups_and_values_and_its_folder_says_so() {
    let here = tempfile::tempdir().unwrap();
    let words = ["run", "experiment/quickstart", "criterion=magnitude", "--quiet"];
    let (code, _, log) = secateur(here.path(), &[&words[..], &SMALL].concat());
    assert_eq!(code, 0, "{log}");
    let run = fs::read_dir(here.path().join("runs")).unwrap().next().unwrap().unwrap().path();
    assert!(run.file_name().unwrap().to_str().unwrap().starts_with("quickstart-"), "{run:?}");
    let provenance: toml::Table = fs::read_to_string(run.join("provenance.toml")).unwrap().parse().unwrap();
    assert_eq!(provenance["origins"]["train.epochs"].as_str(), Some("command line"));
    let group = provenance["origins"]["criterion.norm"].as_str();
    assert_eq!(group, Some("configs/criterion/magnitude.toml line 4 (built in)"));
    // The same words with `--set` are the same run; `--resume` takes no other values.
    let sets: Vec<String> = SMALL.iter().map(|word| format!("--set={word}")).collect();
    let set = [
        &["run", "experiment/quickstart", "--set=criterion=magnitude"],
        &sets.iter().map(String::as_str).collect::<Vec<_>>()[..],
    ];
    let (code, out, log) = secateur(here.path(), &set.concat());
    assert!(code == 0 && out.contains("finished before"), "{out}{log}");
    let (code, _, log) = secateur(here.path(), &["run", "--resume", run.to_str().unwrap(), "train.lr=0.5"]);
    assert!(code == 2 && log.contains("train.lr: 0.02 there, 0.5 here"), "{log}");
}

#[test]
fn a_plugin_without_a_config_is_chosen_by_its_name() {
    let here = tempfile::tempdir().unwrap();
    let found = json(here.path(), &["experiment/quickstart", "compressor=none", "model=cnn"]);
    assert_eq!(found["config"]["compressor"]["name"], "none");
    assert_eq!(found["origins"]["compressor.name"], "command line");
    assert_eq!(found["origins"]["model.name"], "configs/model/cnn.toml line 3 (built in)");
    let (code, _, log) = secateur(here.path(), &["config", "base", "criterion=tailor"]);
    assert!(code == 2 && log.contains("did you mean taylor?"), "{log}");
    let (code, _, log) = secateur(here.path(), &["config", "base", "--criterion", "taylor"]);
    assert!(code == 2 && log.contains("write criterion=taylor, without dashes"), "{log}");
    let (code, _, log) = secateur(here.path(), &["config", "base", "--eval_every=2"]);
    assert!(code == 2 && log.contains("write train.eval_every=2, without dashes"), "{log}");
}

#[test]
fn words_with_commas_are_axes_of_a_sweep() {
    let here = tempfile::tempdir().unwrap();
    let grid = ["experiment/quickstart", "criterion=magnitude,contribution-rank", "train.lr=0.1,0.05", "seed=0,1,2"];
    let (code, out, log) = secateur(here.path(), &[&["sweep"], &grid[..], &["--dry-run"]].concat());
    assert_eq!(code, 0, "{log}");
    assert!(out.contains("quickstart: 12 cells"), "{out}");
    assert!(out.contains("criterion=magnitude train.lr=0.05 seed=2"), "{out}");
    let shown = secateur(here.path(), &[&["config"], &grid[..]].concat()).1;
    assert!(shown.contains("# 12 cells; secateur sweep ... --dry-run lists them"), "{shown}");
    assert!(shown.contains("axes.criterion = [\"magnitude\", \"contribution-rank\"]"), "{shown}");
    // An axis of a file gets other values, is taken back, and cannot be given one value beside.
    let of =
        |words: &[&str]| secateur(here.path(), &[&["sweep", "sweep/lambda-small"], words, &["--dry-run"]].concat());
    assert!(of(&["criterion.lambda1=0.25,0.75", "seed=5,6"]).1.contains("criterion.lambda1=0.25"));
    let fewer = of(&["criterion.lambda1=0.5,1.0", "~sweep.axes.criterion.lambda2", "~sweep.exclude"]);
    assert!(fewer.1.contains("lambda-small: 4 cells"), "{}", fewer.2);
    let (code, _, log) = of(&["criterion.lambda1=0.25"]);
    assert!(code == 2 && log.contains("or give the axis others: criterion.lambda1=A,B"), "{log}");
    let (code, _, log) = secateur(here.path(), &["sweep", "sweep/mnist-criteria", "criterion=lamp", "--dry-run"]);
    assert!(code == 2 && log.contains("command line sets it, and it is an axis of the sweep"), "{log}");
    let (code, _, log) = secateur(here.path(), &["sweep", "experiment/quickstart", "grow=rigl,sett", "--dry-run"]);
    assert!(code == 2 && log.contains("did you mean grow=set?"), "{log}");
}

#[test]
fn cells_whose_values_refer_to_axes_know_them() {
    let here = tempfile::tempdir().unwrap();
    let sweep = "extends = ['experiment/quickstart']\nschedule.every = '${train.epochs}'\ndata.glyphs.train = '???'\n\
                 [sweep]\ncontrols = []\naxes.train.epochs = [20, 30]\naxes.data.glyphs.train = [300, 400]\n\
                 [[sweep.exclude]]\nschedule.every = 30\ndata.glyphs.train = 400";
    fs::write(here.path().join("s.toml"), sweep).unwrap();
    let (code, out, log) = secateur(here.path(), &["sweep", "s.toml", "--dry-run"]);
    assert_eq!(code, 0, "{log}");
    assert!(out.contains("s: 3 cells, 1 excluded") && !out.contains("train.epochs=30 data.glyphs.train=400"), "{out}");
}

#[test]
fn a_dry_run_counts_the_cells_of_this_grid() {
    let here = tempfile::tempdir().unwrap();
    let sweep = |words: &[&str]| {
        let fixed = ["sweep", "experiment/quickstart", "sweep.controls=[]"];
        secateur(here.path(), &[&fixed[..], &SMALL, words].concat())
    };
    let (code, _, log) = sweep(&["train.lr=0.1,0.05", "seed=0,1", "--quiet"]);
    assert_eq!(code, 0, "{log}");
    for (words, left) in [
        (&["train.lr=0.1,0.05", "seed=0,1"][..], "0 to run"),
        (&["train.lr=0.1,0.05", "seed=0,1,2"], "2 to run"),
        (&["train.lr=0.2,0.3", "seed=0,1"], "4 to run"),
        (&["train.lr=0.05,0.3", "seed=1,7"], "3 to run"),
        (&["train.momentum=0.9,0.5", "train.lr=0.1", "seed=0,1"], "2 to run"),
    ] {
        let (code, out, log) = sweep(&[words, &["--dry-run"]].concat());
        assert_eq!(code, 0, "{log}");
        assert!(out.contains(left), "{words:?}\n{out}");
    }
}

#[test]
fn configs_are_compared_with_their_origins() {
    let here = tempfile::tempdir().unwrap();
    let line = ["config", "experiment/mnist-rank", "--diff", "experiment/mnist-random", "train.lr=0.05"];
    let (code, out, log) = secateur(here.path(), &line);
    assert_eq!(code, 0, "{log}");
    for expected in [
        "--- experiment/mnist-rank\n+++ experiment/mnist-random train.lr=0.05\n",
        "\ncriterion.name\n- \"contribution-rank\"  # configs/criterion/contribution-rank.toml line 3 (built in)\n\
         + \"random\"             # configs/criterion/random.toml line 3 (built in)\n",
        "\ntrain.lr\n- 0.1   # configs/experiment/mnist-rank.toml line",
        "\n+ 0.05  # command line\n",
        "\ncriterion.lambda1\n- 1.0      # ",
        "\n+ not set\n",
    ] {
        assert!(out.contains(expected), "missing {expected:?} in\n{out}");
    }
    assert!(!out.contains("train.epochs"), "{out}");
    let (_, out, _) = secateur(here.path(), &["config", "base", "--diff", "base", "threads=3"]);
    assert!(out.contains("\nthreads\n") && out.ends_with("the same run: no result depends on these\n"), "{out}");
    let (_, out, _) = secateur(here.path(), &["config", "base", "--diff", "base"]);
    assert!(out.ends_with("no value differs\n"), "{out}");
    let found = secateur(here.path(), &["config", "base", "--json", "--diff", "base", "seed=1"]).1;
    let found: Value = serde_json::from_str(&found).unwrap();
    assert_eq!(found["differences"][0]["key"], "seed");
    assert_eq!(found["differences"][0]["values"][1], "1");
    assert_eq!((&found["differences"][0]["origins"][1], &found["same_run"]), (&"command line".into(), &false.into()));
}

#[test]
fn shells_and_manuals_know_commands_and_groups() {
    let here = tempfile::tempdir().unwrap();
    for (shell, expected) in [
        ("bash", &["complete -F _secateur", "criterion=taylor", "experiment/quickstart", "--retry-failed"][..]),
        ("zsh", &["#compdef secateur", "criterion=taylor"]),
        ("fish", &["complete -c secateur", "retry-failed"]),
    ] {
        let (code, out, log) = secateur(here.path(), &["completions", shell]);
        assert_eq!(code, 0, "{log}");
        for expected in expected {
            assert!(out.contains(expected), "{shell}: missing {expected}");
        }
    }
    let (code, page, log) = secateur(here.path(), &["man"]);
    assert!(code == 0 && page.starts_with(".ie") && page.contains(".TH secateur 1"), "{page}{log}");
    let (code, _, log) = secateur(here.path(), &["man", "--out", "pages"]);
    assert_eq!(code, 0, "{log}");
    let pages = here.path().join("pages");
    for name in ["secateur.1", "secateur-run.1", "secateur-sweep.1", "secateur-plugins-show.1"] {
        assert!(fs::metadata(pages.join(name)).is_ok_and(|page| page.len() > 200), "{name}");
    }
}
