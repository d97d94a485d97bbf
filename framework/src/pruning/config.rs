//! The `[prune]` section.

use super::choices::{Apply, Granularity, Normalizer, OnEmptyLayer, RegrowFrom, Scope};
use crate::backend::Reduce;
use crate::error::{Error, OptionError, Result};
use crate::network::layout::{Layout, Sizes, UnitGroup};
use crate::network::params::Masking;
use crate::options::{Idle, key_in, unknown};
use crate::pruning::criterion::Rounding;
use std::collections::BTreeMap;

/// Steps between no units and all of them when a budget is met.
const FACTORS: usize = 4096;

crate::options! {
    /// How scores become a pruned network.
    pub struct PruneConfig {
        /// What is removed: `weight` or `unit` (neuron, channel, attention head).
        #[acts(run, "pruning steps")]
        pub granularity: Granularity = Granularity::Weight,
        /// How the sparsity is shared: `global`, `layer`, `erk`, `table` or `counts`.
        #[acts(run, "pruning steps in which the criterion scores")]
        pub scope: Scope = Scope::Global,
        /// Final sparsity by parameter (`fc1.weight`) or unit group (`fc1`), for `scope = "table"`: reached when the
        /// schedule reaches its own largest one, and on the way there in proportion to it. Those not listed are left
        /// alone.
        #[acts(|p| p.scope == Scope::Table, "scope = \"table\"")]
        pub table: BTreeMap<String, f64> = BTreeMap::new(),
        /// Weights or units to keep after the first, second, ... pruning step, by parameter or unit group, for `scope =
        /// "counts"`: what another run did, done again. The last number holds for all later steps; those not listed are
        /// left alone.
        #[acts(|p| p.scope == Scope::Counts, "scope = \"counts\"")]
        pub counts: BTreeMap<String, Vec<usize>> = BTreeMap::new(),
        /// Units of groups at the start, where the network is to begin smaller than the model says; groups not listed
        /// keep theirs.
        #[acts(run, "fewer units than the model says")]
        pub start: BTreeMap<String, usize> = BTreeMap::new(),
        /// Begin with at most this many parameters: all groups get smaller by one factor; instead of `start`.
        #[acts(run, "fewer parameters than the model has")]
        pub start_params: Option<usize> = None,
        /// `mask` keeps shapes and holds zeros; `shrink` removes units physically.
        #[acts(run, "pruning steps")]
        pub apply: Apply = Apply::Mask,
        /// Whether what is pruned keeps receiving the dense gradient and can return. Masked units
        /// start from nothing after every pruning step, train along with the others, and are left out wherever the
        /// network is measured or written (soft filter pruning, He et al. 2018).
        #[acts(run, "pruning steps")]
        pub regrow: bool = false,
        /// What a returning weight starts from: `learned`, what the dense gradient made of it while it was pruned (Lin
        /// et al. 2020), or `zero`, at which it was held until then, without optimizer state (Evci et al. 2020; Peste
        /// et al. 2021).
        #[acts(|p| p.regrow, "regrow = true")]
        #[acts(|p| p.granularity == Granularity::Weight, "granularity = \"weight\", since units go on learning")]
        pub regrow_from: RegrowFrom = RegrowFrom::Learned,
        /// How the scores of a unit's weights become one, for a criterion that scores weights: `l1`, `l2`, `mean`,
        /// `max` or `sum`; the criterion's own way where absent, `l1` where it has none.
        #[acts(|p| p.granularity == Granularity::Unit, "granularity = \"unit\"")]
        #[acts(run, "a criterion that scores weights, not units")]
        pub reduce: Option<Reduce> = None,
        /// How scores of different layers are made comparable, for `scope = "global"`: `none`, `mean` (each layer's
        /// divided by their mean magnitude), `size` (by their number), `l2` (by their L2 norm) or `z-score`. Where
        /// absent `none` for weights and `mean` for units: the norm of a unit grows with its fan-in, so that raw norms
        /// empty the layers with small kernels first.
        #[acts(|p| p.scope == Scope::Global, "scope = \"global\"")]
        #[acts(run, "a criterion that scores, and does not decide weight by weight itself")]
        pub normalize: Option<Normalizer> = None,
        /// Parameters or unit groups that are never pruned.
        #[acts(run, "something that would be pruned otherwise")]
        pub exempt: Vec<String> = vec![],
        /// Whether the layer that produces the output may be pruned (weights only).
        #[acts(|p| p.granularity == Granularity::Weight, "granularity = \"weight\"")]
        #[acts(run, "a layer that produces the output, and that scope, table and counts do not leave alone")]
        pub include_output: bool = false,
        /// Factor of the fraction that goes of the layer that produces the output: half of it in the lottery-ticket
        /// paper (Frankle & Carbin 2019, section 2).
        #[acts(|p| p.include_output, "include_output = true")]
        #[acts(|p| p.scope == Scope::Layer, "scope = \"layer\"")]
        pub output_rate: f64 = 1.0,
        /// How a fraction becomes a count, whichever the criterion, so that runs that are compared count alike:
        /// `floor-pruned` (n - floor(s n)), `floor-kept` (floor((1 - s) n), as the contribution-rank report counts) or
        /// `nearest`.
        #[acts(|p| p.scope != Scope::Counts, "another scope than \"counts\", which counts itself")]
        #[acts(run, "a criterion that scores, and does not decide weight by weight itself")]
        pub rounding: Rounding = Rounding::FloorPruned,
        /// What happens where a pruning step leaves no weight of a layer: `warn` goes on and says so, `stop` ends the
        /// run, `keep-one` keeps the layer's best weight. Of units one of each group always stays.
        #[acts(|p| p.granularity == Granularity::Weight, "granularity = \"weight\", since of units one of each group stays")]
        #[acts(run, "pruning steps")]
        pub on_empty_layer: OnEmptyLayer = OnEmptyLayer::Warn,
        /// Rounds of scoring within one pruning step, each to a geometrically larger sparsity (SynFlow uses 100).
        #[acts(|p| p.scope != Scope::Counts, "another scope than \"counts\", which is met in one round")]
        #[acts(run, "a criterion that asks the network anew in each round (Needs::PROBE)")]
        pub rounds: u32 = 1,
    }

    fn check(&self, checks: &mut Checks) {
        let tabled = self.scope != Scope::Table || !self.table.is_empty();
        checks.ensure("scope", tabled, "\"table\" needs prune.table, such as { fc1 = 0.5 }");
        let counted = self.scope != Scope::Counts || !self.counts.is_empty();
        checks.ensure("scope", counted, "\"counts\" needs prune.counts, such as { fc1 = [45, 40, 36] }");
        for (name, fraction) in &self.table {
            checks.sparsity(&key_in("table", name), *fraction);
        }
        for (name, counts) in &self.counts {
            checks.ensure(&key_in("counts", name), !counts.is_empty(), "must list at least one number: [45, 40, 36]");
        }
        for (name, units) in &self.start {
            checks.range(&key_in("start", name), *units, 1.0..);
        }
        checks.range("start_params", self.start_params, 1.0..);
        let one = self.start_params.is_none() || self.start.is_empty();
        checks.ensure("start_params", one, "stands beside prune.start, and only one can say how the network begins");
        let (shrinks, weights) = (self.apply == Apply::Shrink, self.granularity == Granularity::Weight);
        let text = "removes whole units: set prune.granularity = \"unit\", or prune.apply = \"mask\"";
        checks.ensure("apply", !(shrinks && weights), text);
        let text = "needs the pruned weights, but prune.apply = \"shrink\" removes them: set prune.apply = \"mask\"";
        checks.ensure("regrow", !(shrinks && self.regrow), text);
        checks.range("rounds", self.rounds, 1.0..);
        let part = self.output_rate > 0.0 && self.output_rate <= 1.0;
        checks.ensure("output_rate", part, "must lie above 0 and be at most 1; prune.include_output = false is 0");
    }
}

