//! Every sentence, label and number is true of the runs.
//!
//! Longer than 300 lines because every claim of a comparison has its own runs.

use serde_json::{Value, json};

use super::folders::{Cell, cell};
use super::{compare, compared};

/// What `--json` says.
fn found(here: &std::path::Path, more: &[&str]) -> Value {
    let (code, text) = compare(here, &[&["--json", "-"], more].concat());
    assert_eq!(code, 0, "{text}");
    serde_json::from_str(&text).unwrap()
}

fn group<'a>(found: &'a Value, label: &str) -> &'a Value {
    let groups = found["groups"].as_array().unwrap();
    let labels: Vec<&Value> = groups.iter().map(|group| &group["label"]).collect();
    groups.iter().find(|group| group["label"] == label).unwrap_or_else(|| panic!("{label} is not among {labels:?}"))
}

/// Three seeds of four criteria at one sparsity whose sum divided by three is another number, and their random control.
pub fn one_sparsity() -> Vec<Cell> {
    let sparsity = json!({"sparsity": 0.95, "nnz": 1000, "nnz_effective": 990});
    let mut all = Vec::new();
    for (number, criterion) in ["magnitude", "rank", "snip", "worst"].into_iter().enumerate() {
        for seed in 0..3 {
            let accuracy = 0.8995 - 0.01 * number as f64 + 0.001 * ((seed * 5 + number as u64) % 3) as f64;
            let own = cell(criterion, seed, accuracy).with(sparsity.clone());
            let control = cell("random", seed, 0.813 + 0.001 * seed as f64 - 0.0001 * number as f64)
                .with(sparsity.clone())
                .set("prune.scope", "'counts'")
                .set("prune.counts.fc1", &format!("[{number}]"))
                .control("random", &own);
            all.extend([own, control]);
        }
    }
    all
}

#[test]
fn the_mean_of_equal_values_is_their_value_and_a_loser_is_not_on_the_front() {
    let (here, out) = compared(&one_sparsity());
    assert!(!out.contains("±0.00"), "{out}");
    let found = found(here.path(), &[]);
    for group in found["groups"].as_array().unwrap() {
        let sparsity = &group["metrics"]["sparsity"];
        assert_eq!((&sparsity["mean"], &sparsity["std"]), (&json!(0.95), &json!(0.0)), "{group}");
        assert!(sparsity["interval"].is_null(), "{group}");
    }
    let front = found["fronts"].as_array().unwrap().iter().find(|front| front["cost"] == "sparsity").unwrap();
    assert_eq!(front["groups"], json!(["magnitude"]), "all cost the same");
}

#[test]
fn each_criterion_has_controls_of_its_own_and_shares_what_is_one_run() {
    let mut cells = one_sparsity();
    for seed in 0..3 {
        // One unpruned network for all, noted as the first one's.
        let first = cells.iter().find(|cell| cell.folder == format!("magnitude-{seed}")).unwrap().clone();
        let dense = cell("random", seed, 0.95).set("schedule.name", "'never'").with(json!({"sparsity": 0.0}));
        cells.push(dense.control("unpruned", &first));
    }
    let (here, out) = compared(&cells);
    assert!(out.contains("rank – control: random (rank)"), "{out}");
    let found = found(here.path(), &[]);
    let labels: Vec<&str> =
        found["groups"].as_array().unwrap().iter().map(|group| group["label"].as_str().unwrap()).collect();
    let controls = ["magnitude", "rank", "snip", "worst"].map(|of| format!("control: random ({of})"));
    assert_eq!(labels[4..8], controls);
    assert_eq!(labels[8..], ["control: unpruned"]);
    let shared = group(&found, "control: unpruned");
    assert_eq!(shared["control_of"], json!(["magnitude", "rank", "snip", "worst"]));
    assert_eq!(shared["metrics"]["test_accuracy"]["n"], 3, "not once for each criterion");
    // Four criteria against two controls each.
    assert_eq!(found["control_pairs"].as_array().unwrap().len(), 8);
    let pair = found["control_pairs"].as_array().unwrap().iter().find(|pair| pair["baseline"] == labels[6]).unwrap();
    // snip: 0.8795 + [2, 1, 0] / 1000, its controls 0.8128 + [0, 1, 2] / 1000.
    let mean = pair["difference"]["mean"].as_f64().unwrap();
    assert!((mean - (0.8805 - 0.8138)).abs() < 1e-9, "{pair}");
}

