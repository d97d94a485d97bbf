//! Values that are those of other keys, `"${train.epochs}"`, and values that somebody has to give, `"???"`.

use std::collections::BTreeMap;

use toml::{Table, Value};

use super::layer::Layer;
use super::merge::Merged;
use crate::config::error::{ConfigError, nearest_key};
use crate::config::key::{self, dotted};
use crate::config::schema::Schema;
use crate::config::set_by::{SetBy, set_by};
use crate::config::validate::validate;

/// What stands for a value that a stronger layer must give.
const MANDATORY: &str = "???";

/// What a text is made of.
#[derive(Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Key(Vec<String>),
}

/// Whether values depend on other layers or keys.
pub fn is_tied(table: &Table) -> bool {
    let tied = |text: &str| text == MANDATORY || refers(text);
    table.values().any(|value| any_text(value, &tied))
}

/// Whether the layer says that a key must be given by another.
pub fn asks_for(layer: &Layer, path: &[String]) -> bool {
    within(&layer.table, path).and_then(Value::as_str) == Some(MANDATORY)
}

/// Puts values in the place of references, and refuses what nobody has given.
///
/// # Errors
/// References that go in a circle, to no key, or to one without a value; values that must be given and are not.
pub fn settle(all: &mut Merged, schema: &dyn Schema) -> Vec<ConfigError> {
    let mut leaves = Vec::new();
    collect(&all.table, &mut Vec::new(), &mut leaves);
    let not_given = leaves.iter().filter(|(_, value)| value.as_str() == Some(MANDATORY));
    let missing: Vec<ConfigError> = not_given
        .map(|(path, _)| ConfigError::Mandatory { origin: set_by(&all.origins, &dotted(path)), key: dotted(path) })
        .collect();
    if !missing.is_empty() {
        return missing;
    }
    let referring: BTreeMap<Vec<String>, Value> =
        leaves.into_iter().filter(|(_, value)| any_text(value, &refers)).collect();
    if referring.is_empty() {
        return Vec::new();
    }
    let defaults = with_defaults(all, referring.keys(), schema);
    let keys = schema.sections().into_iter().flat_map(|section| section.keys).map(|doc| doc.key).collect();
    let (origins, mut errors) = (&all.origins, Vec::new());
    let mut search =
        Search { given: &all.table, defaults: &defaults, referring: &referring, origins, keys, chain: Vec::new() };
    let mut found = Vec::new();
    for path in referring.keys() {
        match search.at(path, path) {
            Ok(value) => found.push((path.clone(), value)),
            Err(error) => errors.push(*error),
        }
    }
    for (path, value) in found {
        let key = dotted(&path);
        let to = targets(&referring[&path]).iter().map(|target| dotted(target)).collect::<Vec<_>>().join(", ");
        let by = Box::new(set_by(&all.origins, &key));
        all.origins.insert(key, if to.is_empty() { *by } else { SetBy::Reference { by, to } });
        if let Some(place) = place(&mut all.table, &path) {
            *place = value;
        }
    }
    // Whoever stands in a circle finds it.
    let mut texts = std::collections::BTreeSet::new();
    errors.retain(|error| texts.insert(error.to_string()));
    errors
}

/// The complete config without the values that refer to others: what is not given has its default.
fn with_defaults<'a>(all: &Merged, referring: impl Iterator<Item = &'a Vec<String>>, schema: &dyn Schema) -> Table {
    let mut rest = Layer { table: all.table.clone(), origins: all.origins.clone(), ..Layer::default() };
    for path in referring {
        rest.remove(path);
    }
    // What is wrong with it is told when it is whole.
    _ = validate(&mut rest.table, &mut rest.origins, schema);
    rest.table
}

struct Search<'a> {
    given: &'a Table,
    defaults: &'a Table,
    referring: &'a BTreeMap<Vec<String>, Value>,
    origins: &'a BTreeMap<String, SetBy>,
    /// Every key of a section, set or not.
    keys: Vec<String>,
    /// The keys whose values are being looked for, outermost first.
    chain: Vec<Vec<String>>,
}

