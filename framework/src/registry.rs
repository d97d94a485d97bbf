//! Plugins by kind and name: those linked into the program, and those loaded into it.

use crate::backend::{Backend, Cpu};
use crate::compressor::Compressor;
use crate::criterion::Criterion;
use crate::error::{Error, OptionError, Result};
use crate::model::Model;
use crate::options::{OptionDoc, OptionSet, Table, unknown};
use crate::schedule::Schedule;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

pub use inventory;

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
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Criterion, Self::Schedule, Self::Compressor, Self::Model];

    /// `criterion`, `schedule`, `compressor` or `model`: the config section that chooses it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Criterion => "criterion",
            Self::Schedule => "schedule",
            Self::Compressor => "compressor",
            Self::Model => "model",
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
}

/// A plugin's constructors for every device this program was built for.
pub struct Makers {
    /// On the CPU.
    pub cpu: DeviceMaker<Cpu>,
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
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} (linked in)", self.krate, self.version)
    }
}

/// One known plugin.
pub struct Item {
    entry: &'static Entry,
    origin: Origin,
}

impl Item {
    /// One sentence about it.
    pub fn summary(&self) -> &str {
        self.entry.summary
    }

    /// Where it comes from.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Its options.
    pub fn docs(&self) -> Vec<OptionDoc> {
        (self.entry.docs)()
    }

    /// Checks options, types and keys, without building the plugin.
    ///
    /// # Errors
    /// All of them.
    pub fn check(&self, options: &Table) -> Result<(), Vec<OptionError>> {
        (self.entry.check)(options)
    }
}

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
            let origin = Origin { krate: entry.krate.into(), version: entry.version.into() };
            registry.add(entry, origin)?;
        }
        Ok(registry)
    }

    fn add(&mut self, entry: &'static Entry, origin: Origin) -> Result<()> {
        let key = (entry.kind, entry.name.to_string());
        if let Some(old) = self.items.get(&key) {
            return Err(Error::Config(format!(
                "{} `{}` is registered twice: by {} and by {origin}",
                entry.kind, entry.name, old.origin
            )));
        }
        self.items.insert(key, Item { entry, origin });
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
            OptionError::new(format!("{kind}.name"), format!("{name:?}"), unknown(kind.name(), name, &known)).into()
        })
    }

    fn maker<B: Backend>(&self, kind: Kind, name: &str) -> Result<&DeviceMaker<B>> {
        Ok(B::maker(&self.get(kind, name)?.entry.makers))
    }

    /// Builds a criterion.
    ///
    /// # Errors
    /// If there is none of that name, or it refuses its options.
    pub fn criterion<B: Backend>(&self, name: &str, options: &Table) -> Result<Box<dyn Criterion<B>>> {
        match self.maker(Kind::Criterion, name)? {
            DeviceMaker::Criterion(make) => make(options),
            _ => Err(wrong_kind(Kind::Criterion, name)),
        }
    }

    /// Builds a schedule.
    ///
    /// # Errors
    /// If there is none of that name, or it refuses its options.
    pub fn schedule(&self, name: &str, options: &Table) -> Result<Box<dyn Schedule>> {
        match self.maker::<Cpu>(Kind::Schedule, name)? {
            DeviceMaker::Schedule(make) => make(options),
            _ => Err(wrong_kind(Kind::Schedule, name)),
        }
    }

    /// Builds a compressor.
    ///
    /// # Errors
    /// If there is none of that name, or it refuses its options.
    pub fn compressor<B: Backend>(&self, name: &str, options: &Table) -> Result<Box<dyn Compressor<B>>> {
        match self.maker(Kind::Compressor, name)? {
            DeviceMaker::Compressor(make) => make(options),
            _ => Err(wrong_kind(Kind::Compressor, name)),
        }
    }

    /// Builds a model.
    ///
    /// # Errors
    /// If there is none of that name, or it refuses its options.
    pub fn model<B: Backend>(&self, name: &str, options: &Table) -> Result<Box<dyn Model<B>>> {
        match self.maker(Kind::Model, name)? {
            DeviceMaker::Model(make) => make(options),
            _ => Err(wrong_kind(Kind::Model, name)),
        }
    }
}

