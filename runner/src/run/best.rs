//! Which evaluation on the validation split was the best one so far.

use std::fs;
use std::path::Path;

use secateur::data::SplitName;
use secateur::options::Table;
use secateur::training::event::{EvalAt, Event};
use serde_json::Value;

use super::error::RunDirError;
use super::event_log;
use super::folder::FORK;

/// The best evaluation so far.
#[derive(Debug)]
pub struct Best {
    /// The sections of the config that make the network.
    sections: Table,
    /// Accuracy, or the loss with its sign turned where there is none; higher is better.
    score: f64,
}

impl Best {
    /// Nothing was measured yet.
    pub fn new(sections: Table) -> Self {
        Self { sections, score: f64::NEG_INFINITY }
    }

    /// The sections of the config that make the network.
    pub fn sections(&self) -> Table {
        self.sections.clone()
    }

    /// Takes in another evaluation, and says whether it is better than all before it; of equal ones the first stays.
    pub fn beaten_by(&mut self, loss: f64, accuracy: Option<f64>) -> bool {
        let score = accuracy.unwrap_or(-loss);
        let better = score > self.score;
        if better {
            self.score = score;
        }
        better
    }

    /// Takes in what the log of a run says that goes on; the networks of before a fork were another run's.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn recall(&mut self, folder: &Path) -> Result<(), RunDirError> {
        let fork: Value =
            fs::read(folder.join(FORK)).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
        let begun = fork["fork"]["step"].as_u64().unwrap_or(0);
        for line in event_log::lines(folder)?.filter(|line| line.contains("\"eval\"")) {
            if let Ok(Event::Eval { split: SplitName::Validation, at: EvalAt::Epoch, loss, accuracy, step, .. }) =
                serde_json::from_str(&line)
                && step >= begun
            {
                self.beaten_by(loss, accuracy);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_the_best_stays_also_in_a_run_that_goes_on() {
        let mut best = Best::new(Table::new());
        let found = [(0.9, 0.5), (0.8, 0.7), (0.1, 0.7), (0.7, 0.6), (0.9, 0.71)];
        assert_eq!(
            found.map(|(loss, accuracy)| best.beaten_by(loss, Some(accuracy))),
            [true, true, false, false, true]
        );
        let mut by_loss = Best::new(Table::new());
        assert_eq!([2.0, f64::NAN, 1.0, 1.5].map(|loss| by_loss.beaten_by(loss, None)), [true, false, true, false]);

        let folder = tempfile::tempdir().unwrap();
        let eval =
            |split, at, accuracy| Event::Eval { step: 1, epoch: 0, split, loss: 1.0, accuracy: Some(accuracy), at };
        let log = [
            eval(SplitName::Validation, EvalAt::Epoch, 0.7),
            eval(SplitName::Validation, EvalAt::AfterPrune, 0.9),
            eval(SplitName::Test, EvalAt::Epoch, 0.95),
        ];
        let lines: String = log.iter().map(|event| serde_json::to_string(event).unwrap() + "\n").collect();
        std::fs::write(folder.path().join(event_log::EVENTS), lines).unwrap();
        let mut best = Best::new(Table::new());
        best.recall(folder.path()).unwrap();
        assert_eq!([0.7, 0.71].map(|accuracy| best.beaten_by(1.0, Some(accuracy))), [false, true]);
    }
}
