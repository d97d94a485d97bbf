//! What a person sees while a run goes on: a bar on a terminal, plain lines elsewhere.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{HumanDuration, ProgressBar, ProgressStyle};
use secateur::data::{LoadProgress, SplitName};
use secateur::pruning::Counted;
use secateur::training::event::{EvalAt, Event};

use super::share::{counted, of_what, percent};
use crate::printable::printable;

/// The text beside the bar changes at most this often.
const REFRESH: Duration = Duration::from_millis(120);

/// Shows events as they come.
pub struct Progress {
    show: Show,
    state: State,
}

enum Show {
    Nothing,
    Bar(Bar),
    Lines(Box<dyn Write + Send>),
    Told(Box<dyn FnMut(&Event) + Send>),
}

/// The display on a terminal.
struct Bar {
    bar: ProgressBar,
    refreshed: Instant,
    /// When this process began to train, and with which step; a resumed run does not count the steps before.
    began: (Instant, u64),
}

/// The newest metrics.
#[derive(Clone, Debug, Default)]
struct State {
    steps_per_epoch: u64,
    epochs: u64,
    examples: u64,
    epoch: u64,
    /// The training loss of the last finished epoch, or of the last step before there is one.
    loss: Option<f64>,
    train_accuracy: Option<f64>,
    /// The accuracy on held-out data, and which: that of this epoch, or of the last one that was measured.
    accuracy: Option<(SplitName, f64)>,
    /// Fraction that is gone of what pruning steps count.
    sparsity: f64,
    /// What they count, where one has told.
    counted: Option<Counted>,
    /// Speed of an epoch whose line waits for the evaluation that may follow it.
    unwritten: Option<String>,
}

impl Progress {
    /// A bar where standard error is a terminal, else lines; nothing at all where `quiet`.
    pub fn new(quiet: bool) -> Self {
        let show = match (quiet, io::stderr().is_terminal()) {
            (true, _) => Show::Nothing,
            (false, true) => {
                let now = Instant::now();
                Show::Bar(Bar { bar: ProgressBar::hidden(), refreshed: now, began: (now, 0) })
            }
            (false, false) => Show::Lines(Box::new(io::stderr())),
        };
        Self { show, state: State::default() }
    }

    /// Shows nothing itself and tells someone else, such as the table of a sweep.
    pub fn told(to: impl FnMut(&Event) + Send + 'static) -> Self {
        Self { show: Show::Told(Box::new(to)), state: State::default() }
    }

    /// Shows that data is being loaded, and how far that has come where it is known.
    pub fn loading(&mut self, some: Option<LoadProgress>) {
        let Show::Bar(Bar { bar, .. }) = &mut self.show else { return };
        match some {
            None => {
                *bar = ProgressBar::new_spinner().with_message("loading data");
                bar.enable_steady_tick(REFRESH);
            }
            Some(LoadProgress { stage, done, total }) => bar.set_message(format!("{stage}: {done} of {total}")),
        }
    }

    /// Takes in one event.
    pub fn event(&mut self, event: &Event) {
        let belongs = matches!(event, Event::Eval { at: EvalAt::Epoch, .. });
        // The burdens stand between an epoch and what was measured at its end.
        if !belongs && !matches!(event, Event::Burden { .. } | Event::Neurons { .. }) {
            self.write_epoch();
        }
        self.state.take(event);
        if belongs {
            self.write_epoch();
        }
        match &mut self.show {
            Show::Nothing => {}
            Show::Told(to) => to(event),
            Show::Bar(bar) => bar.draw(event, &self.state),
            // A reader that went away is no reason to end a run.
            Show::Lines(out) => {
                if let Some(line) = line_of(event) {
                    _ = writeln!(out, "{}", printable(&line));
                }
            }
        }
    }

    /// The line of an epoch that is over, with what was measured at its end.
    fn write_epoch(&mut self) {
        if let (Some(speed), Show::Lines(out)) = (self.state.unwritten.take(), &mut self.show) {
            _ = writeln!(out, "{}  {speed}", self.state.metrics());
        }
    }

    /// Takes the bar off the screen; called before anything else is printed.
    pub fn clear(&self) {
        if let Show::Bar(Bar { bar, .. }) = &self.show {
            bar.finish_and_clear();
        }
    }
}

