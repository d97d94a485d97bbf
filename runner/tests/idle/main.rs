//! No accepted setting is silent where it cannot act: for every option that says what it needs, a config that takes it
//! away, and what the run says then.
#![allow(clippy::unwrap_used, reason = "tests")]

mod cases;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use assert_cmd::Command;
use secateur::data::DataConfig;
use secateur::network::given::InitConfig;
use secateur::options::OptionSet;
use secateur::plugins::registry::Kind;
use secateur::pruning::{GrowConfig, PruneConfig};
use secateur::training::TrainConfig;
use serde_json::Value;

use cases::{ELSEWHERE, MERGING, Told, VAE, cases};

/// A network and data that train in a moment; pruned twice.
const SMALL: &str = r#"
seed = 3
[data]
name = "glyphs"
glyphs = { train = 200, test = 50 }
[model]
name = "mlp"
hidden = [6]
[criterion]
name = "magnitude"
[schedule]
name = "periodic"
first = 1
every = 1
count = 2
[compressor]
name = "none"
[train]
epochs = 4
lr = 0.01
"#;

struct Outcome {
    code: Option<i32>,
    errors: String,
    /// The keys and the text of each note, from `events.jsonl`.
    notes: Vec<(Vec<String>, String)>,
    summary: Value,
    report: String,
}

fn run(sets: &[&str], more: &[&str]) -> Outcome {
    let here = tempfile::tempdir().unwrap();
    fs::create_dir(here.path().join("configs")).unwrap();
    fs::write(here.path().join("configs/base.toml"), "").unwrap();
    fs::write(here.path().join("small.toml"), SMALL).unwrap();
    let mut command = Command::cargo_bin("secateur").unwrap();
    command.current_dir(here.path()).env("HOME", here.path()).args(["run", "small.toml"]).args(more);
    sets.iter().for_each(|set| _ = command.arg("--set").arg(set));
    let output = command.output().unwrap();
    let folder = fs::read_dir(here.path().join("runs")).ok().and_then(|mut all| Some(all.next()?.unwrap().path()));
    let read = |name: &str| folder.as_ref().and_then(|f| fs::read_to_string(f.join(name)).ok()).unwrap_or_default();
    let events = read("events.jsonl");
    let events = events.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let words = |value: &Value| value.as_array().unwrap().iter().map(|v| v.as_str().unwrap().to_owned()).collect();
    let notes =
        events.filter(|e| e["event"] == "note").map(|e| (words(&e["keys"]), e["text"].as_str().unwrap().into()));
    Outcome {
        code: output.status.code(),
        errors: String::from_utf8(output.stderr).unwrap(),
        notes: notes.collect(),
        summary: serde_json::from_str(&read("summary.json")).unwrap_or_default(),
        report: read("report.html"),
    }
}

#[test]
fn a_plain_run_has_no_notes() {
    let outcome = run(&[], &[]);
    assert_eq!((outcome.code, outcome.notes.len()), (Some(0), 0), "{} {:?}", outcome.errors, outcome.notes);
    assert_eq!(outcome.summary["notes"], serde_json::json!([]));
}

#[test]
fn every_value_that_cannot_act_is_said_once_or_refused() {
    let mut wrong = Vec::new();
    for (key, sets, told) in cases() {
        let outcome = run(sets, &[]);
        let of_key: Vec<&(Vec<String>, String)> = outcome
            .notes
            .iter()
            .filter(|(keys, _)| keys.iter().any(|k| k == key || k.starts_with(&format!("{key}."))))
            .collect();
        let right = match told {
            Told::Note(text) => outcome.code == Some(0) && matches!(of_key[..], [(_, said)] if said.contains(text)),
            Told::Refused(text) => {
                let named = outcome.errors.contains(&format!("{key}: ")) || outcome.errors.contains(&format!("{key}."));
                outcome.code == Some(2) && named && outcome.errors.contains(text)
            }
        };
        if !right {
            wrong.push(format!("{key} {sets:?}: {:?}\n{:?}\n{}", outcome.code, outcome.notes, outcome.errors));
        }
    }
    assert!(wrong.is_empty(), "{} cases\n{}", wrong.len(), wrong.join("\n\n"));
}

/// What every built-in set of options says: the path of a key, and what it needs.
fn declared() -> BTreeMap<String, Option<String>> {
    fn section<T: OptionSet>(path: &str) -> Vec<(String, Option<String>)> {
        assert!(T::undeclared().is_empty(), "{path}: {:?} do not say when they act: #[acts(...)]", T::undeclared());
        T::docs().into_iter().map(|doc| (format!("{path}.{}", doc.name), doc.acts)).collect()
    }
    let mut all: Vec<_> = section::<TrainConfig>("train");
    all.extend(section::<PruneConfig>("prune"));
    all.extend(section::<GrowConfig>("grow"));
    all.extend(section::<DataConfig>("data"));
    all.extend(section::<InitConfig>("init"));
    let registry = secateur_bundle::registry().unwrap();
    for kind in Kind::ALL {
        for (name, item) in registry.of_kind(kind) {
            let silent = item.undeclared();
            assert!(silent.is_empty(), "{kind} {name}: {silent:?} do not say when they act: #[acts(...)]");
            let path = if kind == Kind::Data { format!("data.{name}") } else { kind.to_string() };
            all.extend(item.docs().into_iter().map(|doc| (format!("{path}.{}", doc.name), doc.acts)));
        }
    }
    all.into_iter().filter(|(_, acts)| acts.is_some()).collect()
}

