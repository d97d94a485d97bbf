//! Data that is drawn again at one initialisation, and targets that are numbers.

use super::{folders, here, secateur};
use serde_json::Value;
use std::fs;
use std::path::Path;

/// A run that draws everything which a seed is for.
const RUN: &str = r#"
extends = ["experiment/quickstart"]
seed = 3
data.glyphs = { train = 300, test = 100 }
data.validation = 40
data.train_limit = 200
criterion.name = "random"
train = { epochs = 3, batch_size = 60 }
schedule.first = 1
"#;

fn run(here: &Path, words: &[&str]) -> (Value, Vec<u8>) {
    let (code, _, errors) = secateur(here, &[&["run", "s.toml", "--force", "--out", "one"], words].concat());
    assert_eq!(code, 0, "{errors}");
    let folder = fs::read_dir(here.join("one")).unwrap().map(|f| f.unwrap().path()).find(|path| path.is_dir()).unwrap();
    let summary: Value = serde_json::from_slice(&fs::read(folder.join("summary.json")).unwrap()).unwrap();
    let model = fs::read(folder.join("model.safetensors")).unwrap();
    let own = words.iter().filter_map(|word| word.strip_prefix("seeds.")).map(|word| word.replace('=', " "));
    let own = own.collect::<Vec<_>>().join(", ");
    let behind = if own.is_empty() { own } else { format!(" ({own})") };
    let report = fs::read_to_string(folder.join("report.html")).unwrap();
    assert!(report.contains(&format!(", seed {}{behind}", summary["seed"])), "the report names its seeds");
    fs::remove_dir_all(here.join("one")).unwrap();
    (summary, model)
}

#[test]
fn each_seed_draws_its_own_part_and_all_of_them_are_the_run() {
    let here = here(RUN);
    let (_, plain) = run(here.path(), &[]);
    let own = |seed: u64| ["init", "split", "order", "pruner", "data"].map(|key| format!("seeds.{key}={seed}"));
    let all = own(3);
    let (summary, model) = run(here.path(), &[&["seed=8"], &all.each_ref().map(String::as_str)[..]].concat());
    assert!(model == plain, "nothing but the five is drawn");
    assert_eq!(summary["seed"], 8);
    for key in own(8) {
        let (_, model) = run(here.path(), &[&key]);
        assert!(model != plain, "{key} changes nothing");
    }
}

#[test]
fn a_seed_that_is_what_it_would_follow_makes_the_same_run() {
    let here = here(RUN);
    let name = |words: &[&str]| {
        let (code, out, errors) = secateur(here.path(), &[&["run", "s.toml", "--out", "runs/s"], words].concat());
        assert_eq!(code, 0, "{errors}");
        (out + &errors, folders(here.path()).len())
    };
    assert_eq!(name(&[]).1, 1);
    let (said, count) = name(&["seeds.data=3"]);
    assert!(count == 1 && said.contains("finished"), "{count}: {said}");
    assert_eq!(name(&["seeds.data=4"]).1, 2);
    let (code, _, errors) = secateur(here.path(), &["run", "s.toml", "seeds.dat=4"]);
    assert!(code == 2 && errors.contains("did you mean seeds.data?"), "{errors}");
}

#[test]
fn data_that_is_drawn_again_makes_repetitions() {
    let here = here(RUN);
    let words = ["sweep", "s.toml", "criterion=magnitude,random", "seeds.data=0,1,2", "sweep.controls=[]"];
    let (code, _, errors) = secateur(here.path(), &words);
    assert_eq!(code, 0, "{errors}");
    assert_eq!(folders(here.path()).len(), 6);
    let (code, out, errors) = secateur(here.path(), &["compare", "runs/s", "--baseline", "random", "--json", "-"]);
    assert_eq!(code, 0, "{errors}");
    let found: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(found["by"], serde_json::json!(["criterion.name"]), "{found:#}");
    assert_eq!(found["pairs"][0]["difference"]["n"], 3, "{:#}", found["pairs"]);
}

/// The points of a hidden function, masked before the first update, at one initialisation and with data of four seeds.
const AT_THE_START: &str = r#"
extends = ["data/gaussian-memorisation", "model/mlp", "schedule/at-initialisation"]
model.hidden = [12]
prune.granularity = "weight"
train = { epochs = 1, batch_size = 30 }
sweep.controls = []
sweep.axes.seeds.data = [0, 1, 2, 3]
"#;

