//! A run is its config and its data: other data is another run, wherever it lies, and a checkpoint goes on only with
//! what it was made with.

use super::*;

/// An IDX file of bytes.
fn idx(dims: &[u32], data: Vec<u8>) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, dims.len() as u8];
    dims.iter().for_each(|extent| bytes.extend(extent.to_be_bytes()));
    bytes.extend(data);
    bytes
}

/// Writes a data set of MNIST's form, of 60 and 20 small images; `salt` makes other pixels.
fn mnist(folder: &Path, salt: usize) {
    fs::create_dir_all(folder).unwrap();
    for (name, count) in [("train", 60), ("t10k", 20)] {
        let pixels = (0..count * 36).map(|i| ((i + salt) * 7919 % 251) as u8).collect();
        let labels = (0..count).map(|i| (i % 10) as u8).collect();
        fs::write(folder.join(format!("{name}-images-idx3-ubyte")), idx(&[count as u32, 6, 6], pixels)).unwrap();
        fs::write(folder.join(format!("{name}-labels-idx1-ubyte")), idx(&[count as u32], labels)).unwrap();
    }
}

const SHORT: [&str; 7] = [
    "run",
    "experiment/quickstart",
    "--set=data.name=mnist",
    "--set=train.batch_size=20",
    "--set=train.epochs=6",
    "--set=schedule={first=2,every=1,count=2}",
    "--quiet",
];

fn short(folder: &Path, more: &[&str]) -> (Option<i32>, String) {
    outcome(folder, &[&SHORT[..], more].concat())
}

#[test]
fn other_data_under_one_path_is_another_run_and_the_same_data_elsewhere_is_the_same() {
    let here = tempfile::tempdir().unwrap();
    mnist(&here.path().join("data"), 0);
    let (code, message) = short(here.path(), &["--set=data.dir=data"]);
    assert_eq!(code, Some(0), "{message}");
    let first = runs(here.path());
    let provenance: toml::Table = text(first[0].join("provenance.toml")).parse().unwrap();
    for key in ["data", "build", "vector"] {
        assert!(provenance["made"][key].as_str().is_some_and(|value| !value.is_empty()), "{key}: {provenance}");
    }

    fs::rename(here.path().join("data"), here.path().join("elsewhere")).unwrap();
    let (code, message) = short(here.path(), &["--set=data.dir=elsewhere"]);
    assert!(code == Some(0) && message.contains("finished before"), "{message}");
    assert_eq!(runs(here.path()), first, "moved data is the same data");

    mnist(&here.path().join("elsewhere"), 1);
    let (code, message) = short(here.path(), &["--set=data.dir=elsewhere"]);
    assert!(code == Some(0) && !message.contains("finished before"), "{message}");
    assert_eq!(runs(here.path()).len(), 2, "other pixels, other figures");
    assert_ne!(summary(&runs(here.path())[0])["test_loss"], summary(&runs(here.path())[1])["test_loss"]);
}

