//! Values of the section that have no effect on a network.

use super::{Granularity, PruneConfig, Scope};
use crate::network::layout::Layout;
use crate::options::{Idle, key_in, keys_for};

impl PruneConfig {
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
        let spared =
            self.exempt.iter().filter(|pattern| !otherwise.iter().any(|name| crate::options::fits(pattern, name)));
        let spared: Vec<&String> = spared.collect();
        if !spared.is_empty() {
            let needs = format!("names that would be pruned otherwise: {}", otherwise.join(", "));
            all.push(idle("exempt", format!("{spared:?}"), &needs));
        }
        let without = Self { include_output: false, ..self.clone() }.names(layout);
        if self.include_output && self.granularity != Granularity::Unit && without == self.names(layout) {
            let listed = self.listed().0;
            let needs = match listed {
                "" => "a prunable layer that produces the output, and the model declares none".to_owned(),
                listed => format!("the weights of the layer that produces the output in prune.{listed}"),
            };
            all.push(idle("include_output", "true".into(), &needs));
        }
        for (key, found) in self.mute(layout) {
            let needs = "a layer that is pruned, and for which no longer name speaks";
            all.push(idle(&key, found, needs));
        }
        all
    }

    /// Keys of tables that speak for nothing that is pruned, and what they hold.
    fn mute(&self, layout: &Layout) -> Vec<(String, String)> {
        let names = self.names(layout);
        let mut all = vec![];
        let mut look = |table: &str, entries: Vec<(&String, String)>| {
            let keys: Vec<&String> = entries.iter().map(|entry| entry.0).collect();
            for (key, found) in &entries {
                let speaks = |name: &String| keys_for(keys.iter().copied(), name).contains(key);
                if !names.iter().any(speaks) {
                    all.push((key_in(table, key), found.clone()));
                }
            }
        };
        match self.scope {
            _ if self.granularity.is_pattern() => {}
            Scope::Table => look("table", self.table.iter().map(|(key, s)| (key, s.to_string())).collect()),
            Scope::Counts => look("counts", self.counts.iter().map(|(key, n)| (key, format!("{n:?}"))).collect()),
            Scope::Global | Scope::Layer | Scope::Erk => {
                for (key, sparsities) in [("max_sparsity", &self.max_sparsity), ("min_sparsity", &self.min_sparsity)] {
                    look(key, sparsities.table().map(|(key, s)| (key, s.to_string())).collect());
                }
            }
        }
        all
    }
}
