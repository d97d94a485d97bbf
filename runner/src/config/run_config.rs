//! The config as typed values, one field a section. It is made once, after validation; from then on no key is read by
//! its name.

use std::collections::BTreeMap;

use secateur::backend::DeviceName;
use secateur::data::DataConfig;
use secateur::error::OptionError;
use secateur::network::given::InitConfig;
use secateur::options;
use secateur::options::{OptionSet, PluginSpec, Table};
use secateur::plugins::registry::Kind;
use secateur::pruning::{GrowConfig, PruneConfig};
use secateur::seed::{Seed, Seeds};
use secateur::training::TrainConfig;
use toml::Value;

use super::error::{ConfigError, ConfigErrors};
use super::fork::{FORK, ForkConfig};
use super::set_by::{SetBy, set_by};

options! {
    /// Keys above all sections.
    pub struct TopConfig {
        /// Name of the run and of its folder; the last config's file name where absent.
        #[acts(always)]
        pub name: Option<String> = None,
        /// All randomness comes from it: initial weights, splits, shuffling, random criteria.
        #[acts(always)]
        pub seed: u64 = 0,
        /// Where to compute.
        #[acts(always)]
        pub device: String = "cpu".into(),
        /// Threads to compute with, 0 for all cores; any number gives the same bits.
        #[acts(always)]
        pub threads: usize = 0,
        /// Libraries to load: { path = "FILE or folder", sha256 = "..." }, paths relative to the config.
        #[acts(run, "a plugin of theirs that the config chooses")]
        pub plugins: Vec<Table> = vec![],
    }

    fn check(&self, checks: &mut Checks) {
        if let Err(allowed) = DeviceName::parse(&self.device) {
            checks.ensure("device", false, allowed);
        }
        checks.range("threads", self.threads, 0.0..=1024.0);
    }
}

options! {
    /// What is drawn from another seed than `seed`.
    pub struct SeedsConfig {
        /// Of the weights that a network begins with; `seed` where absent, so for each of these.
        #[acts(always)]
        pub init: Option<u64> = None,
        /// Of what is held out: the validation split, a test split that is drawn, the examples that `data.test_limit` keeps.
        #[acts(run, "a split that is drawn: data.validation, data.test_limit, or a data set that brings no test split")]
        pub split: Option<u64> = None,
        /// Of what changes from step to step: the order of the examples, their random changes, dropout and samples.
        #[acts(always)]
        pub order: Option<u64> = None,
        /// Of what criteria draw: random scores, and the examples that they ask for.
        #[acts("schedule.name", |name| name != "never", "a schedule that prunes")]
        pub pruner: Option<u64> = None,
        /// Of the data: generated examples, the training examples that `data.train_limit` keeps, the noise of `data.noise`.
        #[acts(run, "generated data that has no seed of its own, data.train_limit, or data.noise")]
        pub data: Option<u64> = None,
    }
}

options! {
    /// Where results go.
    pub struct OutputConfig {
        /// The folder that holds run folders.
        #[acts(always)]
        pub dir: String = "runs".into(),
        /// Epochs between two checkpoints, 0 for none but the one that Ctrl-C leaves; where absent, so often that at
        /// most a minute is lost, or fifty times what a checkpoint takes where that is longer.
        #[acts(run, "at most as many epochs as the run has")]
        pub checkpoint_every: Option<u64> = None,
        /// Checkpoints that are kept while the run is not finished, the newest ones; from 2 on each has a name of its
        /// own too, with the number of its steps: `checkpoint/steps-000000000340.safetensors`.
        #[acts(|o| o.checkpoint_every != Some(0), "checkpoint_every other than 0")]
        pub keep: usize = 1,
        /// Whether the network of the best evaluation on the validation split is kept too, as `best.safetensors`: of
        /// the highest accuracy, or of the lowest loss where there is none.
        #[acts(run, "a validation split")]
        pub best: bool = false,
        /// Held-out images in each picture of reconstructions or merged tokens, 0 for no pictures; those of the mask of
        /// the first layer are among them.
        #[acts(run, "images, and a network that reconstructs them or merges their tokens")]
        pub pictures: usize = 8,
        /// Whether to record how many pruning steps each weight survived, which `secateur fit` learns from.
        #[acts("prune.apply", |apply| apply == "mask", "prune.apply = \"mask\"")]
        #[acts("schedule.name", |name| name != "never", "a schedule that prunes")]
        pub survival: bool = false,
        /// Whether to write an event file for TensorBoard too, which grows with the run.
        #[acts(always)]
        pub tensorboard: bool = false,
    }

    fn check(&self, checks: &mut Checks) {
        checks.ensure("dir", !self.dir.is_empty(), "must name a folder: \"runs\"");
        checks.range("keep", self.keep, 1.0..);
    }
}

