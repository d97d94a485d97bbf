//! Plugins that fail while they run: an error that names them, and a process that goes on.

use crate::loaded;
use crate::runs::{At, Parts, run};
use secateur::backend::Cpu;
use secateur::error::Error;
use secateur::network::compressor::{Stage, Tokens};
use secateur::options::Table;
use secateur::prelude::{Tape, Tensor};
use secateur::pruning::criterion::Criterion;
use secateur::pruning::{Granularity, PruneConfig};
use secateur::state::State;

fn at(place: &str) -> Table {
    Table::from_iter([("at".to_string(), place.into())])
}

fn criterion(place: &str) -> Result<Box<dyn Criterion<Cpu>>, Error> {
    loaded(&["faulty"]).criterion("faulty", &at(place))
}

fn panicked(kind: &str, place: &str, text: &str) {
    let start = format!("{kind} `faulty`: it panicked: deliberately in {place} (at ");
    assert!(text.starts_with(&start) && text.contains("faulty.rs:"), "{kind} {place}: {text}");
}

#[test]
fn a_panic_in_any_function_of_a_criterion() {
    for place in ["create", "needs"] {
        panicked("criterion", place, &criterion(place).err().unwrap().to_string());
    }
    for place in ["setup", "observe", "prepare", "score", "penalty", "reset"] {
        let parts = Parts { criterion: criterion(place).unwrap(), ..Parts::default() };
        panicked("criterion", place, &run(parts).unwrap_err().to_string());
    }
    panicked("criterion", "save", &criterion("save").unwrap().save().unwrap_err().to_string());
    panicked(
        "criterion",
        "load",
        &criterion("load").unwrap().load(State::default(), &Cpu::default()).unwrap_err().to_string(),
    );
    drop(criterion("destroy").unwrap());
    assert!(run(Parts { criterion: criterion("").unwrap(), ..Parts::default() }).is_ok(), "the process is well");
}

#[test]
fn scores_that_cannot_be_used() {
    let text = |place| run(Parts { criterion: criterion(place).unwrap(), ..Parts::default() }).unwrap_err().to_string();
    assert!(
        text("nan").contains("the score of element 0 of `fc1.weight` is NaN; scores must be finite"),
        "{}",
        text("nan")
    );
    assert!(
        text("short").contains("`fc1.weight` has 15680 elements to score, but the criterion returned 15679 scores")
    );
    assert!(text("units").contains("set prune.granularity = \"unit\""), "{}", text("units"));
    assert_eq!(text("error"), "criterion `faulty`: no scores today");
    let units = PruneConfig { granularity: Granularity::Unit, ..PruneConfig::default() };
    let parts = Parts { criterion: criterion("units").unwrap(), prune: units, ..Parts::default() };
    let text = run(parts).unwrap_err().to_string();
    assert!(text.contains("`fc1` has 20 elements to score, but the criterion returned 1 scores"), "{text}");
}

#[test]
fn refused_options() {
    let registry = loaded(&["faulty"]);
    let wrong = registry.criterion::<Cpu>("faulty", &"att = 1".parse().unwrap()).err().unwrap();
    assert!(wrong.is_usage() && wrong.to_string().contains("did you mean `at`?"), "{wrong}");
}

#[test]
fn schedules() {
    let schedule = |place: &str| {
        let schedule = loaded(&["faulty"]).schedule("faulty", &at(place)).unwrap();
        run(Parts { schedule, ..Parts::default() }).unwrap_err().to_string()
    };
    panicked("schedule", "target", &schedule("target"));
    panicked("schedule", "rewind", &schedule("rewind"));
    assert!(schedule("whole").contains("must be at least 0 and below 1"), "{}", schedule("whole"));
}

#[test]
fn compressors() {
    let compressor = |place: &str| loaded(&["faulty"]).compressor::<Cpu>("faulty", &at(place)).unwrap();
    let x = Tensor::from_vec(&Cpu::default(), vec![1.0; 6], [1, 3, 2]).unwrap().tracked(true);
    let tokens = || Tokens { x: x.clone(), metric: None, sizes: None, source: None, protected: 0 };
    let mut tape = Tape::recording();
    let text = compressor("compress").compress(&mut tape, tokens(), Stage::BeforeEncoder).unwrap_err().to_string();
    panicked("compressor", "compress", &text);
    let mut tape = Tape::recording();
    let y = compressor("backward").compress(&mut tape, tokens(), Stage::BeforeEncoder).unwrap().x;
    panicked("compressor", "backward", &tape.backward(&y, y.detach()).unwrap_err().to_string());
}

#[test]
fn models() {
    let model = |place: &str| {
        let model = loaded(&["faulty"]).model("faulty", &at(place)).unwrap();
        run(Parts { model, schedule: Box::new(At(vec![])), prune: include_output(), ..Parts::default() }).map(drop)
    };
    for place in ["layout", "forward", "backward"] {
        panicked("model", place, &model(place).unwrap_err().to_string());
    }
    let text = model("groups").unwrap_err().to_string();
    assert!(
        text.contains("its layout does not fit together: group `out` reaches beyond axis 0 of `out.weight`"),
        "{text}"
    );
    model("").unwrap();
}

fn include_output() -> PruneConfig {
    PruneConfig { include_output: true, ..PruneConfig::default() }
}