#[test]
fn at_one_initialisation_masks_tell_of_the_data_what_their_criterion_looks_at() {
    let here = here(AT_THE_START);
    let criteria = "criterion=random,synflow,magnitude,snip";
    let (code, _, errors) = secateur(here.path(), &["sweep", "s.toml", criteria]);
    assert_eq!(code, 0, "{errors}");
    let (code, out, errors) = secateur(here.path(), &["information", "runs/s", "--json", "-"]);
    assert_eq!(code, 0, "{errors}");
    assert_eq!(out, secateur(here.path(), &["information", "runs/s", "--json", "-"]).1, "figure by figure the same");
    let found: Value = serde_json::from_str(&out).unwrap();
    let told = |criterion: &str| {
        let groups = found["groups"].as_array().unwrap();
        let group = groups.iter().find(|group| group["label"] == format!("criterion {criterion}")).unwrap();
        assert_eq!(group["estimate"]["data_sets"], 4, "{group:#}");
        group["estimate"]["plug_in"].as_f64().unwrap()
    };
    // Nothing but the initialisation and a seed that is held: were either drawn again with the data, masks would differ.
    for criterion in ["random", "synflow", "magnitude"] {
        assert_eq!(told(criterion), 0.0, "{criterion}");
    }
    assert_eq!(told("snip"), 2.0, "four data sets, four masks");
}

/// Numbers to learn, with the noise in them known.
const NUMBERS: &str = r#"
extends = ["experiment/quickstart", "data/teacher-student"]
data.teacher-student = { train = 120, test = 60, inputs = 6, hidden = [4] }
data.validation = 20
model = { name = "mlp", hidden = [16] }
train = { epochs = 5, batch_size = 40, lr = 0.01 }
schedule.first = 2
output.best = true
"#;

#[test]
fn a_regression_shows_its_loss_and_no_accuracy() {
    let here = here(NUMBERS);
    let (code, out, errors) = secateur(here.path(), &["run", "s.toml", "--out", "runs/s"]);
    assert_eq!(code, 0, "{errors}");
    let accuracy = |text: &str| text.to_lowercase().contains("accuracy");
    assert!(!accuracy(&out) && !accuracy(&errors), "{out}{errors}");
    let folder = folders(here.path()).pop().unwrap();
    let summary: Value = serde_json::from_slice(&fs::read(folder.join("summary.json")).unwrap()).unwrap();
    let number = |key: &str| summary[key].as_f64().unwrap_or_else(|| panic!("no {key}: {summary:#}"));
    assert!(summary["test_accuracy"].is_null() && summary.get("train_accuracy").is_none(), "{summary:#}");
    assert!(number("test_r2") < 1.0 && number("noise_correlation").abs() < 2.0);
    assert!(number("train_loss_max") > number("train_loss") && number("validation_loss") > 0.0);
    let report = fs::read_to_string(folder.join("report.html")).unwrap();
    assert!(report.contains("R² on the test split") && !report.contains("<h2>Accuracy"));

    let run = folder.to_str().unwrap();
    let (code, out, errors) = secateur(here.path(), &["predict", run]);
    assert!(code == 0 && out.contains("R²") && !accuracy(&out), "{out}{errors}");
    let (code, out, errors) = secateur(here.path(), &["predict", run, "--csv", "-"]);
    assert!(code == 0 && out.starts_with("example,value,target\n"), "{out}{errors}");
    assert_eq!(secateur(here.path(), &["verify", run]).0, 0);
    let (code, out, errors) = secateur(here.path(), &["compare", "runs/s", "--metric", "test_r2"]);
    assert!(code == 0 && out.contains("test r2") && !accuracy(&out), "{out}{errors}");
    let (code, out, errors) = secateur(here.path(), &["data", "check", "teacher-student"]);
    assert!(code == 0 && out.contains("real-valued targets") && out.contains("targets of mean"), "{out}{errors}");
}

#[test]
fn two_classes_as_signs_train_on_a_squared_error() {
    let here = here(NUMBERS);
    let words = ["data={name=\"gaussian-memorisation\",normalize=\"none\"}", "train.epochs=600", "schedule=never"];
    let (summary, _) =
        run(here.path(), &[&words[..], &["train.lr=0.02", "data.validation=0", "output.best=false"]].concat());
    let number = |key: &str| summary[key].as_f64().unwrap();
    assert_eq!(number("train_accuracy"), 1.0, "{summary:#}");
    assert!(number("train_loss_max") < 0.1 && number("test_accuracy") < 0.8, "{summary:#}");
    assert!(summary.get("test_r2").is_none() && summary.get("noise_correlation").is_none());
}
