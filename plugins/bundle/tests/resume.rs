//! A run that was stopped and resumed is the run that was never stopped: the same bits, the same events.
//!
//! Longer than 300 lines because every kind of run is a case of one comparison.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use secateur::backend::{Cpu, LinearOps as _, Precision};
use secateur::data::{DataConfig, Dataset, Holdout};
use secateur::network::params::Sparse;
use secateur::plugins::conformance::Trial;
use secateur::prelude::*;
use secateur::pruning::{Apply, Granularity, GrowConfig, PruneConfig, RegrowFrom, Scope};
use secateur::training::event::{EvalAt, Event};
use secateur::training::{Checkpoint, LrSchedule, Observer, Optimizer, Outcome, Run, Silent, TrainConfig};
use std::cell::Cell;
use std::collections::BTreeMap;

/// Keeps events, and stops before a step.
#[derive(Default)]
struct Recorder {
    events: Vec<Event>,
    stop_at: Option<u64>,
    seen: Cell<u64>,
    /// Stops when it is asked so often whether to.
    stop_when_asked: Option<usize>,
    asked: Cell<usize>,
    checkpoints: Vec<Vec<u8>>,
}

impl Observer for Recorder {
    fn event(&mut self, event: &Event) -> Result<()> {
        if let Event::Start { step, .. } = event {
            self.seen.set(*step);
        }
        if let Event::Step { step, .. } = event {
            self.seen.set(step + 1);
        }
        self.events.push(event.clone());
        Ok(())
    }
    fn should_stop(&self) -> bool {
        self.asked.set(self.asked.get() + 1);
        self.stop_at == Some(self.seen.get()) || self.stop_when_asked == Some(self.asked.get())
    }
    fn boundary<'a>(&mut self, _: bool, take: &dyn Fn(&str) -> Result<Checkpoint<'a>>) -> Result<()> {
        self.checkpoints.push(take("this run")?.to_bytes());
        Ok(())
    }
}

/// A running mean of gradients, to grow by: it has a state.
#[derive(Default)]
struct MeanGradient(BTreeMap<String, Vec<f32>>);

impl Criterion<Cpu> for MeanGradient {
    fn needs(&self) -> Needs {
        Needs::GRADIENTS
    }
    fn observe(&mut self, seen: &Observation<'_, Cpu>) -> Result<()> {
        for p in seen.params.iter().filter(|p| p.spec().prunable) {
            let (name, grad) = (&p.spec().name, seen.grad(&p.spec().name)?.to_vec());
            let mean = self.0.entry(name.clone()).or_insert_with(|| vec![0.0; grad.len()]);
            mean.iter_mut().zip(grad).for_each(|(mean, grad)| *mean = 0.9 * *mean + 0.1 * grad);
        }
        Ok(())
    }
    fn score(&mut self, target: &Target<'_, Cpu>) -> Result<Scores<Cpu>> {
        let mean = self.0[target.name()].iter().map(|g| g.abs()).collect();
        Ok(Tensor::from_vec(target.params().device(), mean, target.param().spec().shape)?.into())
    }
    fn save(&self) -> Result<State> {
        Ok(self.0.iter().fold(State::default(), |state, (name, mean)| state.with(name, mean.iter().copied())))
    }
    fn load(&mut self, state: State, _: &Cpu) -> Result<()> {
        let numbers = |mean: Vec<f64>| mean.into_iter().map(|g| g as f32).collect();
        self.0 = state.0.into_iter().map(|(name, mean)| (name, numbers(mean))).collect();
        Ok(())
    }
}

fn trained_by(optimizer: Optimizer, lr: f64, momentum: f64) -> TrainConfig {
    TrainConfig {
        epochs: 6,
        batch_size: 50,
        optimizer,
        lr,
        momentum,
        lr_schedule: LrSchedule::Cosine,
        eval_every: 2,
        ..TrainConfig::default()
    }
}

/// Weights under masks that let them return, Adam.
fn regrowing() -> Trial {
    Trial {
        seed: 7,
        model: ("mlp", "hidden = [30, 20]"),
        schedule: ("cubic", "sparsity = 0.9\nevery = 7"),
        prune: PruneConfig { regrow: true, ..PruneConfig::default() },
        train: trained_by(Optimizer::Adam, 5e-3, 0.0),
        ..Trial::default()
    }
}

