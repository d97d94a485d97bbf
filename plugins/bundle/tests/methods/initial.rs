//! Pruning at initialisation: scores from gradients that training does not compute.

use super::*;
use secateur::data::{Dataset, Examples, Normalize, Pool};
use secateur::plugins::conformance::Named;
use secateur::plugins::registry::Kind;
use std::sync::{Arc, Mutex};

const SYNFLOW: Named = ("synflow", "");

/// Images without a pattern: so many of each of so many classes.
fn noise(shape: [usize; 3], each: usize, classes: usize, turn: usize) -> Dataset {
    let (count, size) = (each * classes, shape.iter().product::<usize>());
    let bytes = || (0..count * size).map(|i| (i * 7919 % 251) as u8).collect();
    let pool = || Pool::bytes(bytes(), (0..count).map(|i| ((i * 7 + turn * i) % classes) as u32).collect());
    let names: Vec<String> = (0..classes).map(|c| c.to_string()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let set = Examples::in_memory("noise", &shape, &names, pool(), pool()).unwrap();
    set.dataset(&DataConfig { normalize: Normalize::Unit, ..DataConfig::default() }, 0).unwrap()
}

/// A run of one step that is pruned before it.
fn at_start(model: Named, criterion: Named, schedule: &'static str, prune: PruneConfig) -> Trial {
    let train = TrainConfig { epochs: 1, batch_size: 200, lr: 0.01, ..TrainConfig::default() };
    Trial { model, criterion, schedule: ("one-shot", schedule), train, prune, ..Trial::default() }
}

fn in_rounds(rounds: u32) -> PruneConfig {
    PruneConfig { rounds, ..PruneConfig::default() }
}

/// What one round asked, and the sum of the scores of each layer in it.
#[derive(Default)]
struct Round {
    questions: usize,
    sums: BTreeMap<String, f64>,
}

/// A criterion whose questions and scores are counted.
struct Counted {
    inner: Box<dyn Criterion<Cpu>>,
    rounds: Arc<Mutex<Vec<Round>>>,
}

struct CountedProbe<'a> {
    inner: &'a mut dyn Probe<Cpu>,
    questions: usize,
}

impl Probe<Cpu> for CountedProbe<'_> {
    fn params(&self) -> &ParamStore<Cpu> {
        self.inner.params()
    }
    fn gradients(&mut self, question: &Question<'_, Cpu>) -> Result<BTreeMap<String, Tensor<Cpu>>> {
        self.questions += 1;
        self.inner.gradients(question)
    }
    fn hessian_vector(
        &mut self,
        question: &Question<'_, Cpu>,
        vector: &BTreeMap<String, Tensor<Cpu>>,
    ) -> Result<BTreeMap<String, Tensor<Cpu>>> {
        self.questions += 1;
        self.inner.hessian_vector(question, vector)
    }
}

impl Criterion<Cpu> for Counted {
    fn needs(&self) -> Needs {
        self.inner.needs()
    }
    fn prepare(&mut self, probe: &mut dyn Probe<Cpu>) -> Result<()> {
        let mut probe = CountedProbe { inner: probe, questions: 0 };
        self.inner.prepare(&mut probe)?;
        self.rounds.lock().unwrap().push(Round { questions: probe.questions, sums: BTreeMap::new() });
        Ok(())
    }
    fn score(&mut self, target: &Target<'_, Cpu>) -> Result<Scores<Cpu>> {
        let scores = self.inner.score(target)?;
        let Scores::Weights(all) = &scores else { panic!("units are scored") };
        assert!(all.host().iter().all(|s| *s >= 0.0), "flow is never negative");
        let sum = all.host().iter().map(|s| f64::from(*s)).sum();
        self.rounds.lock().unwrap().last_mut().unwrap().sums.insert(target.name().to_owned(), sum);
        Ok(scores)
    }
}

/// Runs it, and tells the rounds of its one pruning step.
fn counted(trial: &Trial, data: &Dataset) -> (Outcome<Cpu>, Vec<Round>) {
    let rounds = Arc::new(Mutex::new(vec![]));
    let outcome = trial.with(&secateur_bundle::registry().unwrap(), Cpu::default(), data, |mut run| {
        run.criterion = Box::new(Counted { inner: run.criterion, rounds: rounds.clone() });
        run.execute(&mut Log::default())
    });
    let rounds = std::mem::take(&mut *rounds.lock().unwrap());
    (outcome.unwrap(), rounds)
}

