//! What is read back is checked, and the text of others does nothing.

use super::*;
use serde_json::json;

/// A finished run of two seeds of a criterion, as its folder says it.
fn written(here: &Path, criterion: &str, accuracy: Value) {
    for seed in [0, 1] {
        let folder = here.join(format!("runs/s/{}-{seed}", criterion.len()));
        fs::create_dir_all(&folder).unwrap();
        let name = toml::Value::from(criterion);
        let config = format!("seed = {seed}\ndata.name = 'glyphs'\ncriterion.name = {name}\ntrain.epochs = 5\n");
        fs::write(folder.join("config.toml"), config).unwrap();
        let summary = json!({
            "status": "finished", "test_accuracy": accuracy, "test_loss": 0.1, "sparsity": 0.9, "seconds_train": 1.0,
        });
        fs::write(folder.join("summary.json"), summary.to_string()).unwrap();
    }
}

fn compare(here: &Path, more: &[&str]) -> String {
    let (code, text) = outcome(here, &[&["compare", "runs/s"], more].concat());
    assert_eq!(code, Some(0), "{text}");
    text
}

#[test]
fn a_summary_of_another_type_is_no_run() {
    let here = tempfile::tempdir().unwrap();
    written(here.path(), "magnitude", json!(0.5));
    written(here.path(), "random", json!("x"));
    let text = compare(here.path(), &[]);
    assert!(text.contains("2 damaged runs are left out") && text.contains("test_accuracy is \"x\""), "{text}");
    assert!(!text.contains("random"), "{text}");
}

#[test]
fn a_log_a_config_or_a_summary_that_was_changed_is_named_also_where_the_index_knows_it() {
    let here = tempfile::tempdir().unwrap();
    let sweep = "extends = ['experiment/quickstart']\ndata.glyphs = { train = 100, test = 20 }\n\
                 train = { epochs = 4, batch_size = 50 }\nschedule = { first = 1, every = 1, count = 1 }\n\
                 sweep = { seeds = 3, controls = [], axes.criterion.name = ['magnitude', 'random'] }\n";
    fs::write(here.path().join("s.toml"), sweep).unwrap();
    let (code, message) = outcome(here.path(), &["sweep", "s.toml", "--quiet"]);
    assert_eq!(code, Some(0), "{message}");
    let whole = compare(here.path(), &[]);
    assert!(!whole.contains("damaged"), "{whole}");
    let mut folders: Vec<PathBuf> =
        fs::read_dir(here.path().join("runs/s")).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.retain(|path| path.is_dir());
    folders.sort();

    let log = folders[2].join("events.jsonl");
    let events = text(log.clone());
    let named = format!("{}: it is not the log of this run: its checksum is another; its curves are left out", {
        log.strip_prefix(here.path()).unwrap().display()
    });
    let last = events.trim_end().rfind('\n').unwrap() + 1;
    // One digit of a curve; its last line gone; all of it gone.
    for changed in [&events.replacen("\"loss\":", "\"loss\":1", 1), &events[..last], ""] {
        assert_ne!(events, changed);
        fs::write(&log, changed).unwrap();
        let found = compare(here.path(), &["--html", "c.html"]);
        assert!(found.contains(&named), "{found}");
        assert!(text(here.path().join("c.html")).contains(&named));
    }
    fs::write(log, events).unwrap();
    assert!(!compare(here.path(), &["--html", "c.html"]).contains("its curves are left out"));

    let config = folders[0].join("config.toml");
    let cut: String = text(config.clone()).lines().take(12).flat_map(|line| [line, "\n"]).collect();
    fs::write(config, cut).unwrap();
    let figures = folders[1].join("summary.json");
    let changed = text(figures.clone()).replace("\"test_loss\": ", "\"test_loss\": 1");
    fs::write(figures, changed).unwrap();
    let found = compare(here.path(), &[]);
    assert!(found.contains("2 damaged runs are left out"), "{found}");
    assert!(found.contains("config.toml: it is not the config that was run"), "{found}");
    assert!(found.contains("summary.json: its checksum does not match"), "{found}");
}

#[test]
fn the_text_of_a_config_is_shown_and_does_nothing() {
    let here = tempfile::tempdir().unwrap();
    written(here.path(), "=1+1", json!(0.5));
    written(here.path(), "\u{1b}[2Jmagnitude", json!(0.6));
    written(here.path(), "<img src=x onerror=alert(1)>", json!(0.7));
    let shown = compare(here.path(), &["--csv", "c.csv", "--markdown", "c.md"]);
    let (csv, markdown) = (text(here.path().join("c.csv")), text(here.path().join("c.md")));
    for (name, text) in [("terminal", &shown), ("CSV", &csv), ("Markdown", &markdown)] {
        assert!(!text.contains('\u{1b}') && text.contains("\\u{1b}[2Jmagnitude"), "{name}: {text}");
    }
    assert!(csv.contains("\n'=1+1,") && !csv.contains("\n=1+1"), "{csv}");
    assert!(markdown.contains("\\<img src=x") && !markdown.contains("| <img"), "{markdown}");

    let set = "--set=train.optimizer=\u{1b}]0;title\u{7}";
    let (code, errors) = outcome(here.path(), &["run", "experiment/quickstart", set]);
    assert!(code == Some(2) && !errors.contains('\u{1b}') && !errors.contains('\u{7}'), "{errors:?}");
}
