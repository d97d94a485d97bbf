//! A run, from its first step to its summary.

use super::checkpoint::{Kept, boundary, latency_of};
use super::prune_step::Shown;
use super::reporter::Reporter;
use super::setting::Setting;
use super::step::next_batch;
use super::{Observer, Summary, TrainConfig};
use crate::backend::Backend;
use crate::data::{Dataset, SplitName};
use crate::error::{Error, Result};
use crate::network::compressor::Compressor;
use crate::network::forward::{Cost, LayerRecord};
use crate::network::given::Given;
use crate::network::model::{InputSpec, Model};
use crate::network::params::{ParamStore, Snapshot};
use crate::options::PluginSpec;
use crate::pruning::criterion::{Criterion, MakeCriterion, Setup};
use crate::pruning::measure::Burden;
use crate::pruning::schedule::{Schedule, Step};
use crate::pruning::{GrowConfig, LatencyTable, PruneConfig, Remark};
use crate::seed::Seeds;
use crate::training::event::{EvalAt, Event};
use std::collections::BTreeMap;
use std::time::Instant;

/// Everything a run is made of.
pub struct Run<'a, B: Backend> {
    /// Name of the run, for events.
    pub name: String,
    /// Where it runs.
    pub device: B,
    /// All randomness comes from them: [`Seed::into`](crate::seed::Seed) makes them one.
    pub seeds: Seeds,
    /// What is learned.
    pub data: &'a Dataset,
    /// The network.
    pub model: Box<dyn Model<B>>,
    /// What every weight or unit is worth; the lowest are pruned first.
    pub criterion: Box<dyn Criterion<B>>,
    /// When something is pruned, and how much.
    pub schedule: Box<dyn Schedule>,
    /// What makes fewer tokens of many; [`NoCompression`](crate::network::compressor::NoCompression) leaves them as
    /// they are.
    pub compressor: Box<dyn Compressor<B>>,
    /// How scores become a pruned network.
    pub prune: PruneConfig,
    /// How weights grow, in the place of others that are pruned.
    pub grow: GrowConfig,
    /// How it is trained.
    pub train: TrainConfig,
    /// The weights that it begins with, where they are not drawn.
    pub given: Option<Given>,
    /// Makes the criterion that another one wraps, and those that `grow` names.
    pub make_criterion: &'a MakeCriterion<'a, B>,
}

/// What a run leaves.
pub struct Outcome<B: Backend> {
    /// Its metrics.
    pub summary: Summary,
    /// The pruned network.
    pub params: ParamStore<B>,
    /// What an example looks like to the model.
    pub input: InputSpec,
    /// The model's layers, in the order of their calls.
    pub layers: Vec<LayerRecord>,
}

impl<B: Backend> Run<'_, B> {
    /// Trains, prunes and measures.
    ///
    /// # Errors
    /// Options that do not fit together, before anything runs; what a plugin reports; a loss that is not finite; a
    /// violated invariant; what the observer reports.
    pub fn execute(self, observer: &mut dyn Observer) -> Result<Outcome<B>> {
        Training::new(self, None, observer)?.train()
    }

    /// Goes on from a checkpoint that [`Observer::boundary`] took of this run under this name; what follows is bit for
    /// bit what would have followed there.
    ///
    /// # Errors
    /// A checkpoint that is damaged, or of another run or version; what [`Run::execute`] reports.
    pub fn resume(self, checkpoint: &[u8], name: &str, observer: &mut dyn Observer) -> Result<Outcome<B>> {
        self.fork((checkpoint, name), Kept::ALL, observer)
    }

    /// Goes on from a checkpoint of another run, given with the name that it has there: one on the same data, in the same
    /// batches, of the same network and with the same seed, so that up to this step it is the same run. What it keeps of the
    /// other's plugins is said in `kept`; where that is all and every option is the same, what follows is bit for bit what
    /// would have followed there.
    ///
    /// # Errors
    /// A checkpoint that is damaged, or of another network, length or version; weights of earlier steps to which the
    /// schedule rewinds and that were not kept; what [`Run::execute`] reports.
    pub fn fork(
        self,
        (checkpoint, name): (&[u8], &str),
        kept: Kept,
        observer: &mut dyn Observer,
    ) -> Result<Outcome<B>> {
        let mut training = Training::new(self, latency_of(checkpoint, name)?, observer)?;
        training.live.restore(&training.setting, &mut training.reporter, (checkpoint, name), kept)?;
        training.train()
    }
}

