//! Random tables of runs against a slow reference in Python, which wrote `reference.json` (see `reference.py`).

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::browser::opened;
use super::compare;
use super::folders::{Cell, cell};

fn tables() -> Vec<Value> {
    serde_json::from_str(include_str!("reference.json")).unwrap()
}

/// Writes a table's runs.
fn written(table: &Value) -> tempfile::TempDir {
    let here = tempfile::tempdir().unwrap();
    for run in table["runs"].as_array().unwrap() {
        let text = |key: &str| run[key].as_str().unwrap();
        let own = cell(text("criterion"), run["seed"].as_u64().unwrap(), run["accuracy"].as_f64().unwrap());
        let own = own.set("train.lr", text("lr"));
        let own = own.with(json!({"sparsity": run["sparsity"], "params_kept": run["params"]}));
        let own =
            if run["failed"] == true { own.failed("the training loss is NaN at step 3; lower train.lr") } else { own };
        let own = match run["control"].as_str() {
            Some(kind) => {
                // The counts of a control are those of its own cell: two of them are never one run.
                let own = own.set("criterion.name", "'random'").set("prune.counts.fc1", &format!("[{}]", run["place"]));
                own.with(json!({"control": kind, "control_of": run["of"]}))
            }
            None => own,
        };
        Cell { folder: text("folder").to_owned(), ..own }.write(&here.path().join("runs/s"));
    }
    here
}

fn asked(table: &Value) -> Vec<String> {
    let by = table["by"].as_str().map(|by| ["--by".to_owned(), by.to_owned()]);
    let margin = ["--margin".to_owned(), table["margin"].to_string()];
    by.into_iter().flatten().chain(margin).collect()
}

fn near(what: &str, found: &Value, expected: &Value) {
    match expected.as_f64() {
        None => assert!(found.is_null(), "{what}: {found}, not {expected}"),
        Some(expected) => {
            let found = found.as_f64().unwrap_or(f64::NAN);
            assert!((found - expected).abs() <= 1e-8 * expected.abs().max(1e-4), "{what}: {found}, not {expected}");
        }
    }
}

#[test]
fn random_tables_are_what_the_reference_says() {
    let (mut pairs, mut untested, mut unpaired) = (0, 0, 0);
    for (number, table) in tables().iter().enumerate() {
        let (here, asked) = (written(table), asked(table));
        let arguments: Vec<&str> = asked.iter().map(String::as_str).chain(["--json", "-"]).collect();
        let (code, text) = compare(here.path(), &arguments);
        assert_eq!(code, 0, "{number}: {text}");
        let (found, expected) = (serde_json::from_str::<Value>(&text).unwrap(), &table["expected"]);
        let groups: Vec<&Value> =
            found["groups"].as_array().unwrap().iter().filter(|group| group["control"].is_null()).collect();
        let rows = expected["groups"].as_array().unwrap();
        assert_eq!(groups.len(), rows.len(), "{number}");
        for (group, row) in groups.iter().zip(rows) {
            let what = format!("{number}: {}", row["label"]);
            assert_eq!(group["label"], row["label"], "{number}");
            assert_eq!(group["failed"].as_array().unwrap().len(), row["failed"].as_u64().unwrap() as usize, "{what}");
            assert_eq!(group["runs"].as_array().unwrap().len(), row["n"].as_u64().unwrap() as usize, "{what}");
            let accuracy = &group["metrics"]["test_accuracy"];
            near(&what, &accuracy["mean"], &row["mean"]);
            near(&what, &accuracy["interval"]["low"], &row["low"]);
            near(&what, &accuracy["interval"]["high"], &row["high"]);
            let std = if accuracy["std"] == 0.0 { &Value::Null } else { &accuracy["std"] };
            near(&what, std, &row["std"]);
        }
        let copies = found["notes"].to_string();
        assert_eq!(copies.contains("counts once"), expected["copies"] != 0, "{number}: {copies}");
        let (_, sentences) = compare(here.path(), &asked.iter().map(String::as_str).collect::<Vec<_>>());
        for kind in ["pairs", "control_pairs"] {
            let (found, expected) = (found[kind].as_array().unwrap(), expected[kind].as_array().unwrap());
            assert_eq!(found.len(), expected.len(), "{number}: {kind}");
            for (pair, row) in found.iter().zip(expected) {
                let what = format!("{number}, {kind}: {} against {}", row["group"], row["baseline"]);
                assert_eq!(pair["group"], row["group"], "{what}");
                assert!(row["baseline"] == "" || pair["baseline"] == row["baseline"], "{what}: {pair}");
                let (pair, row) = (pair, &row["found"]);
                pairs += 1;
                if row.is_null() {
                    unpaired += 1;
                    assert!(pair["difference"].is_null(), "{what}: {pair}");
                    continue;
                }
                let difference = &pair["difference"];
                assert_eq!((&difference["n"], &pair["settings"]), (&row["n"], &row["settings"]), "{what}");
                assert!((difference["mean"].as_f64().unwrap() - row["mean"].as_f64().unwrap()).abs() < 1e-12, "{what}");
                near(&what, &difference["p_t"], &row["p_t"]);
                near(&what, &difference["p_wilcoxon"], &row["p_wilcoxon"]);
                near(&what, &pair["family"]["p"], &row["p"]);
                near(&what, &pair["family"]["interval"]["low"], &row["low"]);
                near(&what, &pair["family"]["interval"]["high"], &row["high"]);
                near(&what, &pair["margin"]["p"], &row["p_margin"]);
                let verdict = row["verdict"].as_str().unwrap_or("undecided");
                let said = pair["verdict"].as_str().unwrap();
                assert!(
                    said == verdict || verdict == "undecided" && said.starts_with("undecided (+"),
                    "{what}: {said}"
                );
                let sentence = pair["sentence"].as_str().unwrap();
                untested += usize::from(row["tested"] == false);
                let start = match verdict {
                    "the same" => "are the same within",
                    "undecided" if row["tested"] == true => "Undecided between",
                    "undecided" if row["n"] == 1 => "which shows nothing: run more seeds",
                    "undecided" => "without variation there is no test",
                    _ => "is ",
                };
                assert!(sentence.contains(start), "{what}: {sentence}");
                assert!(kind == "control_pairs" || sentences.contains(sentence), "{sentence} is not in {sentences}");
            }
        }
    }
    println!("{pairs} pairs, {untested} without a test, {unpaired} without a pair");
    assert!(pairs > 150 && untested > 10 && unpaired > 3, "{pairs} {untested} {unpaired}");
}

