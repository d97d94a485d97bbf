//! Cells that leave another run: what that run is told.
//!
//! With `sweep.fork = { at = "prune:3" }` a cell is told two things: what its config says without the axes that a fork may
//! change, until then, and what the whole cell says from then on. `from` says otherwise what it is told until then: a config,
//! of which everything that a fork may change is taken, or the folder of a run, which must agree with the cell in all the rest.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use toml::Value;

use crate::config::{ConfigErrors, Layer, Request, Resolved, Schema, SetBy, Stack, fork};
use crate::run::CONFIG;

/// The configs that `from` names, each read once.
#[derive(Debug, Default)]
pub struct Origins(Mutex<HashMap<String, Arc<Stack>>>);

impl Origins {
    /// A cell's config, with what the run that it leaves was told; the same where it leaves none.
    ///
    /// # Errors
    /// What `from` names is not there; values that contradict each other; keys that a fork cannot change and that differ.
    pub fn completed(&self, cell: Resolved, stack: &Stack, schema: &dyn Schema) -> Result<Resolved, ConfigErrors> {
        if cell.fork_at().is_none() || cell.run.fork.before.is_some() {
            return Ok(cell);
        }
        let Some(from) = cell.run.fork.from.clone() else {
            let other = stack.resolve(&[&bound(&cell)], schema)?.without_fork(schema)?;
            return cell.forked(&other, None, schema);
        };
        if stack.root().join(&from).join(CONFIG).is_file() {
            let other = self.read(&format!("{from}/{CONFIG}"), stack)?.resolve(&[], schema)?;
            return cell.forked(&other, Some(&from), schema);
        }
        let other = self.read(&from, stack)?.resolve(&[&bound(&cell)], schema)?.without_fork(schema)?;
        cell.forked(&other, None, schema)
    }

    fn read(&self, config: &str, stack: &Stack) -> Result<Arc<Stack>, ConfigErrors> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = all.get(config) {
            return Ok(Arc::clone(known));
        }
        let (configs, root) = (vec![config.to_owned()], stack.root().to_owned());
        let mut read = Stack::load(&Request { configs, root, ..Request::default() })?;
        // A sweep may be named for what its runs have in common.
        _ = read.take_section("sweep");
        let read = Arc::new(read);
        all.insert(config.to_owned(), Arc::clone(&read));
        Ok(read)
    }
}

/// What of a cell's config holds before the fork too.
fn bound(cell: &Resolved) -> Layer {
    let (mut layer, origin) = (Layer::default(), SetBy::Flag("the cell".to_owned()));
    for (name, value) in fork::bound(cell.table()) {
        layer.insert(&[name], value, &origin);
    }
    layer
}

/// The folders and configs that `sweep.fork` names, as people write them: relative to the working directory.
pub fn label(value: &Value) -> Option<String> {
    let at = value.get("at")?.as_str()?;
    let from = value.get("from").and_then(Value::as_str).and_then(|from| Path::new(from).file_name());
    Some(from.map_or_else(|| at.to_owned(), |from| format!("{at} of {}", from.to_string_lossy())))
}
