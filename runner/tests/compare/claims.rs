//! What sweeps were to show is judged by their runs, and the same from the table that is kept when the runs are gone.
//!
//! Longer than 300 lines because the page of the evidence is held to the same tables as its claims.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::folders::{Cell, cell};
use super::{compare, compared};

/// Accuracies that vary by a thousandth around a mean.
fn near(mean: f64, seed: u64) -> f64 {
    mean + 0.001 * ((seed * 7 % 5) as f64 - 2.0)
}

/// Six seeds of ranks at two settings beside random ones and others; their unpruned control is a point better than magnitude.
fn cells() -> Vec<Cell> {
    let mut all = Vec::new();
    for seed in 0..6 {
        for (criterion, mean) in [("rank", 0.93), ("random", 0.90), ("magnitude", 0.93)] {
            let spread = match criterion {
                "random" => 0.0005 * (seed % 3) as f64,
                "rank" => 0.00001 * (seed % 2) as f64,
                _ => 0.00001 * (seed % 3) as f64,
            };
            let made = cell(criterion, seed, near(mean, seed) + spread).set("prune.at", "0.5");
            all.push(made);
        }
        all.push(cell("rank", seed, near(0.80, seed)).set("prune.at", "0.9"));
        all.push(cell("random", seed, 0.80 + 10.0 * (near(0.80, seed * 3 + 1) - 0.80)).set("prune.at", "0.9"));
        let magnitude = cell("magnitude", seed, 0.0).set("prune.at", "0.5");
        let dense = cell("random", seed, near(0.94, seed) + 0.0001 * (seed % 2) as f64).set("schedule.name", "'never'");
        all.push(dense.control("unpruned", &magnitude));
    }
    all
}

fn claim(of: Value, is: &str, than: Value, at: f64) -> Value {
    json!({
        "claim": "it is so", "source": "a paper", "of": of, "is": is, "than": than, "where": {"prune": {"at": at}}, "margin": 0.5,
    })
}

fn criterion(name: &str) -> Value {
    json!({"criterion": {"name": name}})
}

/// Verdicts of the claims over these cells, and all that was found.
fn judged(here: &Path, claims: &[Value]) -> (Vec<String>, Value) {
    fs::write(here.join("runs/s/claims.json"), json!(claims).to_string()).unwrap();
    let (code, text) = compare(here, &["--json", "-"]);
    assert_eq!(code, 0, "{text}");
    let found: Value = serde_json::from_str(&text).unwrap();
    let verdict = |judged: &Value| judged["verdict"].as_str().unwrap().to_owned();
    (found["claims"].as_array().unwrap().iter().map(verdict).collect(), found)
}

#[test]
fn a_claim_is_supported_or_not_or_the_contrary_or_undecided() {
    let (here, _) = compared(&cells());
    let (verdicts, found) = judged(
        here.path(),
        &[
            claim(criterion("rank"), "better", criterion("random"), 0.5),
            claim(criterion("rank"), "worse", criterion("random"), 0.5),
            claim(criterion("rank"), "better", criterion("magnitude"), 0.5),
            claim(criterion("rank"), "same", criterion("magnitude"), 0.5),
            claim(criterion("rank"), "better", criterion("random"), 0.9),
            claim(criterion("magnitude"), "worse", json!({"control": "unpruned"}), 0.5),
            claim(criterion("nobody"), "better", criterion("random"), 0.5),
            json!({"claim": "c", "of": criterion("rank"), "is": "better", "than": criterion("random"), "margin": 0.5}),
            json!({"claim": "c", "of": criterion("rank"), "is": "less", "than": criterion("random"), "margin": 0.01, "after_runs": 3,
                   "where": {"prune": {"at": 0.5}}, "metric": "test_loss"}),
        ],
    );
    let expected = [
        "supported",
        "other-way-round",
        "not-supported",
        "supported",
        "undecided",
        "supported",
        "undecided",
        // Without a setting the two differ in each of two: their mean counts, seed by seed.
        "supported",
        "supported",
    ];
    assert_eq!(verdicts, expected, "{found:#}");
    let claims = &found["claims"];
    // Nine claims are one family: the interval is that of one in 180 to each side.
    assert_eq!(claims[0]["family"]["comparisons"], 9);
    let mean = claims[0]["difference"]["mean"].as_f64().unwrap();
    assert!((mean - (0.03 - 0.0005 + 0.000_005)).abs() < 1e-9, "{mean}");
    assert_eq!(claims[0]["margin"], json!(0.005));
    assert!(claims[0]["detectable"].as_f64().unwrap() < 0.005);
    assert!(claims[4]["more_seeds"].as_u64().is_some_and(|more| more > 0), "{:#}", claims[4]);
    assert_eq!(claims[6]["why"], "no run has criterion.name = nobody");
    assert_eq!(claims[5]["labels"][1], "control: unpruned");
    let said = claims[8]["sentence"].as_str().unwrap();
    assert!(said.ends_with("the claim was written down after 3 runs had finished"), "{said}");
}

