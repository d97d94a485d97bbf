//! Plugins by kind and name: those linked into the program, and those loaded into it.

mod entry;
mod register;
mod rescored;

use crate::data::DataSource;
use crate::error::{Error, OptionError, Result};
use crate::network::compressor::Compressor;
use crate::network::model::Model;
use crate::options::{Table, unknown};
use crate::plugins::boundary::{self, Loaded, Script};
use crate::pruning::criterion::Criterion;
use crate::pruning::schedule::Schedule;
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

pub use crate::options::PluginSpec;
pub(crate) use entry::Source;
pub use entry::{DeviceMaker, Entry, Item, Kind, Makers, Origin, Registered};
pub use inventory;
pub use register::{build, check, idle};
pub use rescored::{Rescore, Rescored, RescoredOptions};

/// All known plugins.
#[derive(Default)]
pub struct Registry {
    items: BTreeMap<(Kind, String), Item>,
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.items.keys()).finish()
    }
}

impl Registry {
    /// Every plugin linked into this program.
    ///
    /// # Errors
    /// If two of one kind share a name; both origins are named.
    pub fn linked() -> Result<Self> {
        let mut registry = Self::default();
        for entry in inventory::iter::<Entry> {
            let (krate, version) = (entry.krate.into(), entry.version.into());
            let origin = Origin { krate, version, file: None, sha256: None };
            registry.add(entry.kind, entry.name, Source::Linked(entry), origin)?;
        }
        Ok(registry)
    }

    /// Opens the library in `path` and adds its plugins; one that is there already stays. Its hash must be `sha256`,
    /// where given. A file of Python (`*.py`) is a criterion.
    ///
    /// Returns what the library holds. The file's code runs with all rights of this program.
    ///
    /// # Errors
    /// What [`boundary::open`] finds; a name that is taken, with both origins. The registry is then as it was.
    pub fn load(&mut self, path: &Path, sha256: Option<&str>) -> Result<Vec<(Kind, String)>> {
        if Script::is_one(path) {
            return self.load_script(path, sha256);
        }
        let library = boundary::open(path, sha256)?;
        let names: Vec<_> = library.plugins.iter().map(|(p, _)| (p.kind(), p.name().to_string())).collect();
        let same = |(key, (_, new)): (&(Kind, String), &(Loaded, Origin))| {
            self.items.get(key).is_some_and(|old| old.origin.sha256.is_some() && old.origin.sha256 == new.sha256)
        };
        if names.iter().zip(&library.plugins).all(same) {
            return Ok(names);
        }
        let mut new = Self::of_loaded(library.plugins)?;
        for (kind, name) in new.items.keys() {
            self.free(*kind, name, &new.items[&(*kind, name.clone())].origin)?;
        }
        self.items.append(&mut new.items);
        Ok(names)
    }

    /// The same for a file of Python, which is one criterion.
    fn load_script(&mut self, path: &Path, sha256: Option<&str>) -> Result<Vec<(Kind, String)>> {
        let script = Script::open(path, sha256)?;
        let (kind, name, origin) = (Kind::Criterion, script.name().to_string(), script.origin().clone());
        let old = self.items.get(&(kind, name.clone())).map(|old| &old.origin);
        if old.is_none_or(|old| *old != origin) {
            self.add(kind, &name, Source::Script(script), origin)?;
        }
        Ok(vec![(kind, name)])
    }

    pub(crate) fn of_loaded(plugins: Vec<(Loaded, Origin)>) -> Result<Self> {
        let mut registry = Self::default();
        for (loaded, origin) in plugins {
            let (kind, name) = (loaded.kind(), loaded.name().to_string());
            registry.add(kind, &name, Source::Loaded(loaded), origin)?;
        }
        Ok(registry)
    }

    pub(crate) fn sources(&self) -> impl Iterator<Item = &Source> {
        self.items.values().map(|i| &i.source)
    }

    fn free(&self, kind: Kind, name: &str, origin: &Origin) -> Result<()> {
        let Some(old) = self.items.get(&(kind, name.to_string())) else { return Ok(()) };
        let old = &old.origin;
        Err(Error::Config(format!("{kind} `{name}` is registered twice: by {old} and by {origin}; rename one of them")))
    }