#[test]
fn pruning_at_initialisation_reaches_its_target_before_the_first_update() {
    let data = noise([1, 8, 8], 30, 4, 0);
    for criterion in [("snip", ""), ("grasp", ""), SYNFLOW, ("obd", "examples = 20")] {
        for (granularity, expected) in [(Granularity::Weight, 0.8), (Granularity::Unit, 0.8)] {
            let prune = PruneConfig { granularity, scope: Scope::Layer, ..PruneConfig::default() };
            let trial = at_start(("mlp", "hidden = [20, 10]"), criterion, "sparsity = 0.8\nat = 0.0", prune);
            let (_, events) = trial.run(&secateur_bundle::registry().unwrap(), Cpu::default(), &data).unwrap();
            let found = prunes(&events);
            assert_eq!(found.len(), 1);
            assert!((found[0].1 - expected).abs() < 1e-3, "{criterion:?}: {found:?}");
            assert!(events.iter().any(|e| matches!(e, Event::Prune { at_start: true, .. })));
        }
    }
}

#[test]
fn questions_are_asked_once_a_round() {
    let data = noise([1, 8, 8], 30, 4, 0);
    for (criterion, questions) in [(("snip", "batches = 2"), 2), (SYNFLOW, 1), (("obd", "examples = 7"), 7)] {
        let trial = at_start(("mlp", "hidden = [20, 10]"), criterion, "sparsity = 0.8\nat = 0.0", in_rounds(3));
        let (_, rounds) = counted(&trial, &data);
        assert_eq!(rounds.iter().map(|r| r.questions).collect::<Vec<_>>(), [questions; 3], "{criterion:?}");
    }
}

#[test]
fn synflow_conserves_in_every_round_and_empties_no_layer() {
    let mnist = noise([1, 28, 28], 20, 10, 0);
    let colours = noise([3, 32, 32], 1, 8, 0);
    for (model, data) in [
        (("mlp", "hidden = [50, 30]\nbias = true"), &mnist),
        (("cnn", "channels = [8, 16]\nhidden = [32]\nbatch_norm = true\nbias = true"), &mnist),
        (("vgg", "width = 0.125"), &colours),
        (("vgg", "width = 0.125\nbatch_norm = false\nhidden = [20]"), &colours),
    ] {
        let prune = PruneConfig { include_output: true, ..in_rounds(100) };
        let (outcome, rounds) = counted(&at_start(model, SYNFLOW, "sparsity = 0.99\nat = 0.0", prune), data);
        assert_eq!(rounds.len(), 100);
        for Round { questions, sums } in &rounds {
            assert_eq!(*questions, 1);
            let first = sums.values().next().unwrap();
            assert!(*first > 0.0 && sums.len() > 2);
            let apart = sums.values().map(|sum| (sum / first - 1.0).abs()).fold(0.0, f64::max);
            assert!(apart < 1e-4, "{model:?}: {apart:.1e} of {sums:?}");
        }
        let left: Vec<usize> = outcome.params.iter().filter(|p| p.spec().prunable).map(|p| p.kept()).collect();
        assert!(left.iter().all(|kept| *kept > 0), "{model:?}: {left:?}");
    }
}

#[test]
fn synflow_with_biases_follows_its_authors_code_and_conserves_no_more() {
    let data = noise([1, 28, 28], 20, 10, 0);
    let model = ("mlp", "hidden = [50, 30]\nbias = true");
    let trial = at_start(model, ("synflow", "biases = true"), "sparsity = 0.9\nat = 0.0", in_rounds(1));
    let sums = counted(&trial, &data).1.remove(0).sums;
    assert!(sums["fc2.weight"] > 1.0001 * sums["fc1.weight"], "flow begins in the biases of fc1: {sums:?}");
}

/// Before any data, batch normalisation is the identity but for its eps.
#[test]
fn synflow_prunes_a_network_with_batch_norm_as_the_one_without() {
    let data = noise([3, 32, 32], 1, 8, 0);
    let left = |model| {
        let trial = at_start(("vgg", model), SYNFLOW, "sparsity = 0.97\nat = 0.0", in_rounds(100));
        let params = counted(&trial, &data).0.params;
        (1..=13).map(|i| params.get(&format!("conv{i}.weight")).unwrap().kept()).collect::<Vec<_>>()
    };
    let (with, without) = (left("width = 0.125"), left("width = 0.125\nbatch_norm = false"));
    assert!(with.iter().zip(&without).all(|(a, b)| a.abs_diff(*b) <= 1), "{with:?} and {without:?}");
}

