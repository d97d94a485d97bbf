//! Nothing is pruned.

use secateur::prelude::*;

options! {
    /// A run without pruning: the dense network that a pruned one is compared with.
    pub struct Never {}
}

impl Schedule for Never {
    fn next(&self, _from: Step, _run: &RunLength) -> Result<Option<Step>> {
        Ok(None)
    }

    fn target(&self, _step: Step, _run: &RunLength) -> Result<Option<Amount>> {
        Ok(None)
    }

    fn may_be_idle(&self) -> bool {
        true
    }
}

register!(Schedule, "never", Never, "Nothing is pruned: the dense network to compare with.");