/// Units cut out, ranked by what a whole epoch shows, with momentum.
fn shrinking() -> Trial {
    Trial {
        criterion: ("contribution-rank", "lambda2 = 0.5\nwindow = \"since-prune\""),
        schedule: ("periodic", "first = 2\nevery = 1\nfraction = 0.2"),
        prune: PruneConfig {
            granularity: Granularity::Unit,
            scope: Scope::Layer,
            apply: Apply::Shrink,
            ..PruneConfig::default()
        },
        train: trained_by(Optimizer::Sgd, 0.1, 0.9),
        ..regrowing()
    }
}

/// Units masked, not removed.
fn masking() -> Trial {
    let mut setup = shrinking();
    setup.prune.apply = Apply::Mask;
    setup
}

/// Units that are masked and keep learning, ranked with a memory, over batch normalisation.
fn returning() -> Trial {
    let mut setup = masking();
    setup.model = ("cnn", "channels = [6, 8]\nhidden = [12]\nbatch_norm = true");
    setup.schedule = ("constant", "sparsity = 0.4\nevery = 9");
    setup.prune.regrow = true;
    setup
}

/// A random order that follows the units through three rounds a step, from before the first update on.
fn ordered() -> Trial {
    let mut setup = shrinking();
    setup.criterion = ("shuffled", "of = { name = \"contribution-rank\" }");
    setup.schedule = ("linear", "initial = 0.1\nsparsity = 0.6\nfrom = 0.0\nevery = 13");
    setup.prune.rounds = 3;
    setup
}

/// Weights that change places, by gradients of many steps.
fn growing() -> Trial {
    let grow = GrowConfig { fraction: 0.3, criterion: PluginSpec::named("mean-gradient"), ..GrowConfig::default() };
    Trial {
        schedule: ("constant", "sparsity = 0.8\nto = 0.75\nevery = 6"),
        prune: PruneConfig { scope: Scope::Erk, ..PruneConfig::default() },
        grow: GrowConfig { start: Some(PluginSpec::named("random")), ..grow },
        train: trained_by(Optimizer::Sgd, 0.1, 0.9),
        ..regrowing()
    }
}

/// Rounds of 20, 17 and 23 steps, the last two from the weights of step 3.
fn tickets() -> Trial {
    let schedule = ("lottery", "epochs_per_round = 2\nfraction = 0.3\nrewind_to = 3");
    Trial { schedule, prune: PruneConfig::default(), ..regrowing() }
}

/// Weights that are held at zero and return from there, in phases.
fn phases() -> Trial {
    let schedule = ("ac-dc", "warmup = 1\nphase = 1\nlast_dense = 1\nlast_compressed = 1");
    let prune = PruneConfig { regrow: true, regrow_from: RegrowFrom::Zero, ..PruneConfig::default() };
    Trial { schedule, prune, ..regrowing() }
}

/// Layers that go over their nonzeros alone from one of the pruning steps on, with a criterion that sees the gradients
/// of whole epochs, and for that dense ones.
fn thinning() -> Trial {
    let train = TrainConfig { clip_norm: Some(1.0), sparse: Sparse::Auto, ..trained_by(Optimizer::Adam, 5e-3, 0.0) };
    let schedule = ("linear", "sparsity = 0.9\nto = 0.7\nevery = 6");
    let prune = PruneConfig { scope: Scope::Layer, ..PruneConfig::default() };
    Trial { criterion: ("taylor", "window = \"epoch\""), schedule, prune, train, ..regrowing() }
}

/// A sparsity that goes by the burden, which is above its bound at some steps and below it at others.
fn guided() -> Trial {
    let schedule = ("burden-guided", "every = 3\nbound = 2.0\nuntil = 1.0");
    Trial { schedule, ..regrowing() }
}

fn glyphs() -> Dataset {
    common::glyphs(500, 100, DataConfig::default())
}

fn run(setup: &Trial, data: &Dataset, from: Option<&[u8]>, observer: &mut dyn Observer) -> Result<Outcome<Cpu>> {
    let registry = secateur_bundle::registry()?;
    let make = |name: &str, options: &secateur::options::Table| match name {
        "mean-gradient" => Ok(Box::new(MeanGradient::default()) as Box<dyn Criterion<Cpu>>),
        name => registry.criterion(name, options),
    };
    setup.with(&registry, Cpu::default(), data, |run| {
        let run = Run { make_criterion: &make, ..run };
        match from {
            None => run.execute(observer),
            Some(checkpoint) => run.resume(checkpoint, "this run", observer),
        }
    })
}

/// Name, value, mask, optimizer state and updates of a parameter.
type Bits = (String, Vec<u32>, Option<Vec<bool>>, Vec<Vec<f32>>, u64);