fn wrong_kind(kind: Kind, name: &str) -> Error {
    Error::Config(format!("`{name}` is registered as a {kind} but does not build one"))
}

/// A plugin named inside another plugin's options: `of = { name = "magnitude", norm = "l2" }`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PluginSpec(pub Table);

impl PluginSpec {
    /// A plugin with default options.
    pub fn named(name: &str) -> Self {
        Self(Table::from_iter([("name".to_string(), toml::Value::from(name))]))
    }

    /// The plugin's name.
    ///
    /// # Errors
    /// If it is missing or no string.
    pub fn name(&self) -> Result<&str> {
        let found = self.0.get("name");
        found.and_then(toml::Value::as_str).ok_or_else(|| {
            let found = found.map_or("nothing".into(), ToString::to_string);
            OptionError::new("name", found, "must name a plugin: { name = \"magnitude\", ... }").into()
        })
    }

    /// The other keys: its options.
    pub fn options(&self) -> Table {
        self.0.iter().filter(|(k, _)| *k != "name").map(|(k, v)| (k.clone(), v.clone())).collect()
    }
}

/// Reads options and builds a plugin from them; called by [`register!`](crate::register!).
///
/// # Errors
/// If the options are refused.
pub fn build<O, T>(options: &Table) -> Result<T>
where
    O: OptionSet,
    T: TryFrom<O>,
    Error: From<T::Error>,
{
    let options = crate::options::parse::<O>(options).map_err(Error::Options)?;
    Ok(T::try_from(options)?)
}

/// Checks options; called by [`register!`](crate::register!).
///
/// # Errors
/// All that are wrong.
pub fn check<O, T>(options: &Table) -> Result<(), Vec<OptionError>>
where
    O: OptionSet,
    T: TryFrom<O>,
    Error: From<T::Error>,
{
    match build::<O, T>(options) {
        Ok(_) => Ok(()),
        Err(Error::Options(errors)) => Err(errors),
        Err(Error::Option(error)) => Err(vec![error]),
        Err(other) => Err(vec![OptionError::new("name", "", other.to_string())]),
    }
}

/// Registers a plugin: `register!(Criterion, "name", Type, "One sentence.")`.
///
/// The type is its own options (declared with [`options!`](crate::options!)), or is built from them by `TryFrom`:
/// `register!(Criterion, "name", Type, "One sentence.", options = Options)`. A type that holds tensors is written `Type<B>`, with
/// the letter B, and is registered for every device.
#[macro_export]
macro_rules! register {
    ($kind:ident, $name:literal, $type:ident, $summary:literal $(,)?) => {
        $crate::register!(@entry $kind, $name, $type, $summary, $type);
    };
    ($kind:ident, $name:literal, $type:ident, $summary:literal, options = $options:ty $(,)?) => {
        $crate::register!(@entry $kind, $name, $type, $summary, $options);
    };
    ($kind:ident, $name:literal, $type:ident<B>, $summary:literal, options = $options:ty $(,)?) => {
        $crate::register!(@entry $kind, $name, $type<$crate::backend::Cpu>, $summary, $options);
    };
    (@entry $kind:ident, $name:literal, $cpu:ty, $summary:literal, $options:ty) => {
        $crate::registry::inventory::submit! {
            $crate::registry::Entry {
                kind: $crate::registry::Kind::$kind,
                name: $name,
                summary: $summary,
                krate: env!("CARGO_PKG_NAME"),
                version: env!("CARGO_PKG_VERSION"),
                docs: <$options as $crate::options::OptionSet>::docs,
                check: $crate::registry::check::<$options, $cpu>,
                makers: $crate::registry::Makers {
                    cpu: $crate::registry::DeviceMaker::$kind(|options| {
                        Ok(Box::new($crate::registry::build::<$options, $cpu>(options)?))
                    }),
                },
            }
        }
    };
}
