//! Grids, and what is wrong with them, before anything runs.

use std::time::{Duration, Instant};

use super::{CONFIG, here, secateur};

fn problem(config: &str, more: &[&str]) -> String {
    let here = here(config);
    let (code, out, errors) = secateur(here.path(), &[&["sweep", "s.toml", "--dry-run"], more].concat());
    assert_eq!(code, 2, "{out}{errors}");
    errors
}

#[test]
fn what_is_wrong_is_known_before_anything_runs() {
    let unknown = problem(CONFIG, &["--set", "sweep.axes.criterion.lamda1=[1.0]"]);
    assert!(unknown.contains("criterion.lamda1: unknown key for criterion"), "{unknown}");
    let wrong = problem(CONFIG, &["--set", "sweep.axes.train.lr=[0.1, \"fast\"]"]);
    assert!(wrong.contains("train.lr: not a value it can have") && wrong.contains("fast"), "{wrong}");
    let twins = problem(CONFIG, &["--set", "sweep.axes.train.lr=[1, 1.0]"]);
    assert!(twins.contains("two cells are the same run"), "{twins}");
    let twice = problem(CONFIG, &["--set", "train.lr=0.5", "--set", "sweep.axes.train.lr=[0.1, 0.2]"]);
    assert!(twice.contains("--set sets it, and it is an axis"), "{twice}");
    let seed = problem(CONFIG, &["seed=0,0"]);
    assert!(seed.contains("error: sweep.seeds: the value 0 stands there twice"), "{seed}");
    let seed = problem(CONFIG, &["seed=0,1", "seed=3"]);
    assert!(seed.contains("give the axis others: seed=A,B, or ~sweep.seeds for none"), "{seed}");
    let many = problem(CONFIG, &["sweep.seeds=1000000"]);
    assert!(many.contains("sweep.seeds: found 1000000") && many.contains("at most 100000"), "{many}");
    let key = problem(CONFIG, &["--set", "sweep.sedes=3"]);
    assert!(key.contains("did you mean sweep.seeds?"), "{key}");
    let lines = problem(CONFIG, &["--set", "sweep.axes.train.lr_schedule=[\"a\\nb\", \"cosine\"]"]);
    assert!(lines.contains("train.lr_schedule=a\\nb"), "a cell is named in one line: {lines}");
    let zip = problem(
        CONFIG,
        &[
            "--set",
            "sweep.axes.train.lr=[0.1, 0.2]",
            "--set",
            "sweep.axes.train.momentum=[0.0]",
            "--set",
            "sweep.zip=[[\"train.lr\", \"train.momentum\"]]",
        ],
    );
    assert!(zip.contains("sweep.zip"), "{zip}");
    let repeated = problem(CONFIG, &["--set", "sweep.axes.train.lr=[0.1, 0.1]"]);
    assert!(repeated.contains("the value 0.1 stands there twice"), "{repeated}");
    let claim = |claim: &str| problem(CONFIG, &["--set", &format!("sweep.claims=[{claim}]")]);
    let than = "is = \"better\", than = { criterion.name = \"random\" }, margin = 0.5";
    let unknown = claim(&format!("{{ claim = \"c\", of = {{ criterion.name = \"magnitud\" }}, {than} }}"));
    assert!(
        unknown.contains("sweep.claims: no cell has criterion.name = \"magnitud\", which `of` of \"c\" asks for"),
        "{unknown}"
    );
    let half = claim("{ claim = \"c\", of = { criterion.name = \"magnitude\" } }");
    assert!(
        half.contains("sweep.claims: missing field `is`") && half.contains("fix: write [[sweep.claims]] with"),
        "{half}"
    );
    let control = claim(
        "{ claim = \"c\", of = { criterion.name = \"magnitude\" }, is = \"better\", than = { control = \"randon\" }, margin = 1.0 }",
    );
    assert!(control.contains("randon is not among the controls of this sweep: "), "{control}");
    let here = here(CONFIG);
    let (code, _, errors) = secateur(here.path(), &["run", "s.toml"]);
    assert!(code == 2 && errors.contains("secateur sweep CONFIG runs them all"), "{errors}");
}

#[test]
fn zip_exclude_and_seed_lists_shape_the_grid() {
    let here = here(CONFIG);
    let more = [
        "--set",
        "sweep.axes.train.lr=[0.1, 0.2]",
        "--set",
        "sweep.axes.train.momentum=[0.0, 0.5]",
        "--set",
        "sweep.zip=[[\"train.lr\", \"train.momentum\"]]",
        "--set",
        "sweep.seeds=[3, 9]",
        "--set",
        "sweep.exclude=[{ criterion.name = \"random\", train.lr = 0.2 }]",
    ];
    let (code, out, errors) = secateur(here.path(), &[&["sweep", "s.toml", "--dry-run"], &more[..]].concat());
    assert_eq!(code, 0, "{errors}");
    // Magnitude twice and random once, times two zipped rates, times two seeds; less random at 0.2.
    assert!(out.contains("s: 10 cells, 2 excluded"), "{out}");
    assert!(out.contains("train.lr=0.2 train.momentum=0.5 seed=9 criterion.norm=l2"), "{out}");
    assert!(!out.contains("train.lr=0.1 train.momentum=0.5"), "{out}");
    // Axes that advance together tell each other's equal values apart; equal pairs remain one run.
    let zipped = |lr: &str, momentum: &str| {
        let (lr, momentum) = (format!("sweep.axes.train.lr={lr}"), format!("sweep.axes.train.momentum={momentum}"));
        let more = ["--set", &lr, "--set", &momentum, "--set", "sweep.zip=[[\"train.lr\", \"train.momentum\"]]"];
        secateur(here.path(), &[&["sweep", "s.toml", "--dry-run"], &more[..]].concat())
    };
    let (code, out, errors) = zipped("[0.1, 0.1, 0.2]", "[0.0, 0.5, 0.5]");
    assert_eq!(code, 0, "{errors}");
    assert!(
        out.contains("train.lr=0.1 train.momentum=0.5") && out.contains("train.lr=0.1 train.momentum=0.0"),
        "{out}"
    );
    let (code, _, errors) = zipped("[0.1, 0.1]", "[0.5, 0.5]");
    assert!(code == 2 && errors.contains("stands there twice"), "{errors}");
}

