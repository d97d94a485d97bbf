//! A run that begins with given weights.

use super::Setting;
use crate::backend::Backend;
use crate::error::{Error, OptionError, Result};
use crate::network::given::{Given, GivenMasks};
use crate::network::layout::{Layout, Sizes};
use crate::network::params::ParamStore;
use crate::pruning::{PruneConfig, Remark};

/// The unit groups of the network at the start: those of a given one that is to be the whole, or what `prune` says.
pub(super) fn start_sizes(
    given: Option<&Given>,
    prune: &PruneConfig,
    layout: impl Fn(&Sizes) -> Result<Layout>,
) -> Result<Sizes> {
    let pruned = given.filter(|given| given.weights.is_pruned());
    for (key, set) in [("start", !prune.start.is_empty()), ("start_params", prune.start_params.is_some())] {
        if pruned.is_some() && set {
            let text = "cannot stand beside init.from of a network that was pruned, which says itself how large it is";
            return Err(Error::from(OptionError::new(key, "(set)", text)).under("prune"));
        }
    }
    match given.and_then(|given| given.sizes(GivenMasks::Drop)) {
        Some(sizes) => Ok(sizes.clone()),
        None => prune.start_sizes(layout),
    }
}

impl<B: Backend> Setting<'_, B> {
    /// Puts given weights and masks in the place of drawn ones, where there are any; what should be known of that.
    ///
    /// # Errors
    /// They are not this network's.
    pub fn begin(&self, params: &mut ParamStore<B>) -> Result<Vec<Remark>> {
        let Some(given) = &self.given else { return Ok(vec![]) };
        let layout = match given.sizes(GivenMasks::Keep) {
            Some(sizes) if *sizes != self.layout.sizes() => self.model.layout(&self.input, sizes)?,
            _ => self.layout.clone(),
        };
        let fitted = given.fit(&layout, &self.model.known_names()).map_err(|error| error.under("init"))?;
        let remarks = fitted.remarks.iter().map(|(key, text)| Remark::new(&[key], text.clone())).collect();
        params.begin(layout, self.seed, fitted)?;
        Ok(remarks)
    }
}