/// Everything of the outcome but the time it took.
fn bits(outcome: &Outcome<Cpu>) -> Vec<Bits> {
    let of = |t: &Tensor<Cpu>| t.host().iter().map(|v| v.to_bits()).collect();
    let one = |p: &secateur::network::params::Param<Cpu>| {
        let state = p.state().unwrap().iter().map(|s| s.to_vec()).collect();
        (p.spec().name.clone(), of(p.value()), p.mask().map(|m| m.keep().to_vec()), state, p.updates())
    };
    outcome.params.iter().map(one).collect()
}

/// Events as text, without times and without where the process began.
fn facts(events: &[Event]) -> Vec<String> {
    let fact = |event: &Event| {
        let mut json = serde_json::to_value(event).unwrap();
        let object = json.as_object_mut().unwrap();
        object.remove("seconds");
        object.get_mut("metrics").and_then(|f| f.as_object_mut()).map(|f| f.remove("seconds_train"));
        json.to_string()
    };
    events.iter().filter(|e| !matches!(e, Event::Start { .. })).map(fact).collect()
}

/// Drops what a run that goes on tells again, as the log of the program does.
fn drop_from(events: &mut Vec<Event>, next: &Event) {
    let Event::Start { step: next, first, .. } = next else { panic!("a run begins with its start: {next:?}") };
    events.retain(|event| {
        let event = serde_json::to_value(event).unwrap();
        let (step, at) = (event["step"].as_u64().unwrap(), serde_json::from_value(event["at"].clone()).ok());
        let again = at == Some(EvalAt::End) || first.is_some() && at == *first && step + 1 == *next;
        step < *next && !again
    });
}

/// Stops before each of these steps in turn; each time another process goes on from the checkpoint alone.
fn stopped_at(setup: &Trial, data: &Dataset, steps: &[u64]) -> (Outcome<Cpu>, Vec<Event>) {
    let (mut checkpoint, mut events) = (None::<Vec<u8>>, vec![]);
    for step in steps {
        let mut recorder = Recorder { stop_at: Some(*step), ..Recorder::default() };
        let ended = run(setup, data, checkpoint.as_deref(), &mut recorder);
        // Where the network is measured at a pruning step, that step is made anew.
        assert!(matches!(ended, Err(Error::Stopped { step: s }) if s == *step || s + 1 == *step), "{step}");
        checkpoint = recorder.checkpoints.pop();
        drop_from(&mut events, &recorder.events[0]);
        events.append(&mut recorder.events);
    }
    let mut recorder = Recorder::default();
    let outcome = run(setup, data, checkpoint.as_deref(), &mut recorder).unwrap();
    drop_from(&mut events, &recorder.events[0]);
    events.append(&mut recorder.events);
    (outcome, events)
}

fn resumes_exactly(setup: &Trial, steps: &[u64]) {
    let data = glyphs();
    let mut whole = Recorder::default();
    let expected = run(setup, &data, None, &mut whole).unwrap();
    let (found, events) = stopped_at(setup, &data, steps);
    assert!(bits(&found) == bits(&expected), "the weights differ");
    assert_eq!(facts(&events), facts(&whole.events));
    let returned = |of: &Outcome<Cpu>| (of.summary.regrown, of.summary.regrown_distinct, of.summary.regrown_stay);
    assert_eq!(returned(&found), returned(&expected));
    assert_eq!(found.summary.drop_foretold, expected.summary.drop_foretold);
    assert_eq!(found.summary.unit_scores, expected.summary.unit_scores);
    assert_eq!(found.summary.recovery, expected.summary.recovery);
    let some = expected.summary.regrown_distinct.is_some_and(|distinct| distinct <= expected.summary.regrown);
    assert_eq!(some, expected.summary.regrown > 0);
    assert_eq!((found.summary.macs_dense, found.summary.units), (expected.summary.macs_dense, expected.summary.units));
}

// An epoch has 10 steps.

#[test]
fn masks_that_let_weights_return_resume_exactly_with_adam() {
    resumes_exactly(&regrowing(), &[0, 1, 13, 36]);
}

#[test]
fn products_in_bf16_resume_exactly() {
    if let Some(why) = Cpu::lacks_bf16() {
        return eprintln!("NOT RUN: {why}");
    }
    let mut setup = regrowing();
    setup.train.precision = Precision::Bf16;
    resumes_exactly(&setup, &[13, 36]);
}

#[test]
fn a_cut_network_resumes_exactly_in_the_middle_of_what_its_criterion_watches() {
    resumes_exactly(&shrinking(), &[14, 18, 23, 24, 53]);
}

