//! The training loop: data, forward, backward, observe, update, prune. It knows no plugin by name.

mod checkpoint;
mod config;
mod evaluate;
mod losses;
mod observer;
mod pass;
mod pictures;
mod probe;
mod pruning;
mod summary;
mod timeline;

pub use checkpoint::checkpoint_name;
pub use config::{Loss, LrSchedule, Optimizer, TrainConfig};
pub use evaluate::{Evaluation, evaluate};
pub use observer::{Observer, Silent};
pub use summary::Summary;
pub use timeline::Timeline;

use crate::autograd::Grads;
use crate::backend::Backend;
use crate::compressor::Compressor;
use crate::criterion::{Criterion, Needs, Observation, Setup};
use crate::data::{Dataset, Order, Part};
use crate::error::{Error, Result};
use crate::event::{EvalAt, Event, GroupSize, SplitName};
use crate::forward::Cost;
use crate::measure::{self, Burden};
use crate::model::{InputSpec, Model};
use crate::params::{Masking, ParamStore, Snapshot};
use crate::prune::{self, PruneConfig};
use crate::registry::Registry;
use crate::schedule::{RunLength, Schedule, Step};
use crate::seed::Seed;
use losses::{EpochProgress, Untold};
use pass::Pass;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

/// Everything a run is made of.
pub struct Run<'a, B: Backend> {
    /// Name of the run, for events.
    pub name: String,
    /// Where it runs.
    pub device: B,
    /// All randomness comes from it.
    pub seed: Seed,
    /// What is learned.
    pub data: &'a Dataset,
    /// The network.
    pub model: Box<dyn Model<B>>,
    /// What is pruned first.
    pub criterion: Box<dyn Criterion<B>>,
    /// When, and how much.
    pub schedule: Box<dyn Schedule>,
    /// What stands in front of the network.
    pub compressor: Option<Box<dyn Compressor<B>>>,
    /// How scores become a pruned network.
    pub prune: PruneConfig,
    /// How it is trained.
    pub train: TrainConfig,
    /// Plugins, for those that wrap others.
    pub registry: &'a Registry,
}

/// What a run leaves.
pub struct Outcome<B: Backend> {
    /// Figures.
    pub summary: Summary,
    /// The pruned network.
    pub params: ParamStore<B>,
}

/// A run under way.
struct Engine<'a, B: Backend> {
    run: Run<'a, B>,
    input: InputSpec,
    length: RunLength,
    timeline: Timeline,
    /// Of the dense network.
    dense: Cost,
    params: ParamStore<B>,
    snapshots: BTreeMap<Step, Snapshot<B>>,
    last_grads: Option<Grads<B>>,
    burden: Burden,
    next: Step,
    progress: EpochProgress,
    untold: Vec<Untold<B>>,
    clock: Clock,
}

/// Where the time goes.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
struct Clock {
    train: Duration,
    prune: Duration,
    eval: Duration,
}

impl<B: Backend> Run<'_, B> {
    /// Trains, prunes and measures.
    ///
    /// # Errors
    /// Options that do not fit together, before anything runs; what a plugin reports; a loss that is not finite; a violated
    /// invariant; what the observer reports.
    pub fn execute(self, observer: &mut dyn Observer) -> Result<Outcome<B>> {
        Engine::new(self)?.execute(observer)
    }

    /// Goes on from a checkpoint that [`Observer::boundary`] took of this run under this name; what follows is bit for bit what
    /// would have followed there.
    ///
    /// # Errors
    /// A checkpoint that is damaged, or of another run or version; what [`Run::execute`] reports.
    pub fn resume(self, checkpoint: &[u8], name: &str, observer: &mut dyn Observer) -> Result<Outcome<B>> {
        let mut engine = Engine::new(self)?;
        engine.restore(checkpoint, name)?;
        engine.execute(observer)
    }
}