/// Runs have a few events, so that their pages have curves.
pub fn with_events(folder: &Path) {
    let lines = r#"{"event":"start","step":0,"name":"r","params":10,"steps":20,"steps_per_epoch":10,"examples":100,"layers":[]}
{"event":"epoch","step":9,"epoch":0,"loss":2.0,"accuracy":0.5,"sparsity":0,"seconds":1}
{"event":"prune","step":9,"epoch":0,"target":null,"achieved":0.25,"units":{},"weights_kept":8,"weights_total":10,"pruned":1,"regrown":0,"seconds":0.1}
{"event":"epoch","step":19,"epoch":1,"loss":null,"accuracy":0.7,"sparsity":0,"seconds":1}
"#;
    fs::write(folder.join("events.jsonl"), lines).unwrap();
}

#[test]
fn pages_of_random_tables_are_clicked_through_without_a_complaint() {
    for (number, table) in tables().iter().enumerate().take(10) {
        let (here, asked) = (written(table), asked(table));
        let runs = fs::read_dir(here.path().join("runs/s")).unwrap().flatten().map(|entry| entry.path());
        runs.filter(|path| path.is_dir()).for_each(|folder| with_events(&folder));
        let arguments: Vec<&str> = asked.iter().map(String::as_str).chain(["--html", "c.html"]).collect();
        let (code, text) = compare(here.path(), &arguments);
        assert_eq!(code, 0, "{text}");
        let clicks = r##"
          document.querySelectorAll("th").forEach((head) => head.click());
          note("charts", document.querySelectorAll("[data-front] svg").length);
          note("points", document.querySelector("[data-front]")?.querySelectorAll("path.point").length ?? 0);
          const rows = [...document.querySelectorAll("#runs tbody tr")];
          note("rows", rows.length);
          rows[0].click();
          setTimeout(() => {
            rows.at(-1).click();
            setTimeout(() => {
              note("cell", document.querySelector("#cell h1").textContent);
              document.querySelector("#back").click();
            }, 200);
          }, 200);"##;
        let Some(seen) = opened(&here.path().join("c.html"), 1400, clicks) else { return };
        assert_eq!(seen.noted("errors"), "", "{number}");
        let (_, json) =
            compare(here.path(), &asked.iter().map(String::as_str).chain(["--json", "-"]).collect::<Vec<_>>());
        let found: Value = serde_json::from_str(&json).unwrap();
        let groups = found["groups"].as_array().unwrap();
        let drawn = groups.iter().filter(|group| !group["runs"].as_array().unwrap().is_empty()).count();
        if drawn > 1 {
            assert_eq!(seen.noted("charts"), "3", "{number}: sparsity, MACs and time");
            assert_eq!(seen.noted("points"), drawn.to_string(), "{number}");
        }
        assert!(!seen.noted("cell").is_empty(), "{number}");
    }
}
