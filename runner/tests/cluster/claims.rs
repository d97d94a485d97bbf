//! Several processes on one folder: each cell is run once, whoever lives and whoever is dead.

use super::task::finished_now;
use super::*;

/// A claim as a process of another machine holds it, or held it, and was heard from so long ago.
fn claimed_elsewhere(run: &Path, silent: Duration) {
    let claim = run.join(".claim");
    fs::create_dir_all(&claim).unwrap();
    let owner = serde_json::json!({
        "token": "0123456789abcdef-0", "host": "n7", "machine": "another boot pid:[1]", "pid": 4711, "began": "1", "job": "12_3",
    });
    fs::write(claim.join("owner.json"), owner.to_string()).unwrap();
    fs::write(claim.join("beat.json"), r#"{"step": 340, "steps": 900, "from": 300, "seconds": 4.0}"#).unwrap();
    for name in ["owner.json", "beat.json", ""] {
        let at = std::time::SystemTime::now() - silent;
        fs::File::open(claim.join(name)).unwrap().set_modified(at).unwrap();
    }
}

#[test]
fn four_processes_on_one_folder_run_each_cell_once() {
    let here = here();
    let more = ["--jobs", "1", "--set", "sweep.seeds=6", "--set", "sweep.controls=[\"random\", \"unpruned\"]"];
    let all: Vec<_> =
        (0..4).map(|_| secateur(here.path(), &[&["sweep", "s.toml"][..], &more].concat()).spawn().unwrap()).collect();
    let mut now = 0;
    for process in all {
        let (code, text) = ended(process.wait_with_output().unwrap());
        assert_eq!(code, Some(0), "{text}");
        assert!(!text.contains(" left to other processes") || text.contains("process "), "{text}");
        now += finished_now(&text);
    }
    let runs = runs(here.path());
    // Eighteen cells; a random control of each seed for both norms, and one that is not pruned.
    assert_eq!((now, runs.len()), (30, 30));
    assert!(runs.iter().all(|run| summary(run)["status"] == "finished"));
    assert_eq!(ties(here.path()).len(), 18);
}

#[test]
fn a_cell_of_a_live_process_is_left_to_it_and_one_of_a_dead_one_taken_over() {
    let here = here();
    let sweep = ["sweep", "s.toml", "--set", "sweep.controls=[]", "--jobs", "1"];
    works(here.path(), &sweep);
    let (expected, all) = (networks(here.path()), runs(here.path()));
    let (live, dead) = (&all[0], &all[1]);
    for run in [live, dead] {
        fs::remove_dir_all(run).unwrap();
    }
    claimed_elsewhere(live, Duration::from_secs(20));
    claimed_elsewhere(dead, Duration::from_secs(200));
    let text = works(here.path(), &sweep);
    assert!(text.contains("1 cell finished now, 4 before"), "{text}");
    assert!(
        text.contains("1 cell left to other processes:") && text.contains("process 4711 on n7, job 12_3"),
        "{text}"
    );
    assert!(!live.join("config.toml").exists() && live.join(".claim/owner.json").exists());
    // Once it was silent for long enough, also that one. What it was doing meanwhile is waited for.
    claimed_elsewhere(live, Duration::from_secs(176));
    let began = Instant::now();
    let text = works(here.path(), &sweep);
    assert!(text.contains("1 cell finished now, 5 before") && !text.contains("left to"), "{text}");
    assert!(began.elapsed() >= Duration::from_secs(2), "{:?}", began.elapsed());
    assert_eq!(networks(here.path()), expected);
}

#[test]
#[cfg(target_os = "linux")]
fn a_cell_of_a_process_that_was_killed_here_is_taken_over_at_once() {
    let here = here();
    let slow = ["sweep", "s.toml", "--set", "sweep.controls=[]", "--jobs", "2", "--set", "train.epochs=60"];
    let mut child = secateur(here.path(), &slow).spawn().unwrap();
    wait_until("two cells under way", &mut child, || runs(here.path()).iter().filter(|run| under_way(run)).count() > 1);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(runs(here.path()).iter().any(|run| run.join(".claim").exists()));
    let text = works(here.path(), &slow);
    assert!(!text.contains("left to"), "{text}");
    assert_eq!(runs(here.path()).iter().filter(|run| summary(run)["status"] == "finished").count(), 6);
}

#[test]
fn a_process_that_was_only_asleep_stops_and_says_who_goes_on() {
    let here = here();
    let one =
        ["sweep", "s.toml", "--set", "sweep.controls=[]", "--jobs", "1", "--task", "1/6", "--set", "train.epochs=400"];
    let mut child = secateur(here.path(), &one).spawn().unwrap();
    wait_until("a cell under way", &mut child, || runs(here.path()).iter().any(|run| under_way(run)));
    // As a process of another machine would take it over.
    let run = runs(here.path())[0].clone();
    fs::rename(run.join(".claim"), here.path().join("gone")).unwrap();
    claimed_elsewhere(&run, Duration::ZERO);
    let (code, text) = ended(child.wait_with_output().unwrap());
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("1 cell left to other processes:") && text.contains("process 4711 on n7"), "{text}");
    assert!(!run.join("summary.json").exists() && !run.join("model.safetensors").exists());
    assert!(run.join(".claim/owner.json").exists(), "the claim is the other one's");
}
