//! What a plugin says of itself when it is registered, and where it came from.

#[cfg(feature = "cuda")]
use crate::backend::Cuda;
use crate::backend::{Backend, Cpu};
use crate::data::DataSource;
use crate::error::{OptionError, Result};
use crate::network::compressor::Compressor;
use crate::network::model::Model;
use crate::options::{Idle, OptionDoc, Table};
use crate::plugins::boundary::{Loaded, Script};
use crate::pruning::criterion::Criterion;
use crate::pruning::schedule::Schedule;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::PathBuf;

/// What a plugin can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Scores weights or units.
    Criterion,
    /// Says when and how much.
    Schedule,
    /// Merges tokens.
    Compressor,
    /// A network.
    Model,
    /// A data set.
    Data,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 5] = [Self::Criterion, Self::Schedule, Self::Compressor, Self::Model, Self::Data];

    /// `criterion`, `schedule`, `compressor`, `model` or `data`: the config section that chooses it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Criterion => "criterion",
            Self::Schedule => "schedule",
            Self::Compressor => "compressor",
            Self::Model => "model",
            Self::Data => "data",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

type MakeFn<T> = fn(&Table) -> Result<Box<T>>;

/// A plugin's constructor for one device.
pub enum DeviceMaker<B: Backend> {
    /// Of a criterion.
    Criterion(MakeFn<dyn Criterion<B>>),
    /// Of a compressor.
    Compressor(MakeFn<dyn Compressor<B>>),
    /// Of a model.
    Model(MakeFn<dyn Model<B>>),
    /// Of a schedule, which needs no device.
    Schedule(MakeFn<dyn Schedule>),
    /// Of a data set, whose examples are in the host's memory.
    Data(MakeFn<dyn DataSource>),
}

/// A plugin's constructors for every device this program was built for.
pub struct Makers {
    /// On the CPU.
    pub cpu: DeviceMaker<Cpu>,
    /// On an NVIDIA GPU.
    #[cfg(feature = "cuda")]
    pub cuda: DeviceMaker<Cuda>,
}

/// A device for which plugins register constructors.
pub trait Registered: Backend {
    /// The constructors for this device among those a plugin registered.
    fn maker(makers: &Makers) -> &DeviceMaker<Self>;
}

impl Registered for Cpu {
    fn maker(makers: &Makers) -> &DeviceMaker<Self> {
        &makers.cpu
    }
}

#[cfg(feature = "cuda")]
impl Registered for Cuda {
    fn maker(makers: &Makers) -> &DeviceMaker<Self> {
        &makers.cuda
    }
}

/// One plugin of this library; [`register!`](crate::register!) submits it.
pub struct Entry {
    /// What it is.
    pub kind: Kind,
    /// The name configs use.
    pub name: &'static str,
    /// One sentence.
    pub summary: &'static str,
    /// Crate that defines it.
    pub krate: &'static str,
    /// That crate's version.
    pub version: &'static str,
    /// Its options.
    pub docs: fn() -> Vec<OptionDoc>,
    /// Checks options without building anything.
    pub check: fn(&Table) -> Result<(), Vec<OptionError>>,
    /// Its options that do not say when they act.
    pub undeclared: fn() -> Vec<&'static str>,
    /// The options that cannot act, beside the sections of a config.
    pub idle: fn(&Table, &Table) -> Vec<Idle>,
    /// Builds it.
    pub makers: Makers,
}

inventory::collect!(Entry);

/// Where a plugin comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// Crate that defines it.
    #[serde(rename = "crate")]
    pub krate: String,
    /// That crate's version.
    pub version: String,
    /// The library's file, where it was loaded.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub file: Option<PathBuf>,
    /// That file's hash.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sha256: Option<String>,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ", self.krate, self.version)?;
        match (&self.file, &self.sha256) {
            (Some(file), Some(hash)) => write!(f, "({}, sha256 {hash})", file.display()),
            (Some(file), None) => write!(f, "({})", file.display()),
            (None, _) => f.write_str("(linked in)"),
        }
    }
}

/// How a known plugin is reached.
pub(crate) enum Source {
    /// It is part of this program.
    Linked(&'static Entry),
    /// It lives in another library.
    Loaded(Loaded),
    /// It is a file of Python.
    Script(Script),
}

/// One known plugin.
pub struct Item {
    pub(super) source: Source,
    pub(super) origin: Origin,
}

impl Item {
    /// One sentence about it.
    pub fn summary(&self) -> &str {
        match &self.source {
            Source::Linked(entry) => entry.summary,
            Source::Loaded(loaded) => loaded.summary(),
            Source::Script(script) => script.summary(),
        }
    }

    /// Where it comes from.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Its options.
    pub fn docs(&self) -> Vec<OptionDoc> {
        match &self.source {
            Source::Linked(entry) => (entry.docs)(),
            Source::Loaded(loaded) => loaded.docs().to_vec(),
            Source::Script(script) => script.docs().to_vec(),
        }
    }

    /// Checks options, types and keys, without building the plugin.
    ///
    /// # Errors
    /// All of them.
    pub fn check(&self, options: &Table) -> Result<(), Vec<OptionError>> {
        match &self.source {
            Source::Linked(entry) => (entry.check)(options),
            Source::Loaded(loaded) => loaded.check(options),
            Source::Script(script) => script.check(options),
        }
    }

    /// The options that do not say when they act. A loaded plugin's library does not tell, nor does a script.
    pub fn undeclared(&self) -> Vec<&'static str> {
        match &self.source {
            Source::Linked(entry) => (entry.undeclared)(),
            Source::Loaded(_) | Source::Script(_) => vec![],
        }
    }

    /// The options that differ from their defaults and cannot act beside the others, or beside the sections of a
    /// config; keys are relative to the plugin's. What a loaded plugin declared stays in its library: none are found.
    pub fn idle(&self, options: &Table, sections: &Table) -> Vec<Idle> {
        match &self.source {
            Source::Linked(entry) => (entry.idle)(options, sections),
            Source::Loaded(_) | Source::Script(_) => vec![],
        }
    }
}