#[test]
fn a_random_run_is_not_compared_with_itself() {
    let mut cells: Vec<Cell> = Vec::new();
    for seed in 0..3 {
        let own = cell("random", seed, 0.8 + 0.01 * seed as f64);
        let again =
            cell("random", seed, 0.8 + 0.01 * seed as f64).set("prune.scope", "'counts'").control("random", &own);
        cells.extend([own, again, cell("magnitude", seed, 0.9 + 0.003 * (seed * seed) as f64)]);
    }
    let (here, _) = compared(&cells);
    // The random runs are noted as magnitude's controls too: they have the same counts.
    let ties = json!({"magnitude-0": {"random": "random-0"}, "magnitude-1": {"random": "random-1"}, "magnitude-2": {"random": "random-2"},
        "random-0": {"random": "random-0"}});
    std::fs::write(here.path().join("runs/s/controls.json"), ties.to_string()).unwrap();
    let found = found(here.path(), &[]);
    let pairs: Vec<String> = found["control_pairs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|pair| format!("{} {}", pair["group"].as_str().unwrap(), pair["baseline"].as_str().unwrap()))
        .collect();
    assert_eq!(pairs, ["magnitude control: random (magnitude)"]);
    assert_eq!(group(&found, "control: random (magnitude)")["runs"].as_array().unwrap().len(), 3);
}

#[test]
fn what_differs_beside_what_is_compared_is_named() {
    let mut cells = Vec::new();
    for seed in 0..3 {
        cells.push(
            cell("magnitude", seed, 0.9 + 0.001 * seed as f64).set("train.optimizer", "'sgd'").set("train.lr", "0.1"),
        );
        let other = cell("random", seed, 0.61 + 0.003 * (seed % 2) as f64);
        cells.push(other.set("train.optimizer", "'adam'").set("train.lr", "0.001"));
    }
    let (here, out) = compared(&cells);
    for expected in [
        "random (with lr 0.001, optimizer adam) is 29.00 points ",
        "below magnitude (with lr 0.1, optimizer sgd)",
        "They differ in more than what is compared: train.lr is 0.001 against 0.1; train.optimizer is adam against sgd.",
        "note: groups differ in more than criterion.name: train.lr, train.optimizer; what is shown may be due to that",
    ] {
        assert!(out.contains(expected), "{expected} is not in {out}");
    }
    let found = found(here.path(), &[]);
    assert_eq!(found["by"], json!(["criterion.name"]));
    assert_eq!(found["pairs"][0]["beside"].as_array().unwrap().len(), 2);
    // Options of what is compared are part of it, and where all agree there is nothing to name.
    let cells = [
        cell("magnitude", 0, 0.9).set("criterion.norm", "'l1'"),
        cell("magnitude", 1, 0.91).set("criterion.norm", "'l1'"),
        cell("rank", 0, 0.8).set("criterion.lambda1", "0.5"),
        cell("rank", 1, 0.8).set("criterion.lambda1", "0.5"),
    ];
    let (_here, out) = compared(&cells);
    assert!(out.contains("rank is 10.50 points below magnitude ["), "{out}");
    assert!(!out.contains("more than"), "{out}");
}

/// Two criteria in four settings with five seeds, and one more setting in which only one of them was run.
fn settings() -> Vec<Cell> {
    let mut cells = Vec::new();
    for (number, sparsity) in [0.5, 0.7, 0.8, 0.95].into_iter().enumerate() {
        for seed in 0..5u64 {
            let own = |criterion: &str, accuracy: f64| {
                let cell = cell(criterion, seed, accuracy).set("schedule.to", &sparsity.to_string());
                cell.with(json!({"sparsity": sparsity, "seconds_train": 1.0 + number as f64}))
            };
            let seeds = 0.01 * [0.0, 1.0, 3.0, 1.5, 0.4][seed as usize];
            let base = 0.95 - 0.05 * number as f64 + 0.002 * seed as f64;
            cells.extend([own("magnitude", base), own("rank", base + 0.01 + seeds)]);
        }
    }
    for seed in 0..5 {
        let slow = json!({"sparsity": 0.1, "seconds_train": 100.0});
        cells.push(cell("rank", seed, 0.99).set("schedule.to", "0.1").with(slow));
    }
    cells
}

#[test]
fn seeds_are_counted_and_not_settings_and_budgets_are_those_of_the_pairs() {
    let (here, _) = compared(&settings());
    let found = found(here.path(), &["--by", "criterion.name"]);
    let pair = &found["pairs"][0];
    assert_eq!((&pair["difference"]["n"], &pair["settings"]), (&json!(5), &json!(4)), "{pair}");
    // 0.01 + [0, 1, 3, 1.5, 0.4] / 100, whatever the setting: mean 0.0218; deviation and p are numpy's and scipy's.
    let near = |value: &Value, expected: f64| (value.as_f64().unwrap() - expected).abs() < 1e-9;
    assert!(near(&pair["difference"]["mean"], 0.0218), "{pair}");
    assert!(near(&pair["difference"]["std"], 0.011_670_475_568_716_128), "{pair}");
    assert!(near(&pair["difference"]["p_t"], 0.013_953_306_158_832_115), "{pair}");
    let sentence = pair["sentence"].as_str().unwrap();
    assert!(sentence.contains("at equal sparsity (50.0 % to 95.0 % of all weights)"), "{sentence}");
    assert!(sentence.contains("5 seeds, each the mean over 4 settings; it takes as long"), "{sentence}");
    assert!(sentence.contains("schedule.to 0.1, seed 0 (only rank)"), "{sentence}");
    assert_eq!(pair["missing"].as_array().unwrap().len(), 5);
}

#[test]
fn differences_that_are_equal_but_for_rounding_show_nothing() {
    let cells: Vec<Cell> = (0..5)
        .flat_map(|seed| {
            let accuracy = 0.894 + 0.003 * seed as f64;
            [cell("magnitude", seed, accuracy), cell("rank", seed, accuracy + 0.01)]
        })
        .collect();
    let (here, out) = compared(&cells);
    assert!(
        out.contains(
            "rank is 1.00 points above magnitude at equal sparsity (90.0 % of all weights) in each of 5 pairs"
        ),
        "{out}"
    );
    assert!(out.contains("without variation there is no test") && !out.contains("e14"), "{out}");
    let pair = &found(here.path(), &["--margin", "0.5"])["pairs"][0];
    let difference = &pair["difference"];
    assert!(["p_t", "p_wilcoxon", "effect", "interval"].iter().all(|key| difference[key].is_null()), "{pair}");
    assert!(pair["family"].is_null() && pair["verdict"] == "undecided", "{pair}");
}

#[test]
fn interval_and_probability_answer_the_same_question() {
    // Differences 0.010, 0.014, 0.018: alone p = 0.026 and [0.41, 2.39]; of two comparisons neither shows a difference.
    let mut cells = Vec::new();
    for (seed, other) in [0.900, 0.902, 0.897].into_iter().enumerate() {
        let seed = seed as u64;
        cells.extend([
            cell("magnitude", seed, 0.9),
            cell("a", seed, 0.91 + 0.004 * seed as f64),
            cell("b", seed, other),
        ]);
    }
    let (here, out) = compared(&cells);
    let found = found(here.path(), &[]);
    for pair in found["pairs"].as_array().unwrap() {
        let (interval, p) = (&pair["family"]["interval"], pair["family"]["p"].as_f64().unwrap());
        let holds_zero = interval["low"].as_f64().unwrap() <= 0.0 && interval["high"].as_f64().unwrap() >= 0.0;
        assert_eq!(p >= 0.05, holds_zero, "{pair}");
        assert_eq!(pair["sentence"].as_str().unwrap().starts_with("No difference is shown"), holds_zero, "{pair}");
    }
    // scipy: t.interval(0.975, 2, 0.014, 0.004 / sqrt(3)).
    assert!(out.contains("No difference is shown between a and magnitude at equal sparsity (90.0 % of all weights): 1.40 points above [-0.03, 2.83], p = 0.052, interval and p for 2 comparisons at once, 3 pairs"), "{out}");
}

#[test]
fn no_accuracy_is_above_all_and_small_probabilities_read_well() {
    let cells: Vec<Cell> = (0..8)
        .flat_map(|seed| {
            let noise = 0.0004 * (seed % 3) as f64;
            [
                cell("magnitude", seed, 0.5 + noise),
                cell("rank", seed, if seed == 0 { 0.97 } else { 0.999 + noise / 2.0 }),
            ]
        })
        .collect();
    let (here, out) = compared(&cells);
    let found = found(here.path(), &[]);
    let high = &group(&found, "rank")["metrics"]["test_accuracy"]["interval"]["high"];
    assert_eq!(high, 1.0, "scipy's interval of the mean ends at 1.0042");
    assert!(out.contains(", p < 1e-6, ") && !out.contains("= <"), "{out}");
}

#[test]
fn no_difference_is_above_all_and_intervals_still_say_what_p_says() {
    // Two seeds of runs that hardly repeat: the plain intervals go from -371 to 441 points, and those of sparsities as far.
    let own =
        |criterion, seed, value: f64| cell(criterion, seed, value).with(json!({"sparsity": value, "test_r2": value}));
    let cells = [own("magnitude", 0, 0.1), own("magnitude", 1, 0.3), own("rank", 0, 0.1), own("rank", 1, 0.94)];
    let (here, _) = compared(&cells);
    for (metric, whole) in [("test_accuracy", true), ("sparsity", true), ("test_r2", false)] {
        let found = found(here.path(), &["--metric", metric]);
        let pair = &found["pairs"][0];
        for interval in [&pair["difference"]["interval"], &pair["family"]["interval"]] {
            let ends = ["low", "high"].map(|end| interval[end].as_f64().unwrap());
            assert_eq!(ends == [-1.0, 1.0], whole, "{metric}: {interval}");
            assert!(ends[0] < 0.0 && ends[1] > 0.0 && pair["family"]["p"].as_f64() > Some(0.05), "{pair}");
        }
        let of = |label| group(&found, label)["metrics"][metric]["interval"].clone();
        assert_eq!(of("rank")["high"], 1.0, "{metric}");
        assert_eq!(of("rank")["low"] == 0.0, whole, "{metric} may be far below zero");
    }
    let (_, out) = compare(here.path(), &["--margin", "0.5"]);
    assert!(out.contains("[-100.00, 100.00]"), "{out}");
    // A loss has no bounds.
    let loss = &found(here.path(), &["--metric", "loss"])["pairs"][0]["family"]["interval"];
    assert!(loss["high"].as_f64() > Some(1.0), "{loss}");
}

#[test]
fn one_more_seed_is_one_seed() {
    let differences = [0.002, 0.010, 0.018, 0.010];
    let cells: Vec<Cell> = (differences.into_iter().zip(0..))
        .flat_map(|(difference, seed)| [cell("magnitude", seed, 0.9), cell("rank", seed, 0.9 + difference)])
        .collect();
    let (here, _) = compared(&cells);
    let (_, out) = compare(here.path(), &["--margin", "0.5"]);
    assert!(out.contains("undecided (+1 seed)") && out.contains(", 1 more seed would settle it"), "{out}");
}

#[test]
fn weights_that_do_nothing_are_said_where_sparsities_are_equal() {
    let cells: Vec<Cell> = (0..3)
        .flat_map(|seed| {
            let own = |criterion, accuracy, effective: u64| {
                cell(criterion, seed, accuracy).with(json!({"sparsity": 0.98, "nnz": 1000, "nnz_effective": effective}))
            };
            [own("magnitude", 0.9 + 0.001 * seed as f64, 880), own("random", 0.8, 760 - seed)]
        })
        .collect();
    let (_here, out) = compared(&cells);
    let expected = "at equal sparsity (98.0 % of all weights; of the weights left 24.1 % against 12.0 % are on no path from an input to an output)";
    assert!(out.contains(expected), "{out}");
}

#[test]
fn a_run_in_two_folders_counts_once() {
    let mut cells: Vec<Cell> = (0..3)
        .flat_map(|seed| [cell("magnitude", seed, 0.9 + 0.001 * seed as f64), cell("rank", seed, 0.92)])
        .collect();
    let (here, _) = compared(&cells);
    let alone = found(here.path(), &[]);
    let copies: Vec<Cell> =
        cells.iter().map(|cell| Cell { folder: format!("copy-of-{}", cell.folder), ..cell.clone() }).collect();
    cells.extend(copies);
    let (here, out) = compared(&cells);
    assert!(out.contains("note: 6 folders hold copies of others' runs: each run counts once"), "{out}");
    let twice = found(here.path(), &[]);
    assert_eq!(alone["pairs"][0]["difference"], twice["pairs"][0]["difference"]);
    assert_eq!(alone["groups"][0]["metrics"], twice["groups"][0]["metrics"]);
    // The same run cannot have two results.
    let other = Cell { folder: "z".to_owned(), ..cell("rank", 0, 0.5) };
    let (_here, out) = compared(&[&cells[..6], &[other]].concat());
    assert!(out.contains("have one config and different results: the first counts"), "{out}");
}

#[test]
fn failed_cells_are_shown() {
    let nan = "the training loss is NaN at step 3; lower train.lr, clip gradients (train.clip_norm), or check the data";
    let mut cells = Vec::new();
    for seed in 0..5 {
        for criterion in ["magnitude", "rank"] {
            cells.push(cell(criterion, seed, 0.9 + 0.001 * (seed * seed) as f64).set("train.lr", "0.1"));
            cells.push(cell(criterion, seed, 0.0).set("train.lr", "1000000000.0").failed(nan));
        }
    }
    cells.push(cell("rank", 5, 0.9).set("train.lr", "0.1"));
    cells.push(cell("magnitude", 5, 0.0).set("train.lr", "0.1").failed("the disk is full"));
    let (here, out) = compared(&cells);
    for expected in [
        "note: rank, lr 1000000000.0: 5 of 5 diverged: the training loss is NaN at step 3",
        "note: magnitude, lr 0.1: 1 of 6 failed: the disk is full",
        "seed 5 (only rank, lr 0.1; magnitude, lr 0.1 failed)",
        "5, 1 failed",
    ] {
        assert!(out.contains(expected), "{expected} is not in {out}");
    }
    let found = found(here.path(), &[]);
    let diverged = group(&found, "rank, lr 1000000000.0");
    assert_eq!((diverged["runs"].as_array().unwrap().len(), diverged["failed"].as_array().unwrap().len()), (0, 5));
    // By another key, what failed is still told by the settings that failed.
    let (_, out) = compare(here.path(), &["--by", "criterion.name"]);
    for expected in [
        "note: rank: 5 of 11 diverged (train.lr 1000000000.0: 5 of 5): the training loss is NaN at step 3",
        "note: magnitude: 6 of 11 failed (train.lr 1000000000.0: 5 of 5; train.lr 0.1: 1 of 6): ",
    ] {
        assert!(out.contains(expected), "{expected} is not in {out}");
    }
    let only: Vec<Cell> = (0..2).map(|seed| cell("rank", seed, 0.0).failed(nan)).collect();
    let here = tempfile::tempdir().unwrap();
    only.iter().for_each(|cell| _ = cell.write(&here.path().join("runs/s")));
    let (code, out) = compare(here.path(), &[]);
    assert!(
        code == 2
            && out.contains("there is no finished run to compare")
            && out.contains("2 runs failed: the training loss"),
        "{out}"
    );
}

#[test]
fn a_margin_tells_the_same_from_the_undecided() {
    // Differences of thousandths around zero, and of hundredths around 0.004.
    let near = [0.001, -0.001, 0.0005, -0.0008, 0.0002];
    let wide = [0.014, -0.006, 0.019, -0.011, 0.004];
    let mut cells = Vec::new();
    for seed in 0..5usize {
        let own = |criterion: &str, accuracy: f64| cell(criterion, seed as u64, accuracy);
        cells.extend([own("magnitude", 0.9), own("near", 0.9 + near[seed]), own("wide", 0.9 + wide[seed])]);
        cells.push(own("good", 0.93 + near[seed]));
    }
    let (here, _) = compared(&cells);
    let (_, out) = compare(here.path(), &["--margin", "0.5"]);
    let expected = "near and magnitude are the same within 0.50 points at equal sparsity (90.0 % of all weights): 0.002 points below";
    assert!(out.contains(expected), "{out}");
    assert!(
        out.contains("Undecided between wide and magnitude")
            && out.contains("more seeds would settle it if mean and spread stayed"),
        "{out}"
    );
    let found = found(here.path(), &["--margin", "0.5"]);
    let verdicts: Vec<&str> =
        found["pairs"].as_array().unwrap().iter().map(|pair| pair["verdict"].as_str().unwrap()).collect();
    assert_eq!((verdicts[0], verdicts[1]), ("better", "the same"));
    assert!(verdicts[2].starts_with("undecided (+"), "{verdicts:?}");
    let (code, out) = compare(here.path(), &["--margin", "-1"]);
    assert!(code == 2 && out.contains("--margin -1: a margin is more than 0"), "{out}");
    // Of a loss, less is better, and a margin is in its own unit.
    let loss = &self::found(here.path(), &["--margin", "0.005", "--metric", "loss"])["pairs"][0];
    assert!(loss["difference"]["mean"].as_f64() < Some(0.0) && loss["verdict"] == "better", "{loss}");
}

#[test]
fn a_learning_rate_is_chosen_on_validation_data() {
    let mut cells = Vec::new();
    for seed in 0..4 {
        let own = |criterion: &str, lr: &str, validation: f64, test: f64| {
            let noise = 0.001 * (seed * seed % 3) as f64;
            let cell = cell(criterion, seed, test + noise).set("train.lr", lr);
            cell.with(json!({"validation_accuracy": validation + noise}))
        };
        // The rate that is best on test data is not the one that is best on validation data.
        cells.extend([own("magnitude", "0.1", 0.8, 0.7), own("magnitude", "0.01", 0.7, 0.9)]);
        cells.extend([own("rank", "0.1", 0.6, 0.95), own("rank", "0.01", 0.75, 0.78 + 0.002 * seed as f64)]);
        let unstable = own("rank", "1.0", 0.99, 0.99);
        cells.push(if seed == 0 { unstable.failed("the training loss is NaN at step 9") } else { unstable });
    }
    let (here, _) = compared(&cells);
    let (_, out) = compare(here.path(), &["--choose", "train.lr"]);
    for expected in [
        "note: train.lr was chosen by validation accuracy: 0.1 of 0.01, 0.1 for magnitude (80.05 %); 0.01 of 0.01, 0.1, 1.0 for rank (75.05 %)",
        "rank (with lr 0.01) is 8.30 points above magnitude (with lr 0.1)",
    ] {
        assert!(out.contains(expected), "{expected} is not in {out}");
    }
    assert!(!out.contains("more than"), "what was chosen is part of the group: {out}");
    let (code, out) = compare(here.path(), &["--choose", "train.lrr"]);
    assert!(
        code == 2 && out.contains("--choose train.lrr: no run has that key") && out.contains("did you mean train.lr?"),
        "{out}"
    );
    let without: Vec<Cell> = (0..2).map(|seed| cell("rank", seed, 0.9).set("train.lr", "0.1")).collect();
    let (here, _) = compared(&without);
    let (code, out) = compare(here.path(), &["--choose", "train.lr"]);
    assert!(code == 2 && out.contains("has no validation_accuracy or validation_loss"), "{out}");
}

#[test]
fn any_number_of_a_summary_is_compared() {
    let cells: Vec<Cell> = (0..3)
        .flat_map(|seed| {
            let own = |criterion, accuracy, validation: f64| {
                cell(criterion, seed, accuracy)
                    .with(json!({"validation_accuracy": validation, "units": {"fc1": 3 + seed}}))
            };
            [own("magnitude", 0.9, 0.7), own("rank", 0.9, 0.75 + 0.01 * seed as f64)]
        })
        .collect();
    let (here, _) = compared(&cells);
    let (_, out) = compare(here.path(), &["--metric", "validation_accuracy"]);
    assert!(out.contains("validation accuracy ± std [95 %]") && out.contains("6.00 points above magnitude"), "{out}");
    let (_, out) = compare(here.path(), &["--metric", "units.fc1"]);
    assert!(out.contains("rank and magnitude are equal"), "{out}");
    let (code, out) = compare(here.path(), &["--metric", "validation_acuracy"]);
    assert!(
        code == 2 && out.contains("validation_accuracy") && out.contains("did you mean validation_accuracy?"),
        "{out}"
    );
}
