//! `secateur plugins reference`: every section, key and plugin as one page of the guide.

use crate::config::Schema;
use crate::config::schema::KeyDoc;

/// The page, in Markdown.
pub fn page(schema: &dyn Schema) -> String {
    let mut page = String::from(
        "# Every option\n\nWritten by `secateur plugins reference`. `name` in the section of a kind chooses the plugin; the section's other keys are the \
         plugin's options. An option without a default is not set. An option acts always unless the last column says what it needs; set to \
         another value than its default where it cannot act, it makes the run say so.\n\n## Sections\n",
    );
    let sections = schema.sections();
    for section in sections.iter().filter(|section| !section.keys.is_empty()) {
        let title =
            if section.name.is_empty() { "Above all sections".to_owned() } else { format!("`[{}]`", section.name) };
        let bare = section.keys.iter().map(|doc| doc.bare(&section.name));
        page += &format!("\n### {title}\n\n{}\n{}", section.doc, table(bare));
    }
    for kind in sections.into_iter().filter_map(|section| section.plugin_kind) {
        page += &format!("\n## Kind `{kind}`\n");
        for name in schema.plugin_names(&kind) {
            let plugin = schema.plugin(&kind, &name).unwrap_or_default();
            let own = if plugin.table_of_its_own && !plugin.options.is_empty() {
                format!("\nIts options stand in `[{kind}.{name}]`.\n")
            } else {
                String::new()
            };
            page += &format!("\n### `{kind}` {name}\n\n{}\n{own}{}", plugin.doc, table(plugin.options.into_iter()));
        }
    }
    page
}

fn table(docs: impl Iterator<Item = KeyDoc>) -> String {
    let rows: String = docs
        .map(|KeyDoc { key, doc, ty, default, acts, .. }| {
            let default = default.map_or_else(String::new, |value| format!("`{value}`"));
            let cell = |text: &str| text.replace('|', "\\|");
            let acts = acts.map_or_else(String::new, |acts| format!("with {acts}"));
            format!("| `{key}` | {} | {} | {} | {} |\n", cell(&doc), cell(&ty), cell(&default), cell(&acts))
        })
        .collect();
    if rows.is_empty() {
        rows
    } else {
        format!("\n| key | what it does | value | default | acts |\n|---|---|---|---|---|\n{rows}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Workbench;
    use std::fs;
    use std::path::Path;

    #[test]
    fn the_guide_has_the_page_of_this_program() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/src/reference.md");
        let (now, there) = (page(&Workbench::new(&[]).unwrap()), fs::read_to_string(&file).unwrap_or_default());
        let line = now.lines().zip(there.lines()).position(|(a, b)| a != b).unwrap_or(0) + 1;
        assert!(
            now == there,
            "docs/src/reference.md is stale from line {line} on; CONTRIBUTING.md says how to write it anew"
        );
    }
}
