//! The `[fork]` section: a run that leaves another one at some step, and goes on from its state with settings of its own.
//!
//! Up to there the two are one run. So the section holds what the other was told until then, and needs no other run's
//! folder: the common part can always be repeated.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use secateur::options;
use secateur::options::Table;
use toml::Value;

use super::error::{ConfigError, ConfigErrors};
use super::identity::{apart, is_place, leaves};
use super::run_config::SEEDS;
use super::schema::Schema;
use super::set_by::SetBy;
use super::validate::validate;
use super::{Merged, Resolved};

/// The section's name.
pub const FORK: &str = "fork";

/// Sections, and keys above them, that a fork may change, but for what [`BOUND`] names.
const FREE: [&str; 11] =
    ["criterion", "schedule", "compressor", "prune", "grow", "train", "output", "name", "threads", "plugins", FORK];

/// Those of them that mean something only until the fork, or are the same for both.
const NEVER_BEFORE: [&str; 3] = ["output", "name", "threads"];

/// Keys within these sections that shaped the state, or the steps that it was reached in.
const BOUND: [&str; 13] = [
    "prune.granularity",
    "prune.block",
    "prune.apply",
    "prune.regrow",
    "prune.regrow_from",
    "prune.start",
    "prune.start_params",
    "grow.start",
    "train.epochs",
    "train.batch_size",
    "train.loss",
    "train.optimizer",
    "output.survival",
];

/// What a fork may change, for people.
const ALLOWED: &str = "a fork may change criterion, schedule and compressor, and of prune, grow and train all but \
                       granularity, block, apply, regrow, regrow_from, start, start_params, epochs, batch_size, loss and \
                       optimizer";

options! {
    /// Where a run leaves another one.
    pub struct ForkConfig {
        /// Where a run leaves the one that it goes on from: `prune:3` for its third pruning step, the first one that this run
        /// makes by its own settings; `epoch:5` after five epochs, `step:340` before that step. No fork where absent. A
        /// criterion of its own that looks back on training is there as early as the pruning step needs it.
        #[acts(always)]
        pub at: Option<String> = None,
        /// Folder of the run that is left: its checkpoints and its log are used where they fit, so that less is repeated.
        #[acts(|fork| fork.at.is_some(), "at")]
        pub from: Option<String> = None,
        /// The sections that a fork may change, as they were until then; written by `secateur fork` and by sweeps.
        #[acts(|fork| fork.at.is_some(), "at")]
        pub before: Option<Table> = None,
    }

    fn check(&self, checks: &mut Checks) {
        if let Some(Err(allowed)) = self.at.as_ref().map(|at| At::from_str(at)) {
            checks.ensure("at", false, allowed);
        }
    }
}

/// Where a fork leaves the other run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// Before this step, from 0.
    Step(u64),
    /// After so many epochs.
    Epoch(u64),
    /// So that this pruning step, from 1, is the first of its own.
    Prune(usize),
}

impl FromStr for At {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let allowed = "must be \"prune:N\" for the pruning step N from 1, \"epoch:N\" after N epochs, or \"step:N\" before the \
                       step N from 0";
        let (kind, number) = text.split_once(':').ok_or(allowed)?;
        let number: u64 = number.trim().parse().map_err(|_| allowed)?;
        match kind.trim() {
            "step" => Ok(Self::Step(number)),
            "epoch" => Ok(Self::Epoch(number)),
            "prune" if number > 0 => usize::try_from(number).map(Self::Prune).map_err(|_| allowed),
            _ => Err(allowed),
        }
    }
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Step(step) => write!(f, "step {step}"),
            Self::Epoch(epochs) => write!(f, "the end of epoch {epochs}"),
            Self::Prune(nth) => write!(f, "pruning step {nth}"),
        }
    }
}

/// The part of a complete config that a fork cannot change.
pub fn bound(config: &Table) -> Table {
    let mut all = config.clone();
    all.retain(|name, _| !FREE.contains(&name));
    if let Some(Value::Table(seeds)) = config.get(SEEDS) {
        all.insert(SEEDS.to_owned(), apart(seeds, config.get("seed")).into());
    }
    for key in BOUND.iter().filter(|key| !key.starts_with("output.")) {
        if let Some((section, key)) = key.split_once('.')
            && let Some(value) = config.get(section).and_then(|section| section.get(key))
            && let Value::Table(inner) = all.entry(section.to_owned()).or_insert_with(|| Value::Table(Table::new()))
        {
            inner.insert(key.to_owned(), value.clone());
        }
    }
    all
}

/// The `[fork]` section as far as it identifies a run: not where the other run's folder lies.
pub fn covered(fork: &Table, covered: impl Fn(&Table) -> Table) -> Table {
    let mut all = fork.clone();
    all.remove("from");
    if let Some(Value::Table(before)) = fork.get("before") {
        all.insert("before".to_owned(), covered(before).into());
    }
    all
}

impl Resolved {
    /// Where this run leaves another one, if it does.
    pub fn fork_at(&self) -> Option<At> {
        self.run.fork.at.as_ref()?.parse().ok()
    }

    /// This run as one that leaves the other at the place that it names. What a fork cannot change must be the same in both.
    ///
    /// # Errors
    /// The keys that are not the same, each with what it was before.
    pub fn forked(mut self, other: &Self, from: Option<&str>, schema: &dyn Schema) -> Result<Self, ConfigErrors> {
        let mut before = other.table.clone();
        before.retain(|name, _| FREE.contains(&name) && !NEVER_BEFORE.contains(&name));
        before.entry("plugins").or_insert_with(|| Value::Array(Vec::new()));
        self.same_where_bound(other)?;
        let origin = self.set_by("fork.at");
        if let Some(Value::Table(fork)) = self.table.get_mut(FORK) {
            fork.remove("from");
            fork.extend(from.map(|from| ("from".to_owned(), from.into())));
            fork.insert("before".to_owned(), before.into());
        }
        self.origins.retain(|key, _| key != "fork.from" && !key.starts_with("fork.before"));
        self.origins.extend(from.map(|_| ("fork.from".to_owned(), origin.clone())));
        self.origins.insert("fork.before".to_owned(), origin);
        let content = std::mem::take(&mut self.content);
        let forked = Self::new(Merged { table: self.table, origins: self.origins }, schema)?;
        Ok(Self { content, ..forked })
    }