#[test]
fn every_option_says_when_it_acts_and_has_a_case_here() {
    let known: BTreeSet<&str> = cases().map(|(key, ..)| *key).chain(ELSEWHERE.iter().copied()).collect();
    let declared = declared();
    let missing: Vec<&String> = declared.keys().filter(|key| !known.contains(key.as_str())).collect();
    assert!(missing.is_empty(), "no case in this file for {missing:?}");
    assert!(declared.len() > 40, "{}", declared.len());
}

#[test]
fn a_note_says_who_set_what_in_console_summary_and_report() {
    let outcome = run(&["train.momentum=0.9", "train.optimizer=adam"], &[]);
    let text = "train.momentum = 0.9 does nothing here: it acts with train.optimizer = \"sgd\", and train.optimizer is \
                \"adam\". (train.momentum: --set; train.optimizer: --set)";
    assert!(outcome.errors.contains(&format!("note: {text}\n")), "{}", outcome.errors);
    assert_eq!(outcome.summary["notes"], serde_json::json!([text]));
    assert!(outcome.report.contains("train.momentum = 0.9 does nothing here"), "the report");
    let quiet = run(&["train.momentum=0.9", "train.optimizer=adam"], &["--quiet"]);
    assert_eq!((quiet.errors.as_str(), quiet.notes.len()), ("", 1));
    let merged = run(&[MERGING], &[]);
    let ends = "(compressor.name = \"token-merging\": --set; model.name = \"mlp\": small.toml line 7)";
    assert!(merged.notes[0].1.ends_with(ends), "{:?}", merged.notes);
}

/// A folder of images with its own splits.
fn images(at: &Path) {
    for split in ["train", "test", "validation"] {
        for class in ["a", "b"] {
            let folder = at.join(split).join(class);
            fs::create_dir_all(&folder).unwrap();
            for i in 0..4 {
                fs::write(folder.join(format!("{i}.png")), PIXEL).unwrap();
            }
        }
    }
}

/// A PNG of one gray pixel.
const PIXEL: &[u8] =
    b"\x89PNG\x0d\x0a\x1a\x0a\x00\x00\x00\x0dIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x00\x00\x00\x00:~\
    \x9bU\x00\x00\x00\x0aIDATx\xdach\x00\x00\x00\x82\x00\x81\xdaE\x08;\x00\x00\x00\x00IEND\xaeB`\x82";

#[test]
fn splits_that_a_folder_brings_along_leave_nothing_to_draw() {
    let here = tempfile::tempdir().unwrap();
    images(here.path());
    let dir = format!("data.dir={:?}", here.path().to_str().unwrap());
    let set = "data={name=\"image-folder\",normalize=\"none\",validation=0.5,image-folder={size=4,test=0.5}}";
    let outcome = run(&[set, &dir], &[]);
    let said: Vec<&str> = outcome.notes.iter().map(|(keys, _)| keys[0].as_str()).collect();
    assert_eq!(
        said,
        ["data.glyphs", "data.image-folder.test", "data.validation"],
        "{} {:?}",
        outcome.errors,
        outcome.notes
    );
    let own_loss = run(&[set, &dir, VAE, "data={normalize=\"unit\",validation=0}", "train.loss=binary"], &[]);
    let said: Vec<&str> = own_loss.notes.iter().map(|(_, text)| text.as_str()).collect();
    let expected = "train.loss = \"binary\" does nothing here: the model has a loss of its own.";
    assert!(said.iter().any(|text| text.starts_with(expected)), "{} {said:?}", own_loss.errors);
}

#[test]
fn a_library_of_which_nothing_is_chosen_is_said_to_be_idle() {
    let here = tempfile::tempdir().unwrap();
    let framework = concat!(env!("CARGO_MANIFEST_DIR"), "/../framework");
    let library = here.path().join(format!("libsquare{}", std::env::consts::DLL_SUFFIX));
    let mut compiler = std::process::Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-std=c11", "-I"]).arg(format!("{framework}/include")).arg("-o").arg(&library);
    let compiled = compiler.arg(format!("{framework}/examples/plugins/square.c")).status().expect("a C compiler, `cc`");
    assert!(compiled.success());
    let set = format!("plugins=[{{path={:?}}}]", library.to_str().unwrap());
    let idle = run(&[&set], &[]);
    assert_eq!(idle.notes[0].0, ["plugins"], "{} {:?}", idle.errors, idle.notes);
    let used = run(&[&set, "criterion.name=square"], &[]);
    assert_eq!((used.code, used.notes.len()), (Some(0), 0), "{} {:?}", used.errors, used.notes);
}
