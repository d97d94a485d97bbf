//! Criteria written in Python, as people meet them: a file, its name in a config, and what becomes of it.
//!
//! Longer than 300 lines because each case holds the script that it is about.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Waiting is for what comes for certain, so that this only bounds a test that fails.
const PATIENCE: Duration = Duration::from_secs(120);

/// A run of a second, weight by weight.
const SMALL: [&str; 7] = [
    "--set=data.glyphs={train=300,test=60}",
    "--set=train.epochs=6",
    "--set=train.batch_size=60",
    "--set=schedule.first=2",
    "--set=output.pictures=0",
    "--set=prune.granularity=weight",
    "--set=prune.apply=mask",
];

const TAYLOR: &str = "\"\"\"|w g|.\"\"\"\nimport numpy\n\nneeds = \"gradients\"\n\n\n\
                      def score(view):\n    return numpy.abs(view.weight * view.grad)\n";

/// Sums over the steps of an epoch, which a restart must keep.
const SUMS: &str = r#"
import numpy

needs = ["gradients", "inputs"]
options = {"share": 0.5, "power": 1}
sums = {}


def observe(seen):
    for name, weight in seen.weights.items():
        if name in seen.grads:
            change = numpy.abs(weight * seen.grads[name]) ** options["power"]
            sums[name] = sums[name] + change if name in sums else change
    sums["inputs"] = sums.get("inputs", 0.0) + float(seen.inputs["fc1"].sum())


def score(view):
    return sums[view.name] * numpy.float32(options["share"])


def cut(cut):
    for name, (axis, stay) in cut.indices.items():
        if name in sums:
            sums[name] = sums[name].take(stay, axis)


def reset():
    sums.clear()


def save():
    return sums


def load(state):
    sums.clear()
    sums.update(state)
"#;

/// The interpreter that the tests run scripts with; nothing where there is none with NumPy.
fn python() -> Option<String> {
    let named = std::env::var("SECATEUR_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let found = Command::new(&named).args(["-c", "import numpy"]).stderr(Stdio::null()).status();
    if found.is_ok_and(|status| status.success()) {
        return Some(named);
    }
    eprintln!("SKIPPED: {named} has no NumPy, so that no criterion in Python can run (SECATEUR_PYTHON names another)");
    None
}

struct Here {
    folder: tempfile::TempDir,
    python: String,
}

impl Here {
    /// A folder with this script in it; nothing where none can run.
    fn with(script: &str) -> Option<Self> {
        let here = Self { python: python()?, folder: tempfile::tempdir().unwrap() };
        here.write("mine.py", script);
        Some(here)
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_secateur"));
        command.current_dir(self.path()).args(arguments).env_remove("SECATEUR_DATA");
        command.env("SECATEUR_PYTHON", &self.python).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Exit code, and both outputs together.
    fn outcome(&self, arguments: &[&str]) -> (i32, String) {
        let output = self.command(arguments).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout) + &text(output.stderr))
    }

    fn run(&self, more: &[&str]) -> (i32, String) {
        self.outcome(&[&["run", "experiment/quickstart"], &SMALL[..], more].concat())
    }

    /// The network that a run left in a folder of its own.
    fn model(&self, out: &str, more: &[&str]) -> Vec<u8> {
        let out_flag = format!("--out={out}");
        let (code, text) = self.run(&[&[out_flag.as_str()], more].concat());
        assert_eq!(code, 0, "{text}");
        fs::read(self.only(out).join("model.safetensors")).unwrap()
    }

    fn only(&self, out: &str) -> PathBuf {
        let entries = fs::read_dir(self.path().join(out)).unwrap().map(|entry| entry.unwrap().path());
        let mut all: Vec<PathBuf> = entries.filter(|path| path.is_dir()).collect();
        assert_eq!(all.len(), 1, "{all:?}");
        all.remove(0)
    }
}

const MINE: &str = "--set=criterion.name=python:mine.py";

