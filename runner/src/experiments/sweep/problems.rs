//! What is wrong with the cells of a sweep, each thing once: with the config alone, or with what a cell chooses.

use std::collections::{BTreeMap, BTreeSet};

use super::section::{Pick, Picked};
use super::spec::Spec;
use crate::config::{ConfigError, Schema, Stack};

/// What was found so far.
pub struct Problems<'a> {
    spec: &'a Spec,
    /// What is wrong with the config whatever a cell chooses, by its text.
    alone: BTreeMap<String, ConfigError>,
    told: BTreeSet<String>,
    /// The problems in the order in which they were found.
    pub errors: Vec<ConfigError>,
}

impl<'a> Problems<'a> {
    /// Nothing yet.
    pub fn new(stack: &Stack, spec: &'a Spec, schema: &dyn Schema) -> Self {
        let alone = stack.complete(&[], schema).err().map_or_else(Vec::new, |errors| errors.0);
        let alone = alone.into_iter().map(|error| (error.to_string(), error)).collect();
        Self { spec, alone, told: BTreeSet::new(), errors: Vec::new() }
    }

    /// Takes what is wrong with a cell; whether anything is. `place` says of a label which cell that is, `fix` what may be done
    /// with a combination that cannot be.
    pub fn take(&mut self, picks: &[Pick], picked: &Picked, place: &dyn Fn() -> String, fix: &str) -> bool {
        let mut any = false;
        for problem in picked.errors().flat_map(|errors| &errors.0) {
            any = true;
            let text = problem.to_string();
            if !self.told.insert(text.clone()) {
                continue;
            }
            self.errors.push(match self.alone.remove(&text) {
                Some(error) => error,
                None => {
                    let (place, fix) = (place(), self.fix(picks, problem, fix));
                    ConfigError::InCell { text, place, fix }
                }
            });
        }
        any
    }

    /// A value that the sweep itself gives can be changed there.
    fn fix(&self, picks: &[Pick], problem: &ConfigError, fix: &str) -> String {
        let axes = picks.iter().map(|(axis, _)| self.spec.axes[*axis as usize].key.as_str());
        let given = problem.key().and_then(|key| {
            axes.into_iter()
                .find(|axis| key.strip_prefix(axis).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
        });
        match given {
            Some(axis) if matches!(problem, ConfigError::Value { .. }) => {
                let section = if self.spec.search.is_some() { "sweep.search" } else { "sweep" };
                format!("give {axis} other values in the section [{section}]; or {fix}")
            }
            _ => fix.to_owned(),
        }
    }
}
