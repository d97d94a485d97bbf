//! Runs the cells of a sweep in one process, several at a time, and their controls after them.
//!
//! Longer than 300 lines because a job, its ending and what follows from it are one account.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::cell::{Done, Job};
use super::control::{Control, Facts};
use super::plan::SweepPlan;
use super::table::Table;
use crate::config::{Layer, Resolved};
use crate::engine::Workbench;
use crate::experiments::index::{self, Index};
use crate::experiments::ties::Ties;
use crate::failure::Failure;
use crate::run::Interrupt;

/// How soon it is looked again whether another process has a cell.
const AGAIN: Duration = Duration::from_secs(2);
/// How often a worker that waits for others looks around.
const LOOK: Duration = Duration::from_millis(200);

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
    /// The label of each cell that another process has, and who that is.
    pub elsewhere: Vec<(String, String)>,
    /// Cells that were not run because the sweep was stopped.
    pub left: usize,
    /// Cells without controls, because nothing was pruned there.
    pub unpaired: usize,
    /// Seconds that workers spent on the cells that were run now.
    pub spent: f64,
    /// Seconds of training, pruning and evaluation among them.
    pub within: f64,
}

/// What is written for all cells together.
pub enum Written {
    /// The index, which one process writes at a time, and whose controls are whose.
    Whole(Mutex<Index>),
    /// Nothing that another process writes too: whose controls are whose stands in a file of this name.
    OfTask(String),
}

impl Tally {
    /// Adds what became of more cells.
    pub fn add(&mut self, more: Self) {
        self.finished += more.finished;
        self.skipped += more.skipped;
        self.failed.extend(more.failed);
        self.untried.extend(more.untried);
        self.elsewhere.extend(more.elsewhere);
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
    /// The cells of the plan that this process looks after.
    pub cells: Vec<usize>,
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
    pub written: Written,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    /// Jobs that another process may have, and when they are looked at again.
    waiting: VecDeque<(Instant, Job)>,
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
        let table = Table::new(quiet, self.jobs, self.cells.len());
        // Whoever searches is not to know what test data say.
        let table = Arc::new(if self.plan.leg().is_some() { table.of_validation() } else { table });
        let jobs = self.cells.iter().map(|cell| Job { cell: *cell, control: None }).collect();
        let queue = (Mutex::new(Queue { jobs, ..Queue::default() }), Condvar::new());
        thread::scope(|scope| {
            for worker in 0..self.jobs {
                let (queue, table) = (&queue, &table);
                scope.spawn(move || self.work(worker, queue, table));
            }
        });
        table.clear();
        let mut queue = locked(&queue.0);
        queue.tally.left += queue.jobs.len() + queue.waiting.len();
        self.note_ties(&queue.ties, true)?;
        Ok(std::mem::take(&mut queue.tally))
    }

    fn work(&self, worker: usize, (queue, changed): &(Mutex<Queue>, Condvar), table: &Arc<Table>) {
        loop {
            let mut state = locked(queue);
            let job = loop {
                if self.interrupt.asked() {
                    return;
                }
                if let Some(job) = state.next(Instant::now()) {
                    break job;
                }
                if state.running == 0 && state.waiting.is_empty() {
                    return;
                }
                // Not for ever: a job that waits is due by the clock.
                let woken = changed.wait_timeout(state, LOOK);
                state = woken.unwrap_or_else(PoisonError::into_inner).0;
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
                Ok((Done::Untried(_) | Done::Elsewhere(_) | Done::Later | Done::Paused, _)) => Ok(Vec::new()),
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
            let noted = self.note_ties(&state.ties, false);
            let ended = ran.and_then(|(done, _)| Ok((done, controls?))).and_then(|ended| noted.map(|()| ended));
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
                        Done::Paused => {
                            let spent = clock.elapsed().as_secs_f64();
                            state.tally.finished += 1;
                            table.pause(&label, spent);
                        }
                        Done::Untried(reason) => {
                            state.tally.untried.push((label, reason));
                            table.skip();
                        }
                        Done::Elsewhere(who) => {
                            state.tally.elsewhere.push((label, who));
                            table.skip();
                        }
                        Done::Later => state.waiting.push_back((Instant::now() + AGAIN, job)),
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
        if self.plan.kinds_of(cell).is_empty() {
            return Ok(Vec::new());
        }
        let of = config.folder_name();
        let facts = Facts::read(&self.plan.folder.join(&of))?;
        *unpaired = facts.nothing_was_pruned();
        let all = self.plan.controls_of(cell, config, &facts, &self.own(), self.workbench)?;
        let job = |(control, layer, run): (Control, Layer, Resolved)| {
            (run.folder_name(), Job { cell, control: Some((control, layer, of.clone())) })
        };
        Ok(all.into_iter().map(job).collect())
    }

    /// Notes whose control each run is: a task at once, since it may be killed at any time.
    fn note_ties(&self, ties: &Ties, at_end: bool) -> Result<(), Failure> {
        match &self.written {
            Written::Whole(_) if at_end => Ok(ties.add_to(&self.plan.folder)?),
            Written::Whole(_) => Ok(()),
            Written::OfTask(task) => Ok(ties.add_to_task(&self.plan.folder, task)?),
        }
    }
}

impl Queue {
    /// The next job that is due.
    fn next(&mut self, now: Instant) -> Option<Job> {
        if self.jobs.is_empty() && self.waiting.front().is_some_and(|(due, _)| *due <= now) {
            return self.waiting.pop_front().map(|(_, job)| job);
        }
        self.jobs.pop_front()
    }
}

/// Locks what workers share.
pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A worker that panicked leaves counts that are at most one job behind.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
