//! Every request to end leaves a checkpoint, and is heard wherever the program is.

use super::*;

/// Long enough to be caught on its way.
const LONG: [&str; 7] = [
    "run",
    "experiment/quickstart",
    "--set=data.glyphs={train=300,test=60}",
    "--set=train.epochs=3000",
    "--set=train.batch_size=60",
    "--set=schedule.first=20",
    "--set=output.pictures=0",
];

fn begun(here: &Path) -> bool {
    runs(here).first().is_some_and(|run| text(run.join("events.jsonl")).contains("\"epoch\":3"))
}

/// Whether this process, and so what it starts, ignores a signal; as far as the system tells.
fn ignored(number: i32) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| u64::from_str_radix(line.strip_prefix("SigIgn:")?.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (number - 1) & 1 == 1)
}

#[test]
fn every_signal_leaves_a_checkpoint_and_its_own_exit_code() {
    for (name, number) in [("INT", 2), ("TERM", 15), ("HUP", 1), ("USR1", 10), ("USR2", 12)] {
        if ignored(number) {
            eprintln!("SKIPPED: SIG{name} is ignored here, as under nohup, and the program keeps it so");
            continue;
        }
        let here = tempfile::tempdir().unwrap();
        let mut child = secateur(here.path(), &LONG).spawn().unwrap();
        wait_until("epoch 3", &mut child, || begun(here.path()));
        // By number: these are Linux's and those of most systems; where they are others, the name would lie.
        signal(&child, &format!("-{name}"));
        let (code, message) = ended(child.wait_with_output().unwrap());
        let run = &runs(here.path())[0];
        let expected = if cfg!(target_os = "linux") { Some(128 + number) } else { code };
        assert_eq!(code, expected, "{name}: {message}");
        assert!(message.contains(&format!("SIG{name}: the step at hand is finished first")), "{message}");
        assert!(message.contains("go on with: secateur run --resume"), "{name}: {message}");
        assert!(state(run).exists() && summary(run)["status"] == "interrupted", "{name}");
    }
}

#[test]
fn a_signal_that_comes_twice_at_once_leaves_a_checkpoint_too() {
    for name in ["TERM", "INT"] {
        let here = tempfile::tempdir().unwrap();
        let mut child = secateur(here.path(), &LONG).spawn().unwrap();
        wait_until("epoch 3", &mut child, || begun(here.path()));
        // One call of the shell, so that nothing comes between them.
        let twice = format!("kill -{name} {0}; kill -{name} {0}; kill -{name} {0}", child.id());
        assert!(Command::new("sh").args(["-c", &twice]).status().is_ok());
        let (code, message) = ended(child.wait_with_output().unwrap());
        assert_eq!(code, Some(if name == "TERM" { 143 } else { 130 }), "{message}");
        assert!(state(&runs(here.path())[0]).exists(), "{name}: {message}");
    }
}

#[test]
fn only_a_second_ctrl_c_a_second_later_ends_a_step_at_once() {
    let here = tempfile::tempdir().unwrap();
    let framework = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("framework");
    // A criterion that says when it is asked, and then takes longer than anybody waits.
    let source = text(framework.join("examples/plugins/square.c"));
    let slow = source.replace(
        "  const float *w = target->weight.data;",
        "  FILE *here = fopen(\"scoring\", \"w\");\n  if (here) fclose(here);\n  sleep(100000);\n  const float *w = target->weight.data;",
    );
    assert_ne!(slow, source);
    fs::write(here.path().join("slow.c"), format!("#include <unistd.h>\n{slow}")).unwrap();
    let mut compiler = Command::new("cc");
    compiler.current_dir(here.path()).args(["-shared", "-fPIC", "-o", "slow.so", "slow.c", "-I"]);
    match compiler.arg(framework.join("include")).status() {
        Ok(status) => assert!(status.success()),
        Err(_) => return eprintln!("SKIPPED: no C compiler `cc` here, so that nothing takes long"),
    }
    let asked = ["--plugin=slow.so", "--set=criterion.name=square", "--set=schedule.first=1"];
    let mut child = secateur(here.path(), &[&LONG[..], &asked].concat()).spawn().unwrap();
    wait_until("a long step", &mut child, || here.path().join("scoring").exists());
    for _ in 0..3 {
        signal(&child, "-TERM");
    }
    signal(&child, "-INT");
    // The program's own second, and some more.
    sleep(Duration::from_millis(1300));
    assert!(child.try_wait().unwrap().is_none(), "the first Ctrl-C waits for the step, and so do other signals");
    signal(&child, "-TERM");
    assert!(child.try_wait().unwrap().is_none());
    signal(&child, "-INT");
    assert_eq!(child.wait().unwrap().code(), Some(130), "now it is over");
}

