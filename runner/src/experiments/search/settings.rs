//! The plain keys of `[sweep.search]`.

use std::fmt;

use secateur::choices;
use secateur::options;
use secateur::options::{OptionSet, Table};
use serde::de::DeserializeOwned;

choices! {
    /// How trials are proposed.
    pub enum Method {
        /// Each by itself, uniformly from the space.
        Random = "random",
        /// By what earlier trials came to (Bergstra et al. 2011).
        Tpe = "tpe",
    }
}

choices! {
    /// Which figures are better.
    pub enum Direction {
        /// Large ones.
        Maximize = "maximize",
        /// Small ones.
        Minimize = "minimize",
    }
}

options! {
    /// What a search does.
    pub struct Settings {
        /// How trials are proposed: `tpe` or `random`.
        #[acts(always)]
        pub method: Method = Method::Tpe,
        /// Settings that are tried.
        #[acts(always)]
        pub trials: usize = 32,
        /// Trials that are proposed at a time: each wave by what all earlier ones came to.
        #[acts(always)]
        pub wave: usize = 8,
        /// Trials of `tpe` that are drawn at random before it has something to go by; 10 where absent.
        #[acts(always)]
        pub startup: Option<usize> = None,
        /// What trials are judged by: a figure of validation data, or an expression of several.
        #[acts(always)]
        pub metric: String = "validation_accuracy".into(),
        /// Whether more of it is better: `maximize` or `minimize`; by the metric's name where absent.
        #[acts(always)]
        pub direction: Option<Direction> = None,
        /// What proposals are drawn from.
        #[acts(always)]
        pub seed: u64 = 0,
        /// Trials that are stopped early: `{ min_epochs = 3, eta = 3 }`; none where absent.
        #[acts(always)]
        pub halving: Option<Table> = None,
        /// The best settings are run again: `{ top = 3, seeds = 5 }`.
        #[acts(always)]
        pub replicate: Option<Table> = None,
    }

    fn check(&self, checks: &mut Checks) {
        checks.range("trials", self.trials, 1.0..=100_000.0);
        checks.range("wave", self.wave, 1.0..=10_000.0);
        let random = self.method == Method::Random && self.startup.is_some();
        checks.ensure("startup", !random, "nothing beside method = \"random\", which draws all trials at random");
        checks.range("startup", self.startup, 1.0..);
    }
}

options! {
    /// How the best settings are run again before one is named.
    pub struct Replicate {
        /// How many settings.
        #[acts(always)]
        pub top: usize = 3,
        /// Seeds of each, which no trial had.
        #[acts(always)]
        pub seeds: usize = 5,
    }

    fn check(&self, checks: &mut Checks) {
        checks.range("top", self.top, 1.0..=1000.0);
        checks.range("seeds", self.seeds, 2.0..=1000.0);
    }
}

impl Settings {
    /// Trials that are drawn at random.
    pub fn startup(&self) -> usize {
        self.startup.unwrap_or(10)
    }
}

impl fmt::Display for Replicate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.top {
            1 => write!(f, "the best is run again with {} seeds", self.seeds),
            top => write!(f, "the best {top} are run again with {} seeds each", self.seeds),
        }
    }
}

/// Reads a table.
///
/// # Errors
/// Everything that is wrong with it, in words; keys stand under `within`.
pub(super) fn read<T: OptionSet + DeserializeOwned>(table: &Table, within: &str) -> Result<T, Vec<String>> {
    let told = |error: secateur::error::OptionError| {
        let dot = if within.is_empty() || error.key.is_empty() { "" } else { "." };
        format!("{within}{dot}{}: found {}, allowed: {}", error.key, error.found, error.allowed)
    };
    options::parse(table).map_err(|errors| errors.into_iter().map(told).collect())
}

impl Settings {
    /// Reads the section, without its space.
    ///
    /// # Errors
    /// Everything that is wrong with it, in words.
    pub fn read(table: &Table) -> Result<Self, Vec<String>> {
        read(table, "")
    }

    /// How the best are run again.
    ///
    /// # Errors
    /// Everything that is wrong with it, in words.
    pub fn replicate(&self) -> Result<Replicate, Vec<String>> {
        read(self.replicate.as_ref().unwrap_or(&Table::new()), "replicate")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_makes_no_sense_is_refused_by_name() {
        let wrong = |text: &str| Settings::read(&text.parse().unwrap()).unwrap_err().join("\n");
        assert!(wrong("method = 'bayes'").starts_with("method: found \"bayes\", allowed: "));
        assert!(wrong("trials = 0").starts_with("trials: found 0"));
        assert!(wrong("wave = 0").starts_with("wave: found 0"));
        assert!(wrong("method = 'random'\nstartup = 3").starts_with("startup: found 3"));
        assert!(wrong("trails = 3").contains("trails"));
        let read = |text: &str| Settings::read(&text.parse().unwrap()).unwrap();
        assert!(read("replicate = { seeds = 1 }").replicate().unwrap_err()[0].starts_with("replicate.seeds: found 1"));
        assert_eq!(read("").replicate().unwrap(), Replicate { top: 3, seeds: 5 });
    }
}