impl Bar {
    fn draw(&mut self, event: &Event, state: &State) {
        match event {
            Event::Start { step, steps, .. } => {
                self.bar.finish_and_clear();
                self.bar = ProgressBar::new(*steps).with_position(*step);
                self.began = (Instant::now(), *step);
                let style = ProgressStyle::with_template("{bar:12.green/dim} {wide_msg} {prefix}")
                    .map(|style| style.progress_chars("━━─"));
                self.bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            }
            Event::Step { step, .. } => {
                self.bar.set_position(step + 1);
                if self.refreshed.elapsed() > REFRESH {
                    self.refreshed = Instant::now();
                    self.write(step + 1, state);
                }
            }
            _ => {
                if let Some(line) = line_of(event) {
                    self.bar.println(printable(&line));
                }
            }
        }
    }

    fn write(&self, done: u64, state: &State) {
        let (began, first) = self.began;
        let per_second = (done - first) as f64 / began.elapsed().as_secs_f64().max(1e-9);
        let per_step = state.examples as f64 / state.steps_per_epoch.max(1) as f64;
        let left = (state.epochs * state.steps_per_epoch).saturating_sub(done) as f64 / per_second;
        self.bar.set_message(format!("{}  {}", state.metrics(), speed(per_second * per_step)));
        self.bar.set_prefix(format!("{:#} left", HumanDuration(Duration::from_secs(left as u64))));
    }
}

impl State {
    fn take(&mut self, event: &Event) {
        match event {
            Event::Start { steps, steps_per_epoch, examples, .. } => {
                (self.steps_per_epoch, self.examples) = (*steps_per_epoch, *examples as u64);
                self.epochs = steps.div_ceil((*steps_per_epoch).max(1));
            }
            Event::Step { epoch, loss, .. } => {
                self.epoch = *epoch;
                if *epoch == 1 {
                    self.loss = Some(*loss);
                }
            }
            Event::Epoch { epoch, loss, accuracy, sparsity, seconds, .. } => {
                (self.epoch, self.loss, self.train_accuracy) = (*epoch, Some(*loss), *accuracy);
                // What was measured in an epoch before says nothing about this one.
                self.accuracy = None;
                // A run that goes on may be pruned already.
                self.sparsity = *sparsity;
                self.unwritten = Some(speed(self.examples as f64 / seconds.max(1e-9)));
            }
            Event::Eval { split, accuracy, .. } => self.accuracy = accuracy.map(|accuracy| (*split, accuracy)),
            Event::Prune { achieved, of, kept, units, .. } => {
                (self.sparsity, self.counted) = (*achieved, counted(*of, kept, units));
            }
            Event::Finish { .. }
            | Event::Latency { .. }
            | Event::Burden { .. }
            | Event::Neurons { .. }
            | Event::Activations { .. }
            | Event::Note { .. } => {}
        }
    }

    fn metrics(&self) -> String {
        let width = self.epochs.to_string().len();
        let mut text = format!("epoch {:>width$}/{}", self.epoch.max(1), self.epochs);
        if let Some(loss) = self.loss.filter(|loss| loss.is_finite()) {
            text.push_str(&format!("  training loss {loss:.4}"));
        }
        if let Some((split, accuracy)) = self.accuracy {
            text.push_str(&format!("  {split} accuracy {:.2} %", accuracy * 100.0));
        } else if let Some(accuracy) = self.train_accuracy {
            text.push_str(&format!("  training accuracy {:.2} %", accuracy * 100.0));
        }
        let things = self.counted.map_or_else(|| "pruned".to_owned(), |counted| format!("{} pruned", counted.words()));
        text + &format!("  {things} {}", percent(self.sparsity))
    }
}

/// What is a line of its own: notes, times and pruning steps.
fn line_of(event: &Event) -> Option<String> {
    match event {
        Event::Note { text, .. } => Some(format!("note: {text}")),
        Event::Latency { table, .. } => Some(format!(
            "  {} networks timed: the dense one takes {:.3} ms for a batch of {}",
            table.networks(),
            table.dense as f64 / 1e6,
            table.batch
        )),
        other => prune_line(other),
    }
}

/// A pruning step in one line; nothing for other events.
fn prune_line(event: &Event) -> Option<String> {
    let Event::Prune { step, epoch, achieved, of, units, kept, weights_kept, weights_total, sparse_layers, .. } = event
    else {
        return None;
    };
    let sparse = match sparse_layers.len() {
        0 => String::new(),
        1 => ", 1 layer over its nonzeros alone".to_owned(),
        n => format!(", {n} layers over their nonzeros alone"),
    };
    let idle = idle_weights(event).map(|text| format!(", {text}")).unwrap_or_default();
    let what = of_what(counted(*of, kept, units));
    let shown: Vec<String> = units.0.iter().take(6).map(|(name, units)| format!("{name} {units}")).collect();
    let more = if units.0.len() > shown.len() { ", ..." } else { "" };
    let units = if shown.is_empty() { String::new() } else { format!("  units: {}{more}", shown.join(", ")) };
    let achieved = percent(*achieved);
    Some(format!(
        "  pruned after epoch {epoch} (step {step}): {achieved} of the {what} are gone, \
         {weights_kept} of {weights_total} parameters remaining{idle}{sparse}{units}"
    ))
}