#[test]
fn a_criterion_in_python_gives_the_bits_of_the_one_in_rust() {
    let Some(here) = Here::with(TAYLOR) else { return };
    let rust = here.model("rust", &["--set=criterion.name=taylor", "--set=criterion.window=last-step"]);
    assert!(here.model("python", &[MINE]) == rust, "the networks differ");
    let magnitude = here.model("other", &["--set=criterion.name=magnitude"]);
    assert!(magnitude != rust, "any criterion would do");
    // Units: the weights' scores become one of each unit, as those of a criterion in Rust do.
    let units = ["--set=prune.granularity=unit", "--set=prune.apply=shrink", "--set=prune.rounds=3"];
    let rust = here
        .model("units", &[&units[..], &["--set=criterion.name=taylor", "--set=criterion.window=last-step"]].concat());
    assert!(here.model("python-units", &[&units[..], &[MINE]].concat()) == rust, "the networks differ");
}

#[test]
fn the_kit_checks_a_script_and_says_what_it_is() {
    let Some(here) = Here::with(SUMS) else { return };
    let (code, text) = here.outcome(&["plugins", "check", "mine.py", "--set", "power=2"]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("criterion python:mine.py, mine.py CPython") && text.contains("NumPy"), "{text}");
    here.write("turned.py", &TAYLOR.replace("numpy.abs(view", "-numpy.abs(view"));
    let (code, text) = here.outcome(&["plugins", "check", "turned.py"]);
    assert!(code == 1 && text.contains("is the sign turned?"), "{text}");
    let (code, text) = here.outcome(&["plugins", "show", "python:mine.py", "--plugin", "mine.py"]);
    assert!(code == 0 && text.contains("share = 0.5") && text.contains("timeout = 30"), "{text}");
    // NumPy's own numbers are numbers, and a name that a part of NumPy has too is a name.
    let scalars = "options = {'share': numpy.float32(0.5), 'power': numpy.int64(2)}";
    here.write("random.py", &TAYLOR.replace("needs =", &format!("{scalars}\nneeds =")));
    let (code, text) = here.outcome(&["plugins", "check", "random.py"]);
    assert_eq!(code, 0, "{text}");
    let (code, text) = here.outcome(&["plugins", "show", "python:random.py", "--plugin", "random.py"]);
    assert!(code == 0 && text.contains("share = 0.5") && text.contains("power = 2"), "{text}");
}

/// A script that keeps all that it was shown, looks at it later, and tries to write to it.
const KEEPS: &str = r#"
import numpy

needs = "gradients"
kept = []


def score(view):
    for array in (view.weight, view.grad):
        kept.append(array)
        try:
            array.flags.writeable = True
        except ValueError:
            continue
        raise AssertionError("what is shown can be written to")
    assert all(array.shape == array.copy().shape for array in kept)
    return numpy.abs(view.weight * view.grad)
"#;

#[test]
fn arrays_that_a_script_keeps_break_nothing() {
    let Some(here) = Here::with(TAYLOR) else { return };
    let long = [MINE, "--set=prune.rounds=2"];
    let expected = here.model("plain", &long);
    here.write("mine.py", KEEPS);
    assert!(here.model("keeps", &long) == expected, "the networks differ");
}

#[test]
fn the_file_and_what_runs_it_are_part_of_the_run() {
    let Some(here) = Here::with(TAYLOR) else { return };
    here.write("elsewhere/config.toml", "extends = ['experiment/quickstart']\ncriterion.name = 'python:../mine.py'\n");
    let config = |arguments: &[&str]| {
        let (code, text) = here.outcome(&[&["config", "--json"], arguments].concat());
        assert_eq!(code, 0, "{text}");
        serde_json::from_str::<serde_json::Value>(&text).unwrap()
    };
    let plain = config(&["experiment/quickstart", MINE, "--set=name=config"]);
    assert_eq!(plain["config"]["criterion"]["name"], "python:mine.py");
    let plugin = &plain["config"]["plugins"][0];
    assert!(plugin["path"].as_str().unwrap().ends_with("mine.py") && plugin["sha256"].as_str().unwrap().len() == 64);
    assert!(plugin["python"].as_str().unwrap().starts_with("CPython 3."), "{plugin}");
    // From wherever it is named, it is the same run; another text makes another.
    assert_eq!(config(&["elsewhere/config.toml"])["folder"], plain["folder"]);
    here.write("mine.py", &TAYLOR.replace("|w g|", "|g w|"));
    assert_ne!(config(&["experiment/quickstart", MINE, "--set=name=config"])["folder"], plain["folder"]);
    // The config of a finished run is a config of its own.
    let first = here.model("first", &[MINE]);
    let again = format!("{}/config.toml", here.only("first").display());
    let (code, text) = here.outcome(&["run", &again, "--out", "again"]);
    assert_eq!(code, 0, "{text}");
    assert_eq!(here.only("again").file_name(), here.only("first").file_name());
    assert!(fs::read(here.only("again").join("model.safetensors")).unwrap() == first);
    assert!(fs::read_to_string(here.only("first").join("provenance.toml")).unwrap().contains("mine.py CPython"));
}

