//! Linked in and loaded, a plugin does the same to the last bit.

use crate::runs::{At, Parts, Trace, run};
use crate::{library, loaded};
use secateur::backend::Cpu;
use secateur::network::compressor::{Stage, Tokens};
use secateur::options::Table;
use secateur::plugins::boundary;
use secateur::plugins::registry::{Kind, Registry};
use secateur::prelude::{Tape, Tensor};
use secateur::pruning::{Apply, Decay, Granularity, GrowConfig, PruneConfig, Scope};
use secateur::state::State;
use secateur::training::event::Event;

const LIBRARIES: [&str; 2] = ["everything", "taylor"];

fn registries() -> [Registry; 2] {
    [Registry::linked().unwrap(), loaded(&LIBRARIES)]
}

fn same(make: impl Fn(&Registry) -> Parts) -> Trace {
    let [linked, loaded] = registries().map(|r| run(make(&r)).unwrap());
    assert_eq!(linked.events, loaded.events);
    assert!(linked == loaded, "values, masks or counts differ");
    assert!(linked.events.iter().any(|e| matches!(e, Event::Prune { achieved, .. } if *achieved > 0.2)));
    linked
}

fn units() -> PruneConfig {
    PruneConfig { granularity: Granularity::Unit, scope: Scope::Layer, apply: Apply::Shrink, ..PruneConfig::default() }
}

fn options(text: &str) -> Table {
    text.parse().unwrap()
}

#[test]
fn a_criterion() {
    let taylor = |r: &Registry| Parts { criterion: r.criterion("taylor", &Table::new()).unwrap(), ..Parts::default() };
    same(taylor);
    same(|r| Parts { prune: units(), ..taylor(r) });
}

#[test]
fn a_criterion_that_uses_every_signal_state_probe_and_penalty() {
    let everything = |r: &Registry| Parts {
        criterion: r.criterion("everything", &options("penalty = 0.01\nmix = [2.0, 0.25]")).unwrap(),
        ..Parts::default()
    };
    same(everything);
    same(|r| Parts { prune: units(), ..everything(r) });
    same(|r| Parts { prune: PruneConfig { regrow: true, rounds: 3, ..PruneConfig::default() }, ..everything(r) });
    let weaker = run(Parts {
        criterion: Registry::linked().unwrap().criterion("everything", &options("penalty = 0.0")).unwrap(),
        ..Parts::default()
    });
    assert!(weaker.unwrap() != same(everything), "options cross and matter");
}

#[test]
fn a_criterion_by_which_weights_grow() {
    let grow = GrowConfig { fraction: 0.3, decay: Decay::Constant, until: 1.0, ..GrowConfig::default() };
    let everything = options("penalty = 0.01\nmix = [2.0, 0.25]");
    let grown = same(|r| Parts {
        grow: grow.clone(),
        grower: Some(r.criterion("everything", &everything).unwrap()),
        schedule: Box::new(At(vec![(3, 0.4), (7, 0.4), (11, 0.7)])),
        ..Parts::default()
    });
    let penalised = |e: &Event| matches!(e, Event::Step { penalty: Some(penalty), .. } if *penalty > 0.0);
    assert!(grown.events.iter().any(penalised), "it sees and does what a criterion does");
}

#[test]
fn a_schedule_that_rewinds() {
    let ticket =
        same(|r| Parts { schedule: r.schedule("ticket", &options("fraction = 0.4")).unwrap(), ..Parts::default() });
    let rewound: Vec<_> = (ticket.events.iter())
        .filter_map(|e| if let Event::Prune { rewound_to, .. } = e { Some(*rewound_to) } else { None })
        .collect();
    assert_eq!(rewound, [None, Some(2)]);
}

#[test]
fn a_schedule_that_goes_by_what_is_measured() {
    let regrow = || PruneConfig { regrow: true, ..PruneConfig::default() };
    let guided = same(|r| Parts {
        schedule: r.schedule("guided", &options("sparsity = 0.7")).unwrap(),
        prune: regrow(),
        ..Parts::default()
    });
    let asked: Vec<_> = (guided.events.iter())
        .filter_map(|e| if let Event::Prune { target, planned, .. } = e { Some((*target, *planned)) } else { None })
        .collect();
    assert!(asked.len() == 4 && asked.iter().all(|(target, planned)| target < planned && *planned == Some(0.7)));
    let state = |r: &Registry| r.schedule("guided", &Table::new()).unwrap().save().unwrap();
    let [linked, loaded] = registries().map(|r| state(&r));
    assert_eq!(linked, loaded);
}

#[test]
fn a_model_with_a_compressor_and_every_mixture_of_linked_and_loaded() {
    let trace = |model: &Registry, compressor: &Registry, criterion: &Registry, prune: PruneConfig| {
        run(Parts {
            model: model.model("perceptron", &options("hidden = 9")).unwrap(),
            compressor: compressor.compressor("pairs", &Table::new()).unwrap(),
            criterion: criterion.criterion("everything", &Table::new()).unwrap(),
            prune,
            ..Parts::default()
        })
        .unwrap()
    };
    let all = registries();
    for prune in [PruneConfig::default(), PruneConfig { regrow: true, ..PruneConfig::default() }, units()] {
        let linked = trace(&all[0], &all[0], &all[0], prune.clone());
        assert!(linked.macs > 0);
        for mixture in 1..8 {
            let [m, co, cr] = [1, 2, 4].map(|bit| &all[usize::from(mixture & bit != 0)]);
            assert!(trace(m, co, cr, prune.clone()) == linked, "mixture {mixture} differs");
        }
    }
}