impl<'a, B: Backend> Engine<'a, B> {
    fn new(mut run: Run<'a, B>) -> Result<Self> {
        run.train.check()?;
        let input = InputSpec {
            shape: run.data.shape.clone(),
            classes: if run.train.loss == Loss::Binary { 1 } else { run.data.class_names.len() },
        };
        if run.train.loss == Loss::Binary && run.data.class_names.len() != 2 {
            let found = run.data.class_names.len();
            return Err(Error::Config(format!(
                "train.loss = \"binary\" needs two classes, but the data has {found}: use \"cross-entropy\""
            )));
        }
        let sizes = run.prune.start_sizes(|sizes| run.model.layout(&input, sizes))?;
        let layout = run.model.layout(&input, &sizes)?;
        run.prune.check(&layout)?;
        let examples = run.data.part(Part::Train).len();
        let steps_per_epoch = examples.div_ceil(run.train.batch_size) as u64;
        if steps_per_epoch == 0 {
            return Err(Error::Config(
                "the training split is empty: check data.train_limit and data.validation".into(),
            ));
        }
        let length = RunLength { steps: steps_per_epoch * run.train.epochs, steps_per_epoch };
        let timeline = Timeline::plan(run.schedule.as_ref(), &length)?;
        let setup = Setup { layout: &layout, seed: run.seed.derive("criterion", &[]), registry: run.registry };
        run.criterion.setup(&setup)?;
        let masking = if run.prune.regrow { Masking::Dynamic } else { Masking::Held };
        let params = ParamStore::new(&run.device, layout, run.seed, masking)?;
        let mut engine = Self {
            run,
            input,
            length,
            timeline,
            dense: Cost::default(),
            params,
            snapshots: BTreeMap::new(),
            last_grads: None,
            burden: Burden::default(),
            next: Step(0),
            progress: EpochProgress::default(),
            untold: vec![],
            clock: Clock::default(),
        };
        engine.dense = engine.cost()?;
        Ok(engine)
    }

    fn execute(mut self, observer: &mut dyn Observer) -> Result<Outcome<B>> {
        self.start(observer)?;
        if self.next == Step(0) {
            self.show(Step(0), EvalAt::Start, observer)?;
        }
        while self.next.0 < self.length.steps {
            self.epoch(observer)?;
            if self.next.0 < self.length.steps {
                observer.boundary(false, &|name| self.checkpoint(name))?;
            }
        }
        self.finish(observer)
    }

    /// The epoch of the next step, from that step on.
    fn epoch(&mut self, observer: &mut dyn Observer) -> Result<()> {
        let (epoch, data) = (self.length.epoch(self.next), self.run.data);
        let order = Order::Shuffled { seed: self.run.seed.derive("shuffle", &[]).0, epoch };
        let mut batches = data.batches(Part::Train, at_least_one(self.run.train.batch_size), order);
        batches.skip((self.next.0 % self.length.steps_per_epoch) as usize);
        while self.length.epoch(self.next) == epoch {
            let step = self.next;
            if observer.should_stop() {
                self.tell(observer)?;
                observer.boundary(true, &|name| self.checkpoint(name))?;
                return Err(Error::Stopped { step: step.0 });
            }
            let clock = Instant::now();
            let batch = pass::next_batch(&self.run.device, data, &mut batches)?
                .ok_or_else(|| Error::Other(format!("the training data ended before epoch {epoch}")))?;
            self.train_step(step, &batch, observer)?;
            self.clock.train += clock.elapsed();
            if let Some(amount) = self.timeline.amount(step) {
                self.tell(observer)?;
                self.prune_step(step, amount, &batch, observer)?;
            }
            self.next = Step(step.0 + 1);
        }
        self.end_epoch(epoch, observer)
    }

    /// Forward, backward, observe, update.
    fn train_step(&mut self, step: Step, batch: &crate::model::Batch<B>, observer: &mut dyn Observer) -> Result<()> {
        if self.timeline.snapshots.contains(&step) {
            self.snapshots.insert(step, self.params.snapshot());
        }
        let collecting = self.timeline.collects(step, self.run.criterion.window(), &self.length);
        let needs = if collecting { self.run.criterion.needs() } else { Needs::WEIGHTS };
        let noise = self.run.seed.derive("noise", &[&step.0.to_string()]);
        let mut pass = Pass::run(&self.run, &self.params, batch, needs, noise)?;
        if B::LOSSES_AT_ONCE == 1 {
            losses::check_finite(f64::from(pass.figures.host()[0]), step)?;
        }
        if self.looks_at_burden(step) {
            self.burden.observe(&self.params, &pass.grads)?;
        }
        let penalty = pass.penalise(self.run.criterion.as_mut(), &self.params)?;
        if collecting {
            let seen = Observation {
                step,
                epoch: self.length.epoch(step),
                examples: batch.len(),
                params: &self.params,
                grads: &pass.grads,
                taps: &pass.taps,
            };
            self.run.criterion.observe(&seen)?;
        }
        let lr = self.run.train.lr_at(self.timeline.since_rewind(step), &self.length);
        let scale = pass.clip_scale(self.run.train.clip_norm, &self.params, step)?;
        self.params.step(self.run.train.rule(lr), scale.as_ref(), |value| pass.grads.get(value))?;
        self.params.set_buffers(std::mem::take(&mut pass.buffers))?;
        self.untold.push(Untold { step, examples: batch.len(), figures: pass.figures, lr, penalty });
        if self.untold.len() >= B::LOSSES_AT_ONCE {
            self.tell(observer)?;
        }
        self.last_grads = needs.has(Needs::GRADIENTS).then_some(pass.grads);
        Ok(())
    }

