//! One trial of a search, and what became of it.

use serde::{Deserialize, Serialize};

use crate::experiments::search::Point;

/// One setting that was proposed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// From 1.
    pub number: usize,
    /// The wave in which it was proposed, from 1.
    pub wave: usize,
    /// Its values, one for each dimension.
    pub point: Point,
    /// Its values for people.
    pub label: String,
    /// The name of its run's folder.
    pub run: String,
    /// What it showed where trials were compared before their end.
    #[serde(default)]
    pub rungs: Vec<Rung>,
    /// How it ended; absent while it goes on.
    #[serde(default)]
    pub end: Option<End>,
    /// What it took, once it has ended.
    #[serde(default)]
    pub spent: Spent,
}

/// One comparison of trials that go on.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rung {
    /// Epochs by then.
    pub epochs: u64,
    /// Accuracy or loss on the validation split after them; absent where it had none.
    pub value: Option<f64>,
}

/// How a trial ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum End {
    /// It was run to its end, and has this figure of the search's metric.
    Finished(f64),
    /// Others were better after so many epochs.
    Stopped(u64),
    /// It failed, and would fail again; or it has no figure. The reason.
    Failed(String),
}

/// What a trial took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Spent {
    /// Epochs that were trained.
    pub epochs: u64,
    /// Epochs that its config asks for.
    pub of: u64,
    /// Seconds of these epochs, evaluations and pruning aside.
    pub seconds: f64,
}

impl Trial {
    /// The last figure by which it was compared with others before its end.
    pub fn last_rung(&self) -> Option<f64> {
        self.rungs.last().and_then(|rung| rung.value)
    }

    /// `finished`, `stopped after 3 of 27 epochs`, `failed: ...`.
    pub fn told(&self) -> String {
        match &self.end {
            None => "goes on".to_owned(),
            Some(End::Finished(_)) => "finished".to_owned(),
            Some(End::Stopped(after)) => format!("stopped after {after} of {} epochs", self.spent.of),
            Some(End::Failed(why)) => format!("failed: {}", why.lines().next().unwrap_or_default()),
        }
    }
}

/// Trials from the best to the worst: those that were run to their end by the metric, those that were stopped by how far they
/// came and then by what they showed there, those that failed last. With each its rank; it is infinite for those that failed.
pub fn ranked(trials: &[Trial], more_is_better: bool, rungs_more_is_better: bool) -> Vec<(&Trial, f64)> {
    let signed = |value: f64, more: bool| if more { -value } else { value };
    let key = |trial: &&Trial| match &trial.end {
        Some(End::Finished(value)) => (0, 0, signed(*value, more_is_better)),
        Some(End::Stopped(after)) => {
            let value = trial.last_rung().map_or(f64::INFINITY, |value| signed(value, rungs_more_is_better));
            (1, u64::MAX - after, value)
        }
        _ => (2, 0, 0.0),
    };
    let mut all: Vec<&Trial> = trials.iter().filter(|trial| trial.end.is_some()).collect();
    all.sort_by(|a, b| {
        let (a, b) = (key(a), key(b));
        (a.0, a.1).cmp(&(b.0, b.1)).then(a.2.total_cmp(&b.2))
    });
    let rank = |(at, trial): (usize, _)| {
        let failed = matches!(trial, &Trial { end: Some(End::Failed(_)), .. });
        (trial, if failed { f64::INFINITY } else { at as f64 })
    };
    all.into_iter().enumerate().map(rank).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_stopped_ranks_behind_what_ended_and_before_what_failed() {
        let trial = |number: usize, end: End, rung: f64| {
            let rungs = vec![Rung { epochs: 1, value: Some(rung) }];
            let (label, run) = (String::new(), String::new());
            Trial { number, wave: 1, point: vec![], label, run, rungs, end: Some(end), spent: Spent::default() }
        };
        let all = [
            trial(1, End::Failed("x".to_owned()), 0.0),
            trial(2, End::Stopped(3), 0.9),
            trial(3, End::Finished(0.1), 0.5),
            trial(4, End::Stopped(9), 0.2),
            trial(5, End::Stopped(3), 0.95),
            trial(6, End::Finished(0.7), 0.5),
        ];
        let order: Vec<(usize, f64)> =
            ranked(&all, true, true).iter().map(|(trial, rank)| (trial.number, *rank)).collect();
        assert_eq!(order, [(6, 0.0), (3, 1.0), (4, 2.0), (5, 3.0), (2, 4.0), (1, f64::INFINITY)]);
        assert_eq!(ranked(&all, false, true)[0].0.number, 3);
    }
}
