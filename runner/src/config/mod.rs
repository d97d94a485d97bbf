//! Layered configs: what a run is told, from where, and whether it makes sense.
//!
//! Weakest to strongest: the defaults of plugins and program, `base`, each config after what it `extends`, groups that the
//! command line chooses (`criterion=taylor`), `SECATEUR_*` variables, flags, `--set` and `train.lr=0.1`. Within a layer the order does not matter; across layers the stronger value wins, lists
//! whole, tables key by key. Choosing another plugin drops the weaker layers' options for the old one
//! (see [`layers`]).

mod described;
mod error;
#[cfg(test)]
pub mod fixture;
pub mod fork;
mod identity;
pub mod key;
mod layers;
mod libraries;
mod run_config;
pub mod schema;
mod scripts;
mod set_by;
mod show;
mod validate;

use std::collections::BTreeMap;
use std::path::PathBuf;

use toml::{Table, Value};

pub use described::Described;
pub use error::{ConfigError, ConfigErrors, nearest};
pub use fork::{At, ForkConfig};
pub use identity::{Content, earlier_identity, identity_of};
use layers::Merged;
pub use layers::{Layer, Member, Stack, choices, groups};
pub use libraries::PluginFile;
pub use run_config::{DataChoice, OutputConfig, PluginChoice, RunConfig, SEEDS, SeedsConfig, TopConfig};
pub use schema::Schema;
pub use scripts::any as names_script;
pub use set_by::SetBy;
pub use show::Row;

/// What the command line and the environment ask for.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The configs by path or name, weakest first.
    pub configs: Vec<String>,
    /// Words of the command line: configs, after those above; `criterion=taylor`, `train.lr=0.1`, `~train.clip_norm`.
    pub words: Vec<String>,
    /// Whether many runs are asked for, so that `train.lr=0.1,0.01` is an axis of theirs.
    pub many: bool,
    /// Flags that stand for one key each, such as `--device`.
    pub flags: Vec<Flag>,
    /// The `--set` arguments.
    pub sets: Vec<String>,
    /// The `--plugin` arguments: libraries, or folders of them.
    pub plugins: Vec<PathBuf>,
    /// The environment variables.
    pub variables: Vec<(String, String)>,
    /// The working directory.
    pub root: PathBuf,
}

/// A command line flag that stands for a key: `--out` for `output.dir`.
#[derive(Clone, Debug)]
pub struct Flag {
    /// The flag as it is typed, with its dashes.
    pub name: &'static str,
    /// The key that it stands for, dotted.
    pub key: &'static str,
    /// The value that it sets the key to.
    pub value: Value,
}

/// A complete, checked config.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// What the run is told, typed.
    pub run: RunConfig,
    /// Every value, as it is written to `config.toml`.
    table: Table,
    /// Who set each leaf, by dotted key.
    origins: BTreeMap<String, SetBy>,
    /// What identifies the run, see [`identity::covered`].
    covered: Table,
    /// What it reads from files, where that has been read.
    content: Content,
}

/// Merges all layers, fills in defaults, and checks the result.
///
/// # Errors
/// Everything that is wrong, at once: first what cannot be found or read; if there is nothing of that, then unknown
/// keys and plugins, wrong types and values out of range.
pub fn resolve(request: &Request, schema: &dyn Schema) -> Result<Resolved, ConfigErrors> {
    let mut stack = Stack::load(request)?;
    match stack.take_section("sweep") {
        Some((_, origins)) => Err(ConfigErrors(vec![ConfigError::ManyRuns { origin: first(origins) }])),
        None => stack.resolve(&[], schema),
    }
}

/// The libraries that the layers name: they must be loaded before the config can be resolved.
///
/// # Errors
/// What cannot be found or read; a `plugins` that is no list of files.
pub fn plugin_files(request: &Request) -> Result<Vec<PluginFile>, ConfigErrors> {
    Stack::load(request)?.libraries(&[])
}

fn first(origins: BTreeMap<String, SetBy>) -> SetBy {
    origins.into_values().next().unwrap_or(SetBy::BuiltIn)
}

impl Resolved {
    fn new(values: Merged, schema: &dyn Schema) -> Result<Self, ConfigErrors> {
        let Merged { table, origins } = values;
        let run = RunConfig::read(&table, &origins)?;
        let covered = identity::covered(&table, schema);
        Ok(Self { run, table, origins, covered, content: Content::default() })
    }

    /// Every value, section by section.
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// The run's name.
    pub fn name(&self) -> &str {
        self.run.top.name.as_deref().unwrap_or("run")
    }

    /// The run's name and the beginning of its identity: `mnist-rank-1f2e3d4c5b6a`.
    pub fn folder_name(&self) -> String {
        format!("{}-{}", self.name(), &self.identity()[..12])
    }

    /// A hash of everything that can change the results and has not its default, and of the content of the files that
    /// are read: runs of the same identity are the same run.
    pub fn identity(&self) -> String {
        self.identity_on(&self.content)
    }

    /// The identity of the same run on files of another content.
    pub fn identity_on(&self, content: &Content) -> String {
        identity::hash(&identity::with_content(&self.covered, content))
    }

    /// The same run, on files of this content.
    pub fn on_content(mut self, content: Content) -> Self {
        self.content = content;
        self
    }

    /// What it reads from files, where that has been read.
    pub fn content(&self) -> &Content {
        &self.content
    }

    /// The keys that make another run of this one than of the config `there`, each with both values.
    pub fn differences(&self, there: &Table, schema: &dyn Schema) -> Vec<String> {
        identity::differences(there, &self.table, schema)
    }

    /// Who set a key, or the first key of a table.
    pub fn set_by(&self, key: &str) -> SetBy {
        set_by::set_by(&self.origins, key)
    }

    /// Who set each leaf, in words, by dotted key.
    pub fn origins(&self) -> BTreeMap<String, String> {
        self.origins.iter().map(|(key, by)| (key.clone(), by.to_string())).collect()
    }

    /// The same run without the libraries that the config names, for one that uses nothing of theirs.
    pub fn without_libraries(mut self) -> Self {
        self.run.top.plugins.clear();
        self.table.remove("plugins");
        self.origins.remove("plugins");
        self.covered.remove("plugins");
        self
    }

    /// The config as TOML, without origins; reading it again gives the same config.
    pub fn to_toml(&self) -> String {
        show::plain(&self.table)
    }

    /// Every value with its origin, sorted by key.
    pub fn rows(&self) -> Vec<Row> {
        show::rows(&self.table, &self.origins)
    }
}

#[cfg(test)]
mod tests;
