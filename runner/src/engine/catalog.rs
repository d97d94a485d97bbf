//! What may stand in a config: the program's own sections and the registered plugins.

use std::path::Path;

use secateur::error::OptionError;
use secateur::network::given::InitConfig;
use secateur::options::{self, OptionDoc, OptionSet, Table};
use secateur::plugins::boundary::PREFIX;
use secateur::plugins::registry::Kind;
use secateur::pruning::{GrowConfig, PruneConfig};
use secateur::training::TrainConfig;
use toml::Value;

use super::sections::{self, keys};
use super::{Workbench, data};
use crate::config::schema::{KeyError, PluginDoc, Schema, SectionDoc};
use crate::config::{ForkConfig, OutputConfig, SEEDS, SeedsConfig, TopConfig};

impl Schema for Workbench {
    fn sections(&self) -> Vec<SectionDoc> {
        let plugin = |kind: Kind| SectionDoc {
            name: kind.name().to_owned(),
            doc: format!("Which {kind}, and its options."),
            plugin_kind: Some(kind.name().to_owned()),
            keys: Vec::new(),
        };
        let mut all = sections::all(&self.registry);
        let others = Kind::ALL.into_iter().filter(|kind| all.iter().all(|section| section.name != kind.name()));
        let others: Vec<SectionDoc> = others.map(plugin).collect();
        all.extend(others);
        all
    }

    fn plugin(&self, kind: &str, name: &str) -> Option<PluginDoc> {
        let kind = known_kind(kind)?;
        let item = self.registry.get(kind, name).ok()?;
        let options = keys("", item.docs(), Some(kind.name()));
        Some(PluginDoc { doc: item.summary().to_owned(), options, table_of_its_own: kind == Kind::Data })
    }

    fn plugin_names(&self, kind: &str) -> Vec<String> {
        let names = |kind| self.registry.of_kind(kind).map(|(name, _)| name.to_owned()).collect();
        known_kind(kind).map_or_else(Vec::new, names)
    }

    fn check_section(&self, section: &str, values: &Table) -> Vec<KeyError> {
        match section {
            "" => refused(section, errors::<TopConfig>(values)),
            SEEDS => refused(section, errors::<SeedsConfig>(values)),
            "data" => refused(section, data::check(values, &self.registry)),
            "prune" => refused(section, errors::<PruneConfig>(values)),
            "grow" => {
                let mut all = refused(section, errors::<GrowConfig>(values));
                all.extend(self.bad_plugins(Kind::Criterion, section, &GrowConfig::docs(), values));
                all
            }
            "output" => refused(section, errors::<OutputConfig>(values)),
            "fork" => refused(section, errors::<ForkConfig>(values)),
            "init" => refused(section, errors::<InitConfig>(values)),
            "train" => refused(section, errors::<TrainConfig>(values)),
            plugin => known_kind(plugin).map_or_else(Vec::new, |kind| self.bad_options(kind, plugin, values)),
        }
    }

    fn interpreter(&self, file: &Path) -> Option<String> {
        let file = file.canonicalize().ok()?;
        let mut scripts = self.registry.of_kind(Kind::Criterion).filter(|(name, _)| name.starts_with(PREFIX));
        let (_, script) = scripts.find(|(_, item)| item.origin().file.as_ref() == Some(&file))?;
        Some(script.origin().version.clone())
    }
}

impl Workbench {
    /// What a plugin refuses, and what the plugins named in its options refuse.
    fn bad_options(&self, kind: Kind, path: &str, values: &Table) -> Vec<KeyError> {
        let mut options = values.clone();
        let Some(Value::String(name)) = options.remove("name") else { return Vec::new() };
        let Ok(item) = self.registry.get(kind, &name) else { return Vec::new() };
        let mut errors = refused(path, item.check(&options).err().unwrap_or_default());
        errors.extend(self.bad_plugins(kind, path, &item.docs(), &options));
        errors
    }

