//! When a stronger layer chooses another plugin, the weaker layers' options for the old one go with it.

use super::layer::Layer;
use crate::config::schema::Schema;

/// Drops, in every plugin section, the options set below the strongest layer that changed the section's `name`.
///
/// Example: the file says `[criterion] name = "magnitude", norm = "l1"` and `--set criterion.name=random` follows; then
/// `norm` is gone, because it was meant for magnitude. Options in the layer that sets the name, or above it, stay, and
/// so do the keys that belong to the section itself (`data.dir`). The same goes for a key that is a plugin
/// (`grow.criterion`). Within one layer the order does not matter. Changing
/// the name and back drops the options too: the last change counts.
pub fn drop_switched_options(layers: &mut [Layer], schema: &dyn Schema) {
    for section in schema.sections() {
        if let Some(kind) = &section.plugin_kind {
            let prefix = format!("{}.", section.name);
            let kept: Vec<&str> = section.keys.iter().filter_map(|doc| doc.key.strip_prefix(&prefix)).collect();
            settle(layers, vec![section.name.clone()], kind, &kept, schema);
        }
        for key in &section.keys {
            if let Some(kind) = &key.plugin_kind {
                settle(layers, vec![section.name.clone(), key.bare(&section.name).key], kind, &[], schema);
            }
        }
    }
}

fn settle(layers: &mut [Layer], path: Vec<String>, kind: &str, kept: &[&str], schema: &dyn Schema) {
    let mut chosen: Option<String> = None;
    for strong in 0..layers.len() {
        let name = layers[strong].table_at(&path).and_then(|table| table.get("name")).and_then(|name| name.as_str());
        let Some(name) = name.map(str::to_owned) else { continue };
        if chosen.as_ref().is_some_and(|before| *before != name) {
            for weaker in &mut layers[..strong] {
                if let Some(table) = weaker.table_at_mut(&path) {
                    table.retain(|key, _| key == "name" || kept.contains(&key));
                }
            }
        }
        chosen = Some(name);
    }
    let Some(plugin) = chosen.and_then(|name| schema.plugin(kind, &name)) else { return };
    for option in plugin.section_options() {
        if let Some(kind) = &option.plugin_kind {
            settle(layers, [path.as_slice(), &[option.key]].concat(), kind, &[], schema);
        }
    }
}
