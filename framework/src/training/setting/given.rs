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
    let Some(given) = given else { return prune.start_sizes(layout) };
    let whole = layout(&Sizes::default())?.sizes();
    let [keep, drop] = [GivenMasks::Keep, GivenMasks::Drop].map(|masks| given.sizes(masks, &whole));
    for (key, set) in [("start", !prune.start.is_empty()), ("start_params", prune.start_params.is_some())] {
        if set && keep.or(drop).is_some() {
            let text = "cannot stand beside init.from of a network without all of its units, which says itself how large it is";
            return Err(Error::from(OptionError::new(key, "(set)", text)).under("prune"));
        }
    }
    drop.map_or_else(|| prune.start_sizes(layout), |sizes| Ok(sizes.clone()))
}

impl<B: Backend> Setting<'_, B> {
    /// Puts given weights and masks in the place of drawn ones, where there are any; what should be known of that.
    ///
    /// # Errors
    /// They are not this network's.
    pub fn begin(&self, params: &mut ParamStore<B>) -> Result<Vec<Remark>> {
        let Some(given) = &self.given else { return Ok(vec![]) };
        let whole = self.model.layout(&self.input, &Sizes::default())?.sizes();
        let layout = match given.sizes(GivenMasks::Keep, &whole) {
            Some(sizes) => self.model.layout(&self.input, sizes)?,
            None => self.layout.clone(),
        };
        let fitted = given.fit(&layout, &self.model.known_names()).map_err(|error| error.under("init"))?;
        let remarks = fitted.remarks.iter().map(|(key, text)| Remark::new(&[key], text.clone())).collect();
        params.begin(layout, self.seeds.init, fitted)?;
        Ok(remarks)
    }
}
