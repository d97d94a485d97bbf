//! `search.json`: every trial of a search as it was proposed, and what was seen of it. What is written does not change: a
//! search that was stopped goes on with the same trials, whoever goes on with it.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::corners::rungs;
use super::figures::{Log, Stage, by_loss, reward, stage};
use super::finalists::{Finalist, Finalists};
use super::points::planned;
use super::trial::{End, Rung, Spent, Trial, ranked};
use crate::config::Layer;
use crate::engine::Workbench;
use crate::experiments::search::{Point, Search, promoted, propose};
use crate::experiments::sweep::plan::SweepPlan;
use crate::failure::Failure;
use crate::printable::counted;
use crate::run::write_whole;

/// The file's name.
pub const SEARCH: &str = "search.json";

/// What the cells of a plan are in a search.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Leg {
    /// Epochs after which they stop, with a checkpoint; they are run to their ends where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epochs: Option<u64>,
}

/// What is run next.
pub struct Part {
    /// The cells.
    pub plan: SweepPlan,
    /// What they are, for people.
    pub what: String,
}

/// Everything that a search knows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trials {
    pub(super) rule: Vec<String>,
    /// The figure by which trials are judged.
    pub metric: String,
    /// Whether more of it is better.
    pub more_is_better: bool,
    /// How many trials there will be.
    pub planned: usize,
    /// Epochs after which trials are compared before their end.
    pub(super) rungs: Vec<u64>,
    /// Whether that goes by the loss; unknown until one has run.
    pub(super) by_loss: Option<bool>,
    /// The trials, by their numbers.
    pub trials: Vec<Trial>,
    /// Whether everything in the space was proposed.
    pub(super) exhausted: bool,
    /// The best, run again.
    pub finalists: Option<Finalists>,
}

impl Trials {
    /// Those of a sweep's folder, or the first ones.
    ///
    /// # Errors
    /// The file is damaged, or of another search; the runs have no validation data, or are not measured where trials are
    /// compared.
    pub fn open(plan: &SweepPlan, search: &Search, workbench: &Workbench) -> Result<Self, Failure> {
        let path = plan.folder.join(SEARCH);
        let refused = |problem: &str, fix: &str| Failure::Usage(format!("{}: {problem}\n  fix: {fix}", path.display()));
        let rule = search.rule();
        let Ok(text) = fs::read(&path) else {
            let (metric, more_is_better) = (search.reward.to_string(), search.more_is_better());
            let (rungs, count) = (rungs(plan, search, workbench)?, search.settings.trials);
            let (by_loss, trials) = (None, Vec::new());
            let (exhausted, finalists, planned) = (false, None, count);
            let mut all = Self { rule, metric, more_is_better, planned, rungs, by_loss, trials, exhausted, finalists };
            all.wave(plan, search, workbench)?;
            all.write(&plan.folder)?;
            return Ok(all);
        };
        let other = "give the search another name (--set name=...), or remove its folder to begin anew";
        let all: Self = serde_json::from_slice(&text).map_err(|error| {
            refused(&error.to_string(), "remove the file: the runs stay, and the trials follow from them anew")
        })?;
        if all.rule != rule {
            let lines = |of: &[String], not: &[String]| {
                of.iter().filter(|line| !not.contains(line)).cloned().collect::<Vec<_>>().join("; ")
            };
            let (there, here) = (lines(&all.rule, &rule), lines(&rule, &all.rule));
            let problem = format!("the search was begun by another rule\n  there: {there}\n  here: {here}");
            return Err(refused(&problem, other));
        }
        if let Some(first) = all.trials.first() {
            let run = all.run_of(plan, search, &first.point, None, workbench)?;
            if run != first.run {
                let problem = format!(
                    "the search was begun with another config, data or library: its first trial is {} there and {run} here",
                    first.run
                );
                return Err(refused(&problem, other));
            }
        }
        Ok(all)
    }

