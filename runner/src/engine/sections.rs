//! The keys of a config that no plugin owns.

use std::collections::BTreeMap;

use secateur::data::DataConfig;
use secateur::options::{OptionDoc, OptionSet};
use secateur::pruning::PruneConfig;
use secateur::training::TrainConfig;
use toml::Value;

use crate::config::schema::{KeyDoc, SectionDoc};
use crate::config::{OutputConfig, TopConfig};

/// What `data.*` means; the framework's struct has the types and defaults.
const DATA: &[(&str, &str, &str)] = &[
    ("dir", "Folder with the data set's files; the usual places are searched where absent.", "text"),
    ("validation", "Held out of the training set, drawn by seed: a fraction below 1, or a count.", "number"),
    ("train_limit", "Train on this many examples only, drawn by seed.", "whole number"),
    ("test_limit", "Test on this many examples only, drawn by seed.", "whole number"),
    (
        "normalize",
        "How stored values become inputs.",
        "\"none\", \"unit\", \"half\", \"standard\", or { mean = [..], std = [..] }",
    ),
    ("augment", "Random changes of training images: { crop_pad, flip }.", "table"),
    ("glyphs", "Options of glyphs: { train, test, noise, seed }.", "table"),
    ("cubist-spiral", "Options of cubist-spiral: { per_class }.", "table"),
    ("cifar100", "Options of cifar100.", "table"),
    ("image-folder", "Options of image-folder.", "table"),
];

/// Every section that is not a plugin's.
pub fn all() -> Vec<SectionDoc> {
    vec![
        section("", "Keys above all sections.", keys("", TopConfig::docs(), None)),
        SectionDoc { plugin_kind: Some("data".to_owned()), ..section("data", "What is learned.", data_keys()) },
        section("prune", "How scores become a pruned network.", keys("prune.", PruneConfig::docs(), None)),
        section("train", "How the network is trained.", keys("train.", TrainConfig::docs(), None)),
        section("output", "Where results go.", keys("output.", OutputConfig::docs(), None)),
    ]
}

/// Documented options as keys; an option that names a plugin names one of `kind`.
pub fn keys(prefix: &str, docs: Vec<OptionDoc>, kind: Option<&str>) -> Vec<KeyDoc> {
    let key = |doc: OptionDoc| KeyDoc {
        key: format!("{prefix}{}", doc.name),
        plugin_kind: kind.filter(|_| doc.ty.contains("PluginSpec")).map(str::to_owned),
        ty: in_words(&doc.ty),
        doc: doc.doc,
        default: doc.default,
    };
    docs.into_iter().map(key).collect()
}

fn section(name: &str, doc: &str, keys: Vec<KeyDoc>) -> SectionDoc {
    SectionDoc { name: name.to_owned(), doc: doc.to_owned(), plugin_kind: None, keys }
}

fn data_keys() -> Vec<KeyDoc> {
    let defaults: BTreeMap<String, Value> =
        toml::Table::try_from(DataConfig::default()).unwrap_or_default().into_iter().collect();
    // Options of one data set stand in a table of its own; defaults of the others would only clutter a run's config.
    let default = |name: &str| defaults.get(name).filter(|value| !value.is_table()).cloned();
    let known = |name: &str| {
        defaults.contains_key(name) || default(name).is_some() || ["dir", "train_limit", "test_limit"].contains(&name)
    };
    let key = |(name, doc, ty): &(&str, &str, &str)| KeyDoc {
        key: format!("data.{name}"),
        doc: (*doc).to_owned(),
        ty: (*ty).to_owned(),
        default: default(name),
        plugin_kind: None,
    };
    DATA.iter().filter(|(name, ..)| known(name)).map(key).collect()
}

/// A Rust type for people who write TOML.
fn in_words(ty: &str) -> String {
    let inner = |prefix: &str| ty.strip_prefix(prefix).and_then(|rest| rest.strip_suffix('>'));
    if let Some(inner) = inner("Option<") {
        return format!("{}, or not set", in_words(inner));
    }
    if let Some(inner) = inner("Vec<") {
        return format!("list of: {}", in_words(inner));
    }
    match ty {
        "f64" | "f32" => "number".to_owned(),
        "bool" => "true or false".to_owned(),
        "String" => "text".to_owned(),
        "u64" | "u32" | "usize" => "whole number, at least 0".to_owned(),
        "i64" | "i32" => "whole number".to_owned(),
        "PluginSpec" => "a plugin: { name = \"...\", its options }".to_owned(),
        map if map.starts_with("BTreeMap<") => "table".to_owned(),
        _ => "one of the words above".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_of_the_data_section_is_documented() {
        let defaults = toml::Table::try_from(DataConfig::default()).unwrap_or_default();
        for name in defaults.keys().filter(|name| *name != "name") {
            assert!(DATA.iter().any(|(documented, ..)| documented == name), "data.{name}");
        }
    }

    #[test]
    fn types_are_told_in_words() {
        assert_eq!(in_words("Option<f64>"), "number, or not set");
        assert_eq!(in_words("Vec<usize>"), "list of: whole number, at least 0");
    }
}