impl Search<'_> {
    /// The value of a key, for the key `of` that asks for it.
    fn at(&mut self, path: &[String], of: &[String]) -> Result<Value, Box<ConfigError>> {
        if let Some(start) = self.chain.iter().position(|earlier| earlier == path) {
            // From its first key in the alphabet on, so that it is one circle wherever one enters it.
            let mut circle: Vec<String> = self.chain[start..].iter().map(|path| dotted(path)).collect();
            let first = (0..circle.len()).min_by_key(|at| &circle[*at]).unwrap_or(0);
            circle.rotate_left(first);
            circle.push(circle[0].clone());
            let fix = format!("give one of them a value of its own, such as {}=VALUE", circle[0]);
            let origin = set_by(self.origins, &circle[0]);
            let (key, found) = (circle[0].clone(), circle.join(" -> "));
            return Err(ConfigError::Reference {
                key,
                problem: "refers to itself in a circle".into(),
                origin,
                found,
                fix,
            }
            .into());
        }
        if let Some(value) = self.referring.get(path) {
            self.chain.push(path.to_vec());
            let value = self.filled(value, path);
            self.chain.pop();
            return value;
        }
        match [self.given, self.defaults].into_iter().find_map(|table| within(table, path)) {
            Some(Value::Table(_)) => {
                let fix = "name one of its keys";
                Err(self.refused(of, format!("refers to {}, which is no single value", dotted(path)), fix.to_owned()))
            }
            Some(value) => Ok(value.clone()),
            None => Err(self.absent(path, of)),
        }
    }

    /// A value with everything that its texts refer to.
    fn filled(&mut self, value: &Value, of: &[String]) -> Result<Value, Box<ConfigError>> {
        Ok(match value {
            Value::String(text) => self.text(text, of)?,
            Value::Array(items) => {
                Value::Array(items.iter().map(|item| self.filled(item, of)).collect::<Result<_, _>>()?)
            }
            Value::Table(table) => {
                let filled = |(name, value): (&String, &Value)| Ok((name.clone(), self.filled(value, of)?));
                Value::Table(table.iter().map(filled).collect::<Result<_, Box<ConfigError>>>()?)
            }
            other => other.clone(),
        })
    }

    fn text(&mut self, text: &str, of: &[String]) -> Result<Value, Box<ConfigError>> {
        let pieces = pieces(text).map_err(|problem| {
            let fix = "write \"${train.epochs}\", or $${ where the text itself has ${";
            self.refused(of, problem, fix.to_owned())
        })?;
        if let [Piece::Key(path)] = &pieces[..] {
            return self.at(path, of);
        }
        let mut filled = String::new();
        for piece in pieces {
            match piece {
                Piece::Text(text) => filled.push_str(&text),
                Piece::Key(path) => match self.at(&path, of)? {
                    Value::String(text) => filled.push_str(&text),
                    Value::Array(_) => {
                        let fix = format!("make it the whole value: \"${{{}}}\"", dotted(&path));
                        let problem = format!("has {}, a list, within a text", dotted(&path));
                        return Err(self.refused(of, problem, fix));
                    }
                    other => filled.push_str(&other.to_string()),
                },
            }
        }
        Ok(Value::String(filled))
    }

    fn absent(&self, path: &[String], of: &[String]) -> Box<ConfigError> {
        let target = dotted(path);
        if self.keys.contains(&target) {
            let fix = format!("set it: {target}=VALUE");
            return self.refused(of, format!("refers to {target}, which is not set and has no default"), fix);
        }
        let mut known = Vec::new();
        collect(self.defaults, &mut Vec::new(), &mut known);
        let known: Vec<String> = known.iter().map(|(path, _)| dotted(path)).chain(self.keys.iter().cloned()).collect();
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        let fix = match nearest_key(&target, &known) {
            Some(near) => format!("did you mean ${{{near}}}?"),
            None => "refer to a key by its whole name: ${train.epochs}; `secateur config CONFIG` lists them".to_owned(),
        };
        self.refused(of, format!("refers to {target}, which is no key"), fix)
    }

    fn refused(&self, of: &[String], problem: String, fix: String) -> Box<ConfigError> {
        let key = dotted(of);
        let found = self.referring.get(of).map_or_else(String::new, Value::to_string);
        ConfigError::Reference { origin: set_by(self.origins, &key), key, problem, found, fix }.into()
    }
}

