//! One layer of a configuration: values, and where each of them was set.

use std::collections::BTreeMap;
use std::path::PathBuf;

use figment::value::{Dict, Map};
use figment::{Metadata, Profile, Provider};
use serde::{Deserialize, Serialize};
use toml::de::{DeTable, DeValue};
use toml::{Table, Value};

use super::refer;
use crate::config::error::ConfigError;
use crate::config::key;
use crate::config::set_by::SetBy;

/// Values that are equally strong, each with its origin.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Layer {
    /// The values of the layer.
    pub table: Table,
    /// SetBy of each leaf, by dotted key. Arrays and empty tables are leaves.
    pub origins: BTreeMap<String, SetBy>,
    /// Keys that weaker layers set in vain, with who takes them back.
    pub taken_back: Vec<(Vec<String>, SetBy)>,
    /// Where the scripts are that it names, by the key that does.
    pub scripts: BTreeMap<String, PathBuf>,
}

impl Layer {
    /// Reads a TOML document; each key remembers its line.
    ///
    /// # Errors
    /// The text is not TOML: names the line.
    pub fn from_toml(text: &str, file: &str, embedded: bool) -> Result<Self, Box<ConfigError>> {
        let refused = |error: toml::de::Error| {
            let line = error.span().map_or(1, |span| line_of(text, span.start));
            let found = text.lines().nth(line - 1).unwrap_or("").trim().to_owned();
            Box::new(ConfigError::Syntax { file: file.to_owned(), line, message: error.message().to_owned(), found })
        };
        let table: Table = text.parse().map_err(refused)?;
        let spans = DeTable::parse(text).map_err(refused)?;
        let mut layer = Self { table: without_dates(table), ..Self::default() };
        let origin = |offset| SetBy::File { file: file.to_owned(), line: line_of(text, offset), embedded };
        note_lines(spans.get_ref(), &mut Vec::new(), &origin, &mut layer.origins);
        Ok(layer)
    }

    /// Sets one value, over what this layer says about that key so far.
    pub fn insert(&mut self, path: &[String], value: Value, origin: &SetBy) {
        let Some((last, parents)) = path.split_last() else { return };
        if let Value::Table(inner) = &value
            && !inner.is_empty()
        {
            for (part, value) in inner {
                self.insert(&[path, std::slice::from_ref(part)].concat(), value.clone(), origin);
            }
            return;
        }
        let mut table = &mut self.table;
        for part in parents {
            let slot = table.entry(part.clone()).or_insert_with(|| Value::Table(Table::new()));
            if !slot.is_table() {
                *slot = Value::Table(Table::new());
            }
            let Value::Table(inner) = slot else { return };
            table = inner;
        }
        table.insert(last.clone(), value);
        self.origins.insert(key::dotted(path), origin.clone());
    }

    /// Removes a key and all that lies within it; says whether there was anything.
    pub fn remove(&mut self, path: &[String]) -> bool {
        let removed = removed(&mut self.table, path);
        if removed {
            let key = key::dotted(path);
            let within = |set: &str| set == key || set.strip_prefix(&key).is_some_and(|rest| rest.starts_with('.'));
            self.origins.retain(|set, _| !within(set));
        }
        removed
    }

    /// Whether values of the layer depend on other layers or keys, so that no section stands for itself.
    pub fn is_tied(&self) -> bool {
        refer::is_tied(&self.table)
    }

    /// The table at a path, where there is one.
    pub fn table_at(&self, path: &[String]) -> Option<&Table> {
        path.iter().try_fold(&self.table, |table, part| table.get(part)?.as_table())
    }

    /// The table at a path, where there is one.
    pub fn table_at_mut(&mut self, path: &[String]) -> Option<&mut Table> {
        path.iter().try_fold(&mut self.table, |table, part| table.get_mut(part)?.as_table_mut())
    }
}

/// Takes back from weaker layers what stronger ones want gone; returns what none of them had set.
pub fn take_back(layers: &mut [Layer]) -> Vec<(Vec<String>, SetBy)> {
    let mut in_vain = Vec::new();
    for strong in 0..layers.len() {
        for (path, origin) in layers[strong].taken_back.clone() {
            // All of them: what the next weaker one says must not come through.
            let removed: Vec<bool> = layers[..strong].iter_mut().map(|weaker| weaker.remove(&path)).collect();
            if !removed.contains(&true) {
                in_vain.push((path, origin));
            }
        }
    }
    in_vain
}

/// Removes a path from a table, and tables that are empty then.
fn removed(table: &mut Table, path: &[String]) -> bool {
    match path {
        [] => false,
        [last] => table.remove(last).is_some(),
        [first, rest @ ..] => {
            let Some(Value::Table(inner)) = table.get_mut(first) else { return false };
            let removed = removed(inner, rest);
            if removed && inner.is_empty() {
                table.remove(first);
            }
            removed
        }
    }
}

/// A layer and its place in the stack, as figment wants it; the place is what tags lead back to.
pub struct Placed<'a>(pub usize, pub &'a Layer);

impl Provider for Placed<'_> {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.0.to_string())
    }

    fn data(&self) -> figment::error::Result<Map<Profile, Dict>> {
        figment::providers::Serialized::defaults(&self.1.table).data()
    }
}

fn note_lines(
    table: &DeTable<'_>,
    path: &mut Vec<String>,
    origin: &impl Fn(usize) -> SetBy,
    origins: &mut BTreeMap<String, SetBy>,
) {
    for (name, value) in table {
        path.push(name.get_ref().to_string());
        match value.get_ref() {
            DeValue::Table(inner) if !inner.is_empty() => note_lines(inner, path, origin, origins),
            _ => _ = origins.insert(key::dotted(path), origin(name.span().start)),
        }
        path.pop();
    }
}

/// No key takes a date; as text it gets the same message as any other wrong type.
pub fn without_dates(table: Table) -> Table {
    fn plain(value: Value) -> Value {
        match value {
            Value::Datetime(date) => Value::String(date.to_string()),
            Value::Array(items) => Value::Array(items.into_iter().map(plain).collect()),
            Value::Table(table) => Value::Table(without_dates(table)),
            other => other,
        }
    }
    table.into_iter().map(|(name, value)| (name, plain(value))).collect()
}

fn line_of(text: &str, offset: usize) -> usize {
    text.as_bytes().iter().take(offset).filter(|b| **b == b'\n').count() + 1
}