/// A run under way: what is fixed, what changes, and what is reported of it borrow apart.
struct Training<'a, 'o, B: Backend> {
    setting: Setting<'a, B>,
    live: Live<B>,
    reporter: Reporter<'o, B>,
    /// Cost of the dense network's forward pass.
    dense: Cost,
    /// Settings that cannot act.
    idle: Vec<Remark>,
}

/// A criterion that the options name.
fn named<B: Backend>(spec: &PluginSpec, setup: &Setup<'_, B>) -> Result<Box<dyn Criterion<B>>> {
    let mut criterion = (setup.make_criterion)(spec.name()?, &spec.options())?;
    criterion.setup(setup)?;
    Ok(criterion)
}

/// What changes while a run goes on.
pub(super) struct Live<B: Backend> {
    /// The step that comes next.
    pub next: Step,
    pub params: ParamStore<B>,
    pub criterion: Box<dyn Criterion<B>>,
    /// By which weights grow, where any do.
    pub grower: Option<Box<dyn Criterion<B>>>,
    /// The criterion of the pruning before the first update, where it is one of its own; taken there.
    pub first: Option<Box<dyn Criterion<B>>>,
    pub schedule: Box<dyn Schedule>,
    /// Weights of earlier steps, for rewinding.
    pub snapshots: BTreeMap<Step, Snapshot<B>>,
    /// What the criterion scores by at the pruning step that comes next, where it asked for gradients.
    pub shown: Option<Shown<B>>,
    pub burden: Burden,
    /// The sparsity that the schedule asked for at the last pruning step, unless the criterion decided itself.
    pub asked: Option<f64>,
    /// Whether the evaluation after the epoch before the next step is still to be made.
    pub unmeasured: bool,
}

impl<'a, 'o, B: Backend> Training<'a, 'o, B> {
    fn new(run: Run<'a, B>, saved: Option<LatencyTable>, observer: &'o mut dyn Observer) -> Result<Self> {
        let (setting, layout, mut criterion, schedule) = Setting::new(run, saved)?;
        let params = ParamStore::new(&setting.device, layout, setting.seeds.init, setting.prune.masking())?;
        let mut params = params.with_sparse(setting.sparse());
        let look = setting.look(&params)?;
        let (dense, mut idle) = (look.cost, setting.idle(params.layout(), criterion.needs(), &look));
        idle.extend(setting.begin(&mut params)?);
        let seed = setting.seeds.pruner.derive("criterion", &[]);
        let setup = Setup { layout: params.layout(), seed, make_criterion: setting.make_criterion };
        criterion.setup(&setup).map_err(|error| error.under("criterion"))?;
        let grower = setting.grow.is_on().then(|| {
            let setup = Setup { seed: setting.growth_seed(), ..setup };
            named(&setting.grow.criterion, &setup).map_err(|error| error.under("criterion").under("grow"))
        });
        let first = setting.grow.start.as_ref().filter(|_| setting.grow.is_on());
        let first = first.map(|first| named(first, &setup).map_err(|error| error.under("start").under("grow")));
        let live = Live {
            next: Step(0),
            params,
            criterion,
            grower: grower.transpose()?,
            first: first.transpose()?,
            schedule,
            snapshots: BTreeMap::new(),
            shown: None,
            burden: Burden::default(),
            asked: None,
            unmeasured: false,
        };
        let reporter = Reporter::new(observer, setting.length);
        Ok(Self { setting, live, reporter, dense, idle })
    }

    fn train(mut self) -> Result<Outcome<B>> {
        self.start()?;
        self.measure_epoch()?;
        while self.goes_on() {
            self.epoch()?;
            if self.goes_on() {
                boundary(&self.setting, &self.live, &mut self.reporter, false)?;
            }
        }
        self.finish()
    }

    fn goes_on(&self) -> bool {
        self.live.next.0 < self.setting.length.steps && !self.reporter.is_over()
    }

