//! A small schema for tests, with the real sections' shape.

use toml::{Table, Value};

use super::schema::{KeyDoc, KeyError, PluginDoc, Schema, SectionDoc};

/// Sections `""`, data, criterion, prune and train; criteria magnitude, random and worst.
pub struct Fixture;

/// Key, type, default as TOML (empty: none).
type Row = (&'static str, &'static str, &'static str);

const TOP: &[Row] =
    &[("seed", "integer", "0"), ("name", "text", ""), ("threads", "integer", "0"), ("device", "text", "'cpu'")];
const DATA: &[Row] = &[("data.dir", "text", ""), ("data.validation", "number in [0, 1)", "0.1")];
const TRAIN: &[Row] =
    &[("train.lr", "number > 0", "0.1"), ("train.epochs", "integer", "10"), ("train.batch_size", "integer", "128")];
const PRUNE: &[Row] = &[("prune.scope", "text", "'global'"), ("prune.table", "table", "{}")];
const MAGNITUDE: &[Row] = &[("norm", "\"l1\" | \"l2\"", "'l2'"), ("power", "number > 0", "1.0")];
const GLYPHS: &[Row] = &[("noise", "number", "0.1")];

fn doc((key, ty, default): &Row) -> KeyDoc {
    let default =
        (!default.is_empty()).then(|| format!("v = {default}").parse::<Table>().expect("fixture")["v"].clone());
    KeyDoc { key: (*key).into(), doc: format!("About {key}."), ty: (*ty).into(), default, ..KeyDoc::default() }
}

fn section(name: &str, kind: Option<&str>, rows: &[Row]) -> SectionDoc {
    SectionDoc {
        name: name.into(),
        doc: format!("Section {name}."),
        plugin_kind: kind.map(str::to_owned),
        keys: rows.iter().map(doc).collect(),
    }
}

fn refused(ty: &str, value: &Value) -> bool {
    let number = value.as_float().or_else(|| value.as_integer().map(|whole| whole as f64));
    match ty {
        "integer" => !value.is_integer(),
        "text" => !value.is_str(),
        "table" => !value.is_table(),
        "number" => number.is_none(),
        "number > 0" => number.is_none_or(|n| n <= 0.0),
        "number in [0, 1)" => number.is_none_or(|n| !(0.0..1.0).contains(&n)),
        choice => value.as_str().is_none_or(|text| !choice.contains(&format!("\"{text}\""))),
    }
}

impl Schema for Fixture {
    fn sections(&self) -> Vec<SectionDoc> {
        vec![
            section("", None, TOP),
            section("data", Some("data"), DATA),
            section("criterion", Some("criterion"), &[]),
            section("prune", None, PRUNE),
            section("train", None, TRAIN),
        ]
    }

    fn plugin(&self, kind: &str, name: &str) -> Option<PluginDoc> {
        let options = match (kind, name) {
            ("criterion", "magnitude") => MAGNITUDE.iter().map(doc).collect(),
            ("criterion", "random") | ("data", "mnist") => Vec::new(),
            ("data", "glyphs") => GLYPHS.iter().map(doc).collect(),
            ("criterion", "worst") => {
                let of = doc(&("of", "criterion", "{ name = 'magnitude', norm = 'l1' }"));
                vec![KeyDoc { plugin_kind: Some("criterion".into()), ..of }]
            }
            _ => return None,
        };
        Some(PluginDoc { doc: format!("About {name}."), options, table_of_its_own: false })
    }

    fn plugin_names(&self, kind: &str) -> Vec<String> {
        let names: &[&str] = if kind == "data" { &["glyphs", "mnist"] } else { &["magnitude", "random", "worst"] };
        names.iter().map(|name| (*name).into()).collect()
    }

    fn check_section(&self, section: &str, values: &Table) -> Vec<KeyError> {
        let rows = match section {
            "" => TOP,
            "data" => DATA,
            "prune" => PRUNE,
            "train" => TRAIN,
            _ => MAGNITUDE,
        };
        let mut errors = Vec::new();
        for (key, ty, _) in rows {
            let bare = key.rsplit('.').next().unwrap_or(key);
            if let Some(value) = values.get(bare).filter(|value| refused(ty, value)) {
                let key = if section.is_empty() { bare.into() } else { format!("{section}.{bare}") };
                errors.push(KeyError { key, found: value.to_string(), allowed: (*ty).into() });
            }
        }
        errors
    }
}
