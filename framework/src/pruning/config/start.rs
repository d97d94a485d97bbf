//! The sizes with which a network begins.

use super::PruneConfig;
use crate::error::{Error, Result};
use crate::network::layout::{Layout, Sizes, UnitGroup};
use crate::options::entry_for;

/// Steps between no units and all of them when a budget is met.
const FACTORS: usize = 4096;

impl PruneConfig {
    /// Sizes of the network's groups at the start; `layout` gives the network at some sizes.
    ///
    /// # Errors
    /// A name in `start` that is no group's, or that two patterns fit alike; what the layout reports: more units than
    /// the model has.
    pub fn start_sizes(&self, layout: impl Fn(&Sizes) -> Result<Layout>) -> Result<Sizes> {
        let Some(budget) = self.start_params else {
            if self.start.is_empty() {
                return Ok(Sizes::default());
            }
            let dense = layout(&Sizes::default())?;
            let groups: Vec<&str> = dense.groups.iter().map(|g| g.name.as_str()).collect();
            let wrong = super::names::misnamed("start", &self.start, "unit group", &groups);
            Error::if_any(wrong.into_iter().map(|error| error.under("prune")).collect())?;
            let size = |name: &&str| entry_for(&self.start, name).map(|units| ((*name).to_owned(), *units));
            return Ok(Sizes(groups.iter().filter_map(size).collect()));
        };
        let dense = layout(&Sizes::default())?;
        let scaled = |factor: usize| {
            let size = |g: &UnitGroup| (g.name.clone(), (g.dense_units * factor / FACTORS).max(1));
            Sizes(dense.groups.iter().map(size).collect())
        };
        let (mut fits, mut too_large) = (0, FACTORS + 1);
        while too_large - fits > 1 {
            let middle = usize::midpoint(fits, too_large);
            if count_params(&layout(&scaled(middle))?) <= budget { fits = middle } else { too_large = middle }
        }
        Ok(scaled(fits))
    }
}

fn count_params(layout: &Layout) -> usize {
    layout.params.iter().filter(|p| !p.buffer).map(|p| p.shape.iter().product::<usize>()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::layout::{LayoutBuilder, Width};
    use std::collections::BTreeMap;

    fn network(sizes: &Sizes) -> Result<Layout> {
        let mut layout = LayoutBuilder::new(sizes);
        let (a, b) = (layout.units("a", 50), layout.units("b", 30));
        layout.linear("a", &Width::from(100), &a, false);
        layout.linear("b", &a, &b, false);
        layout.linear("out", &b, &Width::from(10), false);
        layout.build()
    }

    #[test]
    fn a_network_starts_with_at_most_the_parameters_asked_for() {
        for budget in [200, 1000, 5000, 100_000] {
            let config = PruneConfig { start_params: Some(budget), ..PruneConfig::default() };
            let sizes = config.start_sizes(network).unwrap();
            let (found, a) = (count_params(&network(&sizes).unwrap()), sizes.0["a"]);
            assert!(found <= budget && (a == 50 || found + 150 > budget), "{budget}: {found} {sizes:?}");
        }
    }

    #[test]
    fn groups_that_are_not_there_cannot_start_smaller() {
        let start = |names: &[(&str, usize)]| {
            let start: BTreeMap<String, usize> =
                names.iter().map(|(name, units)| ((*name).to_owned(), *units)).collect();
            PruneConfig { start, ..PruneConfig::default() }.start_sizes(network)
        };
        let text = |names| start(names).unwrap_err().to_string();
        assert!(text(&[("c", 3)]).contains("prune.start.c"), "{}", text(&[("c", 3)]));
        assert!(text(&[("c*", 3)]).contains("fits no unit group; there are: a, b"), "{}", text(&[("c*", 3)]));
        assert_eq!(start(&[("*", 3), ("b", 7)]).unwrap(), Sizes([("a".to_owned(), 3), ("b".to_owned(), 7)].into()));
    }
}
