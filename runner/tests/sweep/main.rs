//! Sweeps and comparisons as people meet them.
//!
//! Longer than 300 lines because every test needs the program and the small sweep at its head.

#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "../common/browser.rs"]
mod browser;
mod data;
mod page;
mod plan;
mod search;
mod waves;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use assert_cmd::Command;
use serde_json::Value;

/// Three settings, two seeds each, of a run of a fraction of a second.
const CONFIG: &str = r#"
extends = ["experiment/quickstart"]
data.glyphs = { train = 600, test = 200 }
train = { epochs = 6, batch_size = 60 }
schedule.first = 2

[sweep]
seeds = 2
axes.criterion = ["criterion/magnitude", "criterion/random"]

[[sweep.when]]
if = { criterion.name = "magnitude" }
axes = { criterion.norm = ["l1", "l2"] }
"#;

fn secateur(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    let mut command = Command::cargo_bin("secateur").unwrap();
    command.current_dir(folder).args(arguments).env_remove("SECATEUR_DATA").env("HOME", folder);
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn here(config: &str) -> tempfile::TempDir {
    let here = tempfile::tempdir().unwrap();
    fs::write(here.path().join("s.toml"), config).unwrap();
    here
}

fn folders(here: &Path) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> = fs::read_dir(here.join("runs/s")).unwrap().map(|entry| entry.unwrap().path()).collect();
    all.retain(|path| path.is_dir());
    all.sort();
    all
}

fn finished(folder: &Path) -> bool {
    let summary =
        fs::read(folder.join("summary.json")).ok().and_then(|text| serde_json::from_slice::<Value>(&text).ok());
    summary.is_some_and(|summary| summary["status"] == "finished")
}

#[test]
fn a_sweep_runs_every_cell_and_its_controls_once() {
    let here = here(CONFIG);
    let (code, out, _) = secateur(here.path(), &["sweep", "s.toml", "--dry-run"]);
    assert_eq!(code, 0);
    assert!(out.contains("s: 6 cells") && out.contains("6 to run") && out.contains("no estimate"), "{out}");
    let (code, out, log) = secateur(here.path(), &["sweep", "s.toml", "--jobs", "2"]);
    assert_eq!(code, 0, "{log}");
    // For each seed: random and small-dense and unpruned once, and a shuffled one for each magnitude.
    assert!(out.contains("16 cells finished now, 0 before"), "{out}");
    let all = folders(here.path());
    assert_eq!(all.len(), 16);
    let summaries: Vec<Value> =
        all.iter().map(|run| serde_json::from_slice(&fs::read(run.join("summary.json")).unwrap()).unwrap()).collect();
    let of = |control: &str| summaries.iter().filter(|summary| summary["control"] == control).collect::<Vec<_>>();
    assert_eq!(["random", "shuffled", "small-dense", "unpruned"].map(|control| of(control).len()), [2, 4, 2, 2]);
    let units = |summary: &Value| summary["units"].to_string();
    let pruned = summaries.iter().find(|summary| summary["control"].is_null()).unwrap();
    assert!(of("shuffled").iter().all(|control| units(control) == units(pruned)), "the cell's own counts");
    assert!(
        of("small-dense").iter().all(|control| control["params_dense"] == pruned["params_kept"]),
        "an equal budget"
    );
    let stamps = || {
        all.iter().map(|run| fs::metadata(run.join("summary.json")).unwrap().modified().unwrap()).collect::<Vec<_>>()
    };
    let before = stamps();
    let (code, out, _) = secateur(here.path(), &["sweep", "s.toml"]);
    assert_eq!((code, out.contains("0 cells finished now, 16 before")), (0, true), "{out}");
    assert_eq!(stamps(), before, "nothing is repeated");
    compares(here.path());
}

/// Two ways to grow.
const GROWING: &str = r#"
extends = ["experiment/quickstart", "criterion/magnitude", "schedule/constant"]
data.glyphs = { train = 600, test = 200 }
train = { epochs = 6, batch_size = 60 }
prune = { granularity = "weight", apply = "mask" }
schedule = { every = 10, to = 0.75 }

[sweep]
axes.grow = ["grow/rigl", "grow/set"]
"#;