/// The section of seeds that are not the run's.
pub const SEEDS: &str = "seeds";

/// Everything that a run is told.
#[derive(Clone, Debug)]
pub struct RunConfig {
    /// The keys above all sections.
    pub top: TopConfig,
    /// What is drawn from another seed.
    pub seeds: SeedsConfig,
    /// What is learned.
    pub data: DataChoice,
    /// The network.
    pub model: PluginChoice,
    /// What decides which weights or units are pruned first.
    pub criterion: PluginChoice,
    /// When the network is pruned, and how much.
    pub schedule: PluginChoice,
    /// What makes fewer tokens in front of the network.
    pub compressor: PluginChoice,
    /// How scores become a pruned network.
    pub prune: PruneConfig,
    /// How weights grow in the place of others.
    pub grow: GrowConfig,
    /// Weights that the network begins with.
    pub init: InitConfig,
    /// How the network is trained.
    pub train: TrainConfig,
    /// Where results go.
    pub output: OutputConfig,
    /// Where it leaves another run, if it does.
    pub fork: ForkConfig,
}

/// A section whose `name` chooses a plugin.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PluginChoice {
    /// The plugin: `magnitude`.
    pub name: String,
    /// The other keys of the section.
    pub options: Table,
}

/// A data set, and what is drawn from it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DataChoice {
    /// The data set: `mnist`.
    pub name: String,
    /// The keys that all data sets share.
    pub common: DataConfig,
    /// The data set's own options, from the table of its name; those of other sets may stand beside it.
    pub options: Table,
}

impl RunConfig {
    /// Reads a complete config.
    ///
    /// # Errors
    /// Every value that has not the type of its key. Validation has refused those before, so that an error here means
    /// that the two do not agree.
    pub fn read(table: &Table, origins: &BTreeMap<String, SetBy>) -> Result<Self, ConfigErrors> {
        let mut reader = Reader { table, origins, errors: Vec::new() };
        let run = Self {
            top: reader.top(),
            seeds: reader.section(SEEDS),
            data: reader.data(),
            model: reader.plugin(Kind::Model.name()),
            criterion: reader.plugin(Kind::Criterion.name()),
            schedule: reader.plugin(Kind::Schedule.name()),
            compressor: reader.plugin(Kind::Compressor.name()),
            prune: reader.section("prune"),
            grow: reader.section("grow"),
            init: reader.section("init"),
            train: reader.section("train"),
            output: reader.section("output"),
            fork: reader.section(FORK),
        };
        if reader.errors.is_empty() { Ok(run) } else { Err(ConfigErrors(reader.errors)) }
    }

    /// The seed of each thing that is drawn.
    pub fn seeds(&self) -> Seeds {
        let run = Seed(self.top.seed);
        let of = |own: Option<u64>| own.map_or(run, Seed);
        let SeedsConfig { init, split, order, pruner, data } = self.seeds;
        Seeds { run, init: of(init), split: of(split), order: of(order), pruner: of(pruner), data: of(data) }
    }

