//! `--slurm`, with shell scripts in the place of Slurm's programs.

use super::*;

fn log(here: &Path, program: &str) -> Vec<String> {
    text(here.join(format!("{program}.log"))).lines().map(str::to_owned).collect()
}

/// The text with what differs from machine to machine and from build to build taken out.
fn without_places(text: &str, here: &Path) -> String {
    let place = fs::canonicalize(here).unwrap();
    let text = text.replace(place.to_str().unwrap(), "/HERE").replace(here.to_str().unwrap(), "/HERE");
    let text = text.replace(env!("CARGO_PKG_VERSION"), "VERSION");
    let build = text.split("slurm/secateur-").nth(1).and_then(|rest| rest.split(' ').next());
    build.map_or(text.clone(), |build| text.replace(build, "BUILD"))
}

#[test]
fn the_script_is_printed_and_nothing_else_happens() {
    let here = here();
    let print = ["sweep", "s.toml", "--jobs", "2", "--slurm", "--print", "--", "--partition=main", "-A", "my account"];
    let script = works(here.path(), &print);
    assert_eq!(without_places(&script, here.path()), include_str!("job.golden.sh"));
    assert!(!here.path().join("runs").exists() && log(here.path(), "sbatch").is_empty());
}

#[test]
fn what_is_missing_is_submitted_over_arrays_and_run_with_the_bits_of_a_local_sweep() {
    let (alone, slurm) = (here(), here());
    works(alone.path(), &["sweep", "s.toml"]);
    // Six tasks, and arrays of three: the largest index is one less than the limit says.
    let submit = ["sweep", "s.toml", "--max-parallel", "2", "--slurm", "--", "--partition=main"];
    let (code, text) = ended(secateur(slurm.path(), &submit).env("MAX_ARRAY", "4").output().unwrap());
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("submitted 701: 3 tasks") && text.contains("submitted 702: 3 tasks"), "{text}");
    assert!(text.contains("6 cells in 6 tasks, one cell each: no cell has run yet"), "{text}");
    assert!(text.trim_end().ends_with("secateur sweep s.toml --status"), "{text}");
    let job = fs::canonicalize(slurm.path().join("runs/s/slurm/1/job.sh")).unwrap();
    let given: Vec<String> = log(slurm.path(), "sbatch");
    assert_eq!(
        given,
        [
            format!("--parsable --array=1-3%2 {} 0", job.display()),
            format!("--parsable --array=1-3%2 --dependency=afterany:701 {} 3", job.display()),
        ]
    );
    assert_eq!(networks(slurm.path()), networks(alone.path()));
    assert_eq!(ties(slurm.path()), ties(alone.path()));
    assert!(!slurm.path().join("runs/index.sqlite").exists(), "no task opens it");
    let ids: Vec<String> =
        runs(slurm.path()).iter().map(|run| summary(run)["job"].as_str().unwrap().to_owned()).collect();
    assert!(ids.iter().all(|id| id.starts_with("701_") || id.starts_with("702_")), "{ids:?}");
    let log = text_of_logs(slurm.path());
    assert!(log.contains("1 cells finished now") || log.contains("cells finished now"), "{log}");
    let again = works(slurm.path(), &submit);
    assert!(again.contains("16 done") && again.ends_with("secateur compare runs/s\n"), "{again}");
    assert_eq!(super::slurm::log(slurm.path(), "sbatch").len(), 2, "nothing is missing");
}

fn text_of_logs(here: &Path) -> String {
    let logs = fs::read_dir(here.join("runs/s/slurm/1/logs")).unwrap();
    logs.map(|log| text(log.unwrap().path())).collect()
}