#[test]
fn what_python_raises_ends_the_run_with_its_traceback() {
    let Some(here) = Here::with(&TAYLOR.replace("view.grad)", "view.grad[0, :3])")) else { return };
    let (code, text) = here.run(&[MINE]);
    assert!(code == 1 && text.contains("criterion `python:mine.py`: Traceback (most recent call last):"), "{text}");
    assert!(
        text.contains("mine.py\", line 8, in score") && text.contains("ValueError: operands could not be"),
        "{text}"
    );
    assert!(text.contains("return numpy.abs(view.weight * view.grad[0, :3])"), "{text}");
    let summary = fs::read_to_string(here.only("runs").join("summary.json")).unwrap();
    assert!(summary.contains("ValueError: operands"), "{summary}");
}

#[test]
fn what_a_script_cannot_mean_is_said_before_anything_runs() {
    let Some(here) = Here::with("needs = 'gradient'\n\n\ndef score(view):\n    return view.weight\n") else { return };
    let (code, text) = here.run(&[MINE]);
    assert!(code == 2 && text.contains("did you mean `gradients`?"), "{text}");
    for (script, expected) in [
        ("def scores(view):\n    pass\n", "it defines no score(view)"),
        ("import nmpy\n", "ModuleNotFoundError: No module named 'nmpy'"),
        ("def score(view)\n", "SyntaxError: expected ':'"),
        (
            "def score(view): pass\ndef observe(seen): pass\n",
            "define save() and load(state), or say window = \"last-step\"",
        ),
        ("window = 'epoch'\ndef score(view): pass\n", "defines no observe(seen)"),
        ("options = {'a': []}\ndef score(view): pass\n", "the default of \"a\" is []"),
        // Attributes of another type than is meant.
        ("score = 3\n", "it defines no score(view)"),
        (
            "needs = 3\ndef score(view): pass\n",
            "needs = 3: it must be a word or a list of words, such as \"gradients\"",
        ),
        ("needs = ['inputs', 3]\ndef score(view): pass\n", "needs = ['inputs', 3]: it must be a word or a list of"),
        ("window = 3\ndef score(view): pass\n", "window = 3: it must be a text: \"last-step\""),
        ("reduce = ['l1']\ndef score(view): pass\n", "reduce = ['l1']: it must be a text: \"l1\""),
        ("observe = 3\ndef score(view): pass\n", "observe = 3: it must be a function"),
        ("options = 3\ndef score(view): pass\n", "options = 3: it must be a dict of defaults"),
        ("options = {1: 2}\ndef score(view): pass\n", "options: the key 1 must be a text"),
        ("options = {'a': None}\ndef score(view): pass\n", "the default of \"a\" is None, and must be a number"),
        ("options = {'a': float('nan')}\ndef score(view): pass\n", "the default of \"a\" is nan, and must be finite"),
        ("options = {'a': -1e999}\ndef score(view): pass\n", "the default of \"a\" is -inf, and must be finite"),
        ("options = {'a': 2**63}\ndef score(view): pass\n", "and must be a whole number of 64 bits"),
        ("options = {'a': '\\ud800'}\ndef score(view): pass\n", "holds '\\ud800', which is no character"),
        ("raise ValueError('\\ud800')\n", "ValueError: \\ud800"),
    ] {
        here.write("mine.py", script);
        let (code, text) = here.run(&[MINE]);
        assert!(code == 2 && text.contains("mine.py: ") && text.contains(expected), "{script}: {text}");
    }
    let (code, text) = here.run(&["--set=criterion.name=python:absent.py"]);
    assert!(code == 2 && text.contains("absent.py: No such file"), "{text}");
    here.write("mine.py", SUMS);
    let (code, text) = here.run(&[MINE, "--set=criterion.shar=1"]);
    assert!(code == 2 && text.contains("criterion.shar") && text.contains("did you mean"), "{text}");
    let (code, text) = here.run(&[MINE, "--set=criterion.power=0.5"]);
    assert!(code == 2 && text.contains("criterion.power") && text.contains("must be like its default, 1"), "{text}");
    let (code, text) = here.run(&[MINE, "--set=criterion.share=nan"]);
    assert!(code == 2 && text.contains("criterion.share") && text.contains("must be a finite number"), "{text}");
    let mut command = here.command(&[&["run", "experiment/quickstart", MINE], &SMALL[..]].concat());
    let output = command.env("SECATEUR_PYTHON", "/no/such/python").output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(2) && text.contains("SECATEUR_PYTHON=/usr/bin/python3"), "{text}");
}

