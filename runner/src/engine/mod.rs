//! Joins the command line to the framework.

mod catalog;
mod check;
mod data;
mod model_file;
mod sections;
mod shelf;
mod train;

use secateur::options::Table;
use secateur::plugins::registry::{Item, Kind, Registry};

use self::data::DataChoice;
use crate::config::{PluginFile, Resolved};
use crate::failure::Failure;
use crate::program::{Checked, DataSet, Part, Program, Trained};
use crate::recorder::Recorder;
use crate::run_dir::Saved;

/// The framework with the plugins that are linked into this program.
pub struct Engine {
    registry: Registry,
    shelf: shelf::Shelf,
}

impl Engine {
    /// Collects the plugins: those linked in, and those of these libraries.
    ///
    /// # Errors
    /// A library that cannot be loaded; two plugins that share a kind and a name.
    pub fn new(libraries: &[PluginFile]) -> Result<Self, Failure> {
        let mut registry = secateur_bundle::registry()?;
        for file in libraries {
            registry.load(&file.path, file.sha256.as_deref()).map_err(|error| Failure::Usage(error.to_string()))?;
        }
        Ok(Self { registry, shelf: shelf::Shelf::default() })
    }
}

impl Program for Engine {
    fn data_sets(&self) -> Vec<DataSet> {
        let how_to_get = |name: &str| Some(self.registry.data(name, &Table::new()).ok()?.files()?.get.to_owned());
        let set = |(name, item): (&str, &Item)| DataSet {
            name: name.to_owned(),
            doc: item.summary().to_owned(),
            how_to_get: how_to_get(name).unwrap_or_default(),
        };
        self.registry.of_kind(Kind::Data).map(set).collect()
    }

    fn check_data(&self, table: &Table, seed: u64) -> Result<String, Failure> {
        let choice = DataChoice::read(table, &self.registry)?;
        let examples = choice.open(&self.registry, &mut |_| ())?;
        Ok(data::describe(&examples, &examples.dataset(&choice.config, seed)?)?)
    }

    fn check_plugins(&self, wanted: &str, sets: &[String]) -> Result<Vec<Checked>, Failure> {
        check::check(&self.registry, wanted, sets)
    }

    fn parts(&self, config: &Resolved) -> Vec<Part> {
        let part = |kind: Kind| {
            let name = config.table.get(kind.name())?.get("name")?.as_str()?;
            let origin = self.registry.get(kind, name).ok()?.origin();
            let linked = origin.file.is_none();
            Some(Part { kind: kind.name().to_owned(), name: name.to_owned(), origin: origin.to_string(), linked })
        };
        Kind::ALL.into_iter().filter_map(part).collect()
    }

    fn train(&self, config: &Resolved, from: Option<&Saved>, recorder: &mut Recorder<'_>) -> Result<Trained, Failure> {
        train::train(&self.registry, &self.shelf, config, from, recorder)
    }
}

impl From<secateur::Error> for Failure {
    fn from(error: secateur::Error) -> Self {
        Self::from(&error)
    }
}

impl From<&secateur::Error> for Failure {
    fn from(error: &secateur::Error) -> Self {
        match error {
            secateur::Error::Stopped { .. } => Self::Stopped(error.to_string()),
            _ if error.is_usage() => Self::Usage(error.to_string()),
            _ => Self::Failed(error.to_string()),
        }
    }
}