#[test]
fn runs_may_be_compared_with_a_number() {
    let (here, _) = compared(&cells());
    let value = |value: f64| json!({"value": value});
    let all = json!({"claim": "c", "of": criterion("rank"), "is": "same", "than": value(86.5), "margin": 0.5});
    let claims = [
        claim(criterion("rank"), "better", value(92.0), 0.5),
        claim(criterion("rank"), "worse", value(92.0), 0.5),
        claim(criterion("rank"), "same", value(93.0), 0.5),
        claim(criterion("rank"), "better", value(93.0), 0.5),
        // Each seed is the mean over the settings: 93 % and 80 %.
        all,
    ];
    let (verdicts, found) = judged(here.path(), &claims);
    assert_eq!(verdicts, ["supported", "other-way-round", "supported", "not-supported", "supported"], "{found:#}");
    let first = &found["claims"][0];
    assert_eq!(first["labels"][1], "92.00 %");
    // What the runs have less that number, with the spread of the runs themselves.
    let values: Vec<f64> = (0..6).map(|seed| near(0.93, seed) + 0.00001 * (seed % 2) as f64).collect();
    let mean = values.iter().sum::<f64>() / 6.0;
    let std = (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / 5.0).sqrt();
    let close = |found: &Value, expected: f64| (found.as_f64().unwrap() - expected).abs() < 1e-9;
    assert!(close(&first["difference"]["mean"], mean - 0.92) && close(&first["difference"]["std"], std), "{first:#}");
    assert_eq!(first["failed"], json!([0, 0]));
    assert_eq!((&found["claims"][4]["settings"], &first["settings"]), (&json!(2), &json!(1)));
}

#[test]
fn few_seeds_decide_nothing_and_claims_stand_in_text_markdown_and_page() {
    let few: Vec<Cell> = cells()
        .into_iter()
        .filter(|cell| !cell.config.contains("seed = 5") && !cell.config.contains("seed = 4"))
        .collect();
    let (here, _) = compared(&few);
    let one = claim(criterion("rank"), "better", criterion("random"), 0.5);
    let (verdicts, found) = judged(here.path(), &[one]);
    assert_eq!(verdicts, ["undecided"]);
    assert_eq!(
        (&found["claims"][0]["more_seeds"], &found["claims"][0]["why"]),
        (&json!(1), &json!("fewer than 5 seeds decide nothing here"))
    );
    let (_, text) = compare(here.path(), &["--markdown", "all.md", "--html", "all.html"]);
    assert!(text.contains("claim: it is so: undecided (1 more seed); rank"), "{text}");
    let markdown = fs::read_to_string(here.path().join("all.md")).unwrap();
    assert!(markdown.contains("| it is so (a paper) | undecided (1 more seed) | 4 | +2.9"), "{markdown}");
    assert!(fs::read_to_string(here.path().join("all.html")).unwrap().contains("<td>undecided (1 more seed)</td>"));
}

