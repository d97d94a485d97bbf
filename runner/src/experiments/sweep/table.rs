//! What a person sees while a sweep goes on: a table on a terminal, one line a finished cell elsewhere.

use std::collections::HashSet;
use std::io::{self, IsTerminal, Write};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde_json::{Map, Value};

use secateur::training::event::Event;

use crate::output::percent as share;
use crate::printable::printable;

/// The state of all cells, and who is told about it.
pub struct Table {
    show: Show,
    state: Mutex<State>,
    /// The keys of the notes that were shown: cells share most of them.
    noted: Mutex<HashSet<Vec<String>>>,
    /// Which data the figures that it shows are of: `test`, or `validation`.
    of: &'static str,
    started: Instant,
}

enum Show {
    Nothing,
    Lines,
    Live { all: ProgressBar, rows: Vec<ProgressBar>, screen: MultiProgress },
}

#[derive(Clone, Copy, Debug, Default)]
struct State {
    cells: usize,
    finished: usize,
    failed: usize,
    skipped: usize,
    seconds: f64,
}

impl Table {
    /// A table for `jobs` workers and `cells` cells so far.
    pub fn new(quiet: bool, jobs: usize, cells: usize) -> Self {
        let show = match (quiet, io::stderr().is_terminal()) {
            (true, _) => Show::Nothing,
            (false, false) => Show::Lines,
            (false, true) => {
                let screen = MultiProgress::new();
                let style =
                    |text: &str| ProgressStyle::with_template(text).unwrap_or_else(|_| ProgressStyle::default_bar());
                let all = screen.add(ProgressBar::new(cells as u64));
                all.set_style(style("{bar:28.green/dim} {msg}").progress_chars("━━─"));
                let row = |_| {
                    let row = screen.add(ProgressBar::new(1));
                    row.set_style(style("  {bar:14.cyan/dim} {msg}").progress_chars("━━─"));
                    row
                };
                Show::Live { rows: (0..jobs).map(row).collect(), all, screen }
            }
        };
        let state = Mutex::new(State { cells, ..State::default() });
        Self { show, state, noted: Mutex::default(), of: "test", started: Instant::now() }
    }

    /// The same with figures of validation data.
    pub fn of_validation(self) -> Self {
        Self { of: "validation", ..self }
    }

    /// More cells are to run.
    pub fn more(&self, cells: usize) {
        self.change(|state| state.cells += cells);
    }

    /// A worker begins a cell.
    pub fn begin(&self, worker: usize, label: &str) {
        if let Show::Live { rows, .. } = &self.show {
            rows[worker].set_position(0);
            rows[worker].set_message(printable(label).into_owned());
        }
        self.refresh();
    }

    /// Something happened in a worker's cell. A note is shown for the first cell that has it; the reports of the others
    /// have it too.
    pub fn event(&self, worker: usize, event: &Event) {
        if let Event::Note { keys, text, .. } = event {
            let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
            if noted.insert(keys.clone()) {
                self.say(&format!("note: {text}"));
            }
        }
        if let Show::Live { rows, .. } = &self.show {
            match event {
                Event::Start { steps, .. } => rows[worker].set_length(*steps),
                Event::Step { step, .. } => rows[worker].set_position(step + 1),
                _ => {}
            }
        }
    }

    /// A cell was finished before.
    pub fn skip(&self) {
        self.change(|state| state.skipped += 1);
    }

    /// A cell is finished, with these metrics.
    pub fn finish(&self, label: &str, seconds: f64, summary: &Map<String, Value>) {
        self.change(|state| (state.finished, state.seconds) = (state.finished + 1, state.seconds + seconds));
        let percent = |key: &str| summary.get(key).and_then(Value::as_f64).map(|value| value * 100.0);
        let mut text = String::new();
        let of = self.of;
        let (accuracy, loss) = (format!("{of}_accuracy"), format!("{of}_loss"));
        match (percent(&accuracy), summary.get(&loss).and_then(Value::as_f64)) {
            (Some(accuracy), _) => text += &format!("{of} accuracy {accuracy:6.2} %"),
            (None, Some(loss)) => text += &format!("{of} loss {loss:.4}"),
            _ => {}
        }
        let removed = summary.get("sparsity").and_then(Value::as_f64).map_or_else(|| "–".to_owned(), share);
        text += &format!("  {removed:>7} of all weights gone  {seconds:6.2} s  {label}");
        self.say(&text);
    }

    /// A cell had the epochs that it was to have now.
    pub fn pause(&self, label: &str, seconds: f64) {
        self.change(|state| (state.finished, state.seconds) = (state.finished + 1, state.seconds + seconds));
        self.say(&format!("trained as far as this rung  {seconds:6.2} s  {label}"));
    }

    /// A cell begins again, because nothing can go on from its checkpoint.
    pub fn anew(&self, label: &str, reason: &str) {
        let text = format!("begins again  {label}: {}", reason.lines().next().unwrap_or(""));
        // What was trained before is lost: that is said also where nothing else is.
        if matches!(self.show, Show::Nothing) { eprintln!("{}", printable(&text)) } else { self.say(&text) }
    }

    /// A cell went wrong.
    pub fn fail(&self, label: &str, reason: &str) {
        self.change(|state| state.failed += 1);
        self.say(&format!("failed  {label}: {}", reason.lines().next().unwrap_or("")));
    }

    /// Takes everything off the screen.
    pub fn clear(&self) {
        if let Show::Live { screen, .. } = &self.show {
            _ = screen.clear();
        }
    }

    fn say(&self, text: &str) {
        let state = self.state();
        let done = format!(
            "{:>w$}/{}",
            state.finished + state.failed + state.skipped,
            state.cells,
            w = state.cells.to_string().len()
        );
        match &self.show {
            Show::Nothing => {}
            // A reader that went away is no reason to end a sweep.
            Show::Lines => _ = writeln!(io::stderr(), "{done}  {}", printable(text)),
            Show::Live { screen, .. } => _ = screen.println(format!("{done}  {}", printable(text))),
        }
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
        self.refresh();
    }

    fn state(&self) -> State {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn refresh(&self) {
        if let Show::Live { all, .. } = &self.show {
            let state = self.state();
            let done = state.finished + state.failed + state.skipped;
            all.set_length(state.cells as u64);
            all.set_position(done as u64);
            let failed = if state.failed > 0 { format!("  {} failed", state.failed) } else { String::new() };
            let left = match state.finished {
                0 => String::new(),
                n => {
                    let each = self.started.elapsed().as_secs_f64() / n as f64;
                    format!("  {} left", time(each * state.cells.saturating_sub(done) as f64))
                }
            };
            all.set_message(format!("{done}/{} cells{failed}{left}", state.cells));
        }
    }
}

/// A time for people: 75 s, 12 min, 3.5 h.
pub fn time(seconds: f64) -> String {
    match Duration::try_from_secs_f64(seconds).map_or(0.0, |time| time.as_secs_f64()) {
        s if s < 100.0 => format!("{s:.0} s"),
        s if s < 6000.0 => format!("{:.0} min", s / 60.0),
        s if s < 200_000.0 => format!("{:.1} h", s / 3600.0),
        s => format!("{:.1} days", s / 86400.0),
    }
}
