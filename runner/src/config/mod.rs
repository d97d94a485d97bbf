//! Layered configs: what a run is told, from where, and whether it makes sense.
//!
//! Weakest to strongest: the defaults of plugins and program, `base`, each config after what it `extends`, `SECATEUR_*`
//! variables, flags and `--set`. Within a layer the order does not matter; across layers the stronger value wins, lists
//! whole, tables key by key. Choosing another plugin drops the weaker layers' options for the old one
//! (see [`switch::drop_switched_options`]).

mod assign;
pub mod catalog;
mod error;
mod files;
#[cfg(test)]
pub mod fixture;
mod hash;
pub mod key;
mod layer;
mod origin;
mod plugins;
mod show;
mod stack;
mod switch;
mod validate;

use std::collections::BTreeMap;
use std::path::PathBuf;

use figment::Figment;
use figment::value::{Dict, Value as Merged};
use toml::{Table, Value};

use catalog::Catalog;
pub use error::{ConfigError, ConfigErrors, nearest};
pub use layer::Layer;
use layer::Placed;
pub use origin::Origin;
pub use plugins::PluginFile;
pub use show::Row;
pub use stack::Stack;

/// What the command line and the environment ask for.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// Paths or names, weakest first.
    pub configs: Vec<String>,
    /// Flags that stand for one key each, such as `--device`.
    pub flags: Vec<Flag>,
    /// `--set` arguments.
    pub sets: Vec<String>,
    /// `--plugin` arguments: libraries, or folders of them.
    pub plugins: Vec<PathBuf>,
    /// The environment.
    pub variables: Vec<(String, String)>,
    /// The working directory.
    pub root: PathBuf,
}

/// A command line flag that stands for a key: `--out` for `output.dir`.
#[derive(Clone, Debug)]
pub struct Flag {
    /// With its dashes.
    pub name: &'static str,
    /// Dotted.
    pub key: &'static str,
    /// What it sets the key to.
    pub value: Value,
}

/// A complete, checked config.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// Every value of the run.
    pub table: Table,
    /// Where each leaf was set, by dotted key.
    pub origins: BTreeMap<String, Origin>,
}

/// Merges all layers, fills in defaults, and checks the result.
///
/// # Errors
/// Everything that is wrong, at once: first what cannot be found or read; if there is nothing of that, then unknown
/// keys and plugins, wrong types and values out of range.
pub fn resolve(request: &Request, catalog: &dyn Catalog) -> Result<Resolved, ConfigErrors> {
    let mut stack = Stack::load(request)?;
    match stack.take_section("sweep") {
        Some((_, origins)) => Err(ConfigErrors(vec![ConfigError::ManyRuns { origin: first(origins) }])),
        None => stack.resolve(&[], catalog),
    }
}

/// The libraries that the layers name: they must be loaded before the config can be resolved.
///
/// # Errors
/// What cannot be found or read; a `plugins` that is no list of files.
pub fn plugin_files(request: &Request) -> Result<Vec<PluginFile>, ConfigErrors> {
    Stack::load(request)?.libraries(&[])
}

fn first(origins: BTreeMap<String, Origin>) -> Origin {
    origins.into_values().next().unwrap_or(Origin::BuiltIn)
}

impl Resolved {
    /// The run's name.
    pub fn name(&self) -> &str {
        self.table.get("name").and_then(Value::as_str).unwrap_or("run")
    }

    /// The run's name and the hash of what can change its results: `mnist-rank-1f2e3d4c5b6a`.
    pub fn folder_name(&self) -> String {
        format!("{}-{}", self.name(), &self.identity()[..12])
    }

    /// A hash of everything that can change the results: runs of the same identity are the same run.
    pub fn identity(&self) -> String {
        hash::of(&self.table)
    }

    /// The keys that make another run of this one than of `other`, each with both values.
    pub fn differences(&self, other: &Table) -> Vec<String> {
        hash::differences(other, &self.table)
    }

    /// The config as TOML, without origins; reading it again gives the same config.
    pub fn to_toml(&self) -> String {
        show::plain(&self.table)
    }

    /// The config as TOML, each value followed by its origin as a comment.
    pub fn to_annotated_toml(&self) -> String {
        show::annotated(&self.table, &self.origins)
    }

    /// Every value with its origin, sorted by key.
    pub fn rows(&self) -> Vec<Row> {
        show::rows(&self.table, &self.origins)
    }

    /// The config as JSON: `{"config": {...}, "origins": {"train.lr": "--set", ...}, "folder": "..."}`.
    pub fn to_json(&self) -> serde_json::Value {
        let origins: BTreeMap<&String, String> = self.origins.iter().map(|(key, by)| (key, by.to_string())).collect();
        serde_json::json!({ "config": self.table, "origins": origins, "folder": self.folder_name() })
    }
}

fn merge(layers: &[Layer]) -> Resolved {
    let merged =
        layers.iter().enumerate().fold(Figment::new(), |figment, (place, layer)| figment.merge(Placed(place, layer)));
    let values: Dict = merged.extract().expect("a table of plain values is a dictionary");
    let mut resolved = Resolved { table: Table::new(), origins: BTreeMap::new() };
    let by_tag = |value: &Merged| -> Option<usize> { merged.get_metadata(value.tag())?.name.parse().ok() };
    collect(&values, &mut Vec::new(), &mut resolved.table, &mut |path, value| {
        let key = key::dotted(path);
        let origin = by_tag(value).and_then(|place| layers[place].origins.get(&key).cloned());
        resolved.origins.insert(key, origin.unwrap_or(Origin::BuiltIn));
    });
    resolved
}

/// Copies a merged dictionary to a table and visits its leaves.
fn collect<'a>(dict: &'a Dict, path: &mut Vec<&'a str>, table: &mut Table, leaf: &mut dyn FnMut(&[&str], &Merged)) {
    for (name, value) in dict {
        path.push(name);
        let copied = match value {
            Merged::Dict(_, inner) if !inner.is_empty() => {
                let mut copy = Table::new();
                collect(inner, path, &mut copy, leaf);
                Value::Table(copy)
            }
            other => {
                leaf(path, other);
                other.deserialize().expect("every TOML value survives the merge")
            }
        };
        table.insert(name.clone(), copied);
        path.pop();
    }
}

/// Longest name of a run, in bytes.
const MAX_NAME: usize = 100;

/// The name becomes part of a folder's name.
fn check_name(resolved: &Resolved) -> Option<ConfigError> {
    let value = resolved.table.get("name")?;
    let safe = |name: &str| {
        name.starts_with(|c: char| c.is_ascii_alphanumeric())
            && name.len() <= MAX_NAME
            && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
    };
    match value.as_str() {
        Some(name) if safe(name) => None,
        _ => Some(ConfigError::Value {
            key: "name".to_owned(),
            origin: resolved.origins.get("name").cloned().unwrap_or(Origin::BuiltIn),
            found: value.to_string(),
            allowed: "text of letters, digits, `-`, `_` and `.`, starting with a letter or digit, at most 100"
                .to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests;
