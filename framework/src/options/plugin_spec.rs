//! An option that chooses a plugin.

use super::Table;
use crate::error::{OptionError, Result};
use serde::{Deserialize, Serialize};

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
