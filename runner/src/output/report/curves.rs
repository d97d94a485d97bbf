//! A run's curves as data, for pages that draw many runs.

use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use super::history::{self, History};

/// How the lines of these events begin.
const STEP: &str = r#"{"event":"step","#;
const EPOCH: &str = r#"{"event":"epoch","#;

/// Digits that a page draws.
const DIGITS: i32 = 4;

/// The curves and pruning steps of a run, as small as a page of many runs needs them.
#[derive(Clone, Debug, Default)]
pub struct Curves {
    history: History,
    most: usize,
}

impl Curves {
    /// Reads the lines of a run's `events.jsonl`, and keeps so many points of each curve at most; a run without events has
    /// empty curves.
    pub fn of<L: AsRef<str>>(lines: impl Iterator<Item = L>, most: usize) -> Self {
        // Steps are most of the lines, and are drawn only where there is no epoch.
        let mut epochs = false;
        let history = History::of(lines.filter(|line| {
            epochs |= line.as_ref().starts_with(EPOCH);
            !epochs || !line.as_ref().starts_with(STEP)
        }));
        Self { history, most }
    }

    /// Loss and accuracy at common places: `[places, losses, accuracies]`; held-out data has no places where they are those
    /// of training.
    fn pair(&self, loss: &[history::Point], accuracy: &[history::Point]) -> Value {
        let places: Vec<f64> = self.thinned(loss).map(|(at, _)| rounded(at, DIGITS)).collect();
        let of = |curve: &[history::Point]| -> Vec<Option<f64>> {
            let all = self.thinned(curve).map(|(_, value)| value.is_finite().then(|| rounded(value, DIGITS)));
            let all: Vec<_> = all.collect();
            if all.iter().all(Option::is_none) { Vec::new() } else { all }
        };
        json!([places, of(loss), of(accuracy)])
    }

    /// Every nth entry, and the last.
    fn thinned<'a, T: Clone>(&self, all: &'a [T]) -> impl Iterator<Item = T> + use<'a, T> {
        let (stride, last) = (all.len().div_ceil(self.most.max(1)).max(1), all.len().saturating_sub(1));
        all.iter().enumerate().filter(move |(i, _)| i % stride == 0 || *i == last).map(|(_, entry)| entry.clone())
    }
}

impl Serialize for Curves {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let history = &self.history;
        let step = |prune: history::PruneStep| {
            let (target, achieved) =
                (prune.target.map(|target| rounded(target, DIGITS)), rounded(prune.achieved, DIGITS));
            json!([rounded(prune.at, DIGITS), prune.epoch, prune.step, target, achieved, prune.weights_kept])
        };
        let prunes: Vec<Value> = self.thinned(&history.prunes).map(step).collect();
        let train = self.pair(&history.train_loss, &history.train_accuracy);
        let mut held_out = self.pair(&history.held_out_loss, &history.held_out_accuracy);
        if held_out[0] == train[0] {
            held_out[0] = Value::Null;
        }
        json!({
            "axis": history.axis(), "end": rounded(history.end, DIGITS), "of": history.of_what(), "held_out_name": history.held_out,
            "train": train, "held_out": held_out, "prunes": prunes,
        })
        .serialize(to)
    }
}

/// A number with so many digits that count; one without a fraction keeps all of its own.
pub fn rounded(value: f64, digits: i32) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return value;
    }
    let digits = digits - 1 - value.abs().log10().floor() as i32;
    if digits <= 0 { value.round() } else { format!("{value:.*}", digits as usize).parse().unwrap_or(value) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curves_are_small_and_have_their_ends() {
        let line = |step: u64| {
            let loss = 1.0 / (step as f64 + 3.0);
            format!(
                r#"{{"event":"epoch","step":{step},"epoch":{step},"loss":{loss},"accuracy":null,"sparsity":0,"seconds":1}}"#
            )
        };
        let curves = serde_json::to_value(Curves::of((0..1000).map(line), 50)).unwrap();
        let places = curves["train"][0].as_array().unwrap();
        assert!((25..=51).contains(&places.len()), "{}", places.len());
        assert_eq!((&places[0], places.last().unwrap()), (&json!(1.0), &json!(1000.0)));
        assert_eq!(curves["train"][1][0], json!(0.3333));
        assert_eq!((&curves["train"][2], &curves["held_out"]), (&json!([]), &json!([[], [], []])));
    }

    #[test]
    fn numbers_keep_the_digits_that_can_be_seen() {
        let all = [0.0, 0.123_456, 1234.5678, 123_456.0, 1e-7 / 3.0, -2.0 / 3.0].map(|value| rounded(value, 4));
        assert_eq!(all, [0.0, 0.1235, 1235.0, 123_456.0, 3.333e-8, -0.6667]);
    }
}
