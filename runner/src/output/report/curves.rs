//! A run's curves as data, for pages that draw many runs.

use serde::Serialize;

use super::history::{self, History};

/// Points of a curve that a page keeps: more would be finer than its pixels.
const POINTS: usize = 120;

/// How the lines of these events begin.
const STEP: &str = r#"{"event":"step","#;
const EPOCH: &str = r#"{"event":"epoch","#;

/// Position and value; single precision is finer than any page.
type Point = (f32, f32);

/// The curves and pruning steps of a run.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Curves {
    /// The unit of positions: epoch or step.
    pub axis: &'static str,
    /// What the sparsities of pruning steps are fractions of, in words.
    of: &'static str,
    /// Which split was measured during the run.
    held_out: String,
    train_accuracy: Vec<Point>,
    held_out_accuracy: Vec<Point>,
    train_loss: Vec<Point>,
    held_out_loss: Vec<Point>,
    prunes: Vec<Step>,
}

#[derive(Clone, Debug, Serialize)]
struct Step {
    at: f64,
    epoch: u64,
    step: u64,
    target: Option<f64>,
    achieved: f64,
    remaining: usize,
}

impl Curves {
    /// Reads the lines of a run's `events.jsonl`; a run without events has empty curves.
    pub fn of<L: AsRef<str>>(lines: impl Iterator<Item = L>) -> Self {
        // Steps are most of the lines, and are drawn only where there is no epoch.
        let mut epochs = false;
        let history = History::of(lines.filter(|line| {
            epochs |= line.as_ref().starts_with(EPOCH);
            !epochs || !line.as_ref().starts_with(STEP)
        }));
        let step = |prune: &history::PruneStep| Step {
            at: prune.at,
            epoch: prune.epoch,
            step: prune.step,
            target: prune.target,
            achieved: prune.achieved,
            remaining: prune.weights_kept,
        };
        Self {
            axis: history.axis(),
            of: history.of_what(),
            held_out: history.held_out.clone(),
            train_accuracy: thinned(&history.train_accuracy),
            held_out_accuracy: thinned(&history.held_out_accuracy),
            train_loss: thinned(&history.train_loss),
            held_out_loss: thinned(&history.held_out_loss),
            prunes: history.prunes.iter().map(step).collect(),
        }
    }
}

/// Every nth point, and the last.
fn thinned(points: &[history::Point]) -> Vec<Point> {
    let stride = points.len().div_ceil(POINTS).max(1);
    let last = points.len().saturating_sub(1);
    points
        .iter()
        .enumerate()
        .filter(|(i, _)| i % stride == 0 || *i == last)
        .map(|(_, (at, value))| (*at as f32, *value as f32))
        .collect()
}
