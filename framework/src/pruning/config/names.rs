//! What may be pruned, by name, and whether the names in the section are there.

use super::{Granularity, PruneConfig, Scope};
use crate::error::{Error, OptionError, Result};
use crate::network::layout::Layout;
use crate::options::{entry_for, fits, key_in, keys_for, unknown};
use crate::pruning::budget::dense_budget;
use std::collections::BTreeMap;

impl PruneConfig {
    /// Names of what may be pruned, sorted: parameters, or unit groups.
    pub fn names(&self, layout: &Layout) -> Vec<String> {
        let output = |name: &str| layout.spec(name).is_some_and(|p| p.output);
        let mut names = self.known(layout);
        if self.granularity != Granularity::Unit && !self.include_output {
            names.retain(|name| !output(name));
        }
        names.retain(|name| !self.exempt.iter().any(|pattern| fits(pattern, name)));
        match self.scope {
            _ if self.granularity.is_pattern() => {}
            Scope::Table => names.retain(|name| entry_for(&self.table, name).is_some()),
            Scope::Counts => names.retain(|name| entry_for(&self.counts, name).is_some()),
            Scope::Global | Scope::Layer | Scope::Erk => {}
        }
        names.sort_unstable();
        names.into_iter().map(str::to_owned).collect()
    }

    /// Names that the section may speak of.
    pub(super) fn known<'a>(&self, layout: &'a Layout) -> Vec<&'a str> {
        match self.granularity {
            Granularity::Unit => layout.groups.iter().map(|g| g.name.as_str()).collect(),
            _ => layout.params.iter().filter(|p| p.prunable).map(|p| p.name.as_str()).collect(),
        }
    }

    /// Checks that the section fits the network.
    ///
    /// # Errors
    /// Every name that is not there, under its key in this section; nothing that could be pruned.
    pub fn fits(&self, layout: &Layout) -> Result<()> {
        let (what, known) = (self.granularity.of_what(), self.known(layout));
        let exempt = self.exempt.iter().filter_map(|name| missing("exempt".into(), name, what, &known));
        let mut errors: Vec<OptionError> = exempt.collect();
        errors.extend(misnamed("table", &self.table, what, &known));
        errors.extend(misnamed("counts", &self.counts, what, &known));
        for (key, sparsities) in [("max_sparsity", &self.max_sparsity), ("min_sparsity", &self.min_sparsity)] {
            let table = sparsities.table().map(|(name, _)| (name.clone(), ())).collect();
            errors.extend(misnamed(key, &table, what, &known));
        }
        Error::if_any(errors)?;
        Error::if_any(self.contradictions(layout)?)?;
        if self.names(layout).is_empty() {
            return Err(Error::Config(self.nothing_left(what, &known)));
        }
        Ok(())
    }

    /// Says why nothing may be pruned, and what to change.
    fn nothing_left(&self, what: &str, known: &[&str]) -> String {
        let (why, fix) = match (self.exempt.is_empty(), known) {
            (false, [_, ..]) => (format!("no {what} but {}", known.join(", ")), "take one of them out of prune.exempt"),
            (true, [_, ..]) => (
                format!("no {what} but the output's, {}", known.join(", ")),
                "set prune.include_output = true, or give the model hidden layers",
            ),
            (_, []) => (
                format!("no {what}"),
                "give the model hidden layers (model.hidden of an mlp), or set prune.granularity = \"weight\", prune.apply = \
                 \"mask\" and prune.include_output = true",
            ),
        };
        format!("nothing may be pruned: the model has {why}\n  fix: {fix}")
    }

    /// The key by whose names the scope goes, and these names; none where it takes all that may be pruned.
    pub(super) fn listed(&self) -> (&'static str, Vec<&String>) {
        match self.scope {
            Scope::Table => ("table", self.table.keys().collect()),
            Scope::Counts => ("counts", self.counts.keys().collect()),
            Scope::Global | Scope::Layer | Scope::Erk => ("", vec![]),
        }
    }

    /// What is listed to be pruned, and kept from it by another key; a least sparsity above the largest.
    fn contradictions(&self, layout: &Layout) -> Result<Vec<OptionError>> {
        let mut errors = vec![];
        for name in self.names(layout) {
            let (least, most) = (self.min_sparsity.of(&name), self.max_sparsity.of(&name));
            if let (Some(least), Some(most)) = (least, most)
                && least > most
            {
                let text = format!("must be at most prune.max_sparsity, which is {most} for {name}");
                errors.push(OptionError::new("min_sparsity", least, text));
                break;
            }
        }
        let (key, names) = self.listed();
        for name in names {
            let found = match self.scope {
                Scope::Table => self.table.get(name).map(ToString::to_string).unwrap_or_default(),
                _ => format!("{:?}", self.counts.get(name).map_or(&[][..], Vec::as_slice)),
            };
            let refuse = |why: &str| OptionError::new(key_in(key, name), &found, why);
            if self.exempt.iter().any(|pattern| fits(pattern, name)) {
                errors.push(refuse("is listed in prune.exempt too, which would leave it alone: remove one of the two"));
            }
            let spec = layout.spec(name).filter(|_| self.granularity != Granularity::Unit);
            if spec.is_some_and(|spec| spec.output) && !self.include_output {
                let why = "produces the output, which is left alone: set prune.include_output = true, or remove it";
                errors.push(refuse(why));
            }
            let most = self.counts.get(name).filter(|_| self.scope == Scope::Counts).and_then(|n| n.iter().max());
            for of in self.known(layout) {
                let speaks = keys_for(self.counts.keys(), of).first() == Some(&name);
                if let Some(most) = most.filter(|_| speaks) {
                    let dense = dense_budget(self, layout, of)?.dense;
                    if *most > dense {
                        errors.push(refuse(&format!("asks to keep more than the {dense} that are there")));
                        break;
                    }
                }
            }
        }
        Ok(errors)
    }
}