    /// The same without a fork.
    ///
    /// # Errors
    /// None: what is left was a config before.
    pub fn without_fork(mut self, schema: &dyn Schema) -> Result<Self, ConfigErrors> {
        self.table.insert(FORK.to_owned(), Value::Table(Table::new()));
        self.origins.retain(|key, _| key != FORK && !key.starts_with("fork."));
        let content = std::mem::take(&mut self.content);
        let alone = Self::new(Merged { table: self.table, origins: self.origins }, schema)?;
        Ok(Self { content, ..alone })
    }

    /// The run that this one leaves; `None` where it leaves none.
    ///
    /// # Errors
    /// The section does not say what that was told, or says what cannot be: an unknown key, a value that its key cannot have,
    /// one that a fork cannot change.
    pub fn before_fork(&self, schema: &dyn Schema) -> Result<Option<Self>, ConfigErrors> {
        let Some(_) = self.fork_at() else { return Ok(None) };
        let Some(before) = &self.run.fork.before else {
            let allowed = "fork.before beside it, with the sections as they were: `secateur fork RUN --at ...` and a sweep \
                           with sweep.fork write it";
            return Err(self.refused("fork.at", allowed.to_owned()));
        };
        let (mut table, mut origins) = (self.table.clone(), self.origins.clone());
        table.insert(FORK.to_owned(), Value::Table(Table::new()));
        for (section, value) in before {
            if !FREE.contains(&section.as_str()) || NEVER_BEFORE.contains(&section.as_str()) {
                return Err(self.refused(&format!("fork.before.{section}"), format!("no such section: {ALLOWED}")));
            }
            table.insert(section.clone(), value.clone());
        }
        let other = |key: &str| before.keys().any(|section| key == section || key.starts_with(&format!("{section}.")));
        origins.retain(|key, _| !other(key) && !key.starts_with("fork."));
        let errors = validate(&mut table, &mut origins, schema);
        if !errors.is_empty() {
            return Err(ConfigErrors(errors));
        }
        let run = Self::new(Merged { table, origins }, schema)?;
        self.same_where_bound(&run)?;
        Ok(Some(Self { content: self.content.clone(), ..run }))
    }

    fn same_where_bound(&self, other: &Self) -> Result<(), ConfigErrors> {
        let mut errors = Vec::new();
        let (own, before) = (leaves(&bound(&self.table)), leaves(&bound(&other.table)));
        let value = |all: &BTreeMap<String, String>, key: &str| {
            all.get(key).map_or_else(|| "not set".to_owned(), String::clone)
        };
        let differ = |key: &&String| own.get(*key) != before.get(*key);
        let keys: BTreeSet<&String> = own.keys().chain(before.keys()).filter(differ).collect();
        // Where data and weights lie is no part of it: their content is looked at when they are read.
        let there = |key: &&String| !is_place(key, own.contains_key(*key), before.contains_key(*key));
        for key in keys.into_iter().filter(there) {
            let allowed = format!("{}, which it was before the fork: {ALLOWED}", value(&before, key));
            let (origin, found) = (self.set_by(key), value(&own, key));
            errors.push(ConfigError::Value { key: key.clone(), origin, found, allowed });
        }
        if self.run.output.survival {
            let allowed = "false: how long weights survived before the fork is not known to it".to_owned();
            let (key, found) = ("output.survival".to_owned(), "true".to_owned());
            errors.push(ConfigError::Value { origin: self.set_by(&key), key, found, allowed });
        }
        if errors.is_empty() { Ok(()) } else { Err(ConfigErrors(errors)) }
    }

    fn refused(&self, key: &str, allowed: String) -> ConfigErrors {
        let found = self.run.fork.at.clone().unwrap_or_default();
        let origin: SetBy = self.set_by(key);
        ConfigErrors(vec![ConfigError::Value { key: key.to_owned(), origin, found, allowed }])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_and_others_refused_with_what_is_allowed() {
        let read = ["prune:3", "epoch:0", "step: 340"].map(|text| text.parse::<At>().unwrap());
        assert_eq!(read, [At::Prune(3), At::Epoch(0), At::Step(340)]);
        assert_eq!(read.map(|at| at.to_string()), ["pruning step 3", "the end of epoch 0", "step 340"]);
        for wrong in ["prune:0", "prune", "3", "update:3", "step:-1", "step:x", "prune:3.5"] {
            assert!(wrong.parse::<At>().unwrap_err().contains("\"prune:N\""), "{wrong}");
        }
    }

    #[test]
    fn what_shaped_the_state_is_bound_and_the_rest_free() {
        let config: Table = "seed = 1\nname = 'a'\n[train]\nlr = 0.1\nepochs = 3\n[data]\nname = 'b'\n[prune]\nscope = 'global'\nstart = { fc1 = 3 }\n[output]\nsurvival = false"
            .parse()
            .unwrap();
        let expected: Table =
            "seed = 1\n[train]\nepochs = 3\n[data]\nname = 'b'\n[prune]\nstart = { fc1 = 3 }".parse().unwrap();
        assert_eq!(bound(&config), expected);
    }
}