impl PruneConfig {
    /// What pruned weights do between pruning steps.
    pub fn masking(&self) -> Masking {
        match (self.regrow, self.granularity, self.regrow_from) {
            (false, ..) => Masking::Held,
            (true, Granularity::Weight, RegrowFrom::Zero) => Masking::Returning,
            (true, ..) => Masking::Dynamic,
        }
    }

    /// Names of what may be pruned, sorted: parameters, or unit groups.
    pub fn names(&self, layout: &Layout) -> Vec<String> {
        let listed = |name: &str| self.exempt.iter().any(|e| e == name);
        let mut names: Vec<String> = match self.granularity {
            Granularity::Weight => (layout.params.iter())
                .filter(|p| p.prunable && (self.include_output || !p.output))
                .map(|p| p.name.clone())
                .collect(),
            Granularity::Unit => layout.groups.iter().map(|g| g.name.clone()).collect(),
        };
        names.retain(|n| {
            !listed(n)
                && match self.scope {
                    Scope::Table => self.table.contains_key(n),
                    Scope::Counts => self.counts.contains_key(n),
                    Scope::Global | Scope::Layer | Scope::Erk => true,
                }
        });
        names.sort_unstable();
        names
    }

    /// Sizes of the network's groups at the start; `layout` gives the network at some sizes.
    ///
    /// # Errors
    /// What the layout reports: no such group, more units than the model has.
    pub fn start_sizes(&self, layout: impl Fn(&Sizes) -> Result<Layout>) -> Result<Sizes> {
        let Some(budget) = self.start_params else { return Ok(Sizes(self.start.clone())) };
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

    /// Checks that the section fits the network.
    ///
    /// # Errors
    /// Every name that is not there, under its key in this section; nothing that could be pruned.
    pub fn fits(&self, layout: &Layout) -> Result<()> {
        let what = match self.granularity {
            Granularity::Weight => "parameter",
            Granularity::Unit => "unit group",
        };
        let known: Vec<&str> = match self.granularity {
            Granularity::Weight => layout.params.iter().filter(|p| p.prunable).map(|p| p.name.as_str()).collect(),
            Granularity::Unit => layout.groups.iter().map(|g| g.name.as_str()).collect(),
        };
        let exempt = self.exempt.iter().map(|name| ("exempt".to_owned(), name));
        let table = self.table.keys().map(|name| (key_in("table", name), name));
        let counts = self.counts.keys().map(|name| (key_in("counts", name), name));
        let missing = exempt.chain(table).chain(counts).filter(|(_, name)| !known.contains(&name.as_str()));
        let errors = missing.map(|(key, name)| OptionError::new(key, name, unknown(what, name, &known))).collect();
        Error::if_any(errors)?;
        Error::if_any(self.contradictions(layout))?;
        if self.names(layout).is_empty() {
            let none = format!("nothing is left to prune: every {what} is exempt, or the model declares none");
            return Err(Error::Config(none));
        }
        Ok(())
    }
}

impl PruneConfig {
    /// The key by whose names the scope goes, and these names; none where it takes all that may be pruned.
    fn listed(&self) -> (&'static str, Vec<&String>) {
        match self.scope {
            Scope::Table => ("table", self.table.keys().collect()),
            Scope::Counts => ("counts", self.counts.keys().collect()),
            Scope::Global | Scope::Layer | Scope::Erk => ("", vec![]),
        }
    }

