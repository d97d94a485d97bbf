//! What a run's log says while it grows: only what was added since the last look is read.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use secateur::data::SplitName;
use secateur::training::event::{EvalAt, Event};

use crate::output::Thinned;

/// Points that a curve keeps: finer than its pixels, for many runs at a time.
const MOST: usize = 200;
/// How the lines begin that say something here. Of steps only the last one is read: there are many.
const KINDS: [&str; 4] =
    [r#"{"event":"start","#, r#"{"event":"epoch","#, r#"{"event":"eval","#, r#"{"event":"prune","#];
const STEP: &str = r#"{"event":"step","#;

/// The place of a point in epochs, and its value.
pub type Point = (f64, f64);

/// The newest figures of a run, and its curves.
#[derive(Debug, Default)]
pub struct Tail {
    /// Bytes that were read.
    read: u64,
    /// The beginning of a line whose end is not written yet.
    open: Vec<u8>,
    /// Steps that the run has, and those of an epoch.
    pub steps: u64,
    pub steps_per_epoch: u64,
    /// The last step that is reported, counted from 1.
    pub step: u64,
    /// Training loss, of the last epoch.
    pub loss: Curve,
    /// Accuracy on held-out data, of this split.
    pub accuracy: Curve,
    pub split: Option<SplitName>,
    /// Training accuracy.
    pub train_accuracy: Curve,
    /// Fraction that is pruned.
    pub sparsity: Curve,
}

/// A curve that is thinned as it grows.
#[derive(Clone, Debug)]
pub struct Curve(Thinned<Point>);

impl Default for Curve {
    fn default() -> Self {
        Self(Thinned::of_at_most(MOST))
    }
}

impl Curve {
    fn push(&mut self, at: f64, value: f64) {
        self.0.push((at, value));
    }

    /// The newest value.
    pub fn newest(&self) -> Option<f64> {
        self.0.last().map(|(_, value)| *value)
    }

    /// Every nth point, and the newest.
    pub fn points(&self) -> Vec<Point> {
        self.0.clone().into_vec()
    }
}

impl Tail {
    /// Reads on; whether there was anything. A log that is shorter than what was read of it is another one.
    pub fn read_on(&mut self, log: &Path) -> bool {
        let Ok(mut file) = File::open(log) else { return false };
        let length = file.metadata().map_or(0, |about| about.len());
        if length < self.read {
            *self = Self::default();
        }
        if length == self.read || file.seek(SeekFrom::Start(self.read)).is_err() {
            return false;
        }
        let mut added = std::mem::take(&mut self.open);
        let Ok(count) = file.take(length - self.read).read_to_end(&mut added) else { return false };
        self.read += count as u64;
        let end = added.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        self.open = added.split_off(end);
        let text = String::from_utf8_lossy(&added);
        let mut newest_step = None;
        for line in text.lines() {
            if line.starts_with(STEP) {
                newest_step = Some(line);
            } else if KINDS.iter().any(|kind| line.starts_with(kind)) {
                self.take(line);
            }
        }
        newest_step.into_iter().for_each(|line| self.take(line));
        true
    }

    fn take(&mut self, line: &str) {
        let Ok(event) = serde_json::from_str(line) else { return };
        let per_epoch = self.steps_per_epoch.max(1) as f64;
        let at = |step: u64| (step as f64 + 1.0) / per_epoch;
        match event {
            Event::Start { steps, steps_per_epoch, .. } => {
                (self.steps, self.steps_per_epoch) = (steps, steps_per_epoch);
            }
            Event::Step { step, .. } => self.step = self.step.max(step + 1),
            Event::Epoch { step, loss, accuracy, sparsity, .. } => {
                self.step = self.step.max(step + 1);
                self.loss.push(at(step), loss);
                self.sparsity.push(at(step), sparsity);
                accuracy.into_iter().for_each(|accuracy| self.train_accuracy.push(at(step), accuracy));
            }
            // The last evaluation is of other data than those that came before.
            Event::Eval { step, split, accuracy: Some(accuracy), at: place, .. } if place != EvalAt::End => {
                self.split = Some(split);
                self.accuracy.push(at(step), accuracy);
            }
            Event::Prune { step, achieved, .. } => {
                self.step = self.step.max(step + 1);
                self.sparsity.push(at(step), achieved);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;

    use super::*;

    const START: &str = r#"{"event":"start","step":0,"log":2,"name":"a","steps":40,"steps_per_epoch":10,"examples":100,"params":9,"layers":[]}"#;

    fn epoch(number: u64, loss: f64) -> String {
        let step = number * 10 - 1;
        format!(
            r#"{{"event":"epoch","step":{step},"epoch":{number},"split":"train","loss":{loss},"accuracy":0.5,"sparsity":0.25,"seconds":1.0}}"#
        )
    }

    #[test]
    fn a_log_is_read_on_where_it_was_left_in_the_midst_of_a_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        let mut tail = Tail::default();
        assert!(!tail.read_on(&path));
        let (second, rest) = (epoch(2, 0.5), epoch(3, 0.25));
        let (half, other) = second.split_at(30);
        fs::write(&path, format!("{START}\n{}\n{half}", epoch(1, 1.0))).unwrap();
        assert!(tail.read_on(&path) && !tail.read_on(&path));
        assert_eq!((tail.step, tail.steps, tail.loss.points()), (10, 40, vec![(1.0, 1.0)]));
        let mut file = fs::OpenOptions::new().append(true).open(&path).unwrap();
        write!(file, "{other}\n{rest}\n").unwrap();
        assert!(tail.read_on(&path));
        assert_eq!((tail.step, tail.loss.points()), (30, vec![(1.0, 1.0), (2.0, 0.5), (3.0, 0.25)]));
        assert_eq!((tail.train_accuracy.newest(), tail.sparsity.newest()), (Some(0.5), Some(0.25)));
        fs::write(&path, format!("{START}\n{}\n", epoch(1, 3.0))).unwrap();
        assert!(tail.read_on(&path));
        assert_eq!((tail.step, tail.loss.points()), (10, vec![(1.0, 3.0)]), "a run that began anew");
    }
}
