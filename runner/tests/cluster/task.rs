//! Shares of a plan.

use super::*;

#[test]
fn shares_that_run_side_by_side_end_with_the_bits_of_one_process() {
    let (alone, shared) = (here(), here());
    works(alone.path(), &["sweep", "s.toml", "--jobs", "2"]);
    let tasks = ["1/3", "2/3", "3/3"]
        .map(|task| secateur(shared.path(), &["sweep", "s.toml", "--jobs", "1", "--task", task]).spawn().unwrap());
    let texts = tasks.map(|task| {
        let (code, text) = ended(task.wait_with_output().unwrap());
        assert_eq!(code, Some(0), "{text}");
        text
    });
    assert_eq!(networks(shared.path()), networks(alone.path()));
    assert_eq!(runs(shared.path()).len(), 16);
    assert!(!shared.path().join("runs/index.sqlite").exists(), "no task opens it");
    assert_eq!(ties(shared.path()), ties(alone.path()));
    // What one left to another was run by that one: nothing is run twice, and nothing stays behind.
    let now: usize = texts.iter().map(|text| finished_now(text)).sum();
    assert_eq!(now, 16, "{texts:?}");
    let left = fs::read_dir(&runs(shared.path())[0]).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(!left.map(|name| name.into_string().unwrap()).any(|name| name.starts_with('.')));
    let again = works(shared.path(), &["sweep", "s.toml", "--task", "2/3"]);
    assert!(again.contains("0 cells finished now"), "{again}");
    let compared = |here: &Path| works(here, &["compare", "runs/s", "--json", "-"]);
    let groups = |text: String| {
        let found: Value = serde_json::from_str(&text).unwrap();
        let all = found["groups"].as_array().unwrap().clone();
        all.iter()
            .map(|group| (group["label"].to_string(), group["metrics"]["test_accuracy"].to_string()))
            .collect::<Vec<_>>()
    };
    assert_eq!(groups(compared(shared.path())), groups(compared(alone.path())));
}

/// How many cells a process says that it ran.
pub fn finished_now(text: &str) -> usize {
    let line = text.lines().find(|line| line.contains("cells finished now")).unwrap_or_else(|| panic!("{text}"));
    line.trim().split(' ').next().unwrap().parse().unwrap()
}

#[test]
fn a_share_that_is_none_is_refused() {
    let here = here();
    for wrong in ["0/3", "4/3", "x"] {
        let (code, text) = outcome(here.path(), &["sweep", "s.toml", "--task", wrong]);
        assert!(code == Some(2) && text.contains("write I/N, from 1/N to N/N"), "{text}");
    }
    let text = works(here.path(), &["sweep", "s.toml", "--task", "9/9"]);
    assert!(text.contains("0 cells finished now, 0 before"), "more shares than cells: {text}");
}

#[test]
fn a_frozen_plan_is_run_as_it_was() {
    let (alone, frozen) = (here(), here());
    let few = ["--set", "sweep.controls=[\"unpruned\"]"];
    works(alone.path(), &[&["sweep", "s.toml"][..], &few].concat());
    let variable = ("SECATEUR_TRAIN__LR", "0.123");
    works(frozen.path(), &[&["sweep", "s.toml", "--freeze", "plan.toml"][..], &few].concat());
    // Whatever is edited and set meanwhile.
    fs::write(frozen.path().join("s.toml"), CONFIG.replace("epochs = 6", "epochs = 7")).unwrap();
    for task in ["1/2", "2/2"] {
        let mut command = secateur(frozen.path(), &["sweep", "--plan", "plan.toml", "--task", task]);
        let (code, text) = ended(command.env(variable.0, variable.1).output().unwrap());
        assert_eq!(code, Some(0), "{text}");
    }
    assert_eq!(networks(frozen.path()), networks(alone.path()));
    let of = |here: &Path, file: &str| runs(here).iter().map(|run| text(run.join(file))).collect::<Vec<_>>();
    assert_eq!(of(frozen.path(), "config.toml"), of(alone.path(), "config.toml"));
    let origins = |here: &Path| {
        let all = of(here, "provenance.toml");
        all.iter().map(|text| text.parse::<toml::Table>().unwrap()["origins"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(origins(frozen.path()), origins(alone.path()), "every value knows who set it");
    let status = works(frozen.path(), &["sweep", "--plan", "plan.toml", "--status"]);
    assert!(status.contains("6 cells, and 2 controls so far\n  8 done\n"), "{status}");
}

#[test]
fn a_frozen_plan_is_of_one_program_and_of_one_content() {
    let here = here();
    let path = here.path().join("plan.toml");
    works(here.path(), &["sweep", "s.toml", "--set", "sweep.controls=[]", "--freeze", "plan.toml"]);
    let whole = text(path.clone());
    let share = ["sweep", "--plan", "plan.toml", "--task", "6/6"];
    let changed = |from: &str, to: &str| {
        let text = whole.replacen(from, to, usize::MAX);
        assert_ne!(text, whole);
        fs::write(&path, text).unwrap();
        outcome(here.path(), &share)
    };
    let (code, text) = changed("build = \"", "build = \"0");
    assert!(code == Some(2) && text.contains("frozen by build 0") && text.contains("--accept-changed"), "{text}");
    let (code, text) = changed("folder = \"s-", "folder = \"s-0");
    assert!(code == Some(1) && text.contains("the plan says that this cell is s-0"), "{text}");
    let (code, text) = changed("format = 1", "format = 2");
    assert!(code == Some(2) && text.contains("a plan of format 2"), "{text}");
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let (code, text) = outcome(here.path(), &share);
    assert!(code == Some(2) && text.contains("plan.toml: "), "{text}");
    fs::write(&path, whole.replacen("build = \"", "build = \"0", 1)).unwrap();
    works(here.path(), &[&share[..], &["--accept-changed"]].concat());
}