    fn add(&mut self, kind: Kind, name: &str, source: Source, origin: Origin) -> Result<()> {
        self.free(kind, name, &origin)?;
        self.items.insert((kind, name.to_string()), Item { source, origin });
        Ok(())
    }

    /// The plugins of one kind, sorted by name.
    pub fn of_kind(&self, kind: Kind) -> impl Iterator<Item = (&str, &Item)> {
        self.items.iter().filter(move |((k, _), _)| *k == kind).map(|((_, n), item)| (n.as_str(), item))
    }

    /// One plugin.
    ///
    /// # Errors
    /// If there is none of that name; the nearest and all known ones are listed.
    pub fn get(&self, kind: Kind, name: &str) -> Result<&Item> {
        self.items.get(&(kind, name.to_string())).ok_or_else(|| {
            let known: Vec<&str> = self.of_kind(kind).map(|(n, _)| n).collect();
            OptionError::new("name", format!("{name:?}"), unknown(kind.name(), name, &known)).into()
        })
    }

    /// Builds a criterion.
    ///
    /// # Errors
    /// If there is none of that name, or it refuses its options.
    pub fn criterion<B: Registered>(&self, name: &str, options: &Table) -> Result<Box<dyn Criterion<B>>> {
        match &self.get(Kind::Criterion, name)?.source {
            Source::Loaded(loaded) => loaded.criterion(options, self),
            Source::Script(script) => script.criterion(options),
            Source::Linked(entry) => match B::maker(&entry.makers) {
                DeviceMaker::Criterion(make) => make(options),
                _ => Err(wrong_kind(Kind::Criterion, name)),
            },
        }
    }

    /// Builds a schedule.
    ///
    /// # Errors
    /// If there is none of that name, or it refuses its options.
    pub fn schedule(&self, name: &str, options: &Table) -> Result<Box<dyn Schedule>> {
        match &self.get(Kind::Schedule, name)?.source {
            Source::Loaded(loaded) => loaded.schedule(options),
            Source::Script(_) => Err(wrong_kind(Kind::Schedule, name)),
            Source::Linked(entry) => match &entry.makers.cpu {
                DeviceMaker::Schedule(make) => make(options),
                _ => Err(wrong_kind(Kind::Schedule, name)),
            },
        }
    }

    /// Builds a compressor.
    ///
    /// # Errors
    /// If there is none of that name, or it refuses its options.
    pub fn compressor<B: Registered>(&self, name: &str, options: &Table) -> Result<Box<dyn Compressor<B>>> {
        match &self.get(Kind::Compressor, name)?.source {
            Source::Loaded(loaded) => loaded.compressor(options),
            Source::Script(_) => Err(wrong_kind(Kind::Compressor, name)),
            Source::Linked(entry) => match B::maker(&entry.makers) {
                DeviceMaker::Compressor(make) => make(options),
                _ => Err(wrong_kind(Kind::Compressor, name)),
            },
        }
    }

    /// Builds a model.
    ///
    /// # Errors
    /// If there is none of that name, or it refuses its options.
    pub fn model<B: Registered>(&self, name: &str, options: &Table) -> Result<Box<dyn Model<B>>> {
        match &self.get(Kind::Model, name)?.source {
            Source::Loaded(loaded) => loaded.model(options),
            Source::Script(_) => Err(wrong_kind(Kind::Model, name)),
            Source::Linked(entry) => match B::maker(&entry.makers) {
                DeviceMaker::Model(make) => make(options),
                _ => Err(wrong_kind(Kind::Model, name)),
            },
        }
    }

    /// Builds a data source.
    ///
    /// # Errors
    /// If there is none of that name, or it refuses its options.
    pub fn data(&self, name: &str, options: &Table) -> Result<Box<dyn DataSource>> {
        match &self.get(Kind::Data, name)?.source {
            Source::Linked(Entry { makers: Makers { cpu: DeviceMaker::Data(make), .. }, .. }) => make(options),
            // The boundary refuses libraries with data sets.
            _ => Err(wrong_kind(Kind::Data, name)),
        }
    }
}

fn wrong_kind(kind: Kind, name: &str) -> Error {
    Error::Config(format!("`{name}` is registered as a {kind} but does not build one"))
}
