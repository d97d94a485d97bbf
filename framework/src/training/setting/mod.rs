//! What a run is made of and does not change while it goes on.

mod given;
mod growth;
mod idle;
mod precision;
mod price;
mod sparse;
mod stopwatch;

use super::evaluate::Task;
use super::event::{EvalAt, Event, GroupSize, LOG};
use super::run::Live;
use super::{Run, Timeline, TrainConfig};
use crate::backend::Backend;
use crate::data::{Batches, Dataset, Order, SplitName};
use crate::error::{Error, OptionError, Result};
use crate::network::compressor::Compressor;
use crate::network::given::Given;
use crate::network::layout::{Layout, Sizes};
use crate::network::model::{InputSpec, Model};
use crate::options::OptionSet as _;
use crate::pruning::criterion::{Criterion, MakeCriterion};
use crate::pruning::measure;
use crate::pruning::schedule::{RunLength, Schedule, Step};
use crate::pruning::{self, Apply, Forecast, GrowConfig, LatencyTable, PruneConfig, Scope};
use crate::seed::Seeds;
use price::Prices;
use std::num::NonZeroUsize;

/// The fixed parts of a run, checked against each other.
pub(super) struct Setting<'a, B: Backend> {
    pub name: String,
    pub device: B,
    pub seeds: Seeds,
    pub data: &'a Dataset,
    pub model: Box<dyn Model<B>>,
    pub compressor: Box<dyn Compressor<B>>,
    pub prune: PruneConfig,
    pub grow: GrowConfig,
    pub train: TrainConfig,
    pub given: Option<Given>,
    pub make_criterion: &'a MakeCriterion<'a, B>,
    pub input: InputSpec,
    pub length: RunLength,
    pub timeline: Timeline,
    pub forecast: Forecast,
    /// What inference takes, where the schedule's sparsity is a share of it.
    pub latency: Option<LatencyTable>,
    /// The network at the start.
    layout: Layout,
    prices: Prices,
}

/// The fixed parts, the network's layout at the start, and the plugins whose state changes.
type Parts<'a, B> = (Setting<'a, B>, Layout, Box<dyn Criterion<B>>, Box<dyn Schedule>);

