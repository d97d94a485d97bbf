//! What a search found, for people and for programs.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::figures::{self, Log};
use super::finalists::Finalist;
use super::trial::{End, Trial};
use super::trials::Trials;
use crate::experiments::compare::{Metric, Table, named};
use crate::experiments::index::Record;
use crate::experiments::search::Reward;
use crate::experiments::sweep::table::time;
use crate::printable::counted;

/// The figure of the search in summaries that a comparison sees, where it is an expression.
const FIGURE: &str = "search_metric";

/// What is said of every search: figures that chose settings say nothing of them.
const CHOSEN: &str = "the figures of the trials chose the settings, so that they are too good: the best of many is best by chance too, and no \
                      trial repeats another; what is compared are new runs of the best, with seeds that no trial had";

/// A search and what a comparison is to see of its runs.
pub struct Searched {
    /// The search.
    pub trials: Trials,
    /// The metric of the comparison.
    pub metric: String,
}

impl Searched {
    /// A search whose runs are compared.
    pub fn new(trials: Trials) -> Self {
        let plain = trials.metric.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        let own =
            ["validation_accuracy", "validation_loss", "sparsity", "unit_sparsity"].contains(&trials.metric.as_str());
        let metric = if plain && own { trials.metric.clone() } else { FIGURE.to_owned() };
        Self { trials, metric }
    }

    /// Of the runs of its folder those that settings are compared by: those that were run again, and their controls. Test
    /// figures are left to the winner alone.
    pub fn seen(&self, records: Vec<Record>) -> Vec<Record> {
        let Some(finalists) = self.trials.finalists.as_ref() else { return Vec::new() };
        let name = |record: &Record| record.folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let of = |run: &str| finalists.settings.iter().find(|one| one.runs.iter().any(|own| own == run));
        let mut seen = Vec::new();
        for mut record in records {
            let (run, control_of) = (name(&record), record.summary.get("control_of").and_then(Value::as_str));
            let Some(setting) = of(control_of.unwrap_or(&run)) else { continue };
            if self.metric == FIGURE && record.status == "finished" {
                let figure = Reward::read(&self.trials.metric).ok().and_then(|reward| {
                    let log = Log::read(&record.folder).ok()?;
                    figures::reward(&reward, &record.summary, &log).ok()
                });
                record.summary.extend(figure.map(|figure| (FIGURE.to_owned(), json!(figure))));
            }
            if Some(setting.trial) != finalists.winner {
                record.summary.retain(|key, _| !key.starts_with("test_"));
            }
            seen.push(record);
        }
        seen
    }

    /// The folders' names of the winner's runs.
    pub fn winner(&self) -> HashSet<String> {
        let Some(finalists) = self.trials.finalists.as_ref() else { return HashSet::new() };
        let winner = finalists.settings.iter().filter(|one| Some(one.trial) == finalists.winner);
        winner.flat_map(|one| one.runs.iter().cloned()).collect()
    }

    /// The trials, the best first, and the settings that were run again.
    pub fn tables(&self) -> Vec<(String, Table)> {
        let trials = &self.trials;
        let head =
            ["trial", "wave", "setting", &trials.metric, "epochs", "what became of it"].map(str::to_owned).to_vec();
        let mut rows = Vec::new();
        for trial in trials.ranked() {
            let figure = match &trial.end {
                Some(End::Finished(value)) => self.written(*value),
                _ => "–".to_owned(),
            };
            let epochs = format!("{} of {}", trial.spent.epochs, trial.spent.of);
            rows.push(vec![
                trial.number.to_string(),
                trial.wave.to_string(),
                trial.label.clone(),
                figure,
                epochs,
                trial.told(),
            ]);
        }
        let mut all = vec![("Trials".to_owned(), Table { head, rows })];
        if let Some(finalists) = trials.finalists.as_ref().filter(|finalists| !finalists.settings.is_empty()) {
            let head = ["setting", "trial", "seeds", "mean over new seeds", "in its trial"].map(str::to_owned).to_vec();
            let row = |one: &Finalist| {
                let trial = &trials.trials[one.trial - 1];
                let Some(End::Finished(before)) = trial.end else { return Vec::new() };
                let mean = one.mean().map_or_else(|| "–".to_owned(), |mean| self.written(mean));
                let winner = if finalists.winner == Some(one.trial) { " (winner)" } else { "" };
                let there = format!("{} of {}", one.values.iter().flatten().count(), finalists.seeds.len());
                vec![format!("{}{winner}", trial.label), one.trial.to_string(), there, mean, self.written(before)]
            };
            let rows = finalists.settings.iter().map(row).filter(|row| !row.is_empty()).collect();
            all.push(("Run again".to_owned(), Table { head, rows }));
        }
        all
    }