#[test]
fn ways_to_grow_can_be_swept_and_their_controls_know_as_little_of_what_grows() {
    let here = here(GROWING);
    let (code, out, log) = secateur(here.path(), &["sweep", "s.toml", "--jobs", "2"]);
    assert_eq!(code, 0, "{log}");
    let all = folders(here.path());
    let text = |run: &Path, file: &str| fs::read_to_string(run.join(file)).unwrap();
    let mut found: Vec<(String, String)> = (all.iter())
        .map(|run| {
            let summary: Value = serde_json::from_str(&text(run, "summary.json")).unwrap();
            let config: toml::Table = text(run, "config.toml").parse().unwrap();
            let grows = config["grow"]["criterion"]["name"].as_str().unwrap().to_owned();
            assert!(summary["control"].is_string() || summary["regrown"].as_u64() > Some(0), "{summary}");
            (summary["control"].as_str().unwrap_or("").to_owned(), grows)
        })
        .collect();
    found.sort();
    let expected = [
        ("", "gradient"),
        ("", "random-redrawn"),
        ("random", "random-redrawn"),
        ("random", "random-redrawn"),
        ("shuffled", "shuffled-redrawn"),
        ("shuffled", "shuffled-redrawn"),
        ("small-dense", "gradient"),
        ("unpruned", "gradient"),
    ];
    assert_eq!(found, expected.map(|(control, grows)| (control.to_owned(), grows.to_owned())), "{out}");
    assert!(!log.contains("note:"), "{log}");
}

#[test]
fn what_controls_leave_idle_is_no_note_and_cells_without_controls_are_counted() {
    let here = here(CONFIG);
    // Counts, and a schedule that never prunes, leave the rounding nothing to do: but nobody set these.
    let sets = ["--set", "prune.rounding=\"floor-kept\"", "--set", "sweep.seeds=1"];
    let (code, out, log) = secateur(here.path(), &[&["sweep", "s.toml"], &sets[..]].concat());
    assert!(code == 0 && !out.contains("note:") && !log.contains("note:"), "{out}{log}");
    let never = ["--set", "schedule.name=never", "--set", "sweep.seeds=1"];
    let (code, out, log) = secateur(here.path(), &[&["sweep", "s.toml"], &never[..]].concat());
    assert_eq!(code, 0, "{log}");
    assert!(out.contains("note: sweep.controls does nothing for some: 3 cells have no control, because"), "{out}");
    assert!(log.contains("note: prune.granularity = \"unit\""), "{log}");
}

/// Comparisons of that sweep.
fn compares(here: &Path) {
    let (code, out, errors) =
        secateur(here, &["compare", "runs/s", "--json", "c.json", "--csv", "c.csv", "--html", "c.html"]);
    assert_eq!(code, 0, "{errors}");
    assert!(
        out.contains("magnitude, norm l1") && out.contains("Against their controls") && out.contains("Pareto front"),
        "{out}"
    );
    let found: Value = serde_json::from_slice(&fs::read(here.join("c.json")).unwrap()).unwrap();
    assert_eq!(found["by"], serde_json::json!(["criterion.name", "criterion.norm"]));
    let main = found["groups"].as_array().unwrap().iter().filter(|group| group["control"].is_null());
    assert_eq!(
        main.map(|group| group["metrics"]["test_accuracy"]["n"].as_u64().unwrap()).collect::<Vec<_>>(),
        [2, 2, 2]
    );
    let csv = fs::read_to_string(here.join("c.csv")).unwrap();
    assert!(
        csv.starts_with("criterion.name,criterion.norm,control,metric,n,mean,std,low,high\n")
            && csv.contains("\nmagnitude,l1,,test_accuracy,2,"),
        "{csv}"
    );
    // The index is made again from the folders, and says what they say.
    fs::remove_file(here.join("runs/index.sqlite")).unwrap();
    let (_, again, _) = secateur(here, &["compare", "runs/s"]);
    assert_eq!(again, out);
    // Grouped by less, pairs agree in everything else.
    let (_, out, _) =
        secateur(here, &["compare", "runs/s", "--by", "criterion.name", "--baseline", "random", "--markdown", "-"]);
    assert!(out.contains("| magnitude | 4 |"), "{out}");
    let (code, _, errors) = secateur(here, &["compare", "runs/s", "--by", "criterion.nam"]);
    assert!(code == 2 && errors.contains("did you mean criterion.name?"), "{errors}");
    // A folder that is damaged is named and left out.
    let victim = folders(here).remove(0);
    fs::write(victim.join("summary.json"), "{").unwrap();
    let (code, out, _) = secateur(here, &["compare", "runs/s"]);
    assert!(code == 0 && out.contains("1 damaged run is left out") && out.contains("summary.json"), "{out}");
    page::works(&here.join("c.html"));
    page::of_run_fits(&folders(here)[0].join("report.html"));
}

