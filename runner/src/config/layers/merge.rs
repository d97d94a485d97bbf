//! Many layers become one.

use std::collections::BTreeMap;

use figment::Figment;
use figment::value::{Dict, Value as Laid};
use toml::{Table, Value};

use super::layer::{Layer, Placed};
use crate::config::key;
use crate::config::set_by::SetBy;

/// The values of all layers together.
#[derive(Clone, Debug, Default)]
pub struct Merged {
    /// Every value.
    pub table: Table,
    /// Who set each leaf, by dotted key.
    pub origins: BTreeMap<String, SetBy>,
}

/// Lays each layer over the ones before it: lists whole, tables key by key.
pub fn merge(layers: &[Layer]) -> Merged {
    let merged =
        layers.iter().enumerate().fold(Figment::new(), |figment, (place, layer)| figment.merge(Placed(place, layer)));
    let values: Dict = merged.extract().expect("a table of plain values is a dictionary");
    let mut all = Merged::default();
    let by_tag = |value: &Laid| -> Option<usize> { merged.get_metadata(value.tag())?.name.parse().ok() };
    collect(&values, &mut Vec::new(), &mut all.table, &mut |path, value| {
        let key = key::dotted(path);
        let origin = by_tag(value).and_then(|place| layers[place].origins.get(&key).cloned());
        all.origins.insert(key, origin.unwrap_or(SetBy::BuiltIn));
    });
    all
}

/// Copies a merged dictionary to a table and visits its leaves.
fn collect<'a>(dict: &'a Dict, path: &mut Vec<&'a str>, table: &mut Table, leaf: &mut dyn FnMut(&[&str], &Laid)) {
    for (name, value) in dict {
        path.push(name);
        let copied = match value {
            Laid::Dict(_, inner) if !inner.is_empty() => {
                let mut copy = Table::new();
                collect(inner, path, &mut copy, leaf);
                Value::Table(copy)
            }
            other => {
                leaf(path, other);
                other.deserialize().expect("every TOML value survives the merge")
            }
        };
        table.insert(name.clone(), copied);
        path.pop();
    }
}