    /// What is to be known of the figures.
    pub fn notes(&self) -> Vec<String> {
        let trials = &self.trials;
        let mut notes = vec![trials.cost()];
        notes.extend(trials.finalists.as_ref().map(|_| CHOSEN.to_owned()));
        notes.push(trials.named(&|value| self.written(value)));
        notes
    }

    /// For programs.
    pub fn json(&self) -> Value {
        let trials = &self.trials;
        json!({
            "metric": trials.metric, "more_is_better": trials.more_is_better, "planned": trials.planned,
            "trials": trials.trials.iter().map(|trial| json!({
                "number": trial.number, "wave": trial.wave, "setting": trial.label, "run": trial.run, "rungs": trial.rungs,
                "end": trial.end, "spent": trial.spent,
            })).collect::<Vec<_>>(),
            "finalists": trials.finalists,
        })
    }

    fn written(&self, value: f64) -> String {
        let metric: Metric = named(&self.metric);
        metric.written(value)
    }
}

impl Trials {
    /// The trials from the best to the worst, those that go on last.
    pub fn ranked(&self) -> Vec<&Trial> {
        let more = !self.by_loss.unwrap_or(false);
        let ended = super::trial::ranked(&self.trials, self.more_is_better, more).into_iter().map(|(trial, _)| trial);
        ended.chain(self.trials.iter().filter(|trial| trial.end.is_none())).collect()
    }

    /// How many trials there are of each end, and what stopping some saved.
    pub fn cost(&self) -> String {
        let count =
            |is: fn(&End) -> bool| self.trials.iter().filter(|trial| trial.end.as_ref().is_some_and(is)).count();
        let finished = count(|end| matches!(end, End::Finished(_)));
        let mut text = format!("{} of {}: {finished} finished", self.trials.len(), counted(self.planned, "trial"));
        let failed = count(|end| matches!(end, End::Failed(_)));
        text += &if failed > 0 { format!(", {failed} failed") } else { String::new() };
        let stopped: Vec<&Trial> =
            self.trials.iter().filter(|trial| matches!(trial.end, Some(End::Stopped(_)))).collect();
        if !stopped.is_empty() {
            let trained: u64 = self.trials.iter().map(|trial| trial.spent.epochs).sum();
            let all: u64 = self.trials.iter().map(|trial| trial.spent.of).sum();
            let left = |trial: &&Trial| trial.spent.of.saturating_sub(trial.spent.epochs) as f64;
            let each = |trial: &&Trial| trial.spent.seconds / trial.spent.epochs.max(1) as f64;
            let saved: f64 = stopped.iter().map(|trial| left(trial) * each(trial)).sum();
            let seconds: f64 = self.trials.iter().map(|trial| trial.spent.seconds).sum();
            text += &format!(
                ", {} stopped early: {trained} of {all} epochs were trained, in {}; {} of training were saved, by what the epochs \
                 of each stopped trial took",
                stopped.len(),
                time(seconds),
                time(saved)
            );
        }
        if self.exhausted {
            text += "; there is no other point in the space";
        }
        text
    }

    /// The winner in words, or why there is none.
    pub fn named(&self, written: &dyn Fn(f64) -> String) -> String {
        let Some(finalists) = self.finalists.as_ref() else {
            return "the search is not over: no setting is named before the best were run again".to_owned();
        };
        if !finalists.done {
            return "the search is not over: the best settings are being run again with new seeds".to_owned();
        }
        let winner = finalists.settings.iter().find(|one| Some(one.trial) == finalists.winner);
        let Some((winner, mean)) = winner.and_then(|one| Some((one, one.mean()?))) else {
            return "no setting is named: no trial came to a figure".to_owned();
        };
        format!(
            "winner: {}, with the best mean of {} on validation data, {} of {} (trial {})",
            self.trials[winner.trial - 1].label,
            counted(winner.values.iter().flatten().count(), "run"),
            self.metric,
            written(mean),
            winner.trial
        )
    }
}
