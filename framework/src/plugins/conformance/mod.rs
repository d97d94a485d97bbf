//! The conformance kit: what every plugin must hold, linked in or loaded. `secateur plugins check` prints its rows.

mod compressor;
mod criterion;
mod data;
mod model;
mod scene;
mod schedule;
mod trial;

pub use trial::{Log, Named, Trial};

use crate::error::{Error, Result};
use crate::options::Table;
use crate::plugins::registry::{Item, Kind, Registry};

/// One property, and whether it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckRow {
    /// The property, in a few words.
    pub name: String,
    /// Whether it holds.
    pub passed: bool,
    /// What was seen.
    pub detail: String,
}

impl CheckRow {
    /// A property whose check returns what was seen, or why it does not hold.
    fn of(name: &str, check: impl FnOnce() -> Result<String>) -> Self {
        let (passed, detail) = match check() {
            Ok(detail) => (true, detail),
            Err(error) => (false, error.to_string()),
        };
        Self { name: name.into(), passed, detail }
    }
}

/// Checks one plugin with these options; those not given are at their defaults.
///
/// # Errors
/// If there is no such plugin. What the plugin itself does wrong is in the rows.
pub fn check(registry: &Registry, kind: Kind, name: &str, options: &Table) -> Result<Vec<CheckRow>> {
    let item = registry.get(kind, name)?;
    let mut rows = vec![
        CheckRow::of("options are read back as they were written", || round_trip(item, options)),
        CheckRow::of("unknown options are refused", || unknown_refused(item, options)),
    ];
    rows.extend(match kind {
        Kind::Criterion => criterion::check(registry, name, options),
        Kind::Schedule => schedule::check(registry, name, options),
        Kind::Compressor => compressor::check(registry, name, options),
        Kind::Model => model::check(registry, name, options),
        Kind::Data => data::check(registry, name, options),
    });
    Ok(rows)
}

fn round_trip(item: &Item, options: &Table) -> Result<String> {
    let mut all: Table = item.docs().into_iter().filter_map(|d| Some((d.name.to_string(), d.default?))).collect();
    all.extend(options.clone());
    let read: Table = all.to_string().parse().map_err(|e| Error::Other(format!("not TOML: {e}")))?;
    if read != all {
        return Err(Error::Other(format!("written as `{}`, read as `{}`", line(&all), line(&read))));
    }
    item.check(&read).map_err(Error::Options)?;
    if let Some(doc) = item.docs().iter().find(|d| d.doc.trim().is_empty() || d.ty.is_empty()) {
        return Err(Error::Other(format!("option `{}` has no documentation or type", doc.name)));
    }
    Ok(if all.is_empty() { "there are none".into() } else { line(&all) })
}

fn unknown_refused(item: &Item, options: &Table) -> Result<String> {
    let key = "no_such_option";
    let mut wrong = options.clone();
    wrong.insert(key.into(), 1.into());
    match item.check(&wrong) {
        Ok(()) => Err(Error::Other(format!("`{key}` = 1 was accepted; a misspelt option would have no effect"))),
        Err(errors) => Ok(errors[0].to_string()),
    }
}

fn line(table: &Table) -> String {
    table.to_string().trim().replace('\n', ", ")
}

/// Fails with a message unless `ok`.
fn ensure(ok: bool, message: impl FnOnce() -> String) -> Result<()> {
    if ok { Ok(()) } else { Err(Error::Other(message())) }
}