#[test]
fn rules_that_do_nothing_are_said() {
    let here = here(CONFIG);
    let more = [
        "--set",
        "sweep.when=[{ if = { criterion.name = \"worst\" }, axes = { train.lr = [0.1] } }]",
        "--set",
        "sweep.exclude=[{ criterion.name = \"random\", seed = 7 }, { criterion.name = \"random\", seed = 1 }]",
        "--set",
        "sweep.zip=[[\"seed\"]]",
    ];
    let (code, out, errors) = secateur(here.path(), &[&["sweep", "s.toml", "--dry-run"], &more[..]].concat());
    assert_eq!(code, 0, "{errors}");
    let notes: Vec<&str> = out.lines().filter_map(|line| line.trim().strip_prefix("note: ")).collect();
    let expected = [
        "sweep.when does nothing here: no cell has criterion.name = \"worst\".",
        "sweep.exclude does nothing here: no cell has criterion.name = \"random\", seed = 7.",
        "sweep.zip does nothing here for seed: it is joined with no other axis, as in [[\"seed\", \"train.lr\"]].",
    ];
    assert_eq!(notes, expected, "{out}");
}

#[test]
fn a_rule_may_ask_for_what_another_one_gives() {
    let here = here(CONFIG);
    let rules = "sweep.when=[{ if = { train.lr = 0.2 }, set = { train.momentum = 0.5 } }, \
                 { if = { criterion.name = \"random\" }, axes = { train.lr = [0.1, 0.2] } }]";
    let (code, out, errors) = secateur(here.path(), &["sweep", "s.toml", "--dry-run", "--set", rules, "sweep.seeds=1"]);
    assert_eq!(code, 0, "{errors}");
    let random: Vec<&str> = out.lines().filter(|line| line.starts_with("criterion=random")).collect();
    assert_eq!(random.len(), 2, "{out}");
    assert!(random[0].contains("train.lr=0.1") && !random[0].contains("momentum"), "{out}");
    assert!(random[1].contains("train.lr=0.2") && random[1].contains("train.momentum=0.5"), "{out}");
}

#[test]
fn every_sweep_of_the_program_can_be_planned() {
    let here = tempfile::tempdir().unwrap();
    for (name, cells) in [
        ("mnist-criteria", 20),
        ("mnist-criteria-small", 20),
        ("burden", 75),
        ("burden-small", 8),
        ("lambda", 63),
        ("lambda-small", 14),
        ("evidence/rank-mnist-small", 60),
        ("evidence/rank-fashion-small", 60),
        ("evidence/rank-lambda-small", 80),
        ("evidence/rank-awsc-small", 20),
        ("evidence/reactivation-small", 30),
        ("evidence/autoencoder-small", 90),
        ("evidence/burden-guided-small", 20),
        ("evidence/burden-foretells-small", 32),
        ("evidence/depth-small", 90),
        ("evidence/activation-information-small", 32),
        ("evidence/relevance-by-layer-small", 60),
        ("evidence/recovery-small", 40),
        ("evidence/burden-cnn-small", 32),
        ("evidence/report-table-small", 210),
        ("evidence/memorisation", 420),
        ("evidence/memorisation-small", 210),
        ("evidence/noisy-capacity", 120),
        ("evidence/noisy-capacity-small", 120),
        ("evidence/noise-correlation", 240),
        ("evidence/noise-correlation-small", 120),
        ("evidence/sparse-features", 1120),
        ("evidence/sparse-features-small", 350),
        ("evidence/sparsest", 950),
        ("evidence/sparsest-small", 475),
    ] {
        // Without `sweep/` in front.
        let (code, out, errors) = secateur(here.path(), &["sweep", name, "--dry-run"]);
        assert_eq!(code, 0, "{errors}");
        let stem = name.rsplit('/').next().unwrap();
        assert!(out.contains(&format!("{stem}: {cells} cells")), "{out}");
    }
}

#[test]
fn a_hundred_thousand_cells_are_planned_in_seconds() {
    let here = here(CONFIG);
    let tens = |key: &str| format!("sweep.axes.{key}=[0.10, 0.11, 0.12, 0.13, 0.14, 0.15, 0.16, 0.17, 0.18, 0.19]");
    let (lr, momentum, fraction) = (tens("train.lr"), tens("train.momentum"), tens("schedule.fraction"));
    let sets = ["--set", &lr, "--set", &momentum, "--set", &fraction, "--set", "sweep.seeds=34"];
    let started = Instant::now();
    let (code, out, errors) = secateur(here.path(), &[&["sweep", "s.toml", "--dry-run"], &sets[..]].concat());
    assert_eq!(code, 0, "{errors}");
    assert!(out.contains("s: 102000 cells"), "{}", &out[out.len() - 400..]);
    // Two seconds in a release build on an idle machine; tests run beside others, and less optimised.
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
}
