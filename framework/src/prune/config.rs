//! The `[prune]` section.

use crate::backend::Reduce;
use crate::criterion::Rounding;
use crate::error::{Error, Result};
use crate::options::unknown;
use crate::structure::Layout;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Granularity {
    /// Single weights.
    Weight,
    /// Whole units: neurons, channels, heads.
    Unit,
}

/// How a sparsity is shared among layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// One ranking over all layers.
    Global,
    /// The same fraction in every layer.
    Layer,
    /// Erdős–Rényi kernel densities (Evci et al. 2020, RigL): dense where layers are small.
    Erk,
    /// The fractions in `prune.table`.
    Table,
}

/// What happens to what is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Apply {
    /// It is held at zero; shapes stay.
    Mask,
    /// Units are cut out of every weight, bias, consumer and optimizer state: the network gets smaller and faster.
    Shrink,
}

crate::options! {
    /// How scores become a pruned network.
    pub struct PruneConfig {
        /// What is removed: `weight` or `unit` (neuron, channel, attention head).
        pub granularity: Granularity = Granularity::Weight,
        /// How the sparsity is shared: `global`, `layer`, `erk`, or `table`.
        pub scope: Scope = Scope::Global,
        /// Final sparsity by parameter (`fc1.weight`) or unit group (`fc1`), for `scope = "table"`; those not listed are left alone.
        pub table: BTreeMap<String, f64> = BTreeMap::new(),
        /// `mask` keeps shapes and holds zeros; `shrink` removes units physically.
        pub apply: Apply = Apply::Mask,
        /// Whether pruned weights keep receiving the dense gradient and can return.
        pub regrow: bool = false,
        /// How the scores of a unit's weights become one, for a criterion that scores weights: `l1`, `l2`, `mean`, `max` or `sum`.
        pub reduce: Reduce = Reduce::L1,
        /// Parameters or unit groups that are never pruned.
        pub exempt: Vec<String> = vec![],
        /// Whether the layer that produces the output may be pruned (weights only).
        pub include_output: bool = false,
        /// How a fraction becomes a count, where the criterion's own way is not wanted: `floor-pruned` (n - floor(s n)), `floor-kept` (floor((1 - s) n)) or `nearest`. Runs that are compared must count alike.
        pub rounding: Option<Rounding> = None,
        /// Rounds of scoring within one pruning step, each to a geometrically larger sparsity (SynFlow uses 100).
        pub rounds: u32 = 1,
    }
}

impl PruneConfig {
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
        names.retain(|n| !listed(n) && (self.scope != Scope::Table || self.table.contains_key(n)));
        names.sort_unstable();
        names
    }

    /// Checks that the section fits the network.
    ///
    /// # Errors
    /// All contradictions at once, each naming its key.
    pub fn check(&self, layout: &Layout) -> Result<()> {
        let mut errors = vec![];
        let what = match self.granularity {
            Granularity::Weight => "parameter",
            Granularity::Unit => "unit group",
        };
        let known: Vec<&str> = match self.granularity {
            Granularity::Weight => layout.params.iter().filter(|p| p.prunable).map(|p| p.name.as_str()).collect(),
            Granularity::Unit => layout.groups.iter().map(|g| g.name.as_str()).collect(),
        };
        let listed = (self.exempt.iter().map(|n| ("exempt", n))).chain(self.table.keys().map(|n| ("table", n)));
        for (key, name) in listed.filter(|(_, n)| !known.contains(&n.as_str())) {
            errors.push(format!("prune.{key} names `{name}`: {}", unknown(what, name, &known)));
        }
        for (name, s) in self.table.iter().filter(|(_, s)| !(0.0..1.0).contains(*s)) {
            errors.push(format!("prune.table.{name} = {s}: must be a fraction of zeros, at least 0 and below 1"));
        }
        if self.scope == Scope::Table && self.table.is_empty() {
            errors.push("prune.scope = \"table\" needs prune.table, such as { fc1 = 0.5 }".into());
        }
        if self.granularity == Granularity::Weight && self.apply == Apply::Shrink {
            errors.push("prune.apply = \"shrink\" removes whole units: set prune.granularity = \"unit\", or prune.apply = \"mask\"".into());
        }
        if self.regrow && self.apply == Apply::Shrink {
            errors.push("prune.regrow = true needs the pruned weights, but prune.apply = \"shrink\" removes them: set prune.apply = \"mask\"".into());
        }
        if self.rounds == 0 {
            errors.push("prune.rounds = 0: must be at least 1".into());
        }
        if errors.is_empty() && self.names(layout).is_empty() {
            errors.push(format!("nothing is left to prune: every {what} is exempt, or the model declares none"));
        }
        if errors.is_empty() { Ok(()) } else { Err(Error::Config(errors.join("\n"))) }
    }
}