/// Every leaf of a table with its path; lists and empty tables are leaves.
fn collect(table: &Table, path: &mut Vec<String>, leaves: &mut Vec<(Vec<String>, Value)>) {
    for (name, value) in table {
        path.push(name.clone());
        match value {
            Value::Table(inner) if !inner.is_empty() => collect(inner, path, leaves),
            other => leaves.push((path.clone(), other.clone())),
        }
        path.pop();
    }
}

fn within<'v>(table: &'v Table, path: &[String]) -> Option<&'v Value> {
    let (first, rest) = path.split_first()?;
    rest.iter().try_fold(table.get(first)?, |value, part| value.get(part))
}

fn place<'v>(table: &'v mut Table, path: &[String]) -> Option<&'v mut Value> {
    let (first, rest) = path.split_first()?;
    rest.iter().try_fold(table.get_mut(first)?, |value, part| value.get_mut(part))
}

fn refers(text: &str) -> bool {
    text.contains("${")
}

fn any_text(value: &Value, is: &dyn Fn(&str) -> bool) -> bool {
    match value {
        Value::String(text) => is(text),
        Value::Array(items) => items.iter().any(|item| any_text(item, is)),
        Value::Table(table) => table.values().any(|value| any_text(value, is)),
        _ => false,
    }
}

/// The keys that the texts of a value name.
fn targets(value: &Value) -> Vec<Vec<String>> {
    match value {
        Value::String(text) => {
            let key = |piece| if let Piece::Key(path) = piece { Some(path) } else { None };
            pieces(text).unwrap_or_default().into_iter().filter_map(key).collect()
        }
        Value::Array(items) => items.iter().flat_map(targets).collect(),
        Value::Table(table) => table.values().flat_map(targets).collect(),
        _ => Vec::new(),
    }
}

/// Takes a text apart at its `${key}`; `$${` is a `${` of the text itself.
fn pieces(text: &str) -> Result<Vec<Piece>, String> {
    let (mut pieces, mut plain, mut rest) = (Vec::new(), String::new(), text);
    while let Some(at) = rest.find("${") {
        let before = &rest[..at];
        if let Some(before) = before.strip_suffix('$') {
            plain.push_str(before);
            plain.push_str("${");
            rest = &rest[at + 2..];
            continue;
        }
        plain.push_str(before);
        let Some(end) = rest[at..].find('}') else { return Err("has a ${ that no } ends".to_owned()) };
        let name = rest[at + 2..at + end].trim();
        let Some(path) = key::split(name) else { return Err(format!("refers to \"{name}\", which is no key")) };
        if !plain.is_empty() {
            pieces.push(Piece::Text(std::mem::take(&mut plain)));
        }
        pieces.push(Piece::Key(path));
        rest = &rest[at + end + 1..];
    }
    plain.push_str(rest);
    if !plain.is_empty() {
        pieces.push(Piece::Text(plain));
    }
    Ok(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_taken_apart_at_references() {
        let key = |parts: &[&str]| Piece::Key(parts.iter().map(|part| (*part).to_owned()).collect());
        let text = |text: &str| Piece::Text(text.to_owned());
        assert_eq!(pieces("${train.lr}"), Ok(vec![key(&["train", "lr"])]));
        let expected = vec![text("a-"), key(&["seed"]), text("-"), key(&["prune", "table", "blocks.0"])];
        assert_eq!(pieces(r#"a-${ seed }-${prune.table."blocks.0"}"#), Ok(expected));
        assert_eq!(pieces("$${HOME}/x"), Ok(vec![text("${HOME}/x")]));
        assert_eq!(pieces("plain $5"), Ok(vec![text("plain $5")]));
        assert!(pieces("${open").unwrap_err().contains("no } ends"));
        assert!(pieces("${oc.env:HOME}").unwrap_err().contains("no key"));
        assert!(pieces("${}").is_err());
    }
}
