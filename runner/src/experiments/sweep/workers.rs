//! Runs the cells of a sweep in one process, several at a time, and their controls after them.
//!
//! Longer than 300 lines because a job, its ending and what follows from it are one account.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use super::cell::{Done, Job};
use super::control::Facts;
use super::plan::SweepPlan;
use super::table::Table;
use crate::config::Resolved;
use crate::engine::Workbench;
use crate::experiments::index::{self, Index};
use crate::experiments::ties::Ties;
use crate::failure::Failure;
use crate::run::Interrupt;

/// What became of a sweep's cells, controls among them.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Cells that were run now.
    pub finished: usize,
    /// Cells that were run before.
    pub skipped: usize,
    /// The label of each cell that went wrong, and the reason.
    pub failed: Vec<(String, String)>,
    /// The same of those that went wrong before, would again, and were not tried.
    pub untried: Vec<(String, String)>,
    /// Cells that were not run because the sweep was stopped.
    pub left: usize,
    /// Cells without controls, because nothing was pruned there.
    pub unpaired: usize,
    /// Seconds that workers spent on the cells that were run now.
    pub spent: f64,
    /// Seconds of training, pruning and evaluation among them.
    pub within: f64,
}

impl Tally {
    /// Adds what became of more cells.
    pub fn add(&mut self, more: Self) {
        self.finished += more.finished;
        self.skipped += more.skipped;
        self.failed.extend(more.failed);
        self.untried.extend(more.untried);
        self.left += more.left;
        self.unpaired += more.unpaired;
        self.spent += more.spent;
        self.within += more.within;
    }
}

/// Everything that the workers share.
pub struct Workers<'a> {
    /// What is to run.
    pub plan: &'a SweepPlan,
    /// What runs it.
    pub workbench: &'a Workbench,
    /// How many runs go on at a time.
    pub jobs: usize,
    /// The threads of each run.
    pub threads: usize,
    /// Whether cells are tried again that would fail again.
    pub retry_failed: bool,
    /// Whether the person wants to stop.
    pub interrupt: Interrupt,
    /// Whether cells go on that another build began, or another kind of processor.
    pub accept: bool,
    /// Where results are noted.
    pub index: Mutex<Index>,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    /// How many jobs are under way and may still add controls.
    running: usize,
    /// The folders of controls: cells may share one.
    controls: HashSet<String>,
    /// Whose control each is.
    ties: Ties,
    tally: Tally,
}

impl Workers<'_> {
    /// Runs everything that is not finished.
    ///
    /// # Errors
    /// Whose control each run is cannot be noted.
    pub fn run(&self, quiet: bool) -> Result<Tally, Failure> {
        let cells = self.plan.cells.len();
        let table = Arc::new(Table::new(quiet, self.jobs, cells));
        let jobs = (0..cells).map(|cell| Job { cell, control: None }).collect();
        let queue = (Mutex::new(Queue { jobs, ..Queue::default() }), Condvar::new());
        thread::scope(|scope| {
            for worker in 0..self.jobs {
                let (queue, table) = (&queue, &table);
                scope.spawn(move || self.work(worker, queue, table));
            }
        });
        table.clear();
        let mut queue = locked(&queue.0);
        queue.tally.left += queue.jobs.len();
        queue.ties.add_to(&self.plan.folder)?;
        Ok(std::mem::take(&mut queue.tally))
    }

    fn work(&self, worker: usize, (queue, changed): &(Mutex<Queue>, Condvar), table: &Arc<Table>) {
        loop {
            let mut state = locked(queue);
            let job = loop {
                if self.interrupt.asked() {
                    return;
                }
                match state.jobs.pop_front() {
                    Some(job) => break job,
                    None if state.running == 0 => return,
                    None => state = changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                }
            };
            state.running += 1;
            drop(state);
            let label = self.label(&job);
            table.begin(worker, &label);
            let clock = Instant::now();
            let config = self.config(&job);
            let ran = config.and_then(|config| Ok((self.cell(worker, &job, &config, table)?, config)));
            let mut unpaired = false;
            let controls = match &ran {
                Ok((Done::Untried(_), _)) => Ok(Vec::new()),
                Ok((_, config)) if job.control.is_none() => self.controls(job.cell, config, &mut unpaired),
                _ => Ok(Vec::new()),
            };
            let mut state = locked(queue);
            state.running -= 1;
            if let (Ok((_, config)), Ok(controls)) = (&ran, &controls)
                && !controls.is_empty()
            {
                let kinds = controls.iter().filter_map(|(folder, job)| Some((job.control.as_ref()?.0, folder)));
                let kinds = kinds.map(|(kind, folder)| (kind.name().to_owned(), folder.clone()));
                state.ties.insert(&config.folder_name(), kinds);
            }
            let ended = ran.and_then(|(done, _)| Ok((done, controls?)));
            match ended {
                Err(Failure::Stopped(_)) => state.tally.left += 1,
                Ok((done, controls)) => {
                    state.tally.unpaired += usize::from(unpaired);
                    let new: Vec<Job> = controls
                        .into_iter()
                        .filter_map(|(folder, job)| state.controls.insert(folder).then_some(job))
                        .collect();
                    table.more(new.len());
                    state.jobs.extend(new);
                    match done {
                        Done::Before => {
                            state.tally.skipped += 1;
                            table.skip();
                        }
                        Done::Untried(reason) => {
                            state.tally.untried.push((label, reason));
                            table.skip();
                        }
                        Done::Now(summary) => {
                            let spent = clock.elapsed().as_secs_f64();
                            state.tally.finished += 1;
                            state.tally.spent += spent;
                            state.tally.within += index::seconds(&summary).unwrap_or(0.0);
                            table.finish(&label, spent, &summary);
                        }
                    }
                }
                Err(failure) => {
                    table.fail(&label, failure.message());
                    state.tally.failed.push((label, failure.message().to_owned()));
                }
            }
            drop(state);
            changed.notify_all();
        }
    }

    /// The controls of a cell that is finished, by the name of their folder.
    fn controls(&self, cell: usize, config: &Resolved, unpaired: &mut bool) -> Result<Vec<(String, Job)>, Failure> {
        if self.plan.controls_of(cell).is_empty() {
            return Ok(Vec::new());
        }
        let of = config.folder_name();
        let facts = Facts::read(&self.plan.folder.join(&of))?;
        *unpaired = facts.nothing_was_pruned();
        let mut jobs = Vec::new();
        for control in self.plan.controls_of(cell) {
            if let Some(layer) = control.layer(config, &facts) {
                let job = Job { cell, control: Some((*control, layer, of.clone())) };
                jobs.push((self.config(&job)?.folder_name(), job));
            }
        }
        Ok(jobs)
    }
}

/// Locks what workers share.
pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A worker that panicked leaves counts that are at most one job behind.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