#[test]
fn short_cells_are_packed_and_tasks_in_the_queue_are_not_submitted_again() {
    let here = here();
    let few = ["sweep", "s.toml", "--set", "sweep.controls=[]", "--set", "sweep.seeds=8"];
    let run = |more: &[&str]| works(here.path(), &[&few[..], more].concat());
    run(&["--task", "1/12"]);
    fs::write(here.path().join("hold"), "").unwrap();
    let text = run(&["--slurm", "--", "--partition=main"]);
    // A busy machine takes longer for a cell, and packs fewer of them together.
    let tasks = text.split("22 cells in ").nth(1).and_then(|text| text.split(' ').next()?.parse::<usize>().ok());
    assert!(tasks.is_some_and(|tasks| tasks < 22) && text.contains(" cells each: a cell takes "), "{text}");
    let status = run(&["--status"]);
    assert!(status.contains("2 done, 22 waiting") && status.contains("job 701_1: pending"), "{status}");
    assert!(!status.contains("missing"), "all are in the queue: {status}");
    run(&["--slurm"]);
    assert_eq!(log(here.path(), "sbatch").len(), 1);
    // Where Slurm does not answer, nobody knows that.
    fs::write(here.path().join("mute"), "").unwrap();
    let (code, said) = outcome(here.path(), &[&few[..], &["--slurm"]].concat());
    assert!(code == Some(1) && said.contains("Unable to contact") && said.contains("submitted twice"), "{said}");
    assert!(run(&["--status"]).ends_with("so that nobody knows which cells are in the queue\n"));
    fs::remove_file(here.path().join("mute")).unwrap();
    assert_eq!(log(here.path(), "sbatch").len(), 1);
    // Cancelled: what is in no queue is missing, and the flags are those that were given before.
    fs::write(here.path().join("queue"), "").unwrap();
    let status = run(&["--status"]);
    assert!(status.contains("not in the queue any more") && status.contains("submit the 22 cells"), "{status}");
    assert!(status.trim_end().ends_with("--slurm -- --partition=main"), "{status}");
    fs::remove_file(here.path().join("hold")).unwrap();
    let text = run(&["--slurm"]);
    assert!(text.contains("slurm/2/job.sh"), "{text}");
    let status = run(&["--status"]);
    assert!(status.contains("  24 done\n"), "{status}");
}

#[test]
fn a_site_that_takes_fewer_tasks_gets_fewer_and_one_that_refuses_says_why() {
    let here = here();
    fs::write(here.path().join("hold"), "").unwrap();
    let submit = ["sweep", "s.toml", "--set", "sweep.controls=[]", "--slurm"];
    let (code, text) =
        ended(secateur(here.path(), &submit).env("USER", "ada").env("MAX_SUBMIT", "3").output().unwrap());
    assert!(code == Some(0) && text.contains("6 cells in 3 tasks, 2 cells each"), "{text}");
    fs::write(here.path().join("queue"), "9_1 RUNNING\n9_2 RUNNING\n9_3 PENDING\n").unwrap();
    let (code, text) =
        ended(secateur(here.path(), &submit).env("USER", "ada").env("MAX_SUBMIT", "3").output().unwrap());
    assert!(code == Some(1) && text.contains("the site takes no more tasks now"), "{text}");
    fs::write(here.path().join("queue"), "").unwrap();
    fs::write(here.path().join("refuse"), "").unwrap();
    let (code, text) = outcome(here.path(), &submit);
    assert!(code == Some(1) && text.contains("Invalid account") && text.contains("nothing was submitted"), "{text}");
    let (code, text) = ended(secateur(here.path(), &submit).env("PATH", "/nowhere").output().unwrap());
    assert!(code == Some(1) && text.contains("--task I/N"), "{text}");
}

#[test]
fn a_cell_that_fails_is_named_with_its_log_and_the_others_finish() {
    let here = here();
    let sets = ["--set", "sweep.controls=[]", "--set", "sweep.axes.prune.exempt=[[], [\"fc9\"]]"];
    works(here.path(), &[&["sweep", "s.toml"][..], &sets, &["--slurm"]].concat());
    let status = works(here.path(), &[&["sweep", "s.toml"][..], &sets, &["--status"]].concat());
    assert!(status.contains("6 done, 6 failed") && status.contains("fc9"), "{status}");
    let log = status.lines().find_map(|line| line.trim().strip_prefix("log: ")).unwrap();
    assert!(text(here.path().join(log)).contains("fc9"), "{log}");
}

