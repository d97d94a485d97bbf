//! What is said at the end of a run whose pruned weights might have come back, and none did.

use crate::backend::Backend;
use crate::error::Result;
use crate::network::params::Masking;
use crate::pruning::schedule::Step;
use crate::training::reporter::Reporter;
use crate::training::run::Live;
use crate::training::setting::Setting;

impl<B: Backend> Live<B> {
    /// Says that nothing came back, where `prune.regrow` let it and several pruning steps could have brought it back:
    /// what differs from a run without it is then nothing that a comparison could show.
    pub fn nothing_returned(&self, setting: &Setting<'_, B>, last: Step, reporter: &mut Reporter<'_, B>) -> Result<()> {
        let (steps, (pruned, regrown)) = (setting.timeline.count(), self.burden.total());
        if !setting.prune.regrow || steps < 2 || pruned == 0 || regrown > 0 {
            return Ok(());
        }
        let mut text = format!(
            "Nothing came back in {steps} pruning steps, though prune.regrow = true let what was pruned return."
        );
        if setting.prune.masking() == Masking::Returning {
            text += " Weights that are held at zero come last by magnitude and by all that multiplies with the weight: \
                     they return where sparsity falls again (schedule \"ac-dc\"), by a criterion of gradients alone \
                     (grow.criterion), or with prune.regrow_from = \"learned\".";
        }
        reporter.note(last, ["prune.regrow"], text)
    }
}
