//! The resolved config as text: one `key = value` a line under its section, with or without origins.

use std::collections::BTreeMap;

use toml::{Table, Value};

use super::key::dotted;
use super::set_by::SetBy;

/// Comments start at most this far right, so that one long value does not push all of them away.
const COMMENT_COLUMN: usize = 56;

/// The config as TOML without comments.
pub fn plain(table: &Table) -> String {
    lines(table).into_iter().map(|line| line.text + "\n").collect()
}

/// TOML in which each value is followed by its origin.
pub fn annotated(table: &Table, origins: &BTreeMap<String, SetBy>) -> String {
    let lines = lines(table);
    let widths = lines.iter().filter(|line| line.key.is_some()).map(|line| line.text.chars().count());
    let column = widths.filter(|width| *width < COMMENT_COLUMN).max().unwrap_or(0);
    let mut text = String::new();
    for line in lines {
        match line.key.and_then(|key| origins.get(&key)) {
            Some(origin) => text.push_str(&format!("{:column$}  # {origin}\n", line.text)),
            None => text.push_str(&format!("{}\n", line.text)),
        }
    }
    text
}

/// One value, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The key, dotted.
    pub key: String,
    /// The value as TOML.
    pub value: String,
    /// The layer that set it.
    pub origin: String,
    /// Whether no layer set it.
    pub is_default: bool,
}

/// All values, sorted by key.
pub fn rows(table: &Table, origins: &BTreeMap<String, SetBy>) -> Vec<Row> {
    let row = |(key, origin): (&String, &SetBy)| {
        let parts = super::key::split(key)?;
        let (first, rest) = parts.split_first()?;
        let value = rest.iter().try_fold(table.get(first)?, |value, part| value.get(part))?;
        let is_default = matches!(origin, SetBy::Plugin { .. } | SetBy::BuiltIn);
        Some(Row { key: key.clone(), value: value.to_string(), origin: origin.to_string(), is_default })
    };
    origins.iter().filter_map(row).collect()
}

struct Line {
    text: String,
    /// The dotted key, where the line sets one.
    key: Option<String>,
}

fn lines(table: &Table) -> Vec<Line> {
    let mut lines = Vec::new();
    let (sections, top): (Vec<_>, Vec<_>) = table.iter().partition(|(_, value)| value.is_table());
    for (name, value) in top {
        leaves(&mut vec![name], 0, value, &mut lines);
    }
    // A section that says nothing is there all the same.
    for (name, value) in sections.into_iter().filter(|(_, value)| value.as_table().is_some_and(|all| !all.is_empty())) {
        if !lines.is_empty() {
            lines.push(Line { text: String::new(), key: None });
        }
        lines.push(Line { text: format!("[{}]", dotted(&[name])), key: None });
        let Value::Table(section) = value else { continue };
        // The plugin's name before its options.
        let (first, rest): (Vec<_>, Vec<_>) = section.iter().partition(|(key, _)| *key == "name");
        for (key, value) in first.into_iter().chain(rest) {
            leaves(&mut vec![name, key], 1, value, &mut lines);
        }
    }
    lines
}

/// Writes one line for each leaf; `depth` parts of its key stand in the section's header.
fn leaves<'a>(path: &mut Vec<&'a str>, depth: usize, value: &'a Value, lines: &mut Vec<Line>) {
    match value {
        Value::Table(inner) if !inner.is_empty() => {
            for (name, value) in inner {
                path.push(name);
                leaves(path, depth, value, lines);
                path.pop();
            }
        }
        _ => lines.push(Line { text: format!("{} = {value}", dotted(&path[depth..])), key: Some(dotted(path)) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_reads_back_as_the_same_table() {
        let table: Table = r#"
            seed = 3
            note = "a \"quoted\" \n line # not a comment"
            [criterion]
            of = { name = "magnitude", norm = "l1" }
            name = "worst"
            [prune]
            table = { "blocks.0" = 0.5, fc1 = 1.0 }
            empty = {}
            list = [1, [2.5], { a = 1 }]
        "#
        .parse()
        .unwrap();
        assert_eq!(plain(&table).parse::<Table>().unwrap(), table);
        let origins = BTreeMap::from([("criterion.of.norm".to_owned(), SetBy::Flag("--set".to_owned()))]);
        let text = annotated(&table, &origins);
        assert_eq!(text.parse::<Table>().unwrap(), table);
        assert!(text.contains("of.norm = \"l1\"  ") && text.contains("# --set"), "{text}");
    }
}
