//! What may stand in a config: the program's own sections and the registered plugins.

use secateur::backend::{Cpu, Place};
use secateur::data::{self, DataConfig, DataError};
use secateur::error::OptionError;
use secateur::options::{self, Table};
use secateur::plugins::registry::Kind;
use secateur::pruning::PruneConfig;
use secateur::training::TrainConfig;
use toml::Value;

use super::Workbench;
use super::sections::{self, keys};
use crate::config::schema::{KeyError, PluginDoc, Schema, SectionDoc};
use crate::config::{OutputConfig, TopConfig};

impl Schema for Workbench {
    fn sections(&self) -> Vec<SectionDoc> {
        let plugin = |kind: Kind| SectionDoc {
            name: kind.name().to_owned(),
            doc: format!("Which {kind}, and its options."),
            plugin_kind: Some(kind.name().to_owned()),
            keys: Vec::new(),
        };
        sections::all().into_iter().chain(Kind::ALL.map(plugin)).collect()
    }

    fn plugin(&self, kind: &str, name: &str) -> Option<PluginDoc> {
        if kind == "data" {
            let info = data::list().iter().find(|info| info.name == name)?;
            return Some(PluginDoc { doc: info.summary.to_owned(), options: Vec::new() });
        }
        let item = self.registry.get(known_kind(kind)?, name).ok()?;
        Some(PluginDoc { doc: item.summary().to_owned(), options: keys("", item.docs(), Some(kind)) })
    }

    fn plugin_names(&self, kind: &str) -> Vec<String> {
        match known_kind(kind) {
            Some(kind) => self.registry.of_kind(kind).map(|(name, _)| name.to_owned()).collect(),
            None => data::list().iter().map(|info| info.name.to_owned()).collect(),
        }
    }

    fn check_section(&self, section: &str, values: &Table) -> Vec<KeyError> {
        match section {
            "" => refused("", options::parse::<TopConfig>(values).err().unwrap_or_default())
                .into_iter()
                .chain(bad_device(values))
                .collect(),
            "data" => bad_data(values),
            "prune" => refused(section, options::parse::<PruneConfig>(values).err().unwrap_or_default()),
            "output" => refused(section, options::parse::<OutputConfig>(values).err().unwrap_or_default()),
            "train" => match options::parse::<TrainConfig>(values) {
                Err(errors) => refused(section, errors),
                Ok(train) => refused(section, of(train.check())),
            },
            plugin => known_kind(plugin).map_or_else(Vec::new, |kind| self.bad_options(kind, plugin, values)),
        }
    }
}

impl Workbench {
    /// What a plugin refuses, and what the plugins named in its options refuse.
    fn bad_options(&self, kind: Kind, path: &str, values: &Table) -> Vec<KeyError> {
        let mut options = values.clone();
        let Some(Value::String(name)) = options.remove("name") else { return Vec::new() };
        let Ok(item) = self.registry.get(kind, &name) else { return Vec::new() };
        let mut errors = refused(path, item.check(&options).err().unwrap_or_default());
        if errors.is_empty() {
            // Types are right; ranges are known to the plugin alone.
            errors = refused(path, of(self.build(kind, &name, &options)));
        }
        for doc in item.docs().iter().filter(|doc| doc.ty.contains("PluginSpec")) {
            if let Some(Value::Table(inner)) = options.get(doc.name) {
                errors.extend(self.bad_options(kind, &format!("{path}.{}", doc.name), inner));
            }
        }
        errors
    }

    fn build(&self, kind: Kind, name: &str, options: &Table) -> secateur::Result<()> {
        match kind {
            Kind::Criterion => self.registry.criterion::<Cpu>(name, options).map(drop),
            Kind::Schedule => self.registry.schedule(name, options).map(drop),
            Kind::Compressor => self.registry.compressor::<Cpu>(name, options).map(drop),
            Kind::Model => self.registry.model::<Cpu>(name, options).map(drop),
        }
    }
}

fn known_kind(name: &str) -> Option<Kind> {
    Kind::ALL.into_iter().find(|kind| kind.name() == name)
}

fn bad_device(values: &Table) -> Option<KeyError> {
    let device = values.get("device")?.as_str()?;
    let allowed = Place::parse(device).err()?.to_owned();
    Some(KeyError { key: "device".to_owned(), found: format!("{device:?}"), allowed })
}

/// Each key alone first, so that every wrong type is named.
fn bad_data(values: &Table) -> Vec<KeyError> {
    let read = |table: Table| -> Result<DataConfig, toml::de::Error> { Value::Table(table).try_into() };
    let mut errors = Vec::new();
    for (key, value) in values {
        if let Err(error) = read(Table::from_iter([(key.clone(), value.clone())])) {
            let allowed = in_words(error.message().trim());
            errors.push(KeyError { key: format!("data.{key}"), found: value.to_string(), allowed });
        }
    }
    if let (true, Ok(config)) = (errors.is_empty(), read(values.clone())) {
        errors.extend(config.problems().into_iter().map(|problem| match problem {
            DataError::Option { key, found, allowed } => KeyError { key, found, allowed },
            other => KeyError { key: "data.name".to_owned(), found: config.name.clone(), allowed: other.to_string() },
        }));
    }
    errors
}

/// What a framework's check reports about single keys.
fn of(checked: secateur::Result<()>) -> Vec<OptionError> {
    match checked {
        Ok(()) => Vec::new(),
        Err(secateur::Error::Option(error)) => vec![error],
        Err(secateur::Error::Options(errors)) => errors,
        Err(other) => vec![OptionError::new("name", "", other.to_string())],
    }
}

/// The framework's keys are relative to their section, or full already.
fn refused(section: &str, errors: Vec<OptionError>) -> Vec<KeyError> {
    let full = |key: String| {
        if section.is_empty() || key.starts_with(&format!("{section}.")) { key } else { format!("{section}.{key}") }
    };
    errors
        .into_iter()
        .map(|error| KeyError { key: full(error.key), found: error.found, allowed: in_words(&error.allowed) })
        .collect()
}

/// `invalid type: string "ten", expected u64` in the words of people who write TOML.
fn in_words(message: &str) -> String {
    match message.rsplit_once(", expected ") {
        Some((before, expected)) if before.starts_with("invalid") => match expected {
            "f64" | "f32" => "number".to_owned(),
            "u64" | "u32" | "usize" => "whole number, at least 0".to_owned(),
            "a string" => "text".to_owned(),
            "a boolean" => "true or false".to_owned(),
            "a map" => "a table: { KEY = VALUE, ... }".to_owned(),
            other => other.to_owned(),
        },
        _ => message.replace('\n', " "),
    }
}