    /// A few steps of every epoch, the last one among them: enough for a steady mean, at no cost worth naming.
    fn looks_at_burden(&self, step: Step) -> bool {
        const LOOKS: u64 = 8;
        let (per_epoch, done) = (self.length.steps_per_epoch, step.0 % self.length.steps_per_epoch + 1);
        done == per_epoch || done.is_multiple_of(per_epoch.div_ceil(LOOKS))
    }

    /// Lends the criterion out, so that it can be shown the engine it belongs to.
    fn with_criterion<T>(&mut self, f: impl FnOnce(&Self, &mut dyn Criterion<B>) -> Result<T>) -> Result<T> {
        let mut criterion = std::mem::replace(&mut self.run.criterion, Box::new(Lent));
        let result = f(self, criterion.as_mut());
        self.run.criterion = criterion;
        result
    }

    fn start(&self, observer: &mut dyn Observer) -> Result<()> {
        let layout = self.params.layout();
        observer.event(&Event::Start {
            step: self.next.0,
            name: self.run.name.clone(),
            steps: self.length.steps,
            steps_per_epoch: self.length.steps_per_epoch,
            examples: self.run.data.part(Part::Train).len(),
            params: measure::count_params(&self.params).1,
            layers: layout.groups.iter().map(|g| GroupSize { name: g.name.clone(), units: g.dense_units }).collect(),
        })
    }

    fn end_epoch(&mut self, epoch: u64, observer: &mut dyn Observer) -> Result<()> {
        let step = Step((epoch + 1) * self.length.steps_per_epoch - 1);
        self.tell(observer)?;
        let (loss, accuracy) = self.progress.take();
        let sparsity = prune::sparsity(&self.run.prune, &self.params)?;
        let seconds = self.progress.lap(self.clock.train);
        observer.event(&Event::Epoch { step: step.0, epoch, loss, accuracy, sparsity, seconds })?;
        let layers = self.burden.end_epoch(&self.params);
        observer.event(&Event::Burden { step: step.0, epoch, layers })?;
        let last = epoch + 1 == self.run.train.epochs;
        if last || (epoch + 1).is_multiple_of(self.run.train.eval_every) {
            self.evaluate(step, SplitName::Validation, EvalAt::Epoch, observer)?;
        }
        Ok(())
    }

    /// Measures on held-out data; where there is no validation split, on the test split, and says so.
    fn evaluate(
        &mut self,
        step: Step,
        split: SplitName,
        at: EvalAt,
        observer: &mut dyn Observer,
    ) -> Result<Evaluation> {
        let empty = self.run.data.part(Part::Validation).is_empty();
        let split = if split == SplitName::Validation && empty { SplitName::Test } else { split };
        let clock = Instant::now();
        let found = evaluate(&self.run, &self.params, split)?;
        self.clock.eval += clock.elapsed();
        let epoch = self.length.epoch(step);
        observer.event(&Event::Eval { step: step.0, epoch, split, loss: found.loss, accuracy: found.accuracy, at })?;
        Ok(found)
    }

    fn finish(mut self, observer: &mut dyn Observer) -> Result<Outcome<B>> {
        let last = Step(self.length.steps - 1);
        let test = self.evaluate(last, SplitName::Test, EvalAt::End, observer)?;
        self.show(last, EvalAt::End, observer)?;
        let kept = self.cost()?;
        let summary =
            Summary::of(&self.run, &self.params, test, (self.dense, kept), &self.burden, &self.clock, self.length)?;
        observer.event(&Event::Finish { step: self.length.steps, figures: summary.figures() })?;
        self.run.device.trim();
        Ok(Outcome { summary, params: self.params })
    }
}

/// Stands in for a criterion that is lent out.
struct Lent;

impl<B: Backend> Criterion<B> for Lent {
    fn score(&mut self, _: &crate::criterion::Target<'_, B>) -> Result<crate::criterion::Scores<B>> {
        Err(Error::Other("the criterion is in use".into()))
    }
}

fn at_least_one(n: usize) -> NonZeroUsize {
    NonZeroUsize::new(n).unwrap_or(NonZeroUsize::MIN)
}