    /// What is listed to be pruned, and kept from it by another key.
    fn contradictions(&self, layout: &Layout) -> Vec<OptionError> {
        let (key, names) = self.listed();
        let found = |name: &str| match self.scope {
            Scope::Table => self.table.get(name).map(ToString::to_string).unwrap_or_default(),
            _ => format!("{:?}", self.counts.get(name).map_or(&[][..], Vec::as_slice)),
        };
        let mut errors = vec![];
        for name in names {
            let refuse = |why: &str| OptionError::new(key_in(key, name), found(name), why);
            if self.exempt.contains(name) {
                errors.push(refuse("is listed in prune.exempt too, which would leave it alone: remove one of the two"));
            }
            let spec = layout.spec(name).filter(|_| self.granularity == Granularity::Weight);
            if spec.is_some_and(|spec| spec.output) && !self.include_output {
                let why = "produces the output, which is left alone: set prune.include_output = true, or remove it";
                errors.push(refuse(why));
            }
            let group = layout.group(name).filter(|_| self.granularity == Granularity::Unit);
            let dense = spec.map(|s| s.shape.iter().product()).or(group.map(|g| g.dense_units)).unwrap_or(usize::MAX);
            let most = if self.scope == Scope::Counts { self.counts[name].iter().max().copied() } else { None };
            if most.is_some_and(|most| most > dense) {
                errors.push(refuse(&format!("asks to keep more than the {dense} that are there")));
            }
        }
        errors
    }

    /// Values that have no effect on a network of this layout.
    pub(crate) fn idle_in(&self, layout: &Layout) -> Vec<Idle> {
        let mut all = vec![];
        let idle = |key: &str, found: String, needs: &str| Idle {
            key: format!("prune.{key}"),
            found,
            needs: needs.to_owned(),
            because: vec![],
        };
        let otherwise = Self { exempt: vec![], ..self.clone() }.names(layout);
        let spared: Vec<&String> = self.exempt.iter().filter(|name| !otherwise.contains(name)).collect();
        if !spared.is_empty() {
            let needs = format!("names that would be pruned otherwise: {}", otherwise.join(", "));
            all.push(idle("exempt", format!("{spared:?}"), &needs));
        }
        let without = Self { include_output: false, ..self.clone() }.names(layout);
        if self.include_output && self.granularity == Granularity::Weight && without == self.names(layout) {
            let listed = self.listed().0;
            let needs = match listed {
                "" => "a prunable layer that produces the output, and the model declares none".to_owned(),
                listed => format!("the weights of the layer that produces the output in prune.{listed}"),
            };
            all.push(idle("include_output", "true".into(), &needs));
        }
        all
    }
}

fn count_params(layout: &Layout) -> usize {
    layout.params.iter().filter(|p| !p.buffer).map(|p| p.shape.iter().product::<usize>()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::layout::{LayoutBuilder, Width};

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
        let config = PruneConfig { start: BTreeMap::from([("c".to_owned(), 3)]), ..PruneConfig::default() };
        assert!(network(&config.start_sizes(network).unwrap()).unwrap_err().to_string().contains("no group `c`"));
    }
}