#[test]
fn a_signal_is_heard_while_a_schedule_of_very_many_steps_is_laid_out() {
    let here = tempfile::tempdir().unwrap();
    // As many pruning steps: it is laid out by these alone.
    let endless = ["--set=train.epochs=1000000000", "--set=schedule.count=1000000000", "--set=schedule.every=1"];
    let mut child = secateur(here.path(), &[&LONG[..], &endless].concat()).spawn().unwrap();
    wait_until("the run's folder", &mut child, || {
        runs(here.path()).first().is_some_and(|run| run.join("provenance.toml").exists())
    });
    signal(&child, "-TERM");
    // Laying it out would take minutes: what ends here was heard before.
    let (code, message) = ended(child.wait_with_output().unwrap());
    assert_eq!(code, Some(143), "{message}");
    assert!(message.contains("stopped by SIGTERM where nothing could be lost"), "{message}");
    assert!(!text(runs(here.path())[0].join("events.jsonl")).contains("\"start\""), "it had not begun");
    assert!(!runs(here.path())[0].join(".claim").exists(), "another machine would wait for its signs of life");
}

#[test]
fn a_run_of_very_many_epochs_begins_at_once() {
    let here = tempfile::tempdir().unwrap();
    let endless = ["--set=train.epochs=100000000", "--set=train.lr_schedule=step", "--set=train.lr_step=100000000"];
    let mut child = secateur(here.path(), &[&LONG[..], &endless].concat()).spawn().unwrap();
    let holds =
        |file: &str, what: &str| runs(here.path()).first().is_some_and(|run| text(run.join(file)).contains(what));
    wait_until("the run's folder", &mut child, || holds("provenance.toml", "[made]"));
    let began = Instant::now();
    wait_until("the first step", &mut child, || holds("events.jsonl", "\"start\""));
    let took = began.elapsed();
    signal(&child, "-TERM");
    assert_eq!(child.wait().unwrap().code(), Some(143));
    // To ask about each of its 450 million steps takes longer on any machine.
    assert!(took < Duration::from_secs(2), "{took:?}");
}

/// Evaluations of seconds between steps of microseconds.
const MEASURED: [&str; 12] = [
    "run",
    "experiment/quickstart",
    "--quiet",
    "--set=data.glyphs={train=60,test=20000}",
    "--set=data.validation=0",
    "--set=train.eval_batch_size=1",
    "--set=train.eval_every=2",
    "--set=train.epochs=3",
    "--set=train.batch_size=60",
    "--set=schedule={first=1,every=1,count=1}",
    "--set=output.pictures=0",
    "--set=threads=1",
];

#[test]
fn an_evaluation_is_left_at_once_and_made_anew() {
    let (alone, here) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    assert_eq!(outcome(alone.path(), &MEASURED).0, Some(0));
    let expected = runs(alone.path()).remove(0);
    let lines = |run: &Path| -> Vec<String> {
        let all = text(run.join("events.jsonl"));
        all.lines().filter(|line| !line.contains("\"start\"")).map(without_seconds).collect()
    };
    // Before the pruning, after it, after the second epoch, after the last one, at the end.
    let ends = [
        "\"event\":\"step\",\"step\":0",
        "\"event\":\"prune\"",
        "\"event\":\"burden\",\"step\":1",
        "\"event\":\"neurons\"",
        "\"at\":\"epoch\"",
    ];
    let mut resume: Option<String> = None;
    for end in ends {
        let dir = resume.take();
        let arguments = match &dir {
            None => MEASURED.to_vec(),
            Some(dir) => vec!["run", "--quiet", "--resume", dir],
        };
        let mut child = secateur(here.path(), &arguments).spawn().unwrap();
        let log = || runs(here.path()).first().map(|run| text(run.join("events.jsonl"))).unwrap_or_default();
        wait_until(end, &mut child, || log().lines().last().is_some_and(|line| line.contains(end)));
        signal(&child, "-TERM");
        let (code, message) = ended(child.wait_with_output().unwrap());
        assert_eq!(code, Some(143), "{end}: {message}");
        assert!(log().lines().last().is_some_and(|line| line.contains(end)), "{end}: it was measured to the end");
        let run = runs(here.path()).remove(0);
        assert!(state(&run).exists(), "{end}: {message}");
        resume = Some(run.to_str().unwrap().to_owned());
    }
    let (code, message) = outcome(here.path(), &["run", "--quiet", "--resume", &resume.unwrap()]);
    assert_eq!(code, Some(0), "{message}");
    let run = runs(here.path()).remove(0);
    assert!(fs::read(run.join("model.safetensors")).unwrap() == fs::read(expected.join("model.safetensors")).unwrap());
    assert_eq!(lines(&run), lines(&expected));
}

/// A line of the log without what depends on the clock.
fn without_seconds(line: &str) -> String {
    let mut event: Value = serde_json::from_str(line).unwrap();
    let object = event.as_object_mut().unwrap();
    object.remove("seconds");
    object.remove("metrics");
    event.to_string()
}

#[test]
fn a_run_under_nohup_goes_on_when_the_terminal_goes() {
    let here = tempfile::tempdir().unwrap();
    let mut shell = Command::new("sh");
    shell.current_dir(here.path()).env("HOME", here.path()).env_remove("SECATEUR_DATA");
    shell.args(["-c", "trap '' HUP; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_secateur")]).args(LONG);
    let mut child = shell.stderr(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    wait_until("epoch 3", &mut child, || begun(here.path()));
    signal(&child, "-HUP");
    signal(&child, "-TERM");
    let (code, message) = ended(child.wait_with_output().unwrap());
    assert_eq!(code, Some(143), "the other one ended it: {message}");
    assert!(!message.contains("SIGHUP"), "{message}");
}