/// The weights that are left and do nothing, where there are any.
fn idle_weights(event: &Event) -> Option<String> {
    let &Event::Prune { nnz: Some(nnz), nnz_effective: Some(effective), units_cut_off, .. } = event else {
        return None;
    };
    let units = match units_cut_off {
        0 => String::new(),
        1 => " (1 unit cut off)".to_owned(),
        n => format!(" ({n} units cut off)"),
    };
    let idle = nnz.saturating_sub(effective);
    (idle > 0)
        .then(|| format!("{idle} of the {nnz} prunable weights left on no path from an input to an output{units}"))
}

fn speed(examples_per_second: f64) -> String {
    match examples_per_second {
        n if n >= 1e6 => format!("{:.1} M samples/s", n / 1e6),
        n if n >= 1e4 => format!("{:.0} k samples/s", n / 1e3),
        n => format!("{n:.0} samples/s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Screen(Arc<Mutex<Vec<u8>>>);

    impl Write for Screen {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn each_epoch_pruning_step_and_note_is_one_line() {
        let screen = Screen::default();
        let mut progress = Progress { show: Show::Lines(Box::new(screen.clone())), state: State::default() };
        let events = r#"{"event":"start","step":0,"name":"r","params":10,"steps":200,"steps_per_epoch":10,"examples":12000,"layers":[]}
{"event":"note","step":0,"keys":["train.eps"],"text":"train.eps = 1 does nothing here."}
{"event":"step","step":0,"epoch":1,"loss":2.3,"accuracy":null,"lr":0.1}
{"event":"epoch","step":9,"epoch":1,"loss":1.5,"accuracy":0.5,"sparsity":0.0,"seconds":0.5}
{"event":"eval","step":19,"epoch":2,"split":"validation","loss":1.4,"accuracy":0.625,"at":"before-prune"}
{"event":"prune","step":19,"epoch":2,"target":0.1,"achieved":0.1,"units":{"fc1":45,"fc2":27},"kept":{"fc1":45,"fc2":27},"weights_kept":900,"weights_total":1000,"left":100,"returned":0,"seconds":0.1}
{"event":"eval","step":19,"epoch":2,"split":"validation","loss":1.4,"accuracy":0.5,"at":"after-prune"}
{"event":"epoch","step":19,"epoch":2,"loss":1.25,"accuracy":0.6,"sparsity":0.1,"seconds":0.5}
{"event":"burden","step":19,"epoch":2,"layers":[]}
{"event":"eval","step":19,"epoch":2,"split":"validation","loss":1.4,"accuracy":0.75,"at":"epoch"}"#;
        for line in events.lines() {
            progress.event(&serde_json::from_str(line).unwrap());
        }
        let text = String::from_utf8(screen.0.lock().unwrap().clone()).unwrap();
        let expected = "note: train.eps = 1 does nothing here.\nepoch  1/20  training loss 1.5000  training accuracy 50.00 %  pruned 0.0 %  24 k samples/s\n  \
            pruned after epoch 2 (step 19): 10.0 % of the units that may be pruned are gone, 900 of 1000 parameters \
            remaining  units: fc1 45, fc2 27\n\
            epoch  2/20  training loss 1.2500  validation accuracy 75.00 %  units pruned 10.0 %  24 k samples/s\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn weights_that_are_left_and_do_nothing_are_told_with_the_step() {
        let line = |effective: usize, units: usize| {
            let event = format!(
                r#"{{"event":"prune","step":19,"epoch":2,"target":0.1,"achieved":0.9,"units":{{}},"kept":{{"fc1.weight":100}},
                "weights_kept":110,"weights_total":1010,"nnz":100,"nnz_effective":{effective},"units_cut_off":{units},
                "pruned":900,"regrown":0,"seconds":0.1}}"#
            );
            prune_line(&serde_json::from_str(&event).unwrap()).unwrap()
        };
        let start = "  pruned after epoch 2 (step 19): 90.0 % of the weights that may be pruned are gone, 110 of 1010 \
                     parameters remaining";
        assert_eq!(line(100, 0), start);
        let idle = "of the 100 prunable weights left on no path from an input to an output";
        assert_eq!(line(60, 1), format!("{start}, 40 {idle} (1 unit cut off)"));
        assert_eq!(line(0, 8), format!("{start}, 100 {idle} (8 units cut off)"));
    }
}
