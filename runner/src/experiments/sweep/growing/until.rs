//! `seeds = { until = "decided", ... }`: seeds that are added until every comparison is settled.

use secateur::options;
use secateur::options::Table;
use serde::{Deserialize, Serialize};

use crate::experiments::sequential::Rule;

secateur::choices! {
    /// When no more seeds are added.
    pub enum End {
        /// When every comparison is settled.
        Decided = "decided",
    }
}

options! {
    /// How seeds are added.
    pub struct Until {
        /// When no more are added: `decided`.
        #[acts(always)]
        pub until: End = End::Decided,
        /// Differences of less than this do not matter: points, where the metric is a percentage. Without it only differences
        /// are settled.
        #[acts(always)]
        pub margin: Option<f64> = None,
        /// The probability that any comparison is settled wrongly.
        #[acts(always)]
        pub error: f64 = 0.05,
        /// Seeds of every setting, before the first look.
        #[acts(always)]
        pub at_least: usize = 5,
        /// The most seeds of a setting.
        #[acts(always)]
        pub at_most: usize = 40,
        /// Seeds between two looks; half of `at_least`, rounded up, where absent.
        #[acts(always)]
        pub every: Option<usize> = None,
        /// What is compared, by its name in summaries; accuracy, or loss where there is none.
        #[acts(always)]
        pub metric: Option<String> = None,
        /// The value of the first key that tells groups apart with which others are compared, as `compare` chooses it where absent.
        #[acts(always)]
        pub baseline: Option<String> = None,
    }

    fn check(&self, checks: &mut Checks) {
        checks.above("margin", self.margin.unwrap_or(1.0), 0.0);
        checks.above("error", self.error, 0.0);
        checks.range("error", self.error, ..=0.5);
        checks.range("at_least", self.at_least, 3.0..);
        checks.range("at_most", self.at_most, ..=1000.0);
        let text = format!("must be at least `at_least` = {}", self.at_least);
        checks.ensure("at_most", self.at_most >= self.at_least, text);
        checks.range("every", self.every, 1.0..);
    }
}

impl Until {
    /// Reads the table.
    ///
    /// # Errors
    /// Everything that is wrong with it, in words.
    pub fn read(table: &Table) -> Result<Self, Vec<String>> {
        let told = |error: secateur::error::OptionError| {
            format!("{}: found {}, allowed: {}", error.key, error.found, error.allowed)
        };
        options::parse(table).map_err(|errors| errors.into_iter().map(told).collect())
    }

    /// How many seeds there are at each look.
    pub fn looks(&self) -> Vec<usize> {
        let every = self.every.unwrap_or(self.at_least.div_ceil(2));
        let mut looks: Vec<usize> = (self.at_least..self.at_most).step_by(every).collect();
        looks.push(self.at_most);
        looks
    }

    /// How comparisons are settled; `margin` in units of the metric.
    pub fn rule(&self, margin: Option<f64>) -> Rule {
        Rule { margin, error: self.error, most: self.at_most }
    }
}

/// What of it must not change while seeds are added.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fixed {
    /// See [`Until`].
    pub margin: Option<f64>,
    /// See [`Until`].
    pub error: f64,
    /// Seeds at each look.
    pub looks: Vec<usize>,
    /// See [`Until`].
    pub metric: Option<String>,
    /// See [`Until`].
    pub baseline: Option<String>,
}

impl From<&Until> for Fixed {
    fn from(until: &Until) -> Self {
        let Until { margin, error, metric, baseline, .. } = until.clone();
        Self { margin, error, looks: until.looks(), metric, baseline }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Until, Vec<String>> {
        Until::read(&text.parse().unwrap())
    }

    #[test]
    fn looks_come_every_few_seeds_and_at_the_end() {
        let looks = |text: &str| read(text).unwrap().looks();
        assert_eq!(looks("until = 'decided'\nat_most = 12"), [5, 8, 11, 12]);
        assert_eq!(looks("until = 'decided'\nat_least = 4\nat_most = 8\nevery = 4"), [4, 8]);
        assert_eq!(looks("until = 'decided'\nat_least = 5\nat_most = 5"), [5]);
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_name() {
        for (text, key) in [
            ("until = 'sure'", "until: found \"sure\""),
            ("until = 'decided'\nmargin = 0", "margin: found"),
            ("until = 'decided'\nerror = 0.7", "error: found 0.7"),
            ("until = 'decided'\nat_least = 2", "at_least: found 2"),
            (
                "until = 'decided'\nat_least = 9\nat_most = 8",
                "at_most: found 8, allowed: must be at least `at_least` = 9",
            ),
            ("until = 'decided'\nsteps = 8", "steps: "),
        ] {
            let errors = read(text).unwrap_err();
            assert!(errors.iter().any(|error| error.starts_with(key)), "{text}: {errors:?}");
        }
    }
}