#[test]
fn a_compressor_with_its_gradient_source_and_sizes() {
    let device = Cpu::default();
    let compress = |registry: &Registry| {
        let pairs = registry.compressor::<Cpu>("pairs", &options("factor = 0.7")).unwrap();
        let x = (0..2 * 5 * 3).map(|i| (i as f32 * 0.7).sin()).collect();
        let x = Tensor::from_vec(&device, x, [2, 5, 3]).unwrap().tracked(true);
        let source = Some((0..10).map(|i| i % 5).collect());
        let tokens = Tokens { x: x.clone(), metric: None, sizes: None, source, protected: 1 };
        let mut tape = Tape::recording();
        let y = pairs.compress(&mut tape, tokens, Stage::Block { index: 1, of: 4 }).unwrap();
        let seed = Tensor::from_vec(&device, (0..18).map(|i| i as f32).collect(), y.x.shape()).unwrap();
        let gradient = tape.backward(&y.x, seed).unwrap().get(&x).unwrap().to_vec();
        (y.x.to_vec(), y.sizes.unwrap().to_vec(), y.source, y.protected, gradient)
    };
    let [linked, loaded] = registries().map(|r| compress(&r));
    assert_eq!(linked, loaded);
    assert_eq!(loaded.2.unwrap(), [0, 1, 1, 2, 2, 0, 1, 1, 2, 2]);
    assert!((loaded.4[3] - 0.7 * 3.0).abs() < 1e-6, "{:?}", loaded.4);
}

#[test]
fn state_and_documentation() {
    let [linked, loaded] = registries();
    let states = [&linked, &loaded].map(|r| {
        let mut criterion = r.criterion::<Cpu>("everything", &Table::new()).unwrap();
        criterion.load(State::default().with("a", [0.1, 1e300]).with("b", [2.0]), &Cpu::default()).unwrap();
        criterion.save().unwrap()
    });
    assert_eq!(states[0], states[1]);
    assert_eq!(states[1].0["a"], [0.1, 1e300]);
    for kind in Kind::ALL {
        // The templates of plugins are linked in alone.
        for (name, item) in linked.of_kind(kind).filter(|(name, _)| !name.starts_with("template")) {
            let far = loaded.get(kind, name).unwrap();
            assert_eq!((item.docs(), item.summary()), (far.docs(), far.summary()));
            for text in [
                "nonsense = 1",
                "penalty = \"x\"\nmix = 3",
                "penalty = -1\nmix = []",
                "fraction = 1.5",
                "hidden = 0",
                "",
            ] {
                assert_eq!(item.check(&options(text)), far.check(&options(text)), "{kind} {name} {text}");
            }
            let origin = far.origin();
            assert_eq!(origin.sha256.as_ref().unwrap().len(), 64);
            assert!(origin.to_string().contains("secateur 0.1.0 (/") && origin.to_string().contains(", sha256 "));
        }
    }
}

#[test]
fn what_a_loaded_plugin_declares_is_checked_before_it_is_built() {
    let registry = loaded(&LIBRARIES);
    let refused = |kind, name, text| {
        let errors = registry.get(kind, name).unwrap().check(&options(text)).unwrap_err();
        errors.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(
        refused(Kind::Criterion, "everything", "penalty = -1\nmix = []"),
        ["`penalty` = -1: must be a number of at least 0", "`mix` = []: must list two numbers"]
    );
    assert!(refused(Kind::Schedule, "ticket", "fraction = 1.5")[0].starts_with("`fraction` = 1.5: "));
    assert!(refused(Kind::Model, "perceptron", "hidden = 0")[0].starts_with("`hidden` = 0: "));
}

#[test]
fn a_library_is_loaded_once_and_a_folder_in_order() {
    let mut registry = loaded(&["taylor"]);
    let again = registry.load(&library("taylor"), None).unwrap();
    assert_eq!(again, [(Kind::Criterion, "taylor".into())]);
    let folder = tempfile::tempdir().unwrap();
    for (from, to) in [("taylor", "b"), ("everything", "a")] {
        let suffix = std::env::consts::DLL_SUFFIX;
        std::fs::copy(library(from), folder.path().join(format!("{to}{suffix}"))).unwrap();
    }
    std::fs::write(folder.path().join("notes.txt"), "no plugin").unwrap();
    let mut registry = Registry::default();
    let files = boundary::libraries(folder.path()).unwrap();
    let names: Vec<String> = files.iter().flat_map(|f| registry.load(f, None).unwrap()).map(|(_, n)| n).collect();
    assert_eq!((names.len(), names.last().unwrap().as_str()), (6, "taylor"));
    let empty = tempfile::tempdir().unwrap();
    let text = boundary::libraries(empty.path()).unwrap_err().to_string();
    assert!(text.contains("there is no plugin"), "{text}");
}
