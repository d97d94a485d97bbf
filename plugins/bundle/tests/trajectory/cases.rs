//! The runs of `cases.toml`.

use crate::images::images;
use secateur::backend::Cpu;
use secateur::data::Dataset;
use secateur::error::Result;
use secateur::network::model::Model;
use secateur::network::params::{Masking, ParamStore};
use secateur::options::{OptionSet, Table, parse};
use secateur::plugins::conformance::Log;
use secateur::plugins::registry::{PluginSpec, Registry};
use secateur::prelude::*;
use secateur::pruning::PruneConfig;
use secateur::training::event::Event;
use secateur::training::{Run, TrainConfig};
use std::collections::BTreeMap;

/// Steps of every run.
pub const STEPS: u64 = 50;
/// All randomness of every run comes from it.
pub const SEED: Seed = Seed(1);

/// One run, as `cases.toml` describes it.
pub struct Case {
    pub name: String,
    table: Table,
    pub data: Dataset,
}

/// Sum and norm of every parameter and running statistic.
pub type Checksums = BTreeMap<String, [f64; 2]>;

/// What a run comes to.
#[derive(Debug, Clone, PartialEq)]
pub struct Trajectory {
    /// The loss of every step, then that of the test images after the last one.
    pub losses: Vec<f64>,
    /// The network at the end.
    pub weights: Checksums,
    /// The weights that masks keep at the end, by parameter.
    pub kept: BTreeMap<String, Vec<usize>>,
}

/// All of them.
pub fn cases() -> Vec<Case> {
    let all: Table = include_str!("cases.toml").parse().unwrap();
    all.into_iter()
        .map(|(name, table)| {
            let table = table.as_table().unwrap().clone();
            let data = images(table.get("data").map_or("grey", |kind| kind.as_str().unwrap()));
            Case { name, table, data }
        })
        .collect()
}

impl Case {
    /// A section, read as the configs of a run are.
    fn section<T: OptionSet>(&self, key: &str) -> T {
        let table = self.table.get(key).map_or_else(Table::new, |section| section.as_table().unwrap().clone());
        parse(&table).unwrap_or_else(|errors| panic!("{}: {errors:?}", self.name))
    }

    fn plugin(&self, key: &str, default: &str) -> PluginSpec {
        self.table.get(key).map_or_else(|| PluginSpec::named(default), |p| PluginSpec(p.as_table().unwrap().clone()))
    }

    fn train(&self) -> TrainConfig {
        let (epochs, batch_size, eval_prunes) = (STEPS, 200, 0);
        TrainConfig { epochs, batch_size, eval_every: STEPS, eval_prunes, ..self.section("train") }
    }

    fn model(&self, registry: &Registry) -> Result<Box<dyn Model<Cpu>>> {
        let spec = self.plugin("model", "mlp");
        registry.model(spec.name()?, &spec.options())
    }

    fn schedule(&self, registry: &Registry) -> Result<Box<dyn Schedule>> {
        let spec = self.plugin("schedule", "never");
        registry.schedule(spec.name()?, &spec.options())
    }

    /// The weights that the run starts from.
    pub fn initial(&self, registry: &Registry) -> Result<ParamStore<Cpu>> {
        let classes = self.train().loss.outputs(self.data.classes());
        let input = InputSpec { shape: self.data.shape.clone(), classes };
        let layout = self.model(registry)?.layout(&input, &Sizes::default())?;
        ParamStore::new(&Cpu::default(), layout, SEED, Masking::Held)
    }

    pub fn run(&self, registry: &Registry) -> Result<Trajectory> {
        let [criterion, compressor] =
            [("criterion", "magnitude"), ("compressor", "none")].map(|(key, default)| self.plugin(key, default));
        let run = Run {
            name: self.name.clone(),
            device: Cpu::default(),
            seeds: SEED.into(),
            data: &self.data,
            model: self.model(registry)?,
            criterion: registry.criterion(criterion.name()?, &criterion.options())?,
            schedule: self.schedule(registry)?,
            compressor: registry.compressor(compressor.name()?, &compressor.options())?,
            prune: self.section::<PruneConfig>("prune"),
            grow: self.section("grow"),
            train: self.train(),
            given: None,
            make_criterion: &|name, options| registry.criterion(name, options),
        };
        let mut log = Log::default();
        let outcome = run.execute(&mut log)?;
        let losses = log.0.iter().filter_map(|e| if let Event::Step { loss, .. } = e { Some(*loss) } else { None });
        let losses = losses.chain([outcome.summary.test_loss]).collect();
        let masks = outcome.params.iter().filter_map(|p| Some((p.spec().name.clone(), p.mask()?.keep())));
        let kept = masks.map(|(name, keep)| (name, (0..keep.len()).filter(|&i| keep[i]).collect())).collect();
        Ok(Trajectory { losses, weights: checksums(&outcome.params)?, kept })
    }
}

/// Sum and norm of every parameter, as the forward pass sees it.
pub fn checksums(params: &ParamStore<Cpu>) -> Result<Checksums> {
    let checksum = |p: &secateur::network::params::Param<Cpu>| {
        let values = p.effective()?.to_vec();
        let sum = |f: fn(f64) -> f64| values.iter().map(|v| f(f64::from(*v))).sum::<f64>();
        Ok((p.spec().name.clone(), [sum(|v| v), sum(|v| v * v).sqrt()]))
    };
    params.iter().map(checksum).collect()
}
