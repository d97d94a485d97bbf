//! One case: a network, a criterion, and what it scores and keeps.

use secateur::backend::Cpu;
use secateur::data::{DataConfig, Dataset, Examples, Normalize, Pool};
use secateur::network::init::Init;
use secateur::network::params::{Param, ParamStore};
use secateur::options::{Table, parse};
use secateur::plugins::conformance::{Log, Trial};
use secateur::plugins::registry::{PluginSpec, Registry};
use secateur::prelude::*;
use secateur::pruning::{Granularity, PruneConfig};
use secateur::state::State;
use secateur::training::TrainConfig;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// Examples of the one batch that everything is scored on.
pub const EXAMPLES: usize = 24;

/// What a criterion scores in one network, and how much of it goes.
pub struct Case {
    pub name: String,
    table: Table,
}

/// Numbers by parameter or unit group.
type Lists<T> = BTreeMap<String, Vec<T>>;

/// What a case comes to.
pub struct Found {
    /// The scores as the criterion gave them, by parameter (by group where it scores units), in the last round.
    pub scores: Lists<f32>,
    /// Indices that are kept, by parameter or unit group.
    pub kept: Lists<usize>,
    /// Every parameter at the end of the run, zero where it is masked.
    pub params: Lists<f32>,
}

pub fn cases(listed: &str) -> Vec<Case> {
    let all: Table = listed.parse().unwrap();
    all.into_iter().map(|(name, table)| Case { name, table: table.as_table().unwrap().clone() }).collect()
}

/// The networks, by name.
pub fn networks() -> BTreeMap<String, PluginSpec> {
    let all: Table = include_str!("networks.toml").parse().unwrap();
    all.into_iter().map(|(name, options)| (name, PluginSpec(options.as_table().unwrap().clone()))).collect()
}

/// Inputs in (-1, 1) without a pattern, and their classes in turn: one batch.
pub fn data() -> Dataset {
    let number = |i: usize| ((i * 7919 + 104_729) % 10_007) as f32 / 5003.5 - 1.0;
    let pool = || {
        let values = (0..EXAMPLES * 64).map(number).collect();
        Pool::floats(values, (0..EXAMPLES as u32).map(|i| i % 4).collect())
    };
    let set = Examples::in_memory("numbers", &[1, 8, 8], &["a", "b", "c", "d"], pool(), pool()).unwrap();
    set.dataset(&DataConfig { normalize: Normalize::None, ..DataConfig::default() }, 0).unwrap()
}

/// A network in which biases, scales and shifts are drawn too: at zero and one they would hide what becomes of them.
pub struct Drawn(pub Box<dyn Model<Cpu>>);

impl Model<Cpu> for Drawn {
    fn layout(&self, input: &InputSpec, sizes: &Sizes) -> Result<Layout> {
        let mut layout = self.0.layout(input, sizes)?;
        let plain = |init| matches!(init, Init::Zeros | Init::Ones);
        for spec in layout.params.iter_mut().filter(|spec| !spec.buffer && plain(spec.init)) {
            spec.init = Init::TruncatedNormal { std: 0.5 };
        }
        Ok(layout)
    }
    fn forward(&self, cx: &mut Forward<'_, Cpu>, batch: &Batch<Cpu>) -> Result<Output<Cpu>> {
        self.0.forward(cx, batch)
    }
}

/// A criterion whose answers are written down.
struct Recorded {
    inner: Box<dyn Criterion<Cpu>>,
    scores: Arc<Mutex<Lists<f32>>>,
}