    /// The criteria by which weights grow, where any do, with the keys that choose them.
    pub fn growing(&self) -> Vec<(&'static str, PluginChoice)> {
        let all = [("grow.criterion", Some(&self.grow.criterion)), ("grow.start", self.grow.start.as_ref())];
        let on = all.into_iter().filter(|_| self.grow.is_on());
        let choice = |spec: &PluginSpec| {
            let name = spec.name().map(str::to_owned).unwrap_or_default();
            PluginChoice { name, options: spec.options() }
        };
        on.filter_map(|(key, spec)| Some((key, choice(spec?)))).collect()
    }

    /// The sections that make the network, as they stand in a config: `model`, and where one takes part `compressor`.
    pub fn network(&self) -> Table {
        let mut sections = Table::from_iter([("model".to_owned(), Value::Table(self.model.section()))]);
        if self.compressor.name != "none" {
            sections.insert("compressor".to_owned(), Value::Table(self.compressor.section()));
        }
        sections
    }

    /// The name of the chosen plugin of a kind.
    pub fn plugin(&self, kind: Kind) -> &str {
        match kind {
            Kind::Criterion => &self.criterion.name,
            Kind::Schedule => &self.schedule.name,
            Kind::Compressor => &self.compressor.name,
            Kind::Model => &self.model.name,
            Kind::Data => &self.data.name,
        }
    }
}

impl DataChoice {
    /// Reads a `[data]` section.
    ///
    /// # Errors
    /// Every value of the keys that all data sets share that is not allowed; keys are relative to the section.
    pub fn read(section: &Table) -> Result<Self, Vec<OptionError>> {
        let name = section.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
        let shared = |key: &String| DataConfig::FIELDS.iter().any(|(field, ..)| field == key);
        let common = section.iter().filter(|(key, _)| shared(key)).map(|(key, value)| (key.clone(), value.clone()));
        let common = options::parse(&common.collect())?;
        let options = section.get(&name).and_then(Value::as_table).cloned().unwrap_or_default();
        Ok(Self { name, common, options })
    }
}

impl PluginChoice {
    /// The section as it stands in a config.
    pub fn section(&self) -> Table {
        let mut section = self.options.clone();
        section.insert("name".to_owned(), self.name.as_str().into());
        section
    }
}

struct Reader<'a> {
    table: &'a Table,
    origins: &'a BTreeMap<String, SetBy>,
    errors: Vec<ConfigError>,
}

impl Reader<'_> {
    fn top(&mut self) -> TopConfig {
        let own = self.table.iter().filter(|(_, value)| !value.is_table());
        let own = own.map(|(key, value)| (key.clone(), value.clone())).collect();
        self.parsed("", &own)
    }

    fn section<T: OptionSet>(&mut self, name: &str) -> T {
        let section = self.inner(name);
        self.parsed(name, &section)
    }

    fn plugin(&mut self, section: &str) -> PluginChoice {
        let mut options = self.inner(section);
        let name = options.remove("name").and_then(|name| name.as_str().map(str::to_owned));
        PluginChoice { name: name.unwrap_or_default(), options }
    }

    fn inner(&self, section: &str) -> Table {
        self.table.get(section).and_then(Value::as_table).cloned().unwrap_or_default()
    }

    fn data(&mut self) -> DataChoice {
        let read = DataChoice::read(&self.inner(Kind::Data.name()));
        read.unwrap_or_else(|errors| self.refuse(Kind::Data.name(), errors))
    }

    fn parsed<T: OptionSet>(&mut self, section: &str, values: &Table) -> T {
        options::parse(values).unwrap_or_else(|errors| self.refuse(section, errors))
    }

    /// Keeps the errors of a section, which is then read as if it were empty.
    fn refuse<T: Default>(&mut self, section: &str, errors: Vec<OptionError>) -> T {
        for error in errors {
            let OptionError { key, found, allowed } = if section.is_empty() { error } else { error.under(section) };
            let origin = set_by(self.origins, &key);
            self.errors.push(ConfigError::Value { key, origin, found, allowed });
        }
        T::default()
    }
}