#[test]
fn a_table_that_is_kept_says_what_the_folders_said() {
    let (here, _) = compared(&cells());
    // A cell that is the control of another: only the sweep knows that.
    let ties = (0..6).map(|seed| (format!("rank-{seed}-0.5"), json!({"small-dense": format!("magnitude-{seed}-0.5")})));
    let ties: serde_json::Map<String, Value> = ties.collect();
    fs::write(here.path().join("runs/s/controls.json"), json!(ties).to_string()).unwrap();
    let claims = [
        claim(criterion("magnitude"), "worse", json!({"control": "unpruned"}), 0.5),
        claim(criterion("rank"), "same", json!({"control": "small-dense"}), 0.5),
    ];
    let (verdicts, mut folders) = judged(here.path(), &claims);
    assert_eq!(verdicts, ["supported", "supported"], "{folders:#}");
    let (code, text) = compare(here.path(), &["--keep", "kept.jsonl"]);
    assert_eq!(code, 0, "{text}");
    fs::remove_dir_all(here.path().join("runs/s")).unwrap();
    let json_of = |place: &str| {
        let mut command = assert_cmd::Command::cargo_bin("secateur").unwrap();
        let out = command.current_dir(here.path()).args(["compare", place, "--json", "-"]).output().unwrap();
        (out.status.code(), String::from_utf8(out.stdout).unwrap(), String::from_utf8(out.stderr).unwrap())
    };
    let (code, text, error) = json_of("kept.jsonl");
    assert_eq!(code, Some(0), "{error}");
    let mut table: Value = serde_json::from_str(&text).unwrap();
    let note = table["notes"].as_array_mut().unwrap().pop().unwrap();
    assert!(note.as_str().unwrap().starts_with("kept.jsonl: a table that was kept, not verified"), "{note}");
    for found in [&mut folders, &mut table] {
        for group in found["groups"].as_array_mut().unwrap() {
            let names = group["runs"].as_array_mut().unwrap().iter_mut();
            names.for_each(|run| *run = json!(run.as_str().unwrap().rsplit('/').next().unwrap()));
        }
    }
    assert_eq!(table, folders);
    let text = fs::read_to_string(here.path().join("kept.jsonl")).unwrap();
    fs::write(here.path().join("kept.jsonl"), text.replace("0.93", "0.94")).unwrap();
    let (code, _, error) = json_of("kept.jsonl");
    assert_eq!(code, Some(2));
    assert!(
        error.contains("kept.jsonl: it is not what was written: its checksum is another\n  fix: name folders"),
        "{error}"
    );
}

/// Differences of three thousandths that vary: shown, and not shown to be within half a point.
#[test]
fn a_difference_that_may_matter_or_not_decides_no_claim() {
    let accuracy = [0.0, 0.003, -0.003, 0.001, 0.002, -0.002, 0.004, -0.001];
    let mut cells = Vec::new();
    for (seed, spread) in (0..).zip(accuracy) {
        cells.push(cell("rank", seed, 0.904 + spread).set("model.hidden", "[50, 30]"));
        cells.push(cell("random", seed, 0.9).set("model.hidden", "[50, 30]"));
    }
    let (here, _) = compared(&cells);
    let of = |is: &str| {
        json!({"claim": "c", "of": criterion("rank"), "is": is, "than": criterion("random"), "where": {"model": {"hidden": [50, 30]}},
               "margin": 0.5})
    };
    let (verdicts, found) = judged(here.path(), &[of("same"), of("better"), of("worse")]);
    let family = &found["claims"][0]["family"]["interval"];
    assert!(family["low"].as_f64().unwrap() > 0.0 && family["high"].as_f64().unwrap() > 0.005, "{family}");
    assert_eq!(verdicts, ["undecided"; 3], "{found:#}");
}

#[test]
fn sweeps_beside_each_other_are_judged_each_by_its_own_runs() {
    let here = tempfile::tempdir().unwrap();
    for (sweep, better) in [("a", 0.02), ("b", -0.02)] {
        for seed in 0..6 {
            let spread = 0.0001 * (seed % 3) as f64;
            let data = format!("'{sweep}'");
            cell("rank", seed, near(0.9, seed) + better + spread)
                .set("data.name", &data)
                .write(&here.path().join("runs").join(sweep));
            cell("random", seed, near(0.9, seed)).set("data.name", &data).write(&here.path().join("runs").join(sweep));
        }
        let claims = json!([{"claim": "it is so", "of": criterion("rank"), "is": "better", "than": criterion("random"), "margin": 0.5}]);
        fs::write(here.path().join("runs").join(sweep).join("claims.json"), claims.to_string()).unwrap();
    }
    // Each by its folder, and both by the folder above.
    for places in [&["runs/a", "runs/b"][..], &["runs"]] {
        let mut command = assert_cmd::Command::cargo_bin("secateur").unwrap();
        let out = command.current_dir(here.path()).arg("compare").args(places).args(["--json", "-"]).output().unwrap();
        let found: Value = serde_json::from_slice(&out.stdout).unwrap();
        let said: Vec<(&str, &str)> = found["claims"]
            .as_array()
            .unwrap()
            .iter()
            .map(|judged| (judged["claim"]["claim"].as_str().unwrap(), judged["verdict"].as_str().unwrap()))
            .collect();
        assert_eq!(said, [("a: it is so", "supported"), ("b: it is so", "other-way-round")]);
        assert_eq!(found["claims"][0]["family"]["comparisons"], 1);
    }
    let mut command = assert_cmd::Command::cargo_bin("secateur").unwrap();
    let out = command.current_dir(here.path()).args(["compare", "runs", "--keep", "all.jsonl"]).output().unwrap();
    let error = String::from_utf8(out.stderr).unwrap();
    assert!(out.status.code() == Some(2) && error.contains("a table holds the runs of one sweep"), "{error}");
    assert!(!here.path().join("all.jsonl").exists());
}

