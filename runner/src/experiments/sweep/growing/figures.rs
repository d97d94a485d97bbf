//! What a search takes from a run's folder. Figures of test data are not among it: a search must not see them.

use std::path::Path;

use secateur::data::SplitName;
use secateur::training::event::{EvalAt, Event};
use serde_json::{Map, Value};

use super::trial::Spent;
use crate::experiments::search::{Halving, Reward, Search};
use crate::experiments::sweep::failed;
use crate::failure::Failure;
use crate::run::{event_lines, paused_after, read_summary};

/// How far a run has come.
pub enum Stage {
    /// It came to its end.
    Finished(Map<String, Value>),
    /// It was stopped after so many epochs, and can go on.
    Paused(u64),
    /// It failed, and would fail again.
    Failed(String),
    /// Somebody must still run it.
    Open,
}

/// How far the run of a folder has come.
pub fn stage(folder: &Path) -> Stage {
    if let Ok(Some(summary)) = read_summary(folder)
        && summary.get("status").is_some_and(|status| status == "finished")
    {
        return Stage::Finished(summary);
    }
    match (failed::reason(folder), paused_after(folder)) {
        (Some(why), _) => Stage::Failed(why),
        (None, Some(epochs)) => Stage::Paused(epochs),
        (None, None) => Stage::Open,
    }
}

/// What the log of a run tells.
#[derive(Default)]
pub struct Log {
    /// Loss and accuracy on the validation split at the ends of epochs, with the epoch.
    epochs: Vec<(u64, f64, Option<f64>)>,
    /// Accuracy on the validation split right before the first pruning step.
    before: Option<f64>,
    /// What was spent.
    pub spent: Spent,
}

impl Log {
    /// Reads it.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn read(folder: &Path) -> Result<Self, Failure> {
        let mut log = Self::default();
        let wanted = [r#"{"event":"eval","#, r#"{"event":"epoch","#];
        for line in event_lines(folder)?.filter(|line| wanted.iter().any(|start| line.starts_with(start))) {
            match serde_json::from_str(&line) {
                Ok(Event::Eval { split: SplitName::Validation, epoch, loss, accuracy, at, .. }) => match at {
                    EvalAt::Epoch => log.epochs.push((epoch, loss, accuracy)),
                    EvalAt::BeforePrune if log.before.is_none() => log.before = accuracy,
                    _ => {}
                },
                Ok(Event::Epoch { epoch, seconds, .. }) => {
                    log.spent.epochs = epoch;
                    log.spent.seconds += seconds;
                }
                _ => {}
            }
        }
        Ok(log)
    }

    /// Accuracy or loss after so many epochs; of a run that ended before, the last one.
    pub fn after(&self, epochs: u64, loss: bool) -> Option<f64> {
        let of = |(_, mean, accuracy): &(u64, f64, Option<f64>)| if loss { Some(*mean) } else { *accuracy };
        let exact = self.epochs.iter().rev().find(|(epoch, ..)| *epoch == epochs);
        let last = self.epochs.last().filter(|(epoch, ..)| *epoch < epochs);
        exact.or(last).and_then(of)
    }

    /// Whether runs have an accuracy.
    pub fn has_accuracy(&self) -> bool {
        self.epochs.iter().any(|(_, _, accuracy)| accuracy.is_some())
    }
}

/// The figure of a run that came to its end.
///
/// # Errors
/// What it does not have.
pub fn reward(reward: &Reward, summary: &Map<String, Value>, log: &Log) -> Result<f64, String> {
    let number = |key: &str| summary.get(key).and_then(Value::as_f64);
    let share = |kept: &str, dense: &str| Some(number(kept)? / number(dense).filter(|dense| *dense > 0.0)?);
    let (macs, params) = (|| share("macs_kept", "macs_dense"), || share("params_kept", "params_dense"));
    reward.of(&|name| match name {
        "validation_accuracy" | "validation_loss" | "sparsity" | "unit_sparsity" => number(name),
        "accuracy_change" => Some(number("validation_accuracy")? - log.before?),
        "macs_share" => macs(),
        "macs_saved" => Some(1.0 - macs()?),
        "params_share" => params(),
        "params_saved" => Some(1.0 - params()?),
        _ => None,
    })
}

/// Whether trials are compared by their loss.
pub fn by_loss<'a>(halving: &Halving, search: &Search, mut logs: impl Iterator<Item = &'a Log>) -> bool {
    let asked = halving.metric.map(|metric| metric.to_string());
    match asked.as_deref().or_else(|| search.reward.name()) {
        Some("validation_loss") => true,
        Some("validation_accuracy") => false,
        _ => !logs.any(Log::has_accuracy),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_made_of_validation_data_and_costs_and_of_no_test_data() {
        let summary = serde_json::json!({
            "test_accuracy": 0.99, "test_loss": 0.01, "validation_accuracy": 0.8, "validation_loss": 0.6, "macs_kept": 25,
            "macs_dense": 100, "params_kept": 30, "params_dense": 40, "sparsity": 0.25, "unit_sparsity": 0.5,
        });
        let (summary, log) = (summary.as_object().unwrap(), Log { before: Some(0.9), ..Log::default() });
        for (text, expected) in [
            ("validation_accuracy", 0.8),
            ("validation_loss", 0.6),
            ("accuracy_change", -0.1),
            ("macs_share", 0.25),
            ("macs_saved", 0.75),
            ("params_share", 0.75),
            ("params_saved", 0.25),
            ("sparsity + unit_sparsity", 0.75),
        ] {
            let read = Reward::read(text).unwrap();
            assert!((reward(&read, summary, &log).unwrap() - expected).abs() < 1e-12, "{text}");
        }
        let mut other = summary.clone();
        other.insert("test_accuracy".to_owned(), 0.0.into());
        let read = Reward::read("accuracy_change + macs_saved").unwrap();
        assert_eq!(reward(&read, summary, &log), reward(&read, &other, &log));
        let none = reward(&read, summary, &Log::default()).unwrap_err();
        assert!(none.contains("no accuracy_change"), "{none}");
    }

    #[test]
    fn figures_of_an_epoch_are_those_of_its_end() {
        let log = Log { epochs: vec![(1, 0.9, Some(0.1)), (2, 0.5, Some(0.4))], ..Log::default() };
        assert_eq!((log.after(1, false), log.after(1, true)), (Some(0.1), Some(0.9)));
        assert_eq!(log.after(5, false), Some(0.4), "it ended before");
        assert_eq!(Log::default().after(1, true), None);
    }
}