#[test]
fn what_score_gives_must_fit() {
    let Some(here) = Here::with(TAYLOR) else { return };
    for (given, expected) in [
        ("view.weight[0]", "score gave shape (784,) for fc1.weight; it must be (50, 784), a score for each weight"),
        ("None", "score gave object for fc1.weight"),
        ("view.weight * numpy.nan", "scores must be finite"),
        ("view.input", "say needs = \"inputs\""),
        ("view.weights", "there is no view.weights; there are axis, grad, group"),
        ("view.weight.fill(0)", "assignment destination is read-only"),
        ("view.weight + 1j", "score gave complex64 for fc1.weight; scores are numbers"),
    ] {
        here.write("mine.py", &TAYLOR.replace("numpy.abs(view.weight * view.grad)", given));
        let (code, text) = here.run(&[MINE, "--force"]);
        assert!(code == 1 && text.contains(expected), "{given}: {text}");
    }
    // A decision of its own, and scores of units.
    here.write("mine.py", &TAYLOR.replace("numpy.abs(view.weight * view.grad)", "abs(view.weight) > 0.01"));
    here.model("decided", &[MINE]);
    here.write(
        "mine.py",
        &TAYLOR.replace("numpy.abs(view.weight * view.grad)", "numpy.abs(view.grad).sum(1 - view.axis)"),
    );
    here.model("units", &[MINE, "--set=prune.granularity=unit", "--set=prune.apply=shrink"]);
}

