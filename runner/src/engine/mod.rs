//! Joins the command line to the framework.

mod catalog;
mod check;
mod model_file;
mod sections;
mod shelf;
mod train;

use secateur::data::{self, DataConfig, DataError, Surroundings};
use secateur::options::Table;
use secateur::plugins::registry::{Kind, Registry};
use toml::Value;

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
        let set = |info: &data::DataInfo| DataSet {
            name: info.name.to_owned(),
            doc: info.summary.to_owned(),
            how_to_get: info.get.to_owned(),
        };
        data::list().iter().map(set).collect()
    }

    fn check_data(&self, table: &Table, seed: u64) -> Result<String, Failure> {
        let config = read_data(table)?;
        let report = data::check(&Surroundings::from_env(), &config, seed, &mut |_| ())?;
        let mut text = format!("{}: {:?}, {} classes\n", report.name, report.shape, report.class_names.len());
        for place in &report.places {
            text.push_str(&format!("  looked in {place}\n"));
        }
        for (split, examples, classes) in &report.splits {
            text.push_str(&format!("  {split:<10} {examples:>7} examples"));
            if let (Some(least), Some(most)) = (classes.iter().min(), classes.iter().max())
                && *examples > 0
            {
                text.push_str(&format!(", {least} to {most} of each class"));
            }
            text.push('\n');
        }
        let channels = report.statistics.mean.iter().zip(&report.statistics.std);
        for (mean, std) in channels {
            text.push_str(&format!("  mean {mean:.4}, standard deviation {std:.4}\n"));
        }
        if let data::Origin::Files(files) = &report.origin {
            for file in files {
                text.push_str(&format!("  {} sha256 {}\n", file.path.display(), file.sha256));
            }
        }
        Ok(text)
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
        match error {
            secateur::Error::Stopped { .. } => Self::Stopped(error.to_string()),
            _ if error.is_usage() => Self::Usage(error.to_string()),
            _ => Self::Failed(error.to_string()),
        }
    }
}

impl From<DataError> for Failure {
    fn from(error: DataError) -> Self {
        Self::from(&error)
    }
}

impl From<&DataError> for Failure {
    fn from(error: &DataError) -> Self {
        match error {
            DataError::Unknown { .. } | DataError::Option { .. } => Self::Usage(error.to_string()),
            _ => Self::Failed(error.to_string()),
        }
    }
}

/// Reads a section that was checked before; what is wrong with it all the same is the config's fault.
fn read_data(table: &Table) -> Result<DataConfig, Failure> {
    Value::Table(table.clone())
        .try_into()
        .map_err(|error: toml::de::Error| Failure::Usage(format!("[data]: {}", error.message())))
}
