//! The keys of a config that no plugin owns.

use secateur::data::DataConfig;
use secateur::network::given::InitConfig;
use secateur::options::{OptionDoc, OptionSet};
use secateur::plugins::registry::{Item, Kind, Registry};
use secateur::pruning::{GrowConfig, PruneConfig};
use secateur::training::TrainConfig;

use crate::config::schema::{KeyDoc, SectionDoc};
use crate::config::{ForkConfig, OutputConfig, SEEDS, SeedsConfig, TopConfig};

/// Every section that has keys of its own.
pub fn all(registry: &Registry) -> Vec<SectionDoc> {
    vec![
        section("", "Keys above all sections.", keys("", TopConfig::docs(), None)),
        section(SEEDS, "What is drawn from another seed than `seed`.", keys("seeds.", SeedsConfig::docs(), None)),
        SectionDoc { plugin_kind: Some("data".to_owned()), ..section("data", "What is learned.", data_keys(registry)) },
        section("prune", "How scores become a pruned network.", keys("prune.", PruneConfig::docs(), None)),
        section(
            "grow",
            "How weights grow in the place of others that are pruned.",
            keys("grow.", GrowConfig::docs(), Some("criterion")),
        ),
        section("init", "Weights that a network begins with.", keys("init.", InitConfig::docs(), None)),
        section("train", "How the network is trained.", keys("train.", TrainConfig::docs(), None)),
        section("output", "Where results go.", keys("output.", OutputConfig::docs(), None)),
        section(
            "fork",
            "Where a run leaves another one, and goes on by itself.",
            keys("fork.", ForkConfig::docs(), None),
        ),
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
        acts: doc.acts,
    };
    docs.into_iter().map(key).collect()
}

fn section(name: &str, doc: &str, keys: Vec<KeyDoc>) -> SectionDoc {
    SectionDoc { name: name.to_owned(), doc: doc.to_owned(), plugin_kind: None, keys }
}

/// The keys that all data sets share, and for each set with options the table that holds them.
fn data_keys(registry: &Registry) -> Vec<KeyDoc> {
    // Tables hold what only some runs ask for: as defaults they would clutter every run's config.
    let common = keys("data.", DataConfig::docs(), None).into_iter();
    let common = common.map(|key| KeyDoc { default: key.default.filter(|value| !value.is_table()), ..key });
    let table = |(name, item): (&str, &Item)| {
        let options: Vec<&str> = item.docs().iter().map(|doc| doc.name).collect();
        let doc = format!("Options of {name}: {{ {} }}.", options.join(", "));
        let key = KeyDoc { key: format!("data.{name}"), doc, ty: "table".to_owned(), ..KeyDoc::default() };
        (!options.is_empty()).then_some(key)
    };
    common.chain(registry.of_kind(Kind::Data).filter_map(table)).collect()
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
    if let Some(inner) = inner("OneOrList<") {
        return format!("{0}, or list of: {0}", in_words(inner));
    }
    if let Some(inner) = inner("OneOrTable<") {
        return format!("{}, or table", in_words(inner));
    }
    match ty {
        "[usize;2]" => "list of two whole numbers".to_owned(),
        "f64" | "f32" => "number".to_owned(),
        "bool" => "true or false".to_owned(),
        "String" | "PathBuf" => "text".to_owned(),
        "u64" | "u32" | "usize" => "whole number, at least 0".to_owned(),
        "i64" | "i32" => "whole number".to_owned(),
        "Holdout" => "number: a fraction below 1, or a count".to_owned(),
        "Normalize" => r#""none", "unit", "half", "standard", or { mean = [..], std = [..] }"#.to_owned(),
        "Augment" => "table".to_owned(),
        "Table" => "table".to_owned(),
        "PluginSpec" => "a plugin: { name = \"...\", its options }".to_owned(),
        map if map.starts_with("BTreeMap<") => "table".to_owned(),
        _ => "one of the words above".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_sets_with_options_have_a_table() {
        let keys = data_keys(&secateur_bundle::registry().expect("the built-in plugins"));
        let glyphs = keys.iter().find(|key| key.key == "data.glyphs").expect("glyphs have options");
        assert_eq!(glyphs.doc, "Options of glyphs: { train, test, noise, seed }.");
        assert!(keys.iter().all(|key| key.key != "data.mnist"), "MNIST has none");
        assert!(keys.iter().all(|key| !key.default.as_ref().is_some_and(toml::Value::is_table)));
    }

    #[test]
    fn types_are_told_in_words() {
        assert_eq!(in_words("Option<f64>"), "number, or not set");
        assert_eq!(in_words("Vec<usize>"), "list of: whole number, at least 0");
        let either = "whole number, at least 0, or list of: whole number, at least 0";
        assert_eq!(in_words("OneOrList<usize>"), either);
        assert_eq!(in_words("OneOrTable<f64>"), "number, or table");
    }
}