#[test]
fn a_resume_on_other_data_is_refused_unless_it_is_accepted() {
    let here = tempfile::tempdir().unwrap();
    mnist(&here.path().join("data"), 0);
    let long = ["--set=data.dir=data", "--set=train.epochs=3000"];
    let mut child = secateur(here.path(), &[&SHORT[..], &long].concat()).spawn().unwrap();
    wait_until("epoch 3", &mut child, || {
        runs(here.path()).first().is_some_and(|run| text(run.join("events.jsonl")).contains("\"epoch\":3"))
    });
    signal(&child, "-TERM");
    assert_eq!(child.wait().unwrap().code(), Some(143));
    let run = runs(here.path()).remove(0);
    let (dir, before) = (run.to_str().unwrap(), fs::read(state(&run)).unwrap());

    // Elsewhere it is the same data; but nothing is done here that would end the run.
    mnist(&here.path().join("data"), 1);
    let (code, message) = outcome(here.path(), &["run", "--resume", dir]);
    assert_eq!(code, Some(2), "{message}");
    assert!(message.contains("the content of the data (SHA-256)") && message.contains("--accept-changed"), "{message}");
    fs::remove_dir_all(here.path().join("data")).unwrap();
    let (code, message) = outcome(here.path(), &["run", "--resume", dir]);
    assert!(code == Some(1) && message.contains("was not found"), "{message}");
    assert!(fs::read(state(&run)).unwrap() == before, "the checkpoint waits");

    mnist(&here.path().join("data"), 1);
    let mut child = secateur(here.path(), &["run", "--resume", dir, "--accept-changed"]).spawn().unwrap();
    wait_until("steps on other data", &mut child, || {
        text(run.join("provenance.toml")).contains("[[accepted]]")
            && text(run.join("events.jsonl")).matches("\"start\"").count() == 2
            && text(run.join("events.jsonl")).lines().last().is_some_and(|line| line.contains("burden"))
    });
    signal(&child, "-TERM");
    assert_eq!(child.wait().unwrap().code(), Some(143));
    // What was accepted once is what the run is made with from then on.
    let mut child = secateur(here.path(), &["run", "--resume", dir]).spawn().unwrap();
    wait_until("steps", &mut child, || text(run.join("events.jsonl")).matches("\"start\"").count() == 3);
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_finished_run_is_not_extended_in_silence() {
    let here = tempfile::tempdir().unwrap();
    let generated = ["--set=data.name=glyphs", "--set=data.glyphs={train=100,test=20}"];
    assert_eq!(short(here.path(), &generated).0, Some(0));
    let run = runs(here.path()).remove(0);
    let dir = run.to_str().unwrap();
    let (code, message) = outcome(here.path(), &["run", "--resume", dir, "--set=train.epochs=40"]);
    assert_eq!(code, Some(2), "{message}");
    assert!(message.contains("train.epochs: 6 there, 40 here"), "{message}");
    let (code, message) = outcome(here.path(), &["run", "--resume", dir]);
    assert!(code == Some(0) && message.contains("finished before"), "{message}");
}

const SWEEP: &str = r#"
extends = ["experiment/quickstart"]
data = { name = "mnist", dir = "data" }
train = { epochs = 3000, batch_size = 20 }
schedule = { first = 2, every = 1, count = 2 }
output.checkpoint_every = 1
sweep = { seeds = 1, controls = [], axes.criterion.name = ["random"] }
"#;

#[test]
fn a_sweep_keeps_a_checkpoint_whatever_stands_in_the_way() {
    let here = tempfile::tempdir().unwrap();
    mnist(&here.path().join("data"), 0);
    fs::write(here.path().join("s.toml"), SWEEP).unwrap();
    // Beside it lies the list of cells.
    let cells = || -> Option<Vec<_>> {
        let entries = fs::read_dir(here.path().join("runs/s")).ok()?;
        Some(entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect())
    };
    let cell = || cells()?.pop();
    let mut child = secateur(here.path(), &["sweep", "s.toml"]).spawn().unwrap();
    wait_until("a checkpoint", &mut child, || cell().is_some_and(|cell| state(&cell).exists()));
    child.kill().unwrap();
    child.wait().unwrap();
    let cell = cell().unwrap();
    let (before, events) = (fs::read(state(&cell)).unwrap(), text(cell.join("events.jsonl")));
    assert!(!events.is_empty());

    fs::rename(here.path().join("data"), here.path().join("unmounted")).unwrap();
    let (code, message) = outcome(here.path(), &["sweep", "s.toml"]);
    assert!(code == Some(1) && message.contains("was not found"), "{message}");
    assert!(fs::read(state(&cell)).unwrap() == before && text(cell.join("events.jsonl")) == events, "nothing is gone");

    fs::rename(here.path().join("unmounted"), here.path().join("data")).unwrap();
    let mut child = secateur(here.path(), &["sweep", "s.toml"]).spawn().unwrap();
    wait_until("the same cell", &mut child, || text(cell.join("events.jsonl")).matches("\"start\"").count() == 2);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(cells().unwrap().len(), 1, "the cell has one folder");

    // Only one that nobody can go on from is begun anew, and that is said.
    fs::write(state(&cell), "damaged").unwrap();
    let mut child = secateur(here.path(), &["sweep", "s.toml", "--quiet"]).spawn().unwrap();
    wait_until("a new beginning", &mut child, || {
        let states = [state(&cell), state(&cell.join(".earlier-1"))].map(|state| fs::read(state).unwrap_or_default());
        states[0].len() > 100 && states[1] == b"damaged"
    });
    child.kill().unwrap();
    let (_, message) = ended(child.wait_with_output().unwrap());
    assert!(message.contains("begins again  criterion.name=random seed=0:"), "{message}");
}
