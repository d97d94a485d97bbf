//! Checks a merged config against the schema and completes it with defaults.

use std::collections::BTreeMap;

use toml::{Table, Value};

use super::error::{ConfigError, nearest};
use super::key::dotted;
use super::schema::{KeyDoc, PluginDoc, Schema, SectionDoc};
use super::set_by::{SetBy, set_by};

/// Removes what is unknown, fills in what is unset, and reports everything wrong.
pub fn validate(table: &mut Table, origins: &mut BTreeMap<String, SetBy>, schema: &dyn Schema) -> Vec<ConfigError> {
    let sections = schema.sections();
    let errors = Vec::from_iter(bad_name(table, origins));
    let mut check = Check { schema, sections: &sections, origins, errors };
    check.top_level(table);
    for section in &sections {
        check.section(section, table);
    }
    check.errors
}

struct Check<'a> {
    schema: &'a dyn Schema,
    sections: &'a [SectionDoc],
    origins: &'a mut BTreeMap<String, SetBy>,
    errors: Vec<ConfigError>,
}

impl Check<'_> {
    fn top_level(&mut self, table: &mut Table) {
        let mut known: Vec<String> = Vec::new();
        for section in self.sections {
            if section.name.is_empty() {
                known.extend(section.keys.iter().map(|doc| doc.key.clone()));
            } else {
                known.push(section.name.clone());
            }
        }
        self.refuse_unknown(&[], table, &known, None);
        for section in self.sections.iter().filter(|section| !section.name.is_empty()) {
            let value = table.entry(section.name.clone()).or_insert_with(|| Value::Table(Table::new()));
            if !value.is_table() {
                let found = value.to_string();
                let group = value.as_str().map_or_else(String::new, |name| {
                    format!("; what configs/{0}/ has for it: extends = [\"{0}/{name}\"]", section.name)
                });
                *value = Value::Table(Table::new());
                let allowed = format!("a section: [{0}], or single keys as {0}.KEY{group}", section.name);
                self.refuse_value(section.name.clone(), found, allowed);
            }
        }
    }

    fn section(&mut self, section: &SectionDoc, table: &mut Table) {
        let errors_before = self.errors.len();
        let (path, values): (Vec<String>, &mut Table) = match section.name.as_str() {
            "" => (Vec::new(), table),
            name => match table.get_mut(name).and_then(Value::as_table_mut) {
                Some(values) => (vec![name.to_owned()], values),
                None => return,
            },
        };
        let keys: Vec<KeyDoc> = section.keys.iter().map(|doc| doc.bare(&section.name)).collect();
        if let Some(kind) = &section.plugin_kind {
            self.plugin(&path, kind, values, &keys);
        } else if !path.is_empty() {
            let known: Vec<String> = keys.iter().map(|doc| doc.key.clone()).collect();
            self.refuse_unknown(&path, values, &known, None);
        }
        self.complete(&path, values, &keys, &SetBy::BuiltIn);
        self.inner_plugins(&path, values, &keys);
        // Without its plugin a section cannot be judged; the unknown name is what must be corrected first.
        let unjudged = |error: &ConfigError| {
            matches!(
                error,
                ConfigError::UnknownPlugin { .. } | ConfigError::NoPlugin { .. } | ConfigError::Value { .. }
            )
        };
        if self.errors[errors_before..].iter().any(unjudged) {
            return;
        }
        let own: Table = if path.is_empty() {
            let inner = |name: &String| self.sections.iter().any(|section| section.name == *name);
            values.iter().filter(|(name, _)| !inner(name)).map(|(name, value)| (name.clone(), value.clone())).collect()
        } else {
            values.clone()
        };
        let mut refused = self.schema.check_section(&section.name, &own);
        // A default that does not fit a refused value is no mistake of its own.
        let is_default = |key: &str| matches!(self.origin(key), SetBy::BuiltIn | SetBy::Plugin { .. });
        if refused.iter().any(|error| !is_default(&error.key)) {
            refused.retain(|error| !is_default(&error.key));
        }
        for error in refused {
            self.refuse_value(error.key, error.found, error.allowed);
        }
    }

    /// A table whose `name` chooses a plugin: a section, or an option that is itself a plugin.
    fn plugin(&mut self, path: &[String], kind: &str, values: &mut Table, section_keys: &[KeyDoc]) {
        let name_key = child(path, "name");
        let name = match values.get("name") {
            Some(Value::String(name)) => name.clone(),
            None => {
                let known = self.schema.plugin_names(kind);
                return self.errors.push(ConfigError::NoPlugin { key: name_key, kind: kind.to_owned(), known });
            }
            Some(other) => {
                let (found, known) = (other.to_string(), self.schema.plugin_names(kind).join(", "));
                return self.refuse_value(name_key, found, format!("the name of a {kind}: {known}"));
            }
        };
        let Some(options) = self.schema.plugin(kind, &name).map(PluginDoc::section_options) else {
            let known = self.schema.plugin_names(kind);
            let near = nearest(&name, known.iter().map(String::as_str));
            let fix = near.map_or_else(
                || "choose one of these, or load the plugin that has it: --plugin FILE".to_owned(),
                |near| format!("did you mean {near}?"),
            );
            return self.errors.push(ConfigError::UnknownPlugin {
                origin: self.origin(&name_key),
                key: name_key,
                kind: kind.to_owned(),
                found: name,
                known,
                fix,
            });
        };
        let docs = || section_keys.iter().chain(&options);
        let known: Vec<String> = ["name".to_owned()].into_iter().chain(docs().map(|doc| doc.key.clone())).collect();
        self.refuse_unknown(path, values, &known, Some(format!("{kind} {name}")));
        let origin = SetBy::Plugin { kind: kind.to_owned(), name };
        self.complete(path, values, &options, &origin);
        self.inner_plugins(path, values, &options);
    }

    /// Values that are plugins themselves.
    fn inner_plugins(&mut self, path: &[String], values: &mut Table, docs: &[KeyDoc]) {
        for doc in docs {
            if let Some(kind) = &doc.plugin_kind
                && let Some(Value::Table(inner)) = values.get_mut(&doc.key)
            {
                self.plugin(&[path, std::slice::from_ref(&doc.key)].concat(), kind, inner, &[]);
            }
        }
    }

    fn refuse_unknown(&mut self, path: &[String], values: &mut Table, known: &[String], plugin: Option<String>) {
        let unknown: Vec<String> = values.keys().filter(|name| !known.contains(name)).cloned().collect();
        for name in unknown {
            values.remove(&name);
            let key = child(path, &name);
            let near = nearest(&name, known.iter().map(String::as_str))
                .map(|near| child(path, near))
                .or_else(|| self.same_name_elsewhere(&name));
            self.errors.push(ConfigError::UnknownKey {
                origin: self.origin(&key),
                known: known.iter().map(|name| child(path, name)).collect(),
                fix: near
                    .map_or_else(|| "remove it, or use a known key".to_owned(), |near| format!("did you mean {near}?")),
                plugin: plugin.clone(),
                key,
            });
        }
    }

    /// `lr` at the top, or `train.seed`: the key exists, in another place.
    fn same_name_elsewhere(&self, name: &str) -> Option<String> {
        let keys = self.sections.iter().flat_map(|section| &section.keys).map(|doc| &doc.key);
        keys.into_iter().find(|key| key.rsplit('.').next() == Some(name)).cloned()
    }

    /// Fills in defaults, and makes whole numbers floats where a key takes any number, so that 1 and 1.0 are one value.
    fn complete(&mut self, path: &[String], values: &mut Table, docs: &[KeyDoc], origin: &SetBy) {
        for doc in docs {
            let any_number = doc.ty.starts_with("number") || matches!(doc.default, Some(Value::Float(_)));
            match (values.get_mut(&doc.key), &doc.default) {
                (Some(value), _) if any_number => {
                    if let Value::Integer(whole) = value {
                        *value = Value::Float(*whole as f64);
                    }
                }
                (Some(Value::Table(chosen)), Some(Value::Table(default)))
                    if doc.plugin_kind.is_some()
                        && chosen.get("name").is_none_or(|name| Some(name) == default.get("name")) =>
                {
                    // Options without a name are for the plugin that stands there by default.
                    for (name, value) in default {
                        if !chosen.contains_key(name) {
                            chosen.insert(name.clone(), value.clone());
                            self.note([path, &[doc.key.clone(), name.clone()]].concat(), value, origin);
                        }
                    }
                }
                (None, Some(default)) => {
                    values.insert(doc.key.clone(), default.clone());
                    self.note([path, std::slice::from_ref(&doc.key)].concat(), default, origin);
                }
                _ => {}
            }
        }
    }

    fn note(&mut self, path: Vec<String>, value: &Value, origin: &SetBy) {
        match value {
            Value::Table(inner) if !inner.is_empty() => {
                for (name, value) in inner {
                    self.note([path.as_slice(), std::slice::from_ref(name)].concat(), value, origin);
                }
            }
            _ => _ = self.origins.insert(dotted(&path), origin.clone()),
        }
    }

    fn refuse_value(&mut self, key: String, found: String, allowed: String) {
        self.errors.push(ConfigError::Value { origin: self.origin(&key), key, found, allowed });
    }

    fn origin(&self, key: &str) -> SetBy {
        set_by(self.origins, key)
    }
}

fn child(path: &[String], name: &str) -> String {
    dotted(&[path, &[name.to_owned()]].concat())
}

/// Longest name of a run, in bytes.
pub const MAX_NAME: usize = 100;

/// The name becomes part of a folder's name.
fn bad_name(table: &Table, origins: &BTreeMap<String, SetBy>) -> Option<ConfigError> {
    let value = table.get("name")?;
    let safe = |name: &str| {
        name.starts_with(|c: char| c.is_ascii_alphanumeric())
            && name.len() <= MAX_NAME
            && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
    };
    match value.as_str() {
        Some(name) if safe(name) => None,
        _ => Some(ConfigError::Value {
            key: "name".to_owned(),
            origin: set_by(origins, "name"),
            found: value.to_string(),
            allowed: "text of letters, digits, `-`, `_` and `.`, starting with a letter or digit, at most 100"
                .to_owned(),
        }),
    }
}