/// Keys of a table that name nothing, and names of which two keys speak alike.
pub(super) fn misnamed<T>(table: &str, values: &BTreeMap<String, T>, what: &str, known: &[&str]) -> Vec<OptionError> {
    let mut errors: Vec<OptionError> =
        values.keys().filter_map(|name| missing(key_in(table, name), name, what, known)).collect();
    for name in known {
        if let [first, second, ..] = keys_for(values.keys(), name)[..] {
            let text = format!("fits {name} no better than \"{first}\" does: make one of them longer, or name {name}");
            let key = key_in(table, second);
            if errors.iter().all(|error| error.key != key) {
                errors.push(OptionError::new(key, format!("\"{second}\""), text));
            }
        }
    }
    errors
}

/// The error where a name or pattern fits nothing.
fn missing(key: String, name: &str, what: &str, known: &[&str]) -> Option<OptionError> {
    if known.iter().any(|known| fits(name, known)) {
        return None;
    }
    let text = if name.contains('*') && !known.is_empty() {
        format!("fits no {what}; there are: {}", known.join(", "))
    } else {
        unknown(what, name, known)
    };
    Some(OptionError::new(key, name, text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::layout::{LayoutBuilder, Sizes};
    use crate::options::OneOrTable;

    fn layout() -> Layout {
        let sizes = Sizes::default();
        let mut layout = LayoutBuilder::new(&sizes);
        let (a, b) = (layout.units("fc1", 10), layout.units("fc2", 6));
        layout.linear("fc1", &8.into(), &a, false);
        layout.linear("fc2", &a, &b, false);
        layout.linear("head", &b, &3.into(), false);
        layout.output("head");
        layout.build().unwrap()
    }

    fn table(entries: &[(&str, f64)]) -> BTreeMap<String, f64> {
        entries.iter().map(|(name, fraction)| ((*name).to_owned(), *fraction)).collect()
    }

    fn tabled(entries: &[(&str, f64)]) -> PruneConfig {
        PruneConfig { scope: Scope::Table, table: table(entries), ..PruneConfig::default() }
    }

    #[test]
    fn patterns_name_what_they_fit() {
        let exempt = PruneConfig { exempt: vec!["*1.w*".into()], include_output: true, ..PruneConfig::default() };
        assert_eq!(exempt.names(&layout()), ["fc2.weight", "head.weight"]);
        let units = PruneConfig { granularity: Granularity::Unit, exempt: vec!["fc1".into()], ..exempt };
        assert_eq!(units.names(&layout()), ["fc2"], "a unit group has no weight in its name");
        assert_eq!(tabled(&[("fc*", 0.5)]).names(&layout()), ["fc1.weight", "fc2.weight"]);
        let all = tabled(&[("*", 0.9), ("fc1.weight", 0.5)]);
        assert!(all.fits(&layout()).is_ok() && all.names(&layout()) == ["fc1.weight", "fc2.weight"]);
    }

    #[test]
    fn a_pattern_that_fits_nothing_or_no_better_than_another_is_refused() {
        let text = |config: PruneConfig| config.fits(&layout()).unwrap_err().to_string();
        let none = text(PruneConfig { exempt: vec!["blocks.*".into()], ..PruneConfig::default() });
        assert!(none.contains("fits no parameter; there are: fc1.weight, fc2.weight, head.weight"), "{none}");
        let both = text(tabled(&[("fc1*", 0.5), ("*1.w", 0.5), ("1.wei", 0.1)]));
        assert!(both.contains("table.\"*1.w\"") && both.contains("table.\"1.wei\""), "{both}");
        let alike = text(tabled(&[("fc1*", 0.5), ("*ght", 0.1)]));
        assert!(
            alike.contains("table.\"fc1*\"") && alike.contains("fits fc1.weight no better than \"*ght\""),
            "{alike}"
        );
    }

    #[test]
    fn what_two_keys_contradict_is_refused() {
        let text = |config: PruneConfig| config.fits(&layout()).unwrap_err().to_string();
        let exempt = PruneConfig { exempt: vec!["fc1*".into()], ..tabled(&[("fc1.weight", 0.5)]) };
        assert!(text(exempt).contains("is listed in prune.exempt too"));
        let bounds = |min: f64, max: &[(&str, f64)]| PruneConfig {
            min_sparsity: OneOrTable::One(min),
            max_sparsity: OneOrTable::Table(table(max)),
            ..PruneConfig::default()
        };
        let crossed = text(bounds(0.5, &[("*", 0.9), ("fc2*", 0.25)]));
        assert!(crossed.contains("which is 0.25 for fc2.weight"), "{crossed}");
        assert!(bounds(0.25, &[("fc2*", 0.25)]).fits(&layout()).is_ok());
        let counts = [("fc*".to_owned(), vec![70])].into();
        let counts = PruneConfig { scope: Scope::Counts, counts, ..PruneConfig::default() };
        assert!(text(counts).contains("more than the 60 that are there"));
    }
}