    /// Those of a folder that a comparison looks at; `None` where there are none, or none that can be read.
    pub fn of(folder: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(folder.join(SEARCH)).ok()?).ok()
    }

    fn write(&self, folder: &Path) -> Result<(), Failure> {
        let text = format!("{:#}\n", serde_json::json!(self));
        fs::create_dir_all(folder).map_err(|error| Failure::Failed(format!("{}: {error}", folder.display())))?;
        Ok(write_whole(&folder.join(SEARCH), text.as_bytes())?)
    }

    /// What is run next; `None` where the search is over.
    pub fn part(&self, plan: &SweepPlan, search: &Search) -> Option<Part> {
        let open: Vec<&Trial> = self.trials.iter().filter(|trial| trial.end.is_none()).collect();
        if let Some(first) = open.first() {
            let epochs = self.rungs.get(first.rungs.len()).copied();
            let waves = self.planned.div_ceil(search.settings.wave.max(1));
            let (at, of) = (first.rungs.len() + 1, self.rungs.len() + 1);
            let rung = match (epochs, self.rungs.is_empty()) {
                (_, true) => String::new(),
                (Some(epochs), _) => format!(", rung {at} of {of}: to epoch {epochs}"),
                (None, _) => format!(", rung {of} of {of}: to the end"),
            };
            let what = format!("wave {} of {waves}{rung}, {}", first.wave, counted(open.len(), "trial"));
            let cells: Vec<(&Point, &str, Option<i64>)> =
                open.iter().map(|trial| (&trial.point, trial.run.as_str(), None)).collect();
            return Some(Part { plan: planned(plan, search, &cells, Some(Leg { epochs })), what });
        }
        let finalists = self.finalists.as_ref().filter(|finalists| !finalists.done)?;
        let mut cells = Vec::new();
        for Finalist { trial, runs, .. } in &finalists.settings {
            let trial = &self.trials[trial - 1];
            cells.extend(finalists.seeds.iter().zip(runs).map(|(seed, run)| (&trial.point, run.as_str(), Some(*seed))));
        }
        let (best, seeds) = (finalists.settings.len(), finalists.seeds.len());
        let what = format!("the best {} again, with {} each", counted(best, "setting"), counted(seeds, "seed"));
        Some(Part { plan: planned(plan, search, &cells, Some(Leg::default())), what })
    }

    /// Looks at the runs of the part that was run, and decides what follows. Gives the folders of runs that nobody has come
    /// to the end of; nothing is decided then.
    ///
    /// # Errors
    /// A run's log cannot be read; the file cannot be written.
    pub fn look(&mut self, plan: &SweepPlan, search: &Search, workbench: &Workbench) -> Result<Vec<String>, Failure> {
        let open: Vec<usize> = (0..self.trials.len()).filter(|at| self.trials[*at].end.is_none()).collect();
        let missing =
            if open.is_empty() { self.look_at_finalists(plan, search)? } else { self.look_at(&open, plan, search)? };
        if !missing.is_empty() {
            return Ok(missing);
        }
        if self.finalists.is_none() && self.trials.iter().all(|trial| trial.end.is_some()) {
            if self.trials.len() < self.planned && !self.exhausted {
                self.wave(plan, search, workbench)?;
            }
            if self.trials.iter().all(|trial| trial.end.is_some()) {
                self.choose(plan, search, workbench)?;
            }
        }
        self.write(&plan.folder)?;
        Ok(Vec::new())
    }

    fn look_at(&mut self, open: &[usize], plan: &SweepPlan, search: &Search) -> Result<Vec<String>, Failure> {
        let rung = self.rungs.get(self.trials[open[0]].rungs.len()).copied();
        let (mut found, mut missing) = (Vec::new(), Vec::new());
        for at in open {
            let run = &self.trials[*at].run;
            let folder = plan.folder.join(run);
            match (stage(&folder), rung) {
                (Stage::Open, _) => missing.push(run.clone()),
                (Stage::Paused(after), rung) if rung.is_none_or(|rung| after < rung) => missing.push(run.clone()),
                (Stage::Failed(why), _) => found.push((*at, Log::read(&folder).unwrap_or_default(), Err(why))),
                (Stage::Paused(_), _) => found.push((*at, Log::read(&folder)?, Ok(None))),
                (Stage::Finished(summary), _) => found.push((*at, Log::read(&folder)?, Ok(Some(summary)))),
            }
        }
        if !missing.is_empty() {
            return Ok(missing);
        }
        for (at, log, found) in &found {
            let of = self.trials[*at].spent.of;
            let trial = &mut self.trials[*at];
            trial.spent = Spent { of, ..log.spent };
            match found {
                Err(why) => trial.end = Some(End::Failed(why.clone())),
                Ok(Some(summary)) => {
                    let value = reward(&search.reward, summary, log);
                    trial.end = Some(value.map_or_else(|why| End::Failed(why.to_owned()), End::Finished));
                }
                Ok(None) => {}
            }
        }
        let (Some(rung), Some(halving)) = (rung, &search.halving) else { return Ok(Vec::new()) };
        let loss = self.by_loss.unwrap_or_else(|| by_loss(halving, search, found.iter().map(|(_, log, _)| log)));
        self.by_loss = Some(loss);
        let values: Vec<Option<f64>> =
            found.iter().map(|(_, log, found)| found.as_ref().ok().and_then(|_| log.after(rung, loss))).collect();
        let kept = promoted(&values, halving.kept(found.len()), !loss);
        for (place, ((at, ..), value)) in found.iter().zip(&values).enumerate() {
            let trial = &mut self.trials[*at];
            trial.rungs.push(Rung { epochs: rung, value: *value });
            if trial.end.is_none() && !kept.contains(&place) {
                trial.end = Some(End::Stopped(rung));
            }
        }
        Ok(Vec::new())
    }

    fn look_at_finalists(&mut self, plan: &SweepPlan, search: &Search) -> Result<Vec<String>, Failure> {
        let (more, Some(finalists)) = (self.more_is_better, self.finalists.as_mut()) else { return Ok(Vec::new()) };
        let mut missing = Vec::new();
        for finalist in &mut finalists.settings {
            finalist.values.clear();
            for run in &finalist.runs {
                let folder = plan.folder.join(run);
                match stage(&folder) {
                    Stage::Finished(summary) => {
                        finalist.values.push(reward(&search.reward, &summary, &Log::read(&folder)?).ok());
                    }
                    Stage::Failed(_) => finalist.values.push(None),
                    Stage::Open | Stage::Paused(_) => missing.push(run.clone()),
                }
            }
        }
        if missing.is_empty() {
            finalists.done = true;
            finalists.winner = finalists.best(more).map(|best| best.trial);
        }
        Ok(missing)
    }

    /// Proposes the next wave.
    fn wave(&mut self, plan: &SweepPlan, search: &Search, workbench: &Workbench) -> Result<(), Failure> {
        let mut new: Vec<Trial> = Vec::new();
        let wave = self.trials.last().map_or(1, |last| last.wave + 1);
        let room = self.planned - self.trials.len();
        while new.len() < room.min(search.settings.wave) && !self.exhausted {
            let rungs_more = !self.by_loss.unwrap_or(false);
            let told: Vec<(&Point, f64)> = ranked(&self.trials, self.more_is_better, rungs_more)
                .into_iter()
                .map(|(t, rank)| (&t.point, rank))
                .collect();
            let pending: Vec<&Point> = new.iter().map(|trial| &trial.point).collect();
            let number = self.trials.len() + new.len() + 1;
            let Some(point) = propose(search, &told, &pending, number) else {
                self.exhausted = true;
                break;
            };
            let run = self.run_of(plan, search, &point, None, workbench)?;
            let alone = planned(plan, search, &[(&point, "", None)], None);
            let config = alone.resolve(&alone.cells[0], &[], workbench)?;
            let (label, spent) =
                (alone.label(&alone.cells[0]), Spent { of: config.run.train.epochs, ..Spent::default() });
            new.push(Trial { number, wave, point, label, run, rungs: Vec::new(), end: None, spent });
        }
        self.trials.extend(new);
        Ok(())
    }

    /// Chooses what is run again.
    fn choose(&mut self, plan: &SweepPlan, search: &Search, workbench: &Workbench) -> Result<(), Failure> {
        let first = plan.resolve(&plan.cells[0], &[], workbench)?;
        // A seed is a whole number of TOML.
        let own = i64::try_from(first.run.top.seed).unwrap_or(0);
        let count = i64::try_from(search.replicate.seeds).unwrap_or(i64::MAX);
        let seeds: Vec<i64> = (1..=count).map(|nth| own.wrapping_add(nth) & i64::MAX).collect();
        let finished = |(trial, _): (&Trial, f64)| matches!(trial.end, Some(End::Finished(_))).then_some(trial.number);
        let best = ranked(&self.trials, self.more_is_better, true).into_iter().filter_map(finished);
        let mut settings = Vec::new();
        for trial in best.take(search.replicate.top) {
            let point = &self.trials[trial - 1].point;
            let runs = seeds.iter().map(|seed| self.run_of(plan, search, point, Some(*seed), workbench));
            settings.push(Finalist { trial, runs: runs.collect::<Result<_, _>>()?, values: Vec::new() });
        }
        let done = settings.is_empty();
        self.finalists = Some(Finalists { seeds, settings, done, winner: None });
        Ok(())
    }

    /// The name of the folder of a run.
    fn run_of(
        &self,
        plan: &SweepPlan,
        search: &Search,
        point: &Point,
        seed: Option<i64>,
        workbench: &Workbench,
    ) -> Result<String, Failure> {
        let alone = planned(plan, search, &[(point, "", seed)], None);
        Ok(alone.run_of(&alone.cells[0], None, &Layer::default(), workbench)?.folder_name())
    }
}