#[test]
fn masks_at_initialisation_do_not_know_labels_learning_rate_or_order_of_batches() {
    let masks = |criterion, turn, lr, batch_size| {
        let train = TrainConfig { epochs: 1, batch_size, lr, ..TrainConfig::default() };
        let trial = at_start(Trial::default().model, (criterion, ""), "sparsity = 0.9\nat = 0.0", in_rounds(20));
        let (outcome, _) = Trial { train, ..trial }
            .run(&secateur_bundle::registry().unwrap(), Cpu::default(), &noise([1, 8, 8], 15, 4, turn))
            .unwrap();
        let masks: Vec<_> = outcome.params.iter().map(|p| p.mask().map(|m| m.keep().to_vec())).collect();
        assert!(masks.iter().flatten().flatten().any(|keep| !keep));
        masks
    };
    for criterion in ["synflow", "magnitude", "random"] {
        let expected = masks(criterion, 0, 0.1, 20);
        assert_eq!(expected, masks(criterion, 1, 0.1, 20), "{criterion}: other labels");
        assert_eq!(expected, masks(criterion, 0, 3.0, 20), "{criterion}: another learning rate");
        assert_eq!(expected, masks(criterion, 0, 0.1, 7), "{criterion}: other batches");
    }
    assert_ne!(masks("snip", 0, 0.1, 20), masks("snip", 1, 0.1, 20), "snip knows the labels");
}

#[test]
fn what_scores_units_says_so_where_weights_are_pruned() {
    let data = noise([1, 8, 8], 30, 4, 0);
    for options in ["of = \"feature-maps\"", "together = \"joint\""] {
        let mut trial = at_start(Trial::default().model, ("taylor", options), "sparsity = 0.5\nat = 0.0", in_rounds(1));
        let run = |trial: &Trial| trial.run(&secateur_bundle::registry().unwrap(), Cpu::default(), &data);
        let text = run(&trial).err().unwrap().to_string();
        assert!(text.contains(options) && text.contains("set prune.granularity = \"unit\""), "{text}");
        trial.prune.granularity = Granularity::Unit;
        run(&trial).unwrap();
    }
}

#[test]
fn every_criterion_prunes_a_network_of_depthwise_convolutions_or_says_why_not() {
    let (data, registry) = (noise([3, 12, 12], 6, 4, 0), secateur_bundle::registry().unwrap());
    let mut refused = BTreeMap::new();
    for (name, _) in registry.of_kind(Kind::Criterion) {
        for granularity in [Granularity::Weight, Granularity::Unit] {
            let train = TrainConfig { epochs: 2, batch_size: 12, lr: 0.01, ..TrainConfig::default() };
            let trial = Trial {
                model: ("mobilenet-v2", "width = 0.1\nstages = 2\nhead = 16"),
                criterion: (
                    Box::leak(name.to_owned().into_boxed_str()),
                    if name == "grasp" { "per_class = 2" } else { "" },
                ),
                schedule: ("one-shot", "sparsity = 0.5\nat = 0.5"),
                prune: PruneConfig { granularity, scope: Scope::Layer, ..PruneConfig::default() },
                train,
                ..Trial::default()
            };
            match trial.run(&registry, Cpu::default(), &data) {
                Ok((_, events)) => {
                    let found = prunes(&events);
                    assert!(found.len() == 1 && found[0].1 > 0.3, "{name} by {granularity:?}: {found:?}");
                }
                Err(error) => _ = refused.insert(format!("{name} by {granularity:?}"), error.to_string()),
            }
        }
    }
    let names: Vec<&str> = refused.keys().map(String::as_str).collect();
    // Those that score the one alone, and synflow, through whose bounded activations nothing flows.
    let expected = [
        "autosparse by Unit",
        "awsc by Unit",
        "contribution-rank by Weight",
        "fpgm by Weight",
        "hrank by Weight",
        "lasso-channel by Weight",
        "lrp by Weight",
        "network-slimming by Weight",
        "surgery by Unit",
        "synflow by Unit",
        "synflow by Weight",
    ];
    assert_eq!(names, expected, "{refused:#?}");
}
