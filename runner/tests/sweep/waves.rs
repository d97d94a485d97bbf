//! Seeds that are added until comparisons are settled.

use std::fs;

use serde_json::Value;

use super::{finished, folders, here, secateur};

/// Two learning rates that learn alike, and one that learns nothing.
const CONFIG: &str = r#"
extends = ["experiment/quickstart"]
data.glyphs = { train = 300, test = 200 }
train = { epochs = 4, batch_size = 30 }
schedule.first = 2

[sweep]
seeds = { until = "decided", error = 0.1, at_least = 3, at_most = 6, every = 1, baseline = "0.1" }
controls = ["unpruned"]
axes.train.lr = [0.1, 0.05, 1e-9]
"#;

fn waves(here: &std::path::Path) -> Value {
    serde_json::from_slice(&fs::read(here.join("runs/s/waves.json")).unwrap()).unwrap()
}

#[test]
fn seeds_are_added_to_what_is_not_settled_and_to_nothing_else() {
    // What learns nothing is like its control, which takes all seeds.
    let here = here(&CONFIG.replace("[\"unpruned\"]", "[]"));
    let (_, out, _) = secateur(here.path(), &["sweep", "s.toml", "--dry-run"]);
    assert!(out.contains("18 cells") && out.contains("looks after 3, 4, 5, 6 of them"), "{out}");
    let (code, out, errors) = secateur(here.path(), &["sweep", "s.toml", "--jobs", "2"]);
    assert_eq!(code, 0, "{errors}");
    // Six seeds leave looks little to save, which is said once.
    assert_eq!(errors.matches("looks take at most three quarters of the seeds").count(), 1, "{errors}");
    assert!(errors.contains("here it is 6"), "{errors}");
    let found = waves(here.path());
    let all = found["waves"].as_array().unwrap();
    assert_eq!(all[0]["seeds"], serde_json::json!([0, 3]));
    assert_eq!(all[0]["settings"].as_object().unwrap().len(), 3, "every setting first");
    let last = all.last().unwrap()["seen"].as_array().unwrap();
    let settled = |group: &str, baseline: &str| {
        let seen = last.iter().find(|seen| seen["group"] == group && seen["baseline"] == baseline);
        seen.unwrap_or_else(|| panic!("{group} {baseline}: {last:?}")).clone()
    };
    // Learning nothing is ninety points away: three seeds show that, and no more are run for it.
    let nothing = last
        .iter()
        .find(|seen| {
            seen["group"].as_str().unwrap().contains("1e-9") && seen["baseline"].as_str().unwrap().contains("0.1")
        })
        .unwrap();
    assert_eq!((&nothing["claim"], &nothing["look"]["n"]), (&Value::from("below"), &Value::from(3)), "{nothing}");
    let (group, baseline) = (nothing["group"].as_str().unwrap(), nothing["baseline"].as_str().unwrap());
    let runs = folders(here.path());
    let seeds = |lr: &str| {
        let of = runs.iter().filter(|run| {
            let config = fs::read_to_string(run.join("config.toml")).unwrap();
            let summary = fs::read_to_string(run.join("summary.json")).unwrap();
            config.lines().any(|line| line == format!("lr = {lr}")) && !summary.contains("control_of")
        });
        of.count()
    };
    assert_eq!(seeds("0.000000001"), 3, "{group} {baseline} {out}");
    assert!(seeds("0.1") > 3 && seeds("0.1") == seeds("0.05"), "{out}");
    let other = last.iter().find(|seen| seen["baseline"] == baseline && seen["group"] != group).unwrap();
    let told = settled(other["group"].as_str().unwrap(), baseline);
    assert_eq!(told["look"]["n"].as_u64().unwrap() as usize, seeds("0.1"));
    assert!(out.contains(&format!("{group} – {baseline}: below after 3 seeds")), "{out}");
    assert!(runs.iter().all(|run| finished(run)));

    // The same command again runs nothing and decides nothing anew.
    let before = fs::read(here.path().join("runs/s/waves.json")).unwrap();
    let (code, out, _) = secateur(here.path(), &["sweep", "s.toml"]);
    assert!(code == 0 && out.contains("0 cells finished now"), "{out}");
    assert!(fs::read(here.path().join("runs/s/waves.json")).unwrap() == before);
    let (code, _, errors) = secateur(here.path(), &["sweep", "s.toml", "--set", "sweep.seeds.at_most=9"]);
    assert!(code == 2 && errors.contains("begun by another rule") && errors.contains("keeps no error"), "{errors}");
    let (code, out, errors) = secateur(here.path(), &["compare", "runs/s"]);
    assert!(code == 0 && out.contains("seeds were added until comparisons were settled"), "{out}{errors}");
    assert!(out.contains(&format!("{group} – {baseline}: below after 3 seeds")), "{out}");
}

#[test]
fn a_sweep_that_was_stopped_between_waves_goes_on_as_it_would_have() {
    let whole = here(CONFIG);
    assert_eq!(secateur(whole.path(), &["sweep", "s.toml", "--jobs", "2"]).0, 0);
    let expected = waves(whole.path());
    let all = expected["waves"].as_array().unwrap().len();
    assert!(all > 1, "{expected}");
    // As a process leaves it that ends right after it decided on the second wave.
    let mut cut = expected.clone();
    let kept = cut["waves"].as_array_mut().unwrap();
    kept.truncate(2);
    kept[1]["seen"] = Value::Null;
    fs::write(whole.path().join("runs/s/waves.json"), cut.to_string()).unwrap();
    let gone = |run: &std::path::PathBuf| {
        fs::read_to_string(run.join("config.toml"))
            .unwrap()
            .lines()
            .any(|line| ["seed = 3", "seed = 4", "seed = 5"].contains(&line))
    };
    folders(whole.path()).iter().filter(|run| gone(run)).for_each(|run| fs::remove_dir_all(run).unwrap());
    let (code, out, errors) = secateur(whole.path(), &["sweep", "s.toml"]);
    assert_eq!(code, 0, "{errors}");
    assert!(!out.contains("0 cells finished now"), "{out}");
    assert_eq!(waves(whole.path()), expected);
}

#[test]
fn what_cannot_be_is_refused_by_name() {
    let here = here(CONFIG);
    for (set, expected) in [
        ("sweep.seeds.margin=0", "sweep.seeds: margin: found 0"),
        ("sweep.seeds.until=sure", "sweep.seeds: until: found \"sure\""),
        ("sweep.seeds.at_most=2", "at_most: found 2, allowed: must be at least `at_least` = 3"),
        ("sweep.seeds.at_last=2", "at_last"),
    ] {
        let (code, _, errors) = secateur(here.path(), &["sweep", "s.toml", "--dry-run", "--set", set]);
        assert!(code == 2 && errors.contains(expected), "{set}: {errors}");
        assert!(errors.contains("fix: write seeds = { until = \"decided\""), "{errors}");
    }
}
