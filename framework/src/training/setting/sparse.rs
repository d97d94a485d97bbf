//! Where layers go over the nonzeros of their weights alone, and where nothing can come of that.

use super::Setting;
use crate::backend::Backend;
use crate::error::{Error, OptionError, Result};
use crate::network::layout::Layout;
use crate::network::params::Sparse;
use crate::pruning::{Apply, Granularity, Remark};

/// Why no layer of a run goes over nonzeros alone: the key that keeps it from that, and the reason in words.
type Reason = (&'static str, &'static str);

impl<B: Backend> Setting<'_, B> {
    /// Which layers go over their nonzeros alone.
    pub fn sparse(&self) -> Sparse {
        if self.no_products().is_some() { Sparse::Off } else { self.train.sparse }
    }

    /// Refuses to be told that layers always go over their nonzeros alone where they never can.
    pub(super) fn check_sparse(&self) -> Result<()> {
        let reason = self.no_products().or_else(|| self.no_zeros());
        let Some((_, why)) = reason.filter(|_| self.train.sparse == Sparse::Always) else { return Ok(()) };
        let text = format!("cannot be: {why}; set \"auto\" or \"off\"");
        Err(Error::from(OptionError::new("sparse", "\"always\"", text)).under("train"))
    }

    /// What was set of it and does nothing in a run that prunes.
    pub(super) fn sparse_note(&self, layout: &Layout) -> Option<Remark> {
        let possible = layout.params.iter().any(|p| p.prunable && p.multiplies_nonzeros());
        let cut_out = self.prune.granularity == Granularity::Unit && self.prune.apply == Apply::Shrink;
        let nothing = || match (possible, cut_out) {
            (false, _) => Some((
                "model.name",
                "no layer of the model that may be pruned is fully connected, or a convolution in one group",
            )),
            (_, true) => Some(("prune.apply", "units are cut out, and leave no masks")),
            _ => None,
        };
        let reason = self.no_products().or_else(|| self.no_zeros()).or_else(nothing);
        // "auto" asks for nothing: it is what a run does by itself.
        let (key, why) = reason.filter(|_| self.train.sparse == Sparse::Always)?;
        let text = format!("train.sparse = \"{}\" does nothing here: {why}.", self.train.sparse);
        Some(Remark::new(&["train.sparse", key], text))
    }

    /// Why nothing has products over nonzeros alone.
    fn no_products(&self) -> Option<Reason> {
        if !B::SPARSE {
            return Some(("device", "only on the CPU are there products over nonzeros alone"));
        }
        let elsewhere = !self.model.over_nonzeros();
        elsewhere.then_some(("model.name", "the model is in a loaded library, and multiplies by all weights"))
    }

    /// Why masked weights are not zero.
    fn no_zeros(&self) -> Option<Reason> {
        let learn = !self.prune.masking().zeroes();
        learn.then_some(("prune.regrow", "with prune.regrow masked weights keep learning, and are not zero"))
    }
}
