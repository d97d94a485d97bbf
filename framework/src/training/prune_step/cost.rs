//! What a pruning step costs in accuracy, with what was known before it.

use crate::backend::Backend;
use crate::error::Result;
use crate::pruning;
use crate::pruning::measure::PruneCost;
use crate::training::Evaluation;
use crate::training::run::Live;
use crate::training::setting::Setting;

/// What is known right before a pruning step.
pub(super) struct Before {
    found: Evaluation,
    burden: f64,
    sparsity: f64,
    /// Weights or units that may be pruned and are there.
    there: usize,
}

impl<B: Backend> Live<B> {
    /// What is known before the pruning step that comes now; none where no gradient was looked at since the last one.
    pub(super) fn before_prune(&self, setting: &Setting<'_, B>, found: Evaluation) -> Result<Option<Before>> {
        let recent = self.burden.recent(&self.params);
        if recent.is_empty() {
            return Ok(None);
        }
        let burden = recent.iter().map(|layer| layer.gradient).sum::<f64>() / recent.len() as f64;
        let there = pruning::counts(&setting.prune, &self.params)?.values().sum();
        Ok(Some(Before { found, burden, sparsity: setting.gone(&self.params)?, there }))
    }

    /// Remembers what the step cost. One that leaves as many weights or units as there were costs nothing to foretell.
    pub(super) fn note_cost(&mut self, setting: &Setting<'_, B>, before: &Before, after: &Evaluation) -> Result<()> {
        let left: usize = pruning::counts(&setting.prune, &self.params)?.values().sum();
        if left == before.there {
            return Ok(());
        }
        let share = 1.0 - left as f64 / before.there.max(1) as f64;
        let accuracies = before.found.accuracy.zip(after.accuracy);
        let drop = accuracies.map_or(after.loss - before.found.loss, |(before, after)| before - after);
        self.burden.costs.push(PruneCost { burden: before.burden, share, sparsity: before.sparsity, drop });
        Ok(())
    }
}
