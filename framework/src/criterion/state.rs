//! State that survives a restart.

use crate::error::{Error, Result};
use std::collections::BTreeMap;

/// Named numbers. `f64` holds every `f32` and every count up to 2^53 exactly.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct State(pub BTreeMap<String, Vec<f64>>);

impl State {
    /// Adds an entry.
    #[must_use]
    pub fn with(mut self, name: &str, values: impl IntoIterator<Item = impl Into<f64>>) -> Self {
        self.0.insert(name.into(), values.into_iter().map(Into::into).collect());
        self
    }

    /// Takes an entry out.
    ///
    /// # Errors
    /// If there is none of that name.
    pub fn take(&mut self, name: &str) -> Result<Vec<f64>> {
        self.0.remove(name).ok_or_else(|| {
            Error::Other(format!("the saved state has no `{name}`; it was written by another version or plugin"))
        })
    }
}