/// The figure of a kept table: of what its first claim is about.
fn figure_of(table: &Path) -> String {
    let here = tempfile::tempdir().unwrap();
    let drawn = here.path().join("figure.svg");
    let text = fs::read_to_string(table).unwrap();
    let head: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    let mut command = assert_cmd::Command::cargo_bin("secateur").unwrap();
    command.arg("compare").arg(table).arg("--figure").arg(&drawn);
    head["claims"][0]["metric"].as_str().map(|metric| command.args(["--metric", metric]));
    let out = command.output().unwrap();
    assert!(out.status.success(), "{}: {}", table.display(), String::from_utf8_lossy(&out.stderr));
    fs::read_to_string(drawn).unwrap()
}

/// The tables and the pictures of the guide's page, by the kept tables that they come from.
#[test]
fn the_page_of_the_evidence_says_what_the_kept_tables_say() {
    let fix = "REBUILD_EVIDENCE=1 cargo test -p secateur-runner --test compare the_page_of_the_evidence";
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let page = docs.join("src/evidence.md");
    let mut text = fs::read_to_string(&page).unwrap();
    let kept: Vec<_> = fs::read_dir(docs.join("evidence")).unwrap().map(|entry| entry.unwrap().path()).collect();
    let mut kept: Vec<_> =
        kept.into_iter().filter(|path| path.extension().is_some_and(|found| found == "jsonl")).collect();
    kept.sort();
    assert!(!kept.is_empty());
    for table in kept {
        let name = table.file_stem().unwrap().to_string_lossy().into_owned();
        let mut command = assert_cmd::Command::cargo_bin("secateur").unwrap();
        let out = command.arg("compare").arg(&table).args(["--markdown", "-"]).output().unwrap();
        assert!(out.status.success(), "{name}: {}", String::from_utf8_lossy(&out.stderr));
        let markdown = String::from_utf8(out.stdout).unwrap();
        let (groups, rest) = markdown.split_once("\n\n").unwrap();
        let (_, claims) = rest.split_once("### Claims\n\n").unwrap();
        let expected = format!("{}\n\n{}\n", claims.trim_end(), groups.trim_start());
        let (from, to) = (format!("<!-- {name} -->\n"), format!("<!-- end of {name} -->\n"));
        let start = text.find(&from).unwrap_or_else(|| panic!("{}: no {from}", page.display())) + from.len();
        let end = start + text[start..].find(&to).unwrap_or_else(|| panic!("{}: no {to}", page.display()));
        let (picture, drawn) = (format!("images/evidence/{name}.svg"), figure_of(&table));
        assert!(text.contains(&format!("]({picture})")), "{}: no {picture}", page.display());
        let picture = docs.join("src").join(picture);
        if std::env::var_os("REBUILD_EVIDENCE").is_some() {
            text.replace_range(start..end, &format!("\n{expected}\n"));
            fs::create_dir_all(picture.parent().unwrap()).unwrap();
            fs::write(&picture, drawn).unwrap();
        } else {
            let kept = fs::read_to_string(&picture).unwrap_or_default();
            assert!(kept == drawn, "{}: the picture is another's; draw it again: {fix}", picture.display());
            assert_eq!(text[start..end].trim(), expected.trim(), "{name}: the page is another's; rebuild it: {fix}");
        }
    }
    if std::env::var_os("REBUILD_EVIDENCE").is_some() {
        fs::write(&page, text).unwrap();
    }
}
