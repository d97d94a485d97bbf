//! `secateur sweep --status`

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;

use crate::engine::Workbench;
use crate::experiments::cluster::{self, Entry, State, Submission};
use crate::experiments::sweep::{SweepPlan, time};
use crate::failure::Failure;
use crate::printable::{counted, in_one_line};
use crate::run::Held;

/// Lines of a kind that are shown; the rest is counted.
const SHOWN: usize = 20;

/// What became of a sweep, and what the scheduler says of it.
pub struct Survey {
    /// Cells and controls.
    pub entries: Vec<Entry>,
    /// What was submitted of it.
    pub submissions: Vec<Submission>,
    /// The tasks in the queue; `None` where there is no Slurm, or nothing was submitted to it.
    pub queue: Option<HashMap<String, String>>,
    /// Why nobody knows what is in the queue, where that is so.
    pub silent: Option<String>,
}

impl Survey {
    /// Looks at the folders, and at the queue where there is one.
    ///
    /// # Errors
    /// A cell that cannot be resolved; data that is not here.
    pub fn of(plan: &SweepPlan, workbench: &Workbench) -> Result<Self, Failure> {
        let submissions = Submission::of_sweep(&plan.folder);
        let arrays: Vec<String> =
            submissions.iter().flat_map(|one| &one.arrays).map(|array| array.id.clone()).collect();
        let (queue, silent) = match cluster::queue(&arrays) {
            Ok(queue) => (queue.filter(|_| !arrays.is_empty()), None),
            Err(why) => (None, Some(why)),
        };
        Ok(Self { entries: cluster::look(plan, workbench)?, submissions, queue, silent })
    }

    /// The task that is to run a cell, and its state in the queue, where it is there. The latest submission counts.
    fn queued(&self, entry: &Entry) -> Option<(String, &str)> {
        let queue = self.queue.as_ref()?;
        self.submissions.iter().rev().find_map(|submission| {
            let job = submission.job_of(submission.task_of(self.cell_of(entry))?)?;
            let state = queue.get(&job)?;
            Some((job, state.as_str()))
        })
    }

    /// The name of a cell's folder, for its controls too.
    fn cell_of<'a>(&'a self, entry: &'a Entry) -> &'a str {
        // Cells stand first, in the order of the plan.
        if entry.control { &self.entries[entry.cell].run } else { &entry.run }
    }

