//! A config as people look at it: one run, or what the cells of a sweep share, with the sweep itself.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value as Json, json};
use toml::{Table, Value};

use super::error::ConfigErrors;
use super::layers::Stack;
use super::schema::Schema;
use super::set_by::SetBy;
use super::show::{self, Row};
use super::{Request, Resolved, key};

/// One resolved config, with the sweep that it may hold.
#[derive(Clone, Debug)]
pub struct Described {
    /// The run, or what the cells of the sweep have in common.
    pub base: Resolved,
    sweep: Option<(Table, BTreeMap<String, SetBy>)>,
}

/// One key that two configs do not agree on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The key, dotted.
    pub key: String,
    /// What each of them says; `None` where one has no such key.
    pub sides: [Option<Row>; 2],
}

impl Described {
    /// Resolves a config; what the axes of its sweep will give need not be given.
    ///
    /// # Errors
    /// Those of [`super::resolve`].
    pub fn read(request: &Request, schema: &dyn Schema) -> Result<Self, ConfigErrors> {
        let mut stack = Stack::load(request)?;
        let sweep = stack.take_section("sweep");
        let within = |path: &[&str]| {
            let (table, _) = sweep.as_ref()?;
            let (first, rest) = path.split_first()?;
            rest.iter().try_fold(table.get(*first)?, |value, part| value.get(part))?.as_table()
        };
        for axes in [within(&["axes"]), within(&["search", "space"])].into_iter().flatten() {
            let mut keys = Vec::new();
            leaves(axes, &mut Vec::new(), &mut keys);
            keys.iter().for_each(|key| stack.give_up_asking(key));
        }
        Ok(Self { base: stack.resolve(&[], schema)?, sweep })
    }

    /// Whether it is many runs.
    pub fn is_sweep(&self) -> bool {
        self.sweep.is_some()
    }

    /// The config as TOML, without origins; reading it again gives the same config.
    pub fn to_toml(&self) -> String {
        show::plain(&self.whole().0)
    }

    /// The config as TOML, each value followed by its origin as a comment.
    pub fn to_annotated_toml(&self) -> String {
        let (table, origins) = self.whole();
        show::annotated(&table, &origins)
    }

    /// The config as JSON: `{"config": {...}, "origins": {"train.lr": "--set", ...}, "folder": "..."}`; no folder where
    /// it depends on data that is not here. A sweep is its section `sweep`.
    pub fn to_json(&self, folder: Option<String>) -> Json {
        let (table, origins) = self.whole();
        let origins: BTreeMap<String, String> = origins.into_iter().map(|(key, by)| (key, by.to_string())).collect();
        json!({ "config": table, "origins": origins, "folder": folder })
    }

    /// What the other config says otherwise, sorted by key.
    pub fn differences(&self, other: &Self) -> Vec<Difference> {
        let rows = |one: &Self| -> BTreeMap<String, Row> {
            let (table, origins) = one.whole();
            show::rows(&table, &origins).into_iter().map(|row| (row.key.clone(), row)).collect()
        };
        let (mine, others) = (rows(self), rows(other));
        let keys: BTreeSet<&String> = mine.keys().chain(others.keys()).collect();
        let difference =
            |key: &String| Difference { key: key.clone(), sides: [mine.get(key).cloned(), others.get(key).cloned()] };
        let value = |row: &Option<Row>| row.as_ref().map(|row| row.value.clone());
        let all = keys.into_iter().map(difference);
        all.filter(|Difference { sides: [a, b], .. }| value(a) != value(b)).collect()
    }

    fn whole(&self) -> (Table, BTreeMap<String, SetBy>) {
        let (mut table, mut origins) = (self.base.table.clone(), self.base.origins.clone());
        if let Some((sweep, by)) = &self.sweep {
            table.insert("sweep".to_owned(), Value::Table(sweep.clone()));
            origins.extend(by.clone());
        }
        (table, origins)
    }
}

/// The paths of a table's leaves; dotted keys may stand quoted or as tables.
fn leaves(table: &Table, path: &mut Vec<String>, all: &mut Vec<Vec<String>>) {
    for (name, value) in table {
        let before = path.len();
        path.extend(key::split(name).unwrap_or_else(|| vec![name.clone()]));
        match value {
            // A range of a search is a value of its key.
            Value::Table(inner) if !inner.contains_key("low") => leaves(inner, path, all),
            _ => all.push(path.clone()),
        }
        path.truncate(before);
    }
}
