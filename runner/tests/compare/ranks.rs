//! Ranks over several data sets, and intervals from resampling.

use std::fs;

use serde_json::{Value, json};

use super::browser::opened;
use super::compare;
use super::folders::{Cell, cell};

/// Five criteria on six data sets: a is best everywhere, e worst, the others in between.
fn cells() -> Vec<Cell> {
    let mut all = Vec::new();
    for (set, shift) in ["mnist", "fashion", "cifar", "glyphs", "spiral", "letters"].into_iter().zip(0u64..) {
        for (number, criterion) in ["a", "b", "c", "d", "e"].into_iter().enumerate() {
            for seed in 0..2 {
                let mixed = ((shift * 7 + number as u64 * 3) % 5) as f64;
                let accuracy = 0.9 - 0.05 * number as f64 + if (1..4).contains(&number) { 0.03 * mixed } else { 0.0 };
                let accuracy = accuracy.min(0.95 - 0.06 * f64::from(number > 0)) + 0.001 * seed as f64;
                all.push(cell(criterion, seed, accuracy).set("data.name", &format!("'{set}'")));
            }
        }
    }
    all
}

fn written(cells: &[Cell]) -> tempfile::TempDir {
    let here = tempfile::tempdir().unwrap();
    cells.iter().for_each(|cell| _ = cell.write(&here.path().join("runs/s")));
    here
}

#[test]
fn settings_are_ranked_over_data_sets_and_drawn() {
    let here = written(&cells());
    let (code, text) = compare(here.path(), &["--ranks", "--json", "-", "--ranks-svg", "cd.svg", "--html", "c.html"]);
    assert_eq!(code, 0, "{text}");
    let ranks = &serde_json::from_str::<Value>(&text).unwrap()["ranks"];
    assert_eq!((&ranks["key"], ranks["blocks"].as_array().unwrap().len()), (&json!("data.name"), 6));
    let settings = ranks["settings"].as_array().unwrap();
    assert_eq!((&settings[0], settings.len()), (&json!(["a", 1.0]), 5));
    assert_eq!(settings[4], json!(["e", 5.0]));
    // q(0.05, 5) = 2.728 (Demšar 2006, table 5): 2.728 sqrt(5 * 6 / 36).
    let critical = ranks["critical_difference"].as_f64().unwrap();
    assert!((critical - 2.728 * (30.0f64 / 36.0).sqrt()).abs() < 1e-3, "{critical}");
    assert!(ranks["friedman"]["p"].as_f64().unwrap() < 0.01, "{ranks}");
    let svg = fs::read_to_string(here.path().join("cd.svg")).unwrap();
    assert!(svg.contains("critical difference 2.49") && svg.contains("a (1.00)") && svg.contains("e (5.00)"), "{svg}");
    let (_, text) = compare(here.path(), &["--ranks"]);
    assert!(text.contains("Mean ranks over 6 values of data.name: 1.00 a; "), "{text}");
    assert!(text.contains("they do not all rank alike") && text.contains("Not told apart: a, "), "{text}");
    let Some(seen) = opened(
        &here.path().join("c.html"),
        1400,
        r#"note("ranks", document.querySelectorAll("svg.ranks text").length)"#,
    ) else {
        return;
    };
    assert_eq!((seen.noted("errors"), seen.noted("ranks")), (String::new(), "11".to_owned()));
}

#[test]
fn what_cannot_be_ranked_is_said() {
    let mut some = cells();
    some.retain(|cell| !cell.folder.starts_with("c-") || !cell.config.contains("cifar"));
    let here = written(&some);
    let (_, text) = compare(here.path(), &["--ranks"]);
    assert!(text.contains("Left out of the ranks: c (not run with data.name = cifar)"), "{text}");
    let (code, text) = compare(here.path(), &["--ranks=train.epochs"]);
    assert!(
        code == 2
            && text.contains("settings have 1 value of train.epochs in common")
            && text.contains("at least three settings"),
        "{text}"
    );
    let (code, text) = compare(here.path(), &["--ranks", "--metric", "sparsity"]);
    assert!(code == 2 && text.contains("neither more nor less of sparsity"), "{text}");
}

#[test]
fn intervals_come_from_resampling_where_that_is_asked() {
    let rank = [0.91, 0.914, 0.918, 0.921, 0.912, 0.916];
    let cells: Vec<Cell> = (rank.iter().zip(0..))
        .flat_map(|(accuracy, seed)| {
            [cell("rank", seed, *accuracy), cell("magnitude", seed, 0.9 + 0.001 * (seed % 2) as f64)]
        })
        .collect();
    let here = written(&cells);
    let (code, text) = compare(here.path(), &["--interval", "bootstrap", "--json", "-"]);
    assert_eq!(code, 0, "{text}");
    let found: Value = serde_json::from_str(&text).unwrap();
    let pair = &found["pairs"][0];
    let differences: Vec<f64> =
        rank.iter().enumerate().map(|(seed, accuracy)| accuracy - 0.9 - 0.001 * (seed % 2) as f64).collect();
    let (low, high) =
        (pair["family"]["interval"]["low"].as_f64().unwrap(), pair["family"]["interval"]["high"].as_f64().unwrap());
    let most = differences.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let least = differences.iter().copied().fold(f64::INFINITY, f64::min);
    assert!(least < low && low < high && high < most, "a mean of what was seen: {low} {high}");
    assert_eq!((&found["interval"], pair["family"]["p"].as_f64().unwrap() < 0.05), (&json!("bootstrap"), true));
    let (_, text) = compare(here.path(), &["--interval", "bootstrap"]);
    assert!(text.contains(", by bootstrap (BCa), 6 pairs") && text.contains("p (bootstrap)"), "{text}");
    let (code, text) = compare(here.path(), &["--interval", "bootstrap", "--margin", "0.5"]);
    assert!(code == 2 && text.contains("does not go with --margin"), "{text}");
    let (code, text) = compare(here.path(), &["--margin", "100"]);
    assert!(code == 2 && text.contains("are further apart than 100.00 points"), "{text}");
    let (code, text) = compare(here.path(), &["--metric", "test_loss", "--margin", "1e308"]);
    assert!(code == 0 && text.contains("1.0e308") && text.lines().all(|line| line.len() < 400), "{text}");
}
