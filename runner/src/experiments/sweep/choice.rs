//! One value of an axis, and what it sets.

use serde::{Deserialize, Serialize};
use toml::Value;

use super::fork;
use crate::config::fork::FORK;
use crate::config::{Layer, SetBy};

/// One value of an axis.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Choice {
    /// Its name for people.
    pub label: String,
    /// The layers that it adds to the config.
    pub layers: Vec<Layer>,
    /// The path of a plain value, whose effect does not depend on other keys; `None` for a plugin's name or a whole
    /// group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leaf: Option<Vec<String>>,
}

impl Choice {
    /// A value that stands in the sweep itself.
    pub fn plain(path: &[String], value: &Value, origin: &SetBy) -> Self {
        let mut layer = Layer::default();
        layer.insert(path, value.clone(), origin);
        let label = match value {
            Value::String(text) => text.clone(),
            Value::Table(_) if *path == [FORK] => fork::label(value).unwrap_or_else(|| value.to_string()),
            Value::Table(table) => {
                table.get("name").and_then(Value::as_str).map_or_else(|| value.to_string(), str::to_owned)
            }
            other => other.to_string(),
        };
        let names_plugin = path.len() > 1 && path.last().is_some_and(|last| last == "name");
        let leaf = (!value.is_table() && !names_plugin).then(|| path.to_vec());
        Self { label, layers: vec![layer], leaf }
    }

    /// A named config, or a file, with what it extends.
    pub fn group(name: &str, layers: Vec<Layer>) -> Self {
        let file = name.rsplit(['/', '\\']).next().unwrap_or(name);
        Self { label: file.strip_suffix(".toml").unwrap_or(file).to_owned(), layers, leaf: None }
    }
}
