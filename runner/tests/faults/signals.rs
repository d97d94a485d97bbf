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

#[test]
fn every_signal_leaves_a_checkpoint_and_its_own_exit_code() {
    for (name, number) in [("INT", 2), ("TERM", 15), ("HUP", 1), ("USR1", 10), ("USR2", 12)] {
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
    let endless = ["--set=train.epochs=1000000000", "--set=schedule.count=1"];
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