    /// What the plugins refuse that are named in these values.
    fn bad_plugins(&self, kind: Kind, path: &str, docs: &[OptionDoc], values: &Table) -> Vec<KeyError> {
        let named = docs.iter().filter(|doc| doc.ty.contains("PluginSpec"));
        let inner = named.filter_map(|doc| Some((doc.name, values.get(doc.name)?.as_table()?)));
        inner.flat_map(|(key, inner)| self.bad_options(kind, &format!("{path}.{key}"), inner)).collect()
    }
}

/// What a section's typed options refuse, with keys relative to the section.
fn errors<T: OptionSet>(values: &Table) -> Vec<OptionError> {
    options::parse::<T>(values).err().unwrap_or_default()
}

fn known_kind(name: &str) -> Option<Kind> {
    Kind::ALL.into_iter().find(|kind| kind.name() == name)
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
            // `1e9` is none, for all that it looks like in other words.
            "u64" | "u32" | "usize" if before.contains("floating point") => {
                "whole number, at least 0, written without a point or an exponent".to_owned()
            }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::schema::KeyDoc;
    use crate::config::{Request, Resolved, SetBy, resolve};

    fn quickstart(set: &str, workbench: &Workbench) -> Option<Resolved> {
        let (configs, sets) = (vec!["experiment/quickstart".to_owned()], vec![set.to_owned()]);
        resolve(&Request { configs, sets, ..Request::default() }, workbench).ok()
    }

    /// The keys of a section, and the options of the plugin that stands there, by their full names.
    fn keys_of(section: SectionDoc, config: &Resolved, workbench: &Workbench) -> Vec<KeyDoc> {
        let mut keys = section.keys;
        if let Some(kind) = section.plugin_kind.as_deref().and_then(known_kind) {
            let name = config.run.plugin(kind);
            let plugin = workbench.plugin(kind.name(), name).unwrap();
            let path = if plugin.table_of_its_own { format!("{kind}.{name}") } else { kind.to_string() };
            keys.extend(plugin.options.into_iter().map(|doc| KeyDoc { key: format!("{path}.{}", doc.key), ..doc }));
        }
        keys
    }

    #[test]
    fn a_key_identifies_a_run_where_it_has_not_its_default() {
        let workbench = Workbench::new(&[]).unwrap();
        let plain = quickstart("name=\"plain\"", &workbench).unwrap();
        let (mut defaults, mut others) = (0, 0);
        for section in workbench.sections() {
            let without_effect = section.name == "output";
            for KeyDoc { key, default, .. } in keys_of(section, &plain, &workbench) {
                let Some(default) = default else { continue };
                let at_default = quickstart(&format!("{key}={default}"), &workbench);
                if let (SetBy::Plugin { .. } | SetBy::BuiltIn, Some(same)) = (plain.set_by(&key), &at_default) {
                    assert_eq!(same.identity(), plain.identity(), "{key} = {default}");
                    defaults += 1;
                }
                let other = match &default {
                    Value::Boolean(on) => Value::from(!on),
                    Value::Integer(n) => Value::from(n + 1),
                    Value::Float(x) => Value::from(x / 2.0 + 0.1),
                    _ => continue,
                };
                if let (Some(at_default), Some(changed)) =
                    (at_default, quickstart(&format!("{key}={other}"), &workbench))
                {
                    let same = without_effect || key == "threads";
                    assert_eq!(changed.identity() == at_default.identity(), same, "{key} = {other}");
                    others += 1;
                }
            }
        }
        assert!(defaults > 30 && others > 30, "{defaults} {others}");
    }

    /// Folders of earlier runs are found by it, and sweeps that go on skip what is finished.
    #[test]
    fn the_hash_of_a_run_is_what_it_was_and_other_bits_make_another_run() {
        let workbench = Workbench::new(&[]).unwrap();
        let hash = |set: &str| quickstart(set, &workbench).unwrap().identity()[..12].to_owned();
        assert_eq!(hash("train.bits=\"fastest\""), "9228a3475539");
        assert_ne!(hash("train.bits=\"portable\""), "9228a3475539");
    }
}