/// A task of a frozen plan as Slurm starts it.
fn task(here: &Path, restarts: &str) -> Command {
    let folder = here.join("runs/s/slurm/1");
    let mut command = secateur(here, &[]);
    command.args(["sweep", "--task", "1/1", "--jobs", "1", "--requeue", "--plan"]).arg(folder.join("plan.toml"));
    command.envs([("SLURM_ARRAY_JOB_ID", "701"), ("SLURM_ARRAY_TASK_ID", "1"), ("SLURM_RESTART_COUNT", restarts)]);
    command
}

#[test]
fn a_task_that_is_warned_goes_back_into_the_queue_alone_and_on_from_its_checkpoint() {
    let (here, alone) = (here(), here());
    let long = ["sweep", "s.toml", "--set", "sweep.controls=[]", "--set", "train.epochs=60", "--set", "sweep.seeds=1"];
    works(alone.path(), &long);
    fs::write(here.path().join("hold"), "").unwrap();
    works(here.path(), &[&long[..], &["--slurm"]].concat());
    let requeued = || log(here.path(), "scontrol").iter().filter(|line| *line == "requeue 701_1").count();
    let mut child = task(here.path(), "0").spawn().unwrap();
    wait_until("a cell under way", &mut child, || runs(here.path()).iter().any(|run| under_way(run)));
    signal(&child, "-USR1");
    let (code, said) = ended(child.wait_with_output().unwrap());
    assert!(code == Some(138) && said.contains("requeued as 701_1"), "{said}");
    assert_eq!(requeued(), 1);
    let step = |run: &Path| summary(run)["step"].as_u64();
    assert!(runs(here.path()).iter().any(|run| step(run) > Some(0)), "{said}");
    // Whoever cancels it does not want it back.
    let mut child = task(here.path(), "1").spawn().unwrap();
    wait_until("a cell finished", &mut child, || {
        runs(here.path()).iter().any(|run| summary(run)["status"] == "finished")
    });
    wait_until("the next under way", &mut child, || {
        runs(here.path()).iter().any(|run| summary(run).is_null() && under_way(run))
    });
    signal(&child, "-TERM");
    let (code, said) = ended(child.wait_with_output().unwrap());
    assert_eq!(code, Some(143), "{said}");
    assert_eq!(requeued(), 1, "{said}");
    let (code, said) = ended(task(here.path(), "2").output().unwrap());
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(networks(here.path()), networks(alone.path()));
}