#[test]
fn a_sweep_that_was_killed_goes_on_where_it_was() {
    let here = here(CONFIG);
    let program = assert_cmd::cargo::cargo_bin("secateur");
    let slow = ["sweep", "s.toml", "--jobs", "1", "--set", "sweep.controls=[]", "--set", "train.epochs=8"];
    let mut child = std::process::Command::new(program)
        .current_dir(here.path())
        .args(slow)
        .env("HOME", here.path())
        .stderr(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let started = Instant::now();
    let done = || here.path().join("runs/s").is_dir() && folders(here.path()).iter().any(|run| finished(run));
    while !done() && started.elapsed() < Duration::from_secs(60) && child.try_wait().unwrap().is_none() {
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let kept: Vec<PathBuf> = folders(here.path()).into_iter().filter(|run| finished(run)).collect();
    assert!(!kept.is_empty());
    let stamps = || {
        kept.iter().map(|run| fs::metadata(run.join("summary.json")).unwrap().modified().unwrap()).collect::<Vec<_>>()
    };
    let before = stamps();
    let (code, out, errors) = secateur(here.path(), &slow);
    assert_eq!(code, 0, "{errors}");
    assert!(out.contains(&format!("{} cells finished now, {} before", 6 - kept.len(), kept.len())), "{out}");
    assert_eq!(stamps(), before, "what was finished is not run again");
    assert!(folders(here.path()).iter().all(|run| finished(run)));
}

#[test]
#[cfg(unix)]
fn ctrl_c_stops_a_sweep_that_then_ends_as_if_left_alone() {
    let (here, alone) = (here(CONFIG), here(CONFIG));
    let slow = ["sweep", "s.toml", "--jobs", "2", "--set", "sweep.controls=[]", "--set", "train.epochs=60"];
    let mut child = std::process::Command::new(assert_cmd::cargo::cargo_bin("secateur"))
        .current_dir(here.path())
        .args(slow)
        .env("HOME", here.path())
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let started = Instant::now();
    // Well inside a cell: at its ends there is nothing to go on with.
    let under_way = |run: &PathBuf| {
        let events = fs::read_to_string(run.join("events.jsonl")).unwrap_or_default();
        !finished(run) && (1..20).contains(&events.matches("\"event\":\"epoch\"").count())
    };
    let ready = || {
        let all = if here.path().join("runs/s").is_dir() { folders(here.path()) } else { vec![] };
        all.iter().any(|run| finished(run)) && all.iter().any(under_way)
    };
    while !ready() && started.elapsed() < Duration::from_secs(60) && child.try_wait().unwrap().is_none() {
        std::thread::sleep(Duration::from_millis(2));
    }
    let interrupted = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(interrupted.success());
    let ended = child.wait_with_output().unwrap();
    let errors = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert_eq!(ended.status.code(), Some(130), "{errors}");
    assert!(errors.contains("cells left; go on with the same command"), "{errors}");
    let states =
        || folders(here.path()).into_iter().map(|run| run.join("checkpoint/state.safetensors")).filter(|f| f.is_file());
    assert!(states().count() > 0, "what was under way can go on");
    // One that is damaged only means that its cell begins again.
    if let Some(second) = states().nth(1) {
        fs::write(second, "damaged").unwrap();
    }
    let (code, _, errors) = secateur(here.path(), &slow);
    assert_eq!(code, 0, "{errors}");
    assert_eq!(secateur(alone.path(), &slow).0, 0);
    let results = |here: &Path| -> Vec<(PathBuf, Vec<u8>)> {
        let model = |run: PathBuf| (run.file_name().unwrap().into(), fs::read(run.join("model.safetensors")).unwrap());
        folders(here).into_iter().map(model).collect()
    };
    assert!(results(here.path()) == results(alone.path()), "the same networks, to the bit");
}

#[test]
fn a_cell_that_fails_is_recorded_and_the_rest_goes_on() {
    let here = here(CONFIG);
    let more = ["--set", "sweep.controls=[]", "--set", "sweep.axes.prune.exempt=[[], [\"fc9\"]]"];
    let (code, _, errors) = secateur(here.path(), &[&["sweep", "s.toml"], &more[..]].concat());
    assert_eq!(code, 1, "{errors}");
    assert!(errors.contains("6 cells failed") && errors.contains("fc9"), "{errors}");
    assert_eq!(folders(here.path()).iter().filter(|run| finished(run)).count(), 6);
    let (_, out, _) = secateur(here.path(), &["compare", "runs/s"]);
    assert!(out.contains("random, exempt [\"fc9\"]: 2 of 2 failed: ") && out.contains("2 failed"), "{out}");
}

#[test]
fn a_failure_that_would_come_again_is_tried_again_only_if_asked() {
    let here = here(CONFIG);
    let rates = ["--set", "sweep.controls=[\"random\"]", "--set", "sweep.axes.train.lr=[0.1, 1e9]"];
    let again = |more: &[&str]| secateur(here.path(), &[&["sweep", "s.toml"], &rates[..], more].concat());
    let (code, out, errors) = again(&[]);
    assert_eq!(code, 1, "{out}{errors}");
    assert!(errors.contains("6 cells failed") && errors.contains("NaN") || errors.contains("inf"), "{errors}");
    assert!(
        out.contains("8 cells finished now, 0 before"),
        "six cells, and a control for each seed of magnitude: {out}"
    );
    let stamps = || {
        let time = |run: &PathBuf| fs::metadata(run.join("summary.json")).unwrap().modified().unwrap();
        folders(here.path()).iter().map(time).collect::<Vec<_>>()
    };
    let before = stamps();
    let (code, out, errors) = again(&[]);
    assert_eq!(code, 0, "every cell has ended: {out}{errors}");
    assert!(out.contains("0 cells finished now, 8 before"), "{out}");
    assert!(out.contains("6 cells failed before and would again (--retry-failed tries again)"), "{out}");
    assert_eq!(stamps(), before, "nothing is repeated");
    let (_, out, _) = again(&["--dry-run"]);
    assert!(out.contains("\n0 to run"), "{out}");
    let (_, out, _) = secateur(here.path(), &["compare", "runs/s"]);
    assert!(out.contains("random, lr 1000000000.0: 2 of 2 diverged: the "), "{out}");
    let (code, _, errors) = again(&["--retry-failed"]);
    assert!(code == 1 && errors.contains("6 cells failed"), "{errors}");
    assert!(stamps() != before);
    // What another build of the program failed at, this one may do.
    let failed = folders(here.path()).into_iter().find(|run| !finished(run)).unwrap();
    let provenance = fs::read_to_string(failed.join("provenance.toml")).unwrap();
    assert!(provenance.contains("\nbuild = \""), "{provenance}");
    fs::write(failed.join("provenance.toml"), provenance.replace("\nbuild = \"", "\nbuild = \"0")).unwrap();
    let (code, out, errors) = again(&[]);
    assert!(code == 1 && errors.contains("1 cell failed") && out.contains("5 cells failed before"), "{out}{errors}");
}

#[test]
fn cells_with_rates_by_layer_have_their_unpruned_controls() {
    let config =
        CONFIG.replace("schedule.first = 2", "schedule.first = 2\nprune.scope = \"table\"\nprune.table.fc1 = 0.5");
    let here = here(&config.replace("axes.criterion = [\"criterion/magnitude\", ", "axes.criterion = ["));
    let sets = ["--set", "sweep.controls=[\"unpruned\"]", "sweep.seeds=1", "~sweep.when"];
    let (code, out, log) = secateur(here.path(), &[&["sweep", "s.toml"], &sets[..]].concat());
    assert_eq!(code, 0, "{log}");
    assert!(out.contains("2 cells finished now"), "{out}");
    let read = |run: &PathBuf| fs::read_to_string(run.join("summary.json")).unwrap();
    let sparsity = |text: String| {
        let summary: Value = serde_json::from_str(&text).unwrap();
        (summary["control"].as_str().map(str::to_owned), summary["unit_sparsity"].as_f64().unwrap())
    };
    let mut found: Vec<_> = folders(here.path()).iter().map(read).map(sparsity).collect();
    found.sort_by(|a, b| a.1.total_cmp(&b.1));
    assert_eq!(found[0], (Some("unpruned".to_owned()), 0.0));
    assert!(found[1].0.is_none() && found[1].1 > 0.2, "{found:?}");
}

#[test]
fn controls_are_noted_for_each_cell_and_a_random_cell_needs_none() {
    let here = here(CONFIG);
    let (code, out, log) =
        secateur(here.path(), &["sweep", "s.toml", "--set", "sweep.controls=[\"random\", \"unpruned\"]"]);
    assert_eq!(code, 0, "{log}");
    // Magnitude's two norms keep as many units, and share the random control of their seed.
    assert!(out.contains("10 cells finished now"), "{out}");
    let ties: Value = serde_json::from_slice(&fs::read(here.path().join("runs/s/controls.json")).unwrap()).unwrap();
    let ties = ties.as_object().unwrap();
    assert_eq!(ties.len(), 6);
    let kinds = |controls: &Value| controls.as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" ");
    let mut all: Vec<String> = ties.values().map(kinds).collect();
    all.sort();
    assert_eq!(
        all,
        ["random unpruned", "random unpruned", "random unpruned", "random unpruned", "unpruned", "unpruned"]
    );
    let (_, text, _) = secateur(here.path(), &["compare", "runs/s", "--json", "-"]);
    let found: Value = serde_json::from_str(&text).unwrap();
    let labels: Vec<&str> =
        found["groups"].as_array().unwrap().iter().filter_map(|group| group["label"].as_str()).collect();
    let expected = [
        "magnitude, norm l1",
        "magnitude, norm l2",
        "random",
        "control: random (magnitude, norm l1; magnitude, norm l2)",
        "control: unpruned",
    ];
    assert_eq!(labels, expected);
    let run = folders(here.path())
        .into_iter()
        .find(|run| fs::read_to_string(run.join("summary.json")).unwrap().contains("control_of"));
    let run = run.unwrap();
    let summary: Value = serde_json::from_slice(&fs::read(run.join("summary.json")).unwrap()).unwrap();
    let report = fs::read_to_string(run.join("report.html")).unwrap();
    let (kind, of) = (summary["control"].as_str().unwrap(), summary["control_of"].as_str().unwrap());
    assert!(report.contains(&format!("<h1>s: control {kind} of criterion=")), "titled by what varies");
    assert!(report.contains(&format!("A control of the run in {of}")));
    assert!(summary["validation_accuracy"].is_number(), "{summary}");
    let (code, out, errors) = secateur(here.path(), &["compare", "runs/s", "--metric", "validation_accuracy"]);
    assert!(code == 0 && out.contains("validation accuracy ± std"), "{errors}");
}

#[test]
#[cfg(unix)]
fn a_group_of_an_axis_may_name_a_library() {
    let here = here(CONFIG.replace("criterion/random", "mine/square.toml").split("[[sweep.when]]").next().unwrap());
    let framework = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("framework");
    fs::create_dir(here.path().join("mine")).unwrap();
    let mut compiler = std::process::Command::new("cc");
    compiler
        .args(["-shared", "-fPIC", "-o"])
        .arg(here.path().join("mine/square.so"))
        .arg("-I")
        .arg(framework.join("include"));
    match compiler.arg(framework.join("examples/plugins/square.c")).status() {
        Ok(status) => assert!(status.success()),
        Err(_) => return eprintln!("SKIPPED: no C compiler `cc` here, so no library was named by an axis"),
    }
    let group = "plugins = [{ path = 'square.so' }]\ncriterion.name = 'square'";
    fs::write(here.path().join("mine/square.toml"), group).unwrap();
    let (code, out, errors) = secateur(here.path(), &["sweep", "s.toml"]);
    assert_eq!(code, 0, "{errors}");
    // Four cells, each with a shuffled control; the others are shared by the two criteria of a seed.
    assert!(out.contains("14 cells finished now"), "{out}");
    let (_, out, _) = secateur(here.path(), &["compare", "runs/s"]);
    assert!(out.contains("square – control: shuffled (square)") && out.contains("square – magnitude"), "{out}");
}