impl<'a, B: Backend> Setting<'a, B> {
    /// Checks the parts; `saved` is the table of a run that goes on.
    pub fn new(mut run: Run<'a, B>, saved: Option<LatencyTable>) -> Result<Parts<'a, B>> {
        let sections = [("train", run.train.errors()), ("prune", run.prune.errors()), ("grow", run.grow.errors())];
        let refused = sections.into_iter().flat_map(|(path, all)| all.into_iter().map(|error| error.under(path)));
        Error::if_any(refused.collect())?;
        let input = InputSpec { shape: run.data.shape.clone(), classes: run.train.loss.outputs(run.data.classes()) };
        if let Some(why) = run.train.loss.refusal(run.data.classes(), run.data.train.is_regression()) {
            let found = toml::Value::try_from(run.train.loss).map(|loss| loss.to_string()).unwrap_or_default();
            return Err(Error::from(OptionError::new("loss", found, why)).under("train"));
        }
        let layout_at = |sizes: &Sizes| run.model.layout(&input, sizes).map_err(|error| error.under("model"));
        let start = given::start_sizes(run.given.as_ref(), &run.prune, layout_at)?;
        let layout = layout_at(&start)?;
        run.prune.fits(&layout).map_err(|error| error.under("prune"))?;
        run.grow.fits(&run.prune).map_err(|error| error.under("grow"))?;
        let examples = run.data.train.len();
        let steps_per_epoch = examples.div_ceil(run.train.batch_size) as u64;
        if steps_per_epoch == 0 {
            return Err(Error::Config(
                "the training split is empty: check data.train_limit and data.validation".into(),
            ));
        }
        let length = RunLength { steps: steps_per_epoch * run.train.epochs, steps_per_epoch };
        let timeline = Timeline::plan(run.schedule.as_mut(), &length).map_err(|error| error.under("schedule"))?;
        if timeline.rewinds() && run.prune.apply == Apply::Shrink {
            let text = "must be \"mask\" with a schedule that rewinds: what is cut out cannot be brought back";
            return Err(Error::from(OptionError::new("apply", "\"shrink\"", text)).under("prune"));
        }
        let watches = run.schedule.watches();
        let told = match run.prune.scope {
            Scope::Table => Some("\"table\""),
            Scope::Counts => Some("\"counts\""),
            Scope::Global | Scope::Layer | Scope::Erk => None,
        };
        if let Some(scope) = told.filter(|_| watches) {
            let text = "must be \"global\", \"layer\" or \"erk\" with a schedule that goes by what is measured: \
                        tables and counts say how much goes, whatever that is";
            return Err(Error::from(OptionError::new("scope", scope, text)).under("prune"));
        }
        let forecast = pruning::forecast(&run.prune, (&run.grow, &length), &layout, timeline.positions(), watches);
        let forecast = forecast.map_err(|error| error.under("prune"))?;
        let mut setting = Self {
            name: run.name,
            device: run.device,
            seeds: run.seeds,
            data: run.data,
            model: run.model,
            compressor: run.compressor,
            prune: run.prune,
            grow: run.grow,
            train: run.train,
            given: run.given,
            make_criterion: run.make_criterion,
            input,
            length,
            timeline,
            forecast,
            latency: None,
            layout: layout.clone(),
            prices: Prices::default(),
        };
        setting.check_sparse()?;
        setting.check_precision()?;
        setting.check_bits()?;
        if setting.prune.has_latency() && setting.timeline.count() > 0 {
            setting.latency = Some(setting.latency_table(saved)?);
        }
        if setting.prune.has_cost() && (setting.latency.is_some() || !setting.prune.has_latency()) {
            let cost = |kept: &[usize]| setting.cost(kept);
            pruning::affordable(&setting.prune, &layout, setting.timeline.positions(), &cost)
                .map_err(|error| error.under("prune"))?;
        }
        Ok((setting, layout, run.criterion, run.schedule))
    }

    /// What observers are told first of a run in this state.
    pub fn begins(&self, live: &Live<B>) -> Result<Event> {
        let groups = &live.params.layout().groups;
        Ok(Event::Start {
            step: live.next.0,
            log: LOG,
            name: self.name.clone(),
            steps: self.length.steps,
            steps_per_epoch: self.length.steps_per_epoch,
            examples: self.data.train.len(),
            params: measure::count_params(&live.params).1,
            input: self.data.shape.clone(),
            layers: groups.iter().map(|g| GroupSize { name: g.name.clone(), units: g.dense_units }).collect(),
            prunable: pruning::counts(&self.prune, &live.params)?,
            first: live.unmeasured.then_some(EvalAt::Epoch),
        })
    }

    /// What is measured: the network without its parameters.
    pub fn task(&self) -> Task<'_, B> {
        Task { model: self.model.as_ref(), compressor: self.compressor.as_ref(), loss: self.train.loss }
    }

    /// Whether the network is measured before and after every pruning step.
    pub fn measures_prunes(&self) -> bool {
        self.timeline.count() <= self.train.eval_prunes
    }

    /// The training batches of a step's epoch, from that step on.
    pub fn batches_from(&self, step: Step) -> Batches<'a> {
        let (epoch, seed) = (self.length.epoch(step), self.seeds.order.derive("shuffle", &[]).0);
        let mut batches =
            self.data.batches(SplitName::Train, at_least_one(self.train.batch_size), Order::Shuffled { seed, epoch });
        batches.skip((step.0 % self.length.steps_per_epoch) as usize);
        batches
    }
}

pub(super) fn at_least_one(n: usize) -> NonZeroUsize {
    NonZeroUsize::new(n).unwrap_or(NonZeroUsize::MIN)
}