#[test]
fn a_task_that_is_warned_before_its_first_step_goes_back_too() {
    let here = here();
    let endless = ["--set", "train.epochs=1000000000", "--set", "schedule.count=1", "--set", "sweep.controls=[]"];
    fs::write(here.path().join("hold"), "").unwrap();
    works(here.path(), &[&["sweep", "s.toml", "--set", "sweep.seeds=1"][..], &endless, &["--slurm"]].concat());
    let mut child = task(here.path(), "0").spawn().unwrap();
    wait_until("its first cell", &mut child, || runs(here.path()).iter().any(|run| run.join("sweep.json").exists()));
    signal(&child, "-USR1");
    let (code, said) = ended(child.wait_with_output().unwrap());
    assert!(code == Some(138) && said.contains("requeued as 701_1"), "{said}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_task_that_is_warned_before_it_has_its_plan_goes_back_too() {
    let here = here();
    fs::write(here.path().join("hold"), "").unwrap();
    works(here.path(), &["sweep", "s.toml", "--slurm"]);
    // A file system that takes its time: whoever reads the plan waits.
    let plan = here.path().join("runs/s/slurm/1/plan.toml");
    fs::remove_file(&plan).unwrap();
    assert!(Command::new("mkfifo").arg(&plan).status().unwrap().success());
    let mut child = task(here.path(), "0").spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let caught = || -> Option<u64> {
        let status = fs::read_to_string(&status).ok()?;
        u64::from_str_radix(status.lines().find_map(|line| line.strip_prefix("SigCgt:"))?.trim(), 16).ok()
    };
    wait_until("that it listens", &mut child, || caught().is_some_and(|mask| mask >> 9 & 1 == 1));
    signal(&child, "-USR1");
    let (code, said) = ended(child.wait_with_output().unwrap());
    assert!(code == Some(138) && said.contains("requeued as 701_1"), "{said}");
}

#[test]
fn a_task_that_comes_no_further_is_given_up() {
    let here = here();
    let long = ["sweep", "s.toml", "--set", "sweep.controls=[]", "--set", "train.epochs=400", "--set", "sweep.seeds=1"];
    fs::write(here.path().join("hold"), "").unwrap();
    works(here.path(), &[&long[..], &["--slurm"]].concat());
    let restarts = here.path().join("runs/s/slurm/1/restarts");
    fs::create_dir(&restarts).unwrap();
    // It was further before: two restarts in a row made no step, and this is the third.
    fs::write(restarts.join("1.json"), r#"{"stops": 5, "idle": 2, "progress": [99, 0], "given_up": false}"#).unwrap();
    let mut child = task(here.path(), "3").spawn().unwrap();
    wait_until("a cell under way", &mut child, || runs(here.path()).iter().any(|run| under_way(run)));
    signal(&child, "-USR1");
    let (code, said) = ended(child.wait_with_output().unwrap());
    assert!(
        code == Some(138) && said.contains("not requeued: 3 restarts of this task in a row made no step"),
        "{said}"
    );
    assert!(!log(here.path(), "scontrol").iter().any(|line| line.starts_with("requeue")));
    fs::write(here.path().join("queue"), "").unwrap();
    let status = works(here.path(), &[&long[..], &["--status"]].concat());
    assert!(status.contains("its task was given up: three restarts in a row made no step"), "{status}");
}

#[test]
fn a_job_that_was_started_again_takes_over_from_itself() {
    let here = here();
    let long = ["sweep", "s.toml", "--set", "sweep.controls=[]", "--set", "train.epochs=200", "--set", "sweep.seeds=1"];
    fs::write(here.path().join("hold"), "").unwrap();
    works(here.path(), &[&long[..], &["--slurm"]].concat());
    let mut first = task(here.path(), "0").spawn().unwrap();
    wait_until("a cell under way", &mut first, || runs(here.path()).iter().any(|run| under_way(run)));
    // Its node was taken for dead, and it lives on.
    let (code, later) = ended(task(here.path(), "1").output().unwrap());
    assert_eq!(code, Some(0), "{later}");
    let (code, said) = ended(first.wait_with_output().unwrap());
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("left to other processes") || said.contains("before"), "{said}");
    let alone = super::here();
    works(alone.path(), &long);
    assert_eq!(networks(here.path()), networks(alone.path()));
    let events = |here: &Path| runs(here).iter().map(|run| lines_of(run)).collect::<Vec<_>>();
    assert_eq!(events(here.path()), events(alone.path()), "no event twice, and none lost");
}

/// What a run's log says, without times.
fn lines_of(run: &Path) -> Vec<String> {
    let kinds = ["\"event\":\"epoch\"", "\"event\":\"prune\""];
    let log = text(run.join("events.jsonl"));
    let lines = log.lines().filter(|line| kinds.iter().any(|kind| line.contains(kind)));
    let plain = |line: &str| {
        let event: Value = serde_json::from_str(line).unwrap();
        format!("{} {} {} {}", event["event"], event["step"], event["train_loss"], event["kept"])
    };
    lines.map(plain).collect()
}
