//! Joins the command line to the framework: the plugins, the data sets, and the training of a run.

mod bits;
mod catalog;
mod check;
mod compress;
mod data;
mod data_cache;
mod device;
mod fit;
mod fork;
mod given;
mod networks;
mod notes;
mod sections;
mod train;

pub use bits::BitsOf;
pub use check::Checked;
pub use compress::{Compression, Sizes, Test};
pub use fork::Left;
pub use networks::{
    Example, Exportable, Found, Milliseconds, OfFile, Said, SaidOf, SavedMask, Separable, Timed, Which,
};
pub use notes::{Note, told as notes_told};
pub use train::{Checkpoint, Trained};

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use secateur::network::given::Weights;
use secateur::options::Table;
use secateur::plugins::registry::{Item, Kind, Registry};
use secateur::seed::Seeds;
use serde::Serialize;

use crate::config::{DataChoice, PluginFile, Resolved, RunConfig};
use crate::failure::Failure;
use data_cache::{DataCache, Slot};

/// A data set that can be named in `data.name`.
#[derive(Clone, Debug)]
pub struct DataSet {
    /// The name: `mnist`.
    pub name: String,
    /// What the data is, in one sentence.
    pub doc: String,
    /// How to get it; empty for one that is generated.
    pub how_to_get: String,
}

/// A plugin that took part in a run, for `provenance.toml`.
#[derive(Clone, Debug, Serialize)]
pub struct PluginInUse {
    /// The kind: `criterion`, `model`.
    pub kind: String,
    /// The name: `magnitude`.
    pub name: String,
    /// The crate or file it comes from, with its version.
    pub origin: String,
    /// Whether it is part of the program, not of a library that a config names.
    #[serde(skip)]
    pub linked: bool,
}

/// The plugins at hand, and the data sets and given weights in use.
pub struct Workbench {
    registry: Registry,
    data: DataCache,
    /// By their files.
    weights: Mutex<HashMap<PathBuf, Slot<Weights>>>,
}

impl Workbench {
    /// Collects the plugins: those linked in, and those of these libraries.
    ///
    /// # Errors
    /// A library that cannot be loaded; two plugins that share a kind and a name.
    pub fn new(libraries: &[PluginFile]) -> Result<Self, Failure> {
        let mut registry = secateur_bundle::registry()?;
        for file in libraries {
            registry.load(&file.path, file.sha256.as_deref()).map_err(|error| Failure::Usage(error.to_string()))?;
            if let Some(path) = anybody_writes(&file.path) {
                let (file, fix) = (file.path.display(), format!("chmod o-w {}", path.display()));
                tracing::warn!("{file}: anybody may write to this library, and it runs as you\n  fix: {fix}");
            }
        }
        Ok(Self { registry, data: DataCache::default(), weights: Mutex::default() })
    }

    /// All data sets.
    pub fn data_sets(&self) -> Vec<DataSet> {
        let how_to_get = |name: &str| Some(self.registry.data(name, &Table::new()).ok()?.files()?.get.to_owned());
        let set = |(name, item): (&str, &Item)| DataSet {
            name: name.to_owned(),
            doc: item.summary().to_owned(),
            how_to_get: how_to_get(name).unwrap_or_default(),
        };
        self.registry.of_kind(Kind::Data).map(set).collect()
    }

    /// Finds and reads the data set of a `[data]` section; a report for a person.
    ///
    /// # Errors
    /// It is not there, or not what it should be.
    pub fn check_data(&self, choice: &DataChoice, seeds: Seeds) -> Result<String, Failure> {
        let examples = data::open(choice, &self.registry, seeds.data, &mut |_| ())?;
        Ok(data::describe(&examples, &examples.dataset(&choice.common, seeds)?)?)
    }

    /// Runs the conformance kit on the plugins of a library's file, or on those of a name, with these options.
    ///
    /// # Errors
    /// There is no such file or plugin.
    pub fn check_plugins(&self, wanted: &str, sets: &[String]) -> Result<Vec<Checked>, Failure> {
        check::check(&self.registry, wanted, sets)
    }

    /// What of a config cannot act, as far as it alone tells.
    pub fn idle(&self, config: &Resolved) -> Vec<Note> {
        notes::of_config(config, &self.registry)
    }

    /// The plugins that a config chooses.
    pub fn plugins_of(&self, config: &RunConfig) -> Vec<PluginInUse> {
        let used = |kind: Kind, name: &str| {
            let origin = self.registry.get(kind, name).ok()?.origin();
            let linked = origin.file.is_none();
            Some(PluginInUse {
                kind: kind.name().to_owned(),
                name: name.to_owned(),
                origin: origin.to_string(),
                linked,
            })
        };
        let chosen = Kind::ALL.into_iter().filter_map(|kind| used(kind, config.plugin(kind)));
        let growing = config.growing();
        chosen.chain(growing.iter().filter_map(|(_, choice)| used(Kind::Criterion, &choice.name))).collect()
    }
}

/// What lets everybody on this machine change a file: the file itself, or the folder in which it can be replaced.
#[cfg(unix)]
fn anybody_writes(path: &Path) -> Option<PathBuf> {
    use std::os::unix::fs::PermissionsExt as _;
    const OTHERS_WRITE: u32 = 0o002;
    /// In a folder with this bit only its owner replaces a file.
    const STICKY: u32 = 0o1000;
    let path = path.canonicalize().ok()?;
    let mode = |path: &Path| path.metadata().map_or(0, |about| about.permissions().mode());
    let folder = path.parent().filter(|folder| mode(folder) & (OTHERS_WRITE | STICKY) == OTHERS_WRITE);
    let file = Some(path.as_path()).filter(|file| mode(file) & OTHERS_WRITE != 0);
    file.or(folder).map(Path::to_owned)
}

#[cfg(not(unix))]
fn anybody_writes(_: &Path) -> Option<PathBuf> {
    None
}