#[test]
fn what_criteria_gather_of_gradients_resumes_exactly() {
    let maps = "of = \"feature-maps\"\nwindow = \"since-prune\"";
    for criterion in [("movement", "since = \"start\""), ("taylor", maps)] {
        let mut setup = shrinking();
        setup.criterion = criterion;
        resumes_exactly(&setup, &[14, 23, 53]);
    }
}

#[test]
fn relevance_that_was_seen_is_remembered() {
    let mut setup = shrinking();
    setup.criterion = ("lrp", "window = \"since-prune\"");
    resumes_exactly(&setup, &[18, 23]);
}

#[test]
fn masked_units_resume_exactly() {
    resumes_exactly(&masking(), &[20, 31]);
}

#[test]
fn units_that_keep_learning_resume_exactly() {
    resumes_exactly(&returning(), &[5, 31]);
}

#[test]
fn an_order_that_follows_its_units_resumes_exactly() {
    resumes_exactly(&ordered(), &[1, 13, 40]);
    // Before the first step everything is done again, the pruning before it too.
    let data = glyphs();
    let expected = run(&ordered(), &data, None, &mut Silent).unwrap();
    let (found, _) = stopped_at(&ordered(), &data, &[0]);
    assert!(bits(&found) == bits(&expected));
}

#[test]
fn weights_that_change_places_resume_exactly_with_what_their_growth_goes_by() {
    resumes_exactly(&growing(), &[1, 6, 16, 40]);
    let mut redrawn = growing();
    redrawn.grow.criterion = PluginSpec::named("random-redrawn");
    resumes_exactly(&redrawn, &[9, 30]);
}

#[test]
fn layers_that_change_to_their_nonzeros_alone_resume_exactly_wherever_that_is() {
    let mut whole = Recorder::default();
    let outcome = run(&thinning(), &glyphs(), None, &mut whole).unwrap();
    assert_eq!(outcome.summary.sparse_layers, ["fc1.weight"]);
    let sparse = |e: &Event| match e {
        Event::Prune { step, sparse_layers, .. } if !sparse_layers.is_empty() => Some(*step),
        _ => None,
    };
    let first = whole.events.iter().find_map(sparse).unwrap();
    assert!(first > 12, "{first}");
    resumes_exactly(&thinning(), &[first - 1, first, first + 1, first + 2, 45, 55]);
}

#[test]
fn a_rewind_finds_its_weights_after_a_restart() {
    resumes_exactly(&tickets(), &[2, 4, 19, 30]);
}

#[test]
fn weights_that_return_from_zero_resume_exactly() {
    resumes_exactly(&phases(), &[11, 25, 39]);
}

#[test]
fn a_schedule_that_goes_by_what_is_measured_resumes_exactly() {
    let mut whole = Recorder::default();
    run(&guided(), &glyphs(), None, &mut whole).unwrap();
    let asked = |e: &Event| if let Event::Prune { target, .. } = e { *target } else { None };
    let asked: Vec<f64> = whole.events.iter().filter_map(asked).collect();
    let rises = asked.windows(2).filter(|pair| pair[1] > pair[0]).count();
    assert!(0 < rises && rises + 1 < asked.len(), "it rises at some steps and waits at others: {asked:?}");
    resumes_exactly(&guided(), &[7, 14, 30, 45]);
}

#[test]
fn wherever_it_is_asked_to_stop_in_steps_and_in_evaluations_it_resumes_exactly() {
    let data = common::glyphs(150, 60, DataConfig { validation: Holdout::Count(50), ..DataConfig::default() });
    let pruned = ("periodic", "first = 1\nevery = 1\nfraction = 0.2\ncount = 2");
    let guided = ("burden-guided", "every = 3\nbound = 2.0\nuntil = 1.0");
    for (mut setup, schedule) in [(shrinking(), pruned), (regrowing(), guided)] {
        setup.schedule = schedule;
        setup.train = TrainConfig { epochs: 4, batch_size: 25, eval_batch_size: 20, ..setup.train };
        let mut whole = Recorder::default();
        let expected = run(&setup, &data, None, &mut whole).unwrap();
        let asked = whole.asked.get();
        assert!(asked > 16 + 8, "in steps and in evaluations: {asked}");
        for nth in 1..=asked {
            let mut recorder = Recorder { stop_when_asked: Some(nth), ..Recorder::default() };
            let ended = run(&setup, &data, None, &mut recorder);
            assert!(matches!(ended, Err(Error::Stopped { .. })), "{nth}");
            let (checkpoint, mut events) = (recorder.checkpoints.pop().unwrap(), recorder.events);
            let mut recorder = Recorder::default();
            let found = run(&setup, &data, Some(&checkpoint), &mut recorder).unwrap();
            drop_from(&mut events, &recorder.events[0]);
            events.append(&mut recorder.events);
            assert!(bits(&found) == bits(&expected), "{nth}: the weights differ");
            assert_eq!(facts(&events), facts(&whole.events), "{nth}");
        }
    }
}

