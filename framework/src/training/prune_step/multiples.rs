//! What is said where counts that must be multiples lead away from what was asked.

use crate::backend::Backend;
use crate::error::Result;
use crate::pruning::{self, Asked, KeepCount};
use crate::training::reporter::Reporter;
use crate::training::run::Live;
use crate::training::setting::Setting;

impl<B: Backend> Live<B> {
    /// How far multiples have led from what was asked, after the last pruning step.
    pub(super) fn multiple_note(
        &self,
        setting: &Setting<'_, B>,
        asked: &Asked,
        reporter: &mut Reporter<'_, B>,
    ) -> Result<()> {
        let prune = &setting.prune;
        let found: usize = pruning::counts(prune, &self.params)?.values().sum();
        let wanted = match &asked.wanted {
            KeepCount::Total(total) => *total,
            KeepCount::Each(counts) => counts.iter().sum(),
            KeepCount::Cost(limit) => *limit,
        };
        let found = if prune.has_cost() {
            setting.cost(&pruning::counts(prune, &self.params)?.into_values().collect::<Vec<_>>())?
        } else {
            found
        };
        if prune.multiple == 1 || found == wanted {
            return Ok(());
        }
        let counted = prune.counted();
        let text = format!(
            "prune.multiple = {} leaves {} {} where the schedule asks for {}: a sparsity of {:.4} instead of {:.4}.",
            prune.multiple,
            counted.number(found),
            counted.words(),
            counted.number(wanted),
            setting.gone(&self.params)?,
            asked.target,
        );
        reporter.note(self.next, ["prune.multiple"], text)
    }
}
