//! What is done at the end of a run with weights on no path.

use crate::backend::Backend;
use crate::error::Result;
use crate::pruning::measure::Paths;
use crate::pruning::schedule::Step;
use crate::pruning::{Disconnected, Granularity};
use crate::training::reporter::Reporter;
use crate::training::run::Live;
use crate::training::setting::Setting;

impl<B: Backend> Live<B> {
    /// Prunes the weights that `prune.disconnected` names, after the last step. A run without pruning steps keeps all.
    pub fn prune_disconnected(
        &mut self,
        setting: &Setting<'_, B>,
        last: Step,
        reporter: &mut Reporter<'_, B>,
    ) -> Result<()> {
        let which = setting.prune.disconnected;
        let weights = setting.prune.granularity == Granularity::Weight && setting.timeline.count() > 0;
        if which == Disconnected::Keep || !weights {
            return Ok(());
        }
        let before = Paths::of(&self.params).nnz;
        let masks = Paths::connected(&self.params, which == Disconnected::All);
        self.params.set_masks(masks)?;
        let after = Paths::of(&self.params).nnz;
        if after == before {
            return Ok(());
        }
        let gone =
            if which == Disconnected::All { "lie on no path from an input to an output" } else { "lead to no output" };
        let mut text =
            format!("{} weights that {gone} were pruned after the last step; {after} are left.", before - after);
        if after == 0 {
            text += " No input reaches an output: what the network says is what its biases say.";
        }
        reporter.note(last, ["prune.disconnected"], text)
    }
}