impl Criterion<Cpu> for Recorded {
    fn needs(&self) -> Needs {
        self.inner.needs()
    }
    fn window(&self) -> Window {
        self.inner.window()
    }
    fn reduce(&self) -> Reduce {
        self.inner.reduce()
    }
    fn normalizer(&self) -> Option<Normalizer> {
        self.inner.normalizer()
    }
    fn setup(&mut self, run: &Setup<'_, Cpu>) -> Result<()> {
        self.inner.setup(run)
    }
    fn observe(&mut self, seen: &Observation<'_, Cpu>) -> Result<()> {
        self.inner.observe(seen)
    }
    fn prepare(&mut self, probe: &mut dyn Probe<Cpu>) -> Result<()> {
        self.inner.prepare(probe)
    }
    fn score(&mut self, target: &Target<'_, Cpu>) -> Result<Scores<Cpu>> {
        let scores = self.inner.score(target)?;
        let (name, values) = match (&scores, target.group()) {
            (Scores::Units(units), Some(group)) => (group.name.clone(), units.clone()),
            (Scores::Weights(scores), _) => (target.name().to_owned(), scores.to_vec()),
            _ => return Ok(scores),
        };
        self.scores.lock().unwrap().insert(name, values);
        Ok(scores)
    }
    fn penalty(&mut self, name: &str, weight: &Tensor<Cpu>) -> Result<Option<(f64, Tensor<Cpu>)>> {
        self.inner.penalty(name, weight)
    }
    fn refit(&mut self, plan: &Refit<'_, Cpu>) -> Result<Vec<(String, Tensor<Cpu>)>> {
        self.inner.refit(plan)
    }
    fn cut(&mut self, cut: &Cut<'_>) -> Result<()> {
        self.inner.cut(cut)
    }
    fn reset(&mut self) -> Result<()> {
        self.inner.reset()
    }
    fn save(&self) -> Result<State> {
        self.inner.save()
    }
    fn load(&mut self, state: State, device: &Cpu) -> Result<()> {
        self.inner.load(state, device)
    }
}

/// Prunes once: before the first update, or after so many.
pub struct Once {
    pub steps: u64,
    pub sparsity: f64,
}

impl Schedule for Once {
    fn at_start(&self, _: &RunLength) -> Result<Option<Amount>> {
        Ok((self.steps == 0).then_some(Amount::Sparsity(self.sparsity)))
    }
    fn target(&self, step: Step, _: &RunLength) -> Result<Option<Amount>> {
        Ok((step.0 + 1 == self.steps).then_some(Amount::Sparsity(self.sparsity)))
    }
}

impl Case {
    fn section<T: secateur::options::OptionSet>(&self, key: &str) -> T {
        let table = self.table.get(key).map_or_else(Table::new, |section| section.as_table().unwrap().clone());
        parse(&table).unwrap_or_else(|errors| panic!("{}: {errors:?}", self.name))
    }

    /// Runs it: `steps` updates (none where absent) of one batch each under `[train]`, then one pruning step.
    pub fn run(&self, registry: &Registry) -> Result<Found> {
        let network = &networks()[self.table["network"].as_str().unwrap()];
        let criterion = PluginSpec(self.table["criterion"].as_table().unwrap().clone());
        let steps = self.table.get("steps").map_or(0, |steps| steps.as_integer().unwrap() as u64);
        let train = TrainConfig { epochs: steps.max(1), batch_size: EXAMPLES, eval_prunes: 0, ..self.section("train") };
        let prune: PruneConfig = self.section("prune");
        let trial = Trial { prune: prune.clone(), train, ..Trial::default() };
        let scores = Arc::new(Mutex::new(Lists::new()));
        let outcome = trial.with(registry, Cpu::default(), &data(), |mut run| {
            run.model = Box::new(Drawn(registry.model(network.name()?, &network.options())?));
            let inner = registry.criterion(criterion.name()?, &criterion.options())?;
            run.criterion = Box::new(Recorded { inner, scores: scores.clone() });
            run.schedule = Box::new(Once { steps, sparsity: self.table["sparsity"].as_float().unwrap() });
            run.execute(&mut Log::default())
        })?;
        let scores = scores.lock().unwrap().clone();
        let values = |p: &Param<Cpu>| Ok((p.spec().name.clone(), p.effective()?.to_vec()));
        let params = outcome.params.iter().map(values).collect::<Result<_>>()?;
        Ok(Found { scores, kept: kept(&prune, &outcome.params), params })
    }
}

fn kept(prune: &PruneConfig, params: &ParamStore<Cpu>) -> Lists<usize> {
    let of = |name: &String| {
        let keep = match prune.granularity {
            Granularity::Unit => params.alive(name).map(<[bool]>::to_vec),
            _ => params.get(name).unwrap().mask().map(|mask| mask.keep().to_vec()),
        };
        keep.unwrap_or_default().iter().enumerate().filter(|(_, keep)| **keep).map(|(i, _)| i).collect()
    };
    prune.names(params.layout()).into_iter().map(|name| (name.clone(), of(&name))).collect()
}