    /// The epoch of the next step, from that step on.
    fn epoch(&mut self) -> Result<()> {
        let Self { setting, live, reporter, .. } = self;
        let epoch = setting.length.epoch(live.next);
        let mut batches = setting.batches_from(live.next);
        while setting.length.epoch(live.next) == epoch {
            let step = live.next;
            if reporter.stop_asked() {
                boundary(setting, live, reporter, true)?;
                return Err(Error::Stopped { step: step.0 });
            }
            if reporter.checkpoint_wanted() {
                boundary(setting, live, reporter, false)?;
            }
            let clock = Instant::now();
            let batch = next_batch(&setting.device, setting.data, &mut batches)?
                .ok_or_else(|| Error::Other(format!("the training data ended before epoch {}", epoch + 1)))?;
            let before = live.before_measured_prune(setting, reporter)?;
            live.train_step(setting, &batch, reporter)?;
            reporter.clock.train += clock.elapsed();
            if let Some(position) = setting.timeline.position(step) {
                reporter.may_leave = before.is_some();
                let pruned = live.prune_step(setting, position, Some(step), &batch, reporter);
                reporter.may_leave = false;
                if let (Err(Error::Stopped { .. }), Some(before)) = (&pruned, before) {
                    reporter.boundary(true, &|name, _| before.clone().into_checkpoint(name))?;
                }
                pruned?;
            }
            live.next = Step(step.0 + 1);
        }
        self.end_epoch(epoch)
    }

    fn start(&mut self) -> Result<()> {
        let Self { setting, live, reporter, idle, .. } = self;
        reporter.event(&setting.begins(live)?)?;
        for note in idle.drain(..) {
            reporter.note(live.next, note.keys, note.text)?;
        }
        if live.next == Step(0) {
            if let Some(table) = &setting.latency {
                reporter.event(&Event::Latency { step: 0, table: table.clone() })?;
            }
            setting.show(&live.params, Step(0), EvalAt::Start, reporter)?;
            live.prune_at_start(setting, reporter)?;
        }
        Ok(())
    }

    fn end_epoch(&mut self, epoch: u64) -> Result<()> {
        let Self { setting, live, reporter, .. } = self;
        let step = Step((epoch + 1) * setting.length.steps_per_epoch - 1);
        let nth = setting.length.nth_epoch(step);
        let loss = reporter.epoch(step, setting.gone(&live.params)?)?;
        // An epoch that ends with a pruning step, or holds one, was not trained with what is left.
        let first = epoch * setting.length.steps_per_epoch;
        reporter.look_at(loss, setting.timeline.prunes.iter().all(|(prune, _)| prune.0 < first), &setting.train);
        let neurons = live.burden.neurons(&live.params);
        let layers = live.burden.end_epoch(&live.params);
        reporter.event(&Event::Burden { step: step.0, epoch: nth, layers })?;
        let last = nth == setting.train.epochs || reporter.is_over();
        if last {
            reporter.event(&Event::Neurons { step: step.0, epoch: nth, layers: neurons })?;
        }
        live.unmeasured = last || nth.is_multiple_of(setting.train.eval_every);
        self.measure_epoch()
    }

    /// Makes the evaluation after the epoch before the next step, where that is still to be done.
    fn measure_epoch(&mut self) -> Result<()> {
        let Self { setting, live, reporter, .. } = self;
        if !live.unmeasured {
            return Ok(());
        }
        let found = live.measure(setting, SplitName::Validation, EvalAt::Epoch, reporter)?;
        live.burden.recovering.trained(found.accuracy);
        if !setting.data.validation.is_empty() {
            reporter.validated(&found, &|sections| setting.network(&live.params, sections))?;
        }
        live.unmeasured = false;
        Ok(())
    }

    fn finish(self) -> Result<Outcome<B>> {
        let Self { setting, mut live, mut reporter, dense, .. } = self;
        let last = Step(live.next.0.saturating_sub(1));
        live.prune_disconnected(&setting, last, &mut reporter)?;
        live.nothing_returned(&setting, last, &mut reporter)?;
        let test = live.measure(&setting, SplitName::Test, EvalAt::End, &mut reporter)?;
        setting.show(&live.params, last, EvalAt::End, &mut reporter)?;
        let look = setting.look(&live.params)?;
        let inference = setting.inference(&live.params, live.asked)?;
        let fit = setting.fit(&live.params, &mut reporter)?;
        let activation_information = setting.activations(&live.params, last, &mut reporter)?;
        let summary = Summary::of(&setting, &live, (test, fit), (dense, look.cost), &reporter)?;
        let summary = Summary { inference, activation_information, ..summary };
        reporter.event(&Event::Finish { step: live.next.0, metrics: summary.metrics() })?;
        setting.device.trim();
        Ok(Outcome { summary, params: live.params, input: setting.input, layers: look.layers })
    }
}