    /// The cells that somebody must still run, and nobody is about to; those among them whose controls alone are missing.
    pub fn missing(&self, retry_failed: bool) -> Vec<usize> {
        let open = |entry: &&Entry| entry.state.is_open() || retry_failed && matches!(entry.state, State::Failed(..));
        let open = self.entries.iter().filter(open).filter(|entry| self.queued(entry).is_none());
        open.map(|entry| entry.cell).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Seconds of the cells that are finished.
    pub fn seconds(&self) -> Option<f64> {
        let took = |entry: &Entry| if let State::Done(seconds) = entry.state { seconds } else { None };
        let all: Vec<f64> = self.entries.iter().filter_map(took).collect();
        (!all.is_empty()).then(|| all.iter().sum::<f64>() / all.len() as f64)
    }

    /// What a person reads; `next` is what is done about cells that are missing, `submit` or `run`, and the command that does it.
    pub fn text(&self, plan: &SweepPlan, next: (&str, &str)) -> String {
        let controls = self.entries.iter().filter(|entry| entry.control).count();
        let mut text = format!("{}: {}", plan.folder.display(), counted(plan.cells.len(), "cell"));
        if !plan.controls().is_empty() {
            let more = if controls > 0 {
                format!("{} so far", counted(controls, "control"))
            } else {
                "controls once they are done".to_owned()
            };
            _ = write!(text, ", and {more}");
        }
        let counts = cluster::counts(&self.entries);
        let part = |name: &&str| Some(format!("{} {name}", counts.get(name)?));
        let parts: Vec<String> = ["done", "running", "waiting", "stopped", "failed"].iter().filter_map(part).collect();
        _ = writeln!(text, "\n  {}", parts.join(", "));
        for name in ["running", "waiting", "stopped", "failed"] {
            self.list(name, plan, &mut text);
        }
        if let Some(why) = &self.silent {
            _ = writeln!(text, "{why}\n  so that nobody knows which cells are in the queue");
            return text;
        }
        match self.missing(false).len() {
            // Nobody has a share of a plan that grows.
            cells if cells > 0 && plan.until().is_some() => {
                let most = counted(cells, "cell");
                _ = writeln!(
                    text,
                    "seeds are added until comparisons are settled: the same sweep goes on with at most {most}"
                );
            }
            0 if self.entries.iter().all(|entry| matches!(entry.state, State::Done(_) | State::Failed(_, true))) => {
                _ = writeln!(text, "secateur compare {}", plan.folder.display());
            }
            0 => {}
            1 => _ = writeln!(text, "{} the cell that is missing: {}", next.0, next.1),
            cells => _ = writeln!(text, "{} the {cells} cells that are missing: {}", next.0, next.1),
        }
        text
    }

    fn list(&self, name: &str, plan: &SweepPlan, text: &mut String) {
        let all: Vec<&Entry> = self.entries.iter().filter(|entry| entry.state.name() == name).collect();
        if all.is_empty() {
            return;
        }
        _ = writeln!(text, "{name}");
        for entry in all.iter().take(SHOWN) {
            _ = writeln!(text, "  {}", in_one_line(&entry.label));
            for line in self.about(entry, plan) {
                _ = writeln!(text, "    {line}");
            }
        }
        if all.len() > SHOWN {
            _ = writeln!(text, "  ... and {} more", all.len() - SHOWN);
        }
    }

    fn about(&self, entry: &Entry, plan: &SweepPlan) -> Vec<String> {
        let mut lines = match &entry.state {
            State::Running(held) => vec![pace(held), held.to_string()],
            State::Stopped(step) => {
                vec![step.map_or_else(|| "it left no word".to_owned(), |step| format!("at step {step}"))]
            }
            State::Failed(error, certain) => {
                let mut lines: Vec<String> = error.lines().take(3).map(str::to_owned).collect();
                lines.extend(certain.then(|| "it would fail again (--retry-failed tries again)".to_owned()));
                lines
            }
            State::Done(_) | State::Waiting => Vec::new(),
        };
        if !matches!(entry.state, State::Running(_)) {
            lines.extend(self.place_in_queue(entry));
        }
        let log = entry.job.as_ref().and_then(|job| self.submissions.iter().rev().find_map(|one| one.log_of(job)));
        if matches!(entry.state, State::Failed(..) | State::Stopped(_)) {
            let place = log.unwrap_or_else(|| plan.folder.join(&entry.run));
            let what = if place.is_dir() { "folder" } else { "log" };
            lines.push(format!("{what}: {}", place.display()));
        }
        lines
    }

    fn place_in_queue(&self, entry: &Entry) -> Option<String> {
        let last = self.submissions.iter().rev().find_map(|one| Some((one, one.task_of(self.cell_of(entry))?)))?;
        if let Some((job, state)) = self.queued(entry) {
            return Some(format!("job {job}: {}", state.to_lowercase().replace('_', " ")));
        }
        let (submission, task) = last;
        if submission.given_up(task) {
            return Some("its task was given up: three restarts in a row made no step".to_owned());
        }
        self.queue.as_ref().map(|_| "not in the queue any more".to_owned())
    }
}

/// How far a run has come, how fast, and how long it will take.
fn pace(held: &Held) -> String {
    let beat = held.beat;
    if beat.steps == 0 {
        return "before its first step".to_owned();
    }
    let mut text = format!("step {} of {}", beat.step, beat.steps);
    let made = beat.step.saturating_sub(beat.from);
    if made > 0 && beat.seconds > 0.0 {
        let pace = made as f64 / beat.seconds;
        let left = time(beat.steps.saturating_sub(beat.step) as f64 / pace);
        let digits = if pace < 10.0 { 2 } else { 0 };
        text += &format!(", {pace:.digits$} steps/s, about {left} left");
    }
    text
}