fn wait_until(what: &str, child: &mut Child, mut met: impl FnMut() -> bool) {
    let began = Instant::now();
    while !met() {
        assert!(child.try_wait().unwrap().is_none(), "the run ended before {what}");
        assert!(began.elapsed() < PATIENCE, "{what} never came");
        sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_run_that_is_resumed_is_the_run_that_was_not() {
    let Some(here) = Here::with(SUMS) else { return };
    // The last pruning step looks back on steps before and after the restart.
    let long = [
        MINE,
        "--set=train.epochs=300",
        "--set=schedule.first=200",
        "--set=prune.granularity=unit",
        "--set=prune.apply=shrink",
    ];
    let expected = here.model("whole", &long);
    let arguments = [&["run", "experiment/quickstart"], &SMALL[..], &long, &["--out=halted"]].concat();
    let mut child = here.command(&arguments).spawn().unwrap();
    let events =
        || fs::read_dir(here.path().join("halted")).ok()?.next()?.ok().map(|run| run.path().join("events.jsonl"));
    let begun =
        || events().and_then(|path| fs::read_to_string(path).ok()).is_some_and(|text| text.contains("\"epoch\":3"));
    wait_until("epoch 3", &mut child, begun);
    // Schedulers signal everything that a job has started.
    let group = format!("kill -TERM {0}; for worker in $(pgrep -P {0}); do kill -TERM $worker; done", child.id());
    assert!(Command::new("sh").args(["-c", &group]).status().is_ok());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(143), "{}", String::from_utf8_lossy(&output.stderr));
    let run = here.only("halted");
    let (code, text) = here.outcome(&["run", "--resume", run.to_str().unwrap()]);
    assert_eq!(code, 0, "{text}");
    assert!(fs::read(run.join("model.safetensors")).unwrap() == expected, "the networks differ");
}

/// A script that says where its worker is, and then never ends.
const STUCK: &str = r#"
import os


def score(view):
    with open("worker", "w") as file:
        file.write(str(os.getpid()))
    while True:
        pass
"#;

fn worker(here: &Here) -> Option<String> {
    fs::read_to_string(here.path().join("worker")).ok().filter(|id| !id.is_empty())
}

fn alive(process: &str) -> bool {
    Command::new("kill").args(["-0", process]).stderr(Stdio::null()).status().unwrap().success()
}

fn gone(process: &str) {
    let began = Instant::now();
    while alive(process) {
        assert!(began.elapsed() < PATIENCE, "the worker lives on");
        sleep(Duration::from_millis(20));
    }
}

#[test]
fn an_endless_loop_is_an_error_in_seconds_and_leaves_no_process() {
    let Some(here) = Here::with(STUCK) else { return };
    let began = Instant::now();
    let (code, text) = here.run(&[MINE, "--set=criterion.timeout=5"]);
    assert!(code == 1 && text.contains("mine.py has not answered `score` for 5 seconds"), "{text}");
    assert!(text.contains("criterion.timeout") && began.elapsed() < Duration::from_secs(60), "{text}");
    gone(&worker(&here).unwrap());
}

#[test]
fn a_worker_ends_with_a_run_that_is_killed() {
    let Some(here) = Here::with(STUCK) else { return };
    let mut child = here.command(&[&["run", "experiment/quickstart", MINE], &SMALL[..]].concat()).spawn().unwrap();
    wait_until("the worker", &mut child, || worker(&here).is_some());
    let worker = worker(&here).unwrap();
    assert!(alive(&worker));
    child.kill().unwrap();
    child.wait().unwrap();
    gone(&worker);
}

#[test]
fn a_worker_that_dies_is_an_error_at_once() {
    let Some(here) = Here::with("import os\n\n\ndef score(view):\n    os.kill(os.getpid(), 9)\n") else { return };
    let (code, text) = here.run(&[MINE]);
    assert!(code == 1 && text.contains("the worker that runs mine.py ended while it was asked to `score`"), "{text}");
}

#[test]
fn a_sweep_compares_scripts_with_what_is_built_in() {
    let Some(here) = Here::with(TAYLOR) else { return };
    let axes = "--set=sweep.axes.criterion.name=[\"python:mine.py\",\"magnitude\"]";
    let grid = [axes, "--set=sweep.seeds=2", "--set=sweep.controls=[]"];
    let (code, text) = here.outcome(&[&["sweep", "experiment/quickstart"], &SMALL[..], &grid].concat());
    assert!(code == 0 && text.contains("4 cells finished now"), "{text}");
    let (code, text) = here.outcome(&["compare", "runs/quickstart"]);
    assert!(code == 0 && text.contains("python:mine.py"), "{text}");
    // Its scores are shuffled from where the config has it, not from where another of its name lies.
    here.write("grids/mine.py", TAYLOR);
    here.write("mine.py", "raise ValueError('the wrong one')");
    let chosen = "extends = ['experiment/quickstart']\ncriterion.name = 'python:mine.py'\n";
    here.write("grids/grid.toml", &format!("{chosen}[sweep]\nseeds = 1\ncontrols = ['shuffled']\n"));
    let (code, text) = here.outcome(&[&["sweep", "grids/grid.toml"], &SMALL[..]].concat());
    assert!(code == 0 && text.contains("2 cells finished now"), "{text}");
}
