//! What may stand in a config: the program's own sections and the registered plugins.

use secateur::data::{self, DataConfig, DataError};
use secateur::error::OptionError;
use secateur::options::{self, OptionSet, Table};
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
            "" => refused(section, errors::<TopConfig>(values)),
            "data" => bad_data(values),
            "prune" => refused(section, errors::<PruneConfig>(values)),
            "output" => refused(section, errors::<OutputConfig>(values)),
            "train" => refused(section, errors::<TrainConfig>(values)),
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
        for doc in item.docs().iter().filter(|doc| doc.ty.contains("PluginSpec")) {
            if let Some(Value::Table(inner)) = options.get(doc.name) {
                errors.extend(self.bad_options(kind, &format!("{path}.{}", doc.name), inner));
            }
        }
        errors
    }
}

/// What a section's typed options refuse, with keys relative to the section.
fn errors<T: OptionSet>(values: &Table) -> Vec<OptionError> {
    options::parse::<T>(values).err().unwrap_or_default()
}

fn known_kind(name: &str) -> Option<Kind> {
    Kind::ALL.into_iter().find(|kind| kind.name() == name)
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

/// Puts the section's name in front of the keys, which are relative to it.
fn refused(section: &str, errors: Vec<OptionError>) -> Vec<KeyError> {
    let full = |error: OptionError| if section.is_empty() { error } else { error.under(section) };
    let told = |OptionError { key, found, allowed }| KeyError { key, found, allowed: in_words(&allowed) };
    errors.into_iter().map(full).map(told).collect()
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
