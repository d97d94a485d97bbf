//! The best settings of a search, run again with seeds that no trial had: only these runs say which is best.

use serde::{Deserialize, Serialize};

/// The settings that are run again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finalists {
    /// Their seeds, which no trial had.
    pub seeds: Vec<i64>,
    /// The best trial first.
    pub settings: Vec<Finalist>,
    /// Whether all of it was run.
    pub done: bool,
    /// The number of the trial whose setting has the best mean.
    pub winner: Option<usize>,
}

/// One setting that is run again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finalist {
    /// The number of its trial.
    pub trial: usize,
    /// The names of the folders of its runs, one for each seed.
    pub runs: Vec<String>,
    /// Their figures; empty while they go on, absent for one that failed.
    pub values: Vec<Option<f64>>,
}

impl Finalists {
    /// The setting with the best mean; one of which runs failed comes after all others.
    pub fn best(&self, more_is_better: bool) -> Option<&Finalist> {
        let mut all: Vec<(&Finalist, usize, f64)> =
            self.settings.iter().filter_map(|one| Some((one, one.failed(), one.mean()?))).collect();
        all.sort_by(|(_, failed, a), (_, others, b)| {
            failed.cmp(others).then(if more_is_better { b.total_cmp(a) } else { a.total_cmp(b) })
        });
        all.first().map(|(best, ..)| *best)
    }
}

impl Finalist {
    /// The mean of its figures.
    pub fn mean(&self) -> Option<f64> {
        let there: Vec<f64> = self.values.iter().flatten().copied().collect();
        (!there.is_empty()).then(|| there.iter().sum::<f64>() / there.len() as f64)
    }

    /// How many of its runs have none.
    pub fn failed(&self) -> usize {
        self.values.iter().filter(|value| value.is_none()).count()
    }
}