#[test]
fn a_training_that_ends_early_ends_there_after_a_restart_too() {
    let mut setup = regrowing();
    setup.schedule = ("one-shot", "at = 0.1");
    setup.train = TrainConfig { epochs: 60, stop_flat: 2, ..trained_by(Optimizer::Sgd, 0.3, 0.9) };
    let mut whole = Recorder::default();
    let summary = run(&setup, &glyphs(), None, &mut whole).unwrap().summary;
    let losses: Vec<f64> = whole
        .events
        .iter()
        .filter_map(|e| if let Event::Epoch { loss, .. } = e { Some(*loss) } else { None })
        .collect();
    let pruned = whole.events.iter().find_map(|e| if let Event::Prune { step, .. } = e { Some(*step) } else { None });
    // From the first epoch after the pruning step on, two in a row that are not below the lowest.
    let first = (pruned.unwrap() as usize + 1).div_ceil(10);
    let lowest = |n: usize| losses[first..n].iter().copied().fold(f64::INFINITY, f64::min);
    let flat = |n: usize| n >= first + 3 && losses[n - 2..n].iter().all(|loss| *loss >= lowest(n - 2));
    assert_eq!((1..=60).find(|n| flat(*n)), Some(losses.len()), "{losses:?}");
    assert_eq!((summary.epochs, summary.steps), (losses.len() as u64, 10 * losses.len() as u64));
    assert!(matches!(whole.events.last(), Some(Event::Finish { step, .. }) if *step == summary.steps));
    assert!(whole.events.iter().any(|e| matches!(e, Event::Neurons { epoch, .. } if *epoch == summary.epochs)));
    resumes_exactly(&setup, &[59, 61, summary.steps - 1]);
}

#[test]
fn the_end_of_an_epoch_is_a_place_to_resume_from() {
    let (setup, data) = (shrinking(), glyphs());
    let mut whole = Recorder::default();
    let expected = run(&setup, &data, None, &mut whole).unwrap();
    assert_eq!(whole.checkpoints.len(), 5, "after every epoch but the last");
    for checkpoint in &whole.checkpoints {
        let found = run(&setup, &data, Some(checkpoint), &mut Silent).unwrap();
        assert!(bits(&found) == bits(&expected));
    }
}

#[test]
fn times_add_up() {
    let (setup, data) = (shrinking(), glyphs());
    let mut first = Recorder { stop_at: Some(30), ..Recorder::default() };
    assert!(run(&setup, &data, None, &mut first).is_err());
    let before: f64 =
        first.events.iter().map(|e| if let Event::Epoch { seconds, .. } = e { *seconds } else { 0.0 }).sum();
    let mut second = Recorder::default();
    let outcome = run(&setup, &data, first.checkpoints.last().map(Vec::as_slice), &mut second).unwrap();
    let after: f64 =
        second.events.iter().map(|e| if let Event::Epoch { seconds, .. } = e { *seconds } else { 0.0 }).sum();
    let whole = outcome.summary.seconds_train;
    assert!(before > 0.0 && (before + after - whole).abs() < 1e-9, "{before} + {after}, {whole}");
}

#[test]
fn checkpoints_of_other_runs_are_refused() {
    let (setup, data) = (regrowing(), glyphs());
    let mut recorder = Recorder { stop_at: Some(20), ..Recorder::default() };
    assert!(run(&setup, &data, None, &mut recorder).is_err());
    let checkpoint = recorder.checkpoints.pop().unwrap();
    let refused = |setup: &Trial, data: &Dataset, bytes: &[u8]| {
        run(setup, data, Some(bytes), &mut Silent).err().unwrap().to_string()
    };
    let fewer = common::glyphs(300, 100, DataConfig::default());
    assert!(refused(&setup, &fewer, &checkpoint).contains("of 60 steps, and this is"));
    assert!(refused(&setup, &data, &checkpoint[..900]).contains("the checkpoint is damaged or cut short"));
    assert!(refused(&setup, &data, b"").contains("the checkpoint is damaged or cut short"));
}
