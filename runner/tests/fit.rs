//! What is learned from a lottery-ticket run, and used on another network, through the command line.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use safetensors::SafeTensors;
use serde_json::Value;

/// Four rounds of three epochs, of a second in all.
const LOTTERY: [&str; 13] = [
    "run",
    "experiment/quickstart",
    "schedule/lottery",
    "--quiet",
    "--set=data.glyphs={train=600,test=100}",
    "--set=train.epochs=12",
    "--set=train.batch_size=60",
    "--set=criterion.name=magnitude",
    "--set=prune.granularity=weight",
    "--set=prune.apply=mask",
    "--set=schedule.epochs_per_round=3",
    "--set=schedule.fraction=0.3",
    "--set=output.pictures=0",
];
const SURVIVAL: &str = "--set=output.survival=true";

fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_secateur"));
    command.current_dir(folder).args(arguments).env_remove("SECATEUR_DATA").env("HOME", folder);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn secateur(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    let output = command(folder, arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// Carries out a run into a folder of its own; where it is, relative to `folder`.
fn run(folder: &Path, name: &str, arguments: &[&str]) -> PathBuf {
    let (code, _, log) = secateur(folder, &[arguments, &["--out", name]].concat());
    assert_eq!(code, 0, "{log}");
    let all: Vec<_> = fs::read_dir(folder.join(name)).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(all.len(), 1, "{all:?}");
    Path::new(name).join(&all[0])
}

fn lottery(folder: &Path, name: &str, more: &[&str]) -> PathBuf {
    run(folder, name, &[&LOTTERY[..], more].concat())
}

fn fit(folder: &Path, run: &Path, more: &[&str]) -> (i32, String, String) {
    secateur(folder, &[&["fit", "autosparse", run.to_str().unwrap()], more].concat())
}

/// The events of pruning steps.
fn prunings(run: &Path) -> Vec<Value> {
    let events = fs::read_to_string(run.join("events.jsonl")).unwrap_or_default();
    let events = events.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    events.filter(|event| event["event"] == "prune").collect()
}

#[test]
fn what_a_lottery_run_shows_chooses_the_weights_of_another_network() {
    let here = tempfile::tempdir().unwrap();
    let folder = here.path();
    let tickets = lottery(folder, "tickets", &[SURVIVAL]);

    // What is recorded is what the masks of each step were.
    let bytes = fs::read(folder.join(&tickets).join("survival.safetensors")).unwrap();
    let (_, about) = SafeTensors::read_metadata(&bytes).unwrap();
    assert_eq!(about.metadata().as_ref().unwrap()["pruning_steps"], "3");
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let last: BTreeMap<String, Vec<u16>> = tensors
        .tensors()
        .into_iter()
        .map(|(name, t)| (name, t.data().as_chunks().0.iter().map(|b| u16::from_le_bytes(*b)).collect()))
        .collect();
    assert_eq!(last.keys().collect::<Vec<_>>(), ["fc1.weight", "fc2.weight"]);
    for (nth, step) in prunings(&folder.join(&tickets)).iter().enumerate() {
        for (name, last) in &last {
            let kept = last.iter().filter(|last| usize::from(**last) > nth).count();
            assert_eq!(step["kept"][name], kept, "{name} at pruning step {nth}");
        }
    }
    assert_eq!(prunings(&folder.join(&tickets)).len(), 3);

    let (code, out, log) = fit(folder, &tickets, &["--out", "found.toml", "--batches", "2"]);
    assert!(
        code == 0 && out.contains("  product_size\n") && out.contains("40700 weights and 3 pruning steps"),
        "{out}{log}"
    );
    let text = fs::read_to_string(folder.join("found.toml")).unwrap();
    let found: toml::Table = text.parse().unwrap();
    let criterion = found["criterion"].as_table().unwrap();
    assert!(text.contains(&format!("fitted to {}", tickets.display())), "{text}");
    assert_eq!((criterion["name"].as_str(), criterion["batches"].as_integer()), (Some("autosparse"), Some(2)));
    // Larger weights survive a magnitude lottery longer.
    let at =
        |w: f64| criterion["weight"].as_float().unwrap() * w + criterion["weight_squared"].as_float().unwrap() * w * w;
    assert!(at(1.5) > at(0.2), "{text}");

    // How well they tell the survivors of other runs, beside what is fitted to these.
    let correlations = |run: &Path, more: &[&str]| -> Vec<f64> {
        let (code, out, log) = fit(folder, run, more);
        assert!(code == 0 && !log.contains("panicked"), "{out}{log}");
        let (_, table) = out.split_once("with how long weights survived:\n").unwrap();
        table.lines().map(|line| line.split_whitespace().next().unwrap().parse().unwrap()).collect()
    };
    let [own, itself] = correlations(&tickets, &["--beside", "found.toml", "--batches", "2"])[..] else { panic!() };
    assert!(own == itself && own > 0.2, "{own} {itself}");
    let smaller = lottery(folder, "smaller", &["--set=model.hidden=[20]", SURVIVAL]);
    let [own, other, default] =
        correlations(&smaller, &["--quiet", "--beside", "found.toml", "--beside", "criterion/autosparse"])[..]
    else {
        panic!()
    };
    assert!(own > other && own > default && other > 0.2 && default > 0.2, "{own} {other} {default}");

    // Another network, pruned before its first update.
    let other =
        ["run", "experiment/quickstart", "schedule/one-shot", "found.toml", "--quiet", "--set=model.hidden=[20]"];
    let more = ["--set=data.glyphs={train=600,test=100}", "--set=train.epochs=2", "--set=train.batch_size=60"];
    let masks =
        ["--set=prune={granularity=\"weight\",apply=\"mask\",scope=\"layer\"}", "--set=schedule={at=0,sparsity=0.8}"];
    let other = [&other[..], &more, &masks].concat();
    let first = run(folder, "first", &other);
    let config = fs::read_to_string(folder.join(&first).join("config.toml")).unwrap().parse::<toml::Table>().unwrap();
    assert_eq!(config["criterion"]["product"], criterion["product"]);
    let provenance = fs::read_to_string(folder.join(&first).join("provenance.toml")).unwrap();
    assert!(provenance.contains("\"criterion.product\" = \"found.toml"), "{provenance}");
    let step = &prunings(&folder.join(&first))[0];
    assert!(step["at_start"] == true && step["kept"]["fc1.weight"] == 784 * 20 / 5, "{step}");

    // The same file with other content is another run; the first one's folder says what it was.
    let product = criterion["product"].as_float().unwrap();
    let changed = text.replace(&format!("product = {product:?}"), &format!("product = {:?}", product + 1.0));
    assert_ne!(changed, text);
    fs::write(folder.join("found.toml"), changed).unwrap();
    let second = run(folder, "second", &other);
    assert_ne!(first.file_name(), second.file_name());
    let weights = |run: &Path| fs::read(folder.join(run).join("model.safetensors")).unwrap();
    assert!(weights(&first) != weights(&second), "the criterion makes no difference");
}

#[test]
fn recording_changes_nothing_and_nobody_records_unasked() {
    let here = tempfile::tempdir().unwrap();
    let (with, without) = (lottery(here.path(), "with", &[SURVIVAL]), lottery(here.path(), "without", &[]));
    assert_eq!(with.file_name(), without.file_name(), "it is no part of what a run is");
    let file = |run: &Path, name: &str| fs::read(here.path().join(run).join(name)).ok();
    assert!(file(&with, "model.safetensors").is_some());
    assert!(file(&with, "model.safetensors") == file(&without, "model.safetensors"));
    assert!(file(&without, "survival.safetensors").is_none());
}

#[test]
fn a_killed_run_records_what_it_would_have_without_that() {
    let (alone, broken) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    // The third pruning step is after 45 epochs, and the checkpoint before it after 40.
    let longer =
        [SURVIVAL, "--set=train.epochs=60", "--set=schedule.epochs_per_round=15", "--set=output.checkpoint_every=20"];
    let expected = lottery(alone.path(), "runs", &longer);

    let mut child = command(broken.path(), &[&LOTTERY[..], &longer, &["--out", "runs"]].concat()).spawn().unwrap();
    let run = |folder: &Path| Some(fs::read_dir(folder.join("runs")).ok()?.next()?.unwrap().path());
    let began = Instant::now();
    while run(broken.path()).is_none_or(|run| prunings(&run).len() < 3) {
        assert!(child.try_wait().unwrap().is_none(), "the run ended before its third pruning step");
        assert!(began.elapsed() < Duration::from_secs(100), "the third pruning step never came");
        sleep(Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let broken_run = run(broken.path()).unwrap();
    let name = broken_run.to_str().unwrap();
    let (code, _, log) = secateur(broken.path(), &["run", "--resume", name, "--quiet"]);
    assert_eq!(code, 0, "{log}");
    for file in ["survival.safetensors", "model.safetensors"] {
        let read = |run: &Path| fs::read(run.join(file)).unwrap();
        assert!(read(&alone.path().join(&expected)) == read(&broken_run), "{file} differs");
    }
}

#[test]
fn what_nothing_can_be_learned_from_is_told_apart() {
    let here = tempfile::tempdir().unwrap();
    let folder = here.path();
    let refused = |run: &Path, more: &[&str], expected: &str| {
        let (code, out, log) = fit(folder, run, more);
        assert!(out.is_empty() && !log.contains("panicked") && log.contains("fix: "), "{out}{log}");
        assert!(log.contains(expected), "{expected}\n{log}");
        code
    };
    let out = ["--out", "found.toml"];
    assert_eq!(refused(Path::new("nowhere"), &out, "nowhere: this is not the folder of a run"), 2);
    let plain = lottery(folder, "plain", &[]);
    assert_eq!(refused(&plain, &out, "has not recorded how long its weights survived"), 2);
    assert_eq!(refused(&plain, &["--out", "found.json"], "found.json: a config's name ends in .toml"), 2);
    assert_eq!(refused(&plain, &[&out[..], &["--data-dir", "here"]].concat(), "\"glyphs\" reads no file"), 2);
    let nothing = "--beside experiment/quickstart: it leaves criterion.name at \"contribution-rank\"";
    assert_eq!(refused(&plain, &["--beside", "experiment/quickstart"], nothing), 2);
    assert!(fit(folder, &plain, &[]).2.contains("--out <FILE>"), "one of the two is wanted");
    fs::write(folder.join("found.toml"), "").unwrap();
    assert_eq!(refused(&plain, &out, "found.toml: there is such a file"), 2);
    fs::remove_file(folder.join("found.toml")).unwrap();

    let regrows = lottery(folder, "regrows", &["--set=prune.regrow=true", SURVIVAL]);
    assert_eq!(refused(&regrows, &out, "weights came back in this run"), 2);
    let units = lottery(folder, "units", &["--set=prune.granularity=unit", SURVIVAL]);
    assert_eq!(refused(&units, &out, "this run pruned units, and autosparse scores weights"), 2);

    let tickets = lottery(folder, "tickets", &[SURVIVAL]);
    let record = folder.join(&tickets).join("survival.safetensors");
    let whole = fs::read(&record).unwrap();
    fs::write(&record, &whole[..whole.len() / 2]).unwrap();
    assert_eq!(refused(&tickets, &out, "survival.safetensors: it is damaged"), 1);
    fs::write(&record, &whole).unwrap();
    // A config that is not that of the run, and the record of another network.
    let config = folder.join(&tickets).join("config.toml");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replace("hidden = [50, 30]", "hidden = [40, 30]")).unwrap();
    assert_eq!(refused(&tickets, &out, "config.toml: it is not the config that was run"), 1);
    fs::write(&config, text).unwrap();
    let smaller = lottery(folder, "smaller", &["--set=model.hidden=[40, 30]", SURVIVAL]);
    fs::copy(folder.join(&smaller).join("survival.safetensors"), &record).unwrap();
    let (code, _, log) = fit(folder, &tickets, &out);
    assert!(code == 1 && log.contains("`fc1.weight` has 39200 weights, and it is known of 31360"), "{log}");
    assert!(!folder.join("found.toml").exists());

    // Files that are no such config.
    let used = |content: &str, expected: &str| {
        fs::write(folder.join("found.toml"), content).unwrap();
        let (code, _, log) = secateur(folder, &["config", "experiment/quickstart", "found.toml"]);
        assert!(code == 2 && log.contains(expected) && log.contains("found.toml"), "{expected}\n{log}");
    };
    used("criterion = { name = \"autosparse\", produkt = 1.0 }", "product");
    used("criterion = { name = \"autosparse\", product = \"much\" }", "criterion.product");
    let none =
        "weight = 0.0, gradient = 0.0, weight_squared = 0.0, gradient_squared = 0.0, product = 0.0, product_size = 0.0";
    used(&format!("criterion = {{ name = \"autosparse\", {none} }}"), "every score would be 0");
    let (code, _, log) = secateur(folder, &["config", "experiment/quickstart", "missing.toml"]);
    assert!(code == 2 && log.contains("missing.toml"), "{log}");
}
