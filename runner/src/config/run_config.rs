//! The config as typed values, one field a section. It is made once, after validation; from then on no key is read by
//! its name.

use std::collections::BTreeMap;

use secateur::backend::DeviceName;
use secateur::error::OptionError;
use secateur::options;
use secateur::options::{OptionSet, Table};
use secateur::plugins::registry::Kind;
use secateur::pruning::PruneConfig;
use secateur::training::TrainConfig;
use toml::Value;

use super::error::{ConfigError, ConfigErrors};
use super::set_by::{SetBy, set_by};

options! {
    /// Keys above all sections.
    pub struct TopConfig {
        /// Name of the run and of its folder; the last config's file name where absent.
        pub name: Option<String> = None,
        /// All randomness comes from it: initial weights, splits, shuffling, random criteria.
        pub seed: u64 = 0,
        /// Where to compute.
        pub device: String = "cpu".into(),
        /// Threads to compute with, 0 for all cores; any number gives the same bits.
        pub threads: usize = 0,
        /// Libraries to load: { path = "FILE or folder", sha256 = "..." }, paths relative to the config.
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
    /// Where results go.
    pub struct OutputConfig {
        /// The folder that holds run folders.
        pub dir: String = "runs".into(),
        /// Epochs between two checkpoints, 0 for none but the one that Ctrl-C leaves; where absent, as often as takes
        /// less than 1 % of the time.
        pub checkpoint_every: Option<u64> = None,
        /// Held-out images in each picture of reconstructions or merged tokens, 0 for no pictures.
        pub pictures: usize = 8,
        /// Whether to write an event file for TensorBoard too.
        pub tensorboard: bool = false,
    }

    fn check(&self, checks: &mut Checks) {
        checks.ensure("dir", !self.dir.is_empty(), "must name a folder: \"runs\"");
    }
}

/// Everything that a run is told.
#[derive(Clone, Debug)]
pub struct RunConfig {
    /// The keys above all sections.
    pub top: TopConfig,
    /// What is learned: the data set and all keys of its section.
    pub data: PluginChoice,
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
    /// How the network is trained.
    pub train: TrainConfig,
    /// Where results go.
    pub output: OutputConfig,
}

/// A section whose `name` chooses a plugin.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PluginChoice {
    /// The plugin: `magnitude`.
    pub name: String,
    /// The other keys of the section.
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
            data: reader.plugin(Kind::Data.name()),
            model: reader.plugin(Kind::Model.name()),
            criterion: reader.plugin(Kind::Criterion.name()),
            schedule: reader.plugin(Kind::Schedule.name()),
            compressor: reader.plugin(Kind::Compressor.name()),
            prune: reader.section("prune"),
            train: reader.section("train"),
            output: reader.section("output"),
        };
        if reader.errors.is_empty() { Ok(run) } else { Err(ConfigErrors(reader.errors)) }
    }

    /// The chosen plugin of a kind.
    pub fn plugin(&self, kind: Kind) -> &PluginChoice {
        match kind {
            Kind::Criterion => &self.criterion,
            Kind::Schedule => &self.schedule,
            Kind::Compressor => &self.compressor,
            Kind::Model => &self.model,
            Kind::Data => &self.data,
        }
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

    fn parsed<T: OptionSet>(&mut self, section: &str, values: &Table) -> T {
        options::parse(values).unwrap_or_else(|errors| {
            for OptionError { key, found, allowed, .. } in errors {
                let key = if section.is_empty() { key } else { format!("{section}.{key}") };
                let origin = set_by(self.origins, &key);
                self.errors.push(ConfigError::Value { key, origin, found, allowed });
            }
            T::default()
        })
    }
}
